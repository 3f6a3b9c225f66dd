//! Checks whether a job can run at all, and whether the state that it restores matches the job.

use super::demand::Demand;
use super::settings::Settings;
use crate::checkpoint::{Recovered, fallback};
use crate::manifest::{Manifest, VertexState};
use crate::requirements;
use reflow_graph::{JobGraph, Vertex};
use reflow_types::{MaxParallelism, OwnershipTable};

/// The keyed state of a vertex in a manifest, whose number of key groups is fixed.
fn keyed_state<'m>(vertex: &Vertex, manifest: Option<&'m Manifest>) -> Option<&'m VertexState> {
    let states = manifest.map(|manifest| manifest.vertices.as_slice()).unwrap_or_default();
    states.iter().find(|state| state.vertex == vertex.id && state.table.is_some())
}

/// The max parallelism of each vertex: that of its state if there is any, otherwise its own or the default.
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

/// Warnings about settings that have no effect.
pub(super) fn warnings(
    job: &JobGraph,
    max_parallelism: &[MaxParallelism],
    settings: &Settings,
    recovered: Option<&Recovered>,
) -> Vec<String> {
    let gone_back = match recovered.and_then(|recovered| recovered.fallback.as_ref()) {
        Some(fallback::Decision::GoBack(warning)) => Some(warning.clone()),
        _ => None,
    };
    let fixed = |vertex: &Vertex| {
        let parallelism = vertex.parallelism.filter(|_| settings.is_reactive())?;
        Some(format!(
            "operator '{}' has a fixed parallelism of {parallelism}, which reactive mode ignores: only \
             max parallelism bounds it there",
            vertex.name
        ))
    };
    let capped = |sender: &Vertex, vertex: &Vertex, wanted: u32, gets: u32| {
        vertex.parallelism.filter(|_| !settings.is_reactive()).is_none().then(|| {
            format!(
                "operator '{}' runs with at most {gets} subtasks where {wanted} are allowed: {} \
                 more, add .rebalance() before it",
                vertex.name,
                forwarded(sender, gets)
            )
        })
    };
    let capped = capped_by_forward(job, max_parallelism, settings)
        .filter_map(|(sender, vertex, wanted, gets)| capped(sender, vertex, wanted, gets));
    let lost = recovered.and_then(|recovered| recovered.lost.clone());
    gone_back.into_iter().chain(lost).chain(job.vertices.iter().filter_map(fixed)).chain(capped).collect()
}

fn forwarded(sender: &Vertex, parallelism: u32) -> String {
    format!(
        "'{}', with at most {parallelism}, forwards its records to it, and each of its subtasks keeps to one receiver, \
         so that they stay in order. To spread them over",
        sender.name
    )
}

/// Vertices whose parallelism is limited by a sender on a forward edge: the widest sender, the vertex, the
/// parallelism that it could have, and the one that it gets.
fn capped_by_forward<'j>(
    job: &'j JobGraph,
    max_parallelism: &[MaxParallelism],
    settings: &Settings,
) -> impl Iterator<Item = (&'j Vertex, &'j Vertex, u32, u32)> {
    let bounds = requirements::defaults(job, max_parallelism, settings.mode, settings.default_parallelism);
    let wanted: Vec<u32> = bounds.iter().map(|bounds| bounds.upper).collect();
    let mut gets = wanted.clone();
    job.cap_forward(&mut gets);
    let capped: Vec<_> = job
        .numbered_vertices()
        .filter_map(|(index, vertex)| {
            let at = usize::from(index.0);
            let senders = job.inputs(index).map(|(_, edge)| edge.from);
            let widest = senders.max_by_key(|sender| gets[usize::from(sender.0)])?;
            (gets[at] < wanted[at]).then(|| (job.vertex(widest), vertex, wanted[at], gets[at]))
        })
        .collect();
    capped.into_iter()
}

/// Why a job cannot resume from the checkpoints that were found. A job with state does not start without it by
/// itself.
pub(super) fn not_restored(recovered: &Recovered) -> Option<String> {
    let lost = || {
        let damage = fallback::in_words(&recovered.damaged);
        format!("no checkpoint of the job can be read; --fresh begins anew without its state ({damage})")
    };
    recovered.is_lost().then(lost).or_else(|| recovered.question().map(str::to_owned))
}

/// Why the job cannot run, if it cannot.
pub(super) fn check(
    demand: &Demand,
    settings: &Settings,
    not_restored: Option<&str>,
    manifest: Option<&Manifest>,
) -> Result<(), String> {
    let (job, max_parallelism) = (demand.job(), demand.max_parallelism());
    job.validate().map_err(|error| error.to_string())?;
    if let Some(reason) = not_restored {
        return Err(reason.to_owned());
    }
    for (sender, vertex, wanted, gets) in capped_by_forward(job, max_parallelism, settings) {
        if !settings.is_reactive() && vertex.parallelism == Some(wanted) {
            return Err(format!(
                "operator '{}' has parallelism {wanted}, but {} more, add .rebalance() before it; or set its \
                 parallelism to {gets}",
                vertex.name,
                forwarded(sender, gets)
            ));
        }
    }
    for (vertex, max) in job.vertices.iter().zip(max_parallelism) {
        if let (Some(state), Some(own)) = (keyed_state(vertex, manifest), vertex.max_parallelism)
            && state.max_parallelism != own
        {
            return Err(format!(
                "operator '{}' has max parallelism {own}, but its state was written with {}: the number of key \
                 groups cannot change, set .max_parallelism({1})",
                vertex.name, state.max_parallelism
            ));
        }
        let wanted = vertex.parallelism.filter(|_| !settings.is_reactive());
        if let Some(wanted) = wanted.filter(|wanted| *wanted > max.get()) {
            return Err(format!(
                "operator '{}' has parallelism {wanted}, above its max parallelism {max}: set a lower \
                 .parallelism(…) or a higher .max_parallelism(…)",
                vertex.name
            ));
        }
    }
    Ok(())
}
