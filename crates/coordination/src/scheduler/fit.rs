//! Whether a job can run at all, and whether the state that it starts from is its own.

use super::context::Context;
use super::settings::Settings;
use crate::checkpoint::Recovered;
use crate::manifest::{Manifest, VertexState};
use reflow_graph::{JobGraph, Vertex};
use reflow_types::{MaxParallelism, OwnershipTable};

/// The keyed state of a vertex in a manifest: its number of key groups is fixed.
fn keyed_state<'m>(vertex: &Vertex, manifest: Option<&'m Manifest>) -> Option<&'m VertexState> {
    let states = manifest.map(|manifest| manifest.vertices.as_slice()).unwrap_or_default();
    states.iter().find(|state| state.vertex == vertex.id && state.table.is_some())
}

/// The max parallelism of each vertex: of its state where there is some, its own, or the default.
pub(super) fn max_parallelism(
    job: &JobGraph,
    settings: &Settings,
    manifest: Option<&Manifest>,
) -> Vec<MaxParallelism> {
    let of_vertex = |vertex: &Vertex| {
        let of_state = keyed_state(vertex, manifest).map(|state| state.max_parallelism);
        of_state.or(vertex.max_parallelism).unwrap_or(settings.default_max_parallelism)
    };
    job.vertices.iter().map(of_vertex).collect()
}

/// The ownership tables from which the first attempt starts.
pub(super) fn tables(job: &JobGraph, manifest: Option<&Manifest>) -> Vec<Option<OwnershipTable>> {
    job.vertices.iter().map(|vertex| keyed_state(vertex, manifest)?.table.clone()).collect()
}

/// What the user asked for and does not get.
pub(super) fn warnings(job: &JobGraph, settings: &Settings) -> Vec<String> {
    let fixed = |vertex: &Vertex| {
        let parallelism = vertex.parallelism.filter(|_| settings.reactive)?;
        Some(format!(
            "operator '{}' has a fixed parallelism of {parallelism}, which reactive mode ignores: only \
             max parallelism bounds it there",
            vertex.name
        ))
    };
    job.vertices.iter().filter_map(fixed).collect()
}

/// What to say of checkpoints none of which can be read: a job with state must not begin anew by itself.
pub(super) fn lost_state(recovered: &Recovered) -> String {
    let damages =
        recovered.damaged.iter().map(|(checkpoint, damage)| format!("checkpoint {checkpoint}: {damage}"));
    let damages: Vec<String> = damages.collect();
    format!(
        "no checkpoint of the job can be read; --fresh begins anew without its state ({})",
        damages.join("; ")
    )
}

/// Why the job cannot run, if it cannot.
pub(super) fn check(ctx: &Context) -> Result<(), String> {
    let (job, settings) = (&ctx.job, &ctx.settings);
    job.validate().map_err(|error| error.to_string())?;
    if let Some(lost) = &ctx.lost_state {
        return Err(lost.clone());
    }
    let manifest = ctx.coordinator.latest().map(|latest| &latest.manifest);
    for (vertex, max) in job.vertices.iter().zip(&ctx.max_parallelism) {
        if let (Some(state), Some(own)) = (keyed_state(vertex, manifest), vertex.max_parallelism)
            && state.max_parallelism != own
        {
            return Err(format!(
                "operator '{}' has max parallelism {own}, but its state was written with {}: the number of key \
                 groups cannot change, set .max_parallelism({1})",
                vertex.name, state.max_parallelism
            ));
        }
        let wanted = vertex.parallelism.filter(|_| !settings.reactive);
        if let Some(wanted) = wanted.filter(|wanted| *wanted > max.get()) {
            return Err(format!(
                "operator '{}' has parallelism {wanted}, above its max parallelism {max}",
                vertex.name
            ));
        }
    }
    Ok(())
}
