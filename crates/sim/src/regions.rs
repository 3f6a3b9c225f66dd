//! The watch over regions that restart while others run on.
//!
//! - Subtasks of other regions keep their ids and slots.
//! - The regions begin from the state of the last complete checkpoint in which they took part.
//! - A checkpoint without a region has exactly the state that the one before has of it.
//! - Checkpoints of the others go on: one begins at least each [`TRIGGER`], unless something disturbs the cluster.

use crate::world::Time;
use reflow_coordination::manifest::{Manifest, VertexState};
use reflow_graph::{ExecutionGraph, RegionIndex, Regions, VertexIndex};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::rescale::Preparation;
use reflow_types::{CheckpointId, GraphVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest time without the trigger of a checkpoint, in addition to the interval, while a region is away and nothing
/// disturbs the cluster. One that is under way is aborted after 20 s.
const TRIGGER: Duration = Duration::from_secs(45);

/// Checks restarts of regions.
#[derive(Default)]
pub struct RegionWatch {
    /// The regions of the job, if it has more than one. A job that was stopped continues with more vertices.
    regions: Option<Regions>,
    vertices: usize,
    /// The graphs that have been in effect in each attempt, or were prepared, by version.
    graphs: BTreeMap<Attempt, BTreeMap<GraphVersion, ExecutionGraph>>,
    newest: Option<Manifest>,
    without: u64,
    /// Since when regions are away, or when the last checkpoint was triggered meanwhile.
    away: Option<Time>,
}

impl RegionWatch {
    /// A watch over a job.
    pub fn new(regions: Regions, vertices: usize) -> Self {
        let regions = Some(regions).filter(|regions| regions.all().len() > 1);
        Self { regions, vertices, ..Self::default() }
    }

    /// All regions but these, if the job has several.
    pub fn others(&self, regions: &BTreeSet<RegionIndex>) -> BTreeSet<RegionIndex> {
        let all = self.regions.iter().flat_map(Regions::all);
        all.filter(|region| !regions.contains(region)).collect()
    }

    /// The checkpoint in which each region took part last whose state a deployment restores.
    pub fn restored(&self, deployment: &Deployment) -> BTreeMap<RegionIndex, Option<CheckpointId>> {
        let vertices = (0..self.vertices).map(|vertex| VertexIndex(vertex as u16));
        let regions = self.regions.as_ref();
        let restored = |vertex| Some((regions?.region(vertex), deployment.taken_in(vertex)));
        vertices.filter_map(restored).collect()
    }

    /// An attempt was deployed.
    pub fn deployed(&mut self, attempt: Attempt, graph: &ExecutionGraph) {
        self.graphs.entry(attempt).or_default().entry(GraphVersion(0)).or_insert_with(|| graph.clone());
        self.away = None;
    }

    /// A graph was prepared. It may take effect.
    pub fn prepared(&mut self, Preparation { attempt, version, graph, .. }: &Preparation) {
        self.graphs.entry(*attempt).or_default().entry(*version).or_insert_with(|| graph.clone());
    }

    /// Regions end.
    pub fn ended(&mut self, now: Time) {
        self.away.get_or_insert(now);
    }

    /// Regions were deployed again. Returns the violation, if any.
    pub fn restarted(&mut self, restart: &RegionRestart, graph: &ExecutionGraph) -> Option<String> {
        let RegionRestart { attempt, version, regions } = restart;
        self.away = None;
        let known = self.graphs.entry(*attempt).or_default();
        let others = (0..self.vertices.min(graph.vertices.len())).filter(|vertex| {
            let region = self.regions.as_ref().map(|all| all.region(VertexIndex(*vertex as u16)));
            region.is_some_and(|region| !regions.contains(&region))
        });
        // Whether a prepared graph has taken effect is not known here if this executor is new to the attempt.
        let is_kept = |vertex: usize| {
            known.is_empty() || known.values().any(|former| former.vertices[vertex] == graph.vertices[vertex])
        };
        let changed = others.into_iter().find(|vertex| !is_kept(*vertex));
        known.insert(*version, graph.clone());
        changed.map(|vertex| {
            format!(
                "regions {regions:?} of attempt {attempt} have restarted, and vertex {vertex} of another one has other \
                 subtasks or slots"
            )
        })
    }

    /// The attempt does not go on as it was, or its JobManager is lost.
    pub fn interrupted(&mut self) {
        self.away = None;
    }

    /// A checkpoint was triggered.
    pub fn triggered(&mut self, now: Time) {
        self.away = self.away.map(|_| now);
    }

    /// The manifest of a checkpoint that is not a savepoint was created. Returns the violation, if any.
    pub fn complete(&mut self, manifest: &Manifest) -> Option<String> {
        let taken_over = |vertex: &&VertexState| vertex.taken_in != manifest.checkpoint;
        let former = self.newest.replace(manifest.clone());
        manifest.vertices.iter().find(taken_over)?;
        self.without += 1;
        // Another leader may not have seen a late decision of the former one.
        let former = former.filter(|former| former.lineage.epoch == manifest.lineage.epoch)?;
        let same = |vertex: &&VertexState| former.vertices.iter().any(|former| former == *vertex);
        let other = manifest.vertices.iter().filter(taken_over).find(|vertex| !same(vertex))?;
        let (checkpoint, name) = (manifest.checkpoint, &other.name);
        Some(format!(
            "checkpoint {checkpoint} has another state of '{name}' than the one before, which it did not take"
        ))
    }

    /// The number of checkpoints without all regions.
    pub fn without(&self) -> u64 {
        self.without
    }

    /// The violation if regions are away, and nothing has been triggered for too long, although nothing has disturbed the
    /// cluster since `undisturbed`.
    pub fn look(&self, now: Time, undisturbed: Time, interval: Duration) -> Option<String> {
        let since = self.away?.max(undisturbed);
        self.newest.as_ref().filter(|_| now > since + (TRIGGER + interval).as_micros() as Time)?;
        let waited = Duration::from_micros(now - since);
        Some(format!("a region restarts, and for {waited:?} no checkpoint of the others has begun"))
    }

    /// A user has started another job.
    pub fn forget(&mut self) {
        (self.newest, self.away) = (None, None);
    }
}
