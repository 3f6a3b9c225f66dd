//! The attempt whose subtasks take part in checkpoints, and the state that their next snapshots build on. `absence` has the
//! regions that do not take part.

use super::absence::builds_on;
use super::chain::Chain;
use super::pending::Pending;
use super::retention::Completed;
use super::{Identity, Participant};
use crate::manifest::{Ending, Lineage, Manifest, OwnedRuns, VertexState, below, wire};
use reflow_graph::{ExecutionGraph, JobGraph, RegionIndex, Regions, Vertex, VertexIndex, subtask_name};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{KeyedState, SubtaskState};
use reflow_types::{
    CheckpointId, Instant, MAX_WATERMARK, MaxParallelism, OwnershipTable, SubtaskId, SubtaskIndex,
    injected_fault,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// A change of the graph, from the trigger of its cut until it is complete.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) checkpoint: CheckpointId,
    pub(super) outcome: CutOutcome,
    /// The graph, once it is in effect.
    pub(super) next: Option<ExecutionGraph>,
}

/// The outcome of a cut's checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CutOutcome {
    Open,
    Complete,
    Failed,
}

impl Change {
    pub(super) fn new(checkpoint: CheckpointId) -> Self {
        Self { checkpoint, outcome: CutOutcome::Open, next: None }
    }
}

/// The coordinator's data about an attempt.
#[derive(Debug)]
pub(super) struct Deployed {
    pub(super) attempt: Attempt,
    pub(super) participants: BTreeMap<SubtaskId, Participant>,
    /// The vertices, without their state.
    pub(super) vertices: Vec<VertexState>,
    pub(super) regions: Regions,
    /// The regions that are being restarted and do not run yet.
    pub(super) absent: BTreeSet<RegionIndex>,
    /// Whether there are enumerators whose state belongs to a checkpoint.
    pub(super) has_sources: bool,
    /// The chain of each subtask of a keyed vertex, up to the last complete checkpoint.
    pub(super) chains: BTreeMap<SubtaskId, Chain>,
    /// The acknowledged states of the last complete checkpoint, without keyed state.
    pub(super) last: BTreeMap<SubtaskId, SubtaskState>,
    /// Whether objects of the last complete checkpoint are lost, so that checkpoints are full until one is
    /// complete.
    pub(super) rewrite: bool,
    /// Subtasks that have finished. Checkpoints contain their last acknowledged state.
    pub(super) finished: BTreeSet<SubtaskId>,
    /// Removed subtasks that have not finished yet. They own nothing, and checkpoints do not contain them
    /// afterwards.
    pub(super) leaving: BTreeSet<SubtaskId>,
    /// Whether only checkpoints of a live rescale may begin.
    pub(super) held: bool,
    /// The change of the graph, from the trigger of the cut until the graph is in effect and the cut's outcome is
    /// known.
    pub(super) change: Option<Change>,
    /// Whether all subtasks run, or have run and are [absent](Self::absent).
    pub(super) running: bool,
    /// Whether its sources have paused or ended for good, so that there are no more periodic checkpoints.
    pub(super) ending: bool,
    /// How the job ends, once that is decided. All later manifests of the attempt contain it as well, because a
    /// successor reads only the latest one.
    pub(super) ends: Option<Ending>,
    pub(super) next_periodic: Option<Instant>,
    /// One past the highest subtask id.
    pub(super) next_subtask: SubtaskId,
}

impl Deployed {
    /// An attempt that begins from `restored`.
    pub(super) fn new(
        attempt: Attempt,
        participants: Vec<Participant>,
        job: &JobGraph,
        graph: &ExecutionGraph,
        restored: Option<&Completed>,
    ) -> Self {
        let ends = restored.and_then(|restored| restored.manifest.ending);
        let vertices: Vec<VertexState> = job
            .numbered_vertices()
            .map(|(index, vertex)| (vertex, graph.vertex(index).table.clone()))
            .map(|(vertex, table)| VertexState {
                vertex: vertex.id,
                name: vertex.name.clone(),
                operators: vertex.operators.clone(),
                max_parallelism: max_parallelism(vertex, table.as_ref()),
                table,
                taken_in: CheckpointId::default(),
                watermark: MAX_WATERMARK,
                keyed: Vec::new(),
                operator: Vec::new(),
            })
            .collect();
        let mut deployed = Self {
            attempt,
            participants: BTreeMap::new(),
            vertices,
            regions: Regions::of(job),
            absent: BTreeSet::new(),
            has_sources: job.vertices.iter().any(|vertex| vertex.source),
            chains: BTreeMap::new(),
            last: BTreeMap::new(),
            rewrite: false,
            finished: BTreeSet::new(),
            leaving: BTreeSet::new(),
            held: false,
            change: None,
            running: false,
            ending: ends.is_some(),
            ends,
            next_periodic: None,
            next_subtask: SubtaskId(0),
        };
        deployed.add(job, participants, restored);
        deployed
    }

    /// Adds subtasks that begin from `restored`.
    fn add(
        &mut self,
        job: &JobGraph,
        participants: impl IntoIterator<Item = Participant>,
        restored: Option<&Completed>,
    ) {
        let base = restored.filter(|restored| builds_on(job, restored));
        for participant in participants {
            let vertex = &self.vertices[usize::from(participant.vertex.0)];
            if let Some(table) = &vertex.table {
                let (owned, max) = (table.groups_of(participant.index), vertex.max_parallelism);
                let chain = Chain::inherit(owned, max, &inherited(base, vertex));
                self.chains.insert(participant.subtask, chain);
            }
            self.next_subtask = self.next_subtask.max(participant.subtask.next());
            self.participants.insert(participant.subtask, participant);
        }
    }

    /// The subtasks of some vertices are replaced by those of `graph`, which begin from `restored`.
    pub(super) fn replace(
        &mut self,
        job: &JobGraph,
        graph: &ExecutionGraph,
        restored: Option<&Completed>,
        restarts: impl Fn(VertexIndex) -> bool,
    ) {
        let of_vertices = |participant: &Participant| restarts(participant.vertex);
        for (id, _) in self.participants.extract_if(.., |_, participant| of_vertices(participant)) {
            self.chains.remove(&id);
            self.last.remove(&id);
            self.finished.remove(&id);
        }
        for (index, _) in job.numbered_vertices().filter(|(index, _)| restarts(*index)) {
            self.vertices[usize::from(index.0)].table.clone_from(&graph.vertex(index).table);
        }
        let added = graph.subtasks().filter(|(vertex, ..)| restarts(*vertex));
        let added = added.map(|(vertex, index, subtask)| Participant { subtask: subtask.id, vertex, index });
        self.add(job, added.collect::<Vec<_>>(), restored);
    }

    /// From now on, the subtasks of `graph` take part, with the key groups that its tables assign to them.
    pub(super) fn take_graph(&mut self, graph: &ExecutionGraph) {
        let former = std::mem::take(&mut self.participants);
        let former_chains = std::mem::take(&mut self.chains);
        for (vertex, index, subtask) in graph.subtasks() {
            self.participants.insert(subtask.id, Participant { subtask: subtask.id, vertex, index });
        }
        let mut behind: Vec<u32> = graph.vertices.iter().map(|vertex| vertex.parallelism()).collect();
        for (&id, participant) in &former {
            if self.participants.contains_key(&id) {
                continue;
            }
            self.last.remove(&id);
            if self.finished.remove(&id) {
                continue;
            }
            // Users see removed subtasks after the others.
            let index = &mut behind[usize::from(participant.vertex.0)];
            self.participants.insert(id, Participant { index: SubtaskIndex(*index), ..*participant });
            *index += 1;
            self.leaving.insert(id);
        }
        let runs = former_runs(&former, &former_chains);
        for (v, (vertex, placed)) in self.vertices.iter_mut().zip(&graph.vertices).enumerate() {
            vertex.table.clone_from(&placed.table);
            let Some(table) = &placed.table else { continue };
            let former = runs.get(&v).map(Vec::as_slice).unwrap_or_default();
            for (index, subtask) in placed.numbered() {
                let chain = Chain::inherit(table.groups_of(index), vertex.max_parallelism, former);
                self.chains.insert(subtask.id, chain);
            }
        }
        for id in &self.leaving {
            if let Some(chain) = former_chains.get(id) {
                self.chains.insert(*id, chain.of_nothing());
            }
        }
        let highest = self.participants.keys().last().map(|id| id.next());
        self.next_subtask = self.next_subtask.max(highest.unwrap_or_default());
    }

    /// The vertices, without their state.
    pub(super) fn vertices(&self) -> &[VertexState] {
        &self.vertices
    }

    /// A subtask as users know it.
    pub(super) fn name_of(&self, participant: &Participant) -> String {
        let of_vertex = self.participants.values().filter(|other| other.vertex == participant.vertex);
        let vertex = &self.vertices[usize::from(participant.vertex.0)].name;
        subtask_name(vertex, participant.index, of_vertex.count() as u32)
    }

    /// The error of an acknowledgement, if it is invalid.
    pub(super) fn fault(&self, subtask: SubtaskId, state: &SubtaskState) -> Option<String> {
        let (chain, keyed) = match (self.chains.get(&subtask), &state.keyed) {
            (Some(chain), Some(keyed)) => (chain, keyed),
            (_, None) => return None,
            (None, Some(_)) => return Some("it wrote keyed state, but its vertex is not keyed".into()),
        };
        let KeyedState { groups, object, runs, bytes } = keyed;
        if groups != chain.owned() {
            return Some("it wrote the state of other key groups than it owns".into());
        }
        if object.is_none() && runs.iter().any(|run| run.len > 0) {
            return Some("it wrote runs without an object".into());
        }
        let beyond = runs.iter().find(|run| run.offset.saturating_add(u64::from(run.len)) > *bytes);
        beyond.map(|run| format!("a run ends at {} + {} of {bytes} bytes", run.offset, run.len))
    }

    /// The last acknowledged state of a finished subtask.
    pub(super) fn last_of(&self, subtask: SubtaskId) -> SubtaskState {
        self.last.get(&subtask).cloned().unwrap_or_else(nothing)
    }

    /// The chains of those that take part, if `pending` completes. Those of a full checkpoint begin without earlier runs; those of a
    /// savepoint have names relative to its directory.
    pub(super) fn extended(&self, pending: &Pending) -> BTreeMap<SubtaskId, Chain> {
        let savepoint = pending.purpose.is_savepoint();
        let extended = |(&subtask, chain): (&SubtaskId, &Chain)| {
            let mut chain = if pending.full { chain.cleared() } else { chain.clone() };
            if let Some(keyed) = pending.acknowledged.get(&subtask).and_then(|state| state.keyed.as_ref()) {
                let object = keyed.object.as_deref().unwrap_or_default();
                let object = if savepoint { object.to_owned() } else { below(&pending.data, object) };
                chain.append(&object, &keyed.runs);
            }
            (subtask, chain)
        };
        let chains = self.chains.iter().filter(|(id, _)| pending.participants.contains_key(id));
        chains.map(extended).collect()
    }

    /// The manifest of `pending`, which all of its participants have acknowledged. The state of regions that do not take part
    /// is that of the checkpoint `base`.
    ///
    /// The watermark of a vertex is that of the subtasks in its graph. A removed subtask keeps its watermark of
    /// the cut until it has finished, which would lower the vertex's watermark in every checkpoint until then.
    pub(super) fn manifest(
        &self,
        identity: &Identity,
        pending: &Pending,
        chains: &BTreeMap<SubtaskId, Chain>,
        next_subtask: SubtaskId,
        (lineage, base): (&Lineage, Option<&Manifest>),
    ) -> Manifest {
        let mut vertices = self.vertices.clone();
        vertices.iter_mut().for_each(|vertex| vertex.taken_in = pending.id);
        for (subtask, participant) in &pending.participants {
            let vertex = &mut vertices[usize::from(participant.vertex.0)];
            let state = &pending.acknowledged[subtask];
            let leaves = self.leaving.contains(subtask)
                && !injected_fault::is_active("watermark_of_a_leaving_subtask_counted");
            if self.participants.contains_key(subtask) && !leaves {
                vertex.watermark = vertex.watermark.min(state.watermark);
            }
            vertex.operator.extend(state.operator.iter().cloned());
            let parts = chains.get(subtask).map(Chain::parts).unwrap_or_default();
            vertex.keyed.extend(parts.into_iter().filter(|part| !part.groups.is_empty()));
        }
        let mut enumerators = pending.enumerators.clone().unwrap_or_default();
        if !pending.without.is_empty() {
            let base = base.expect("a checkpoint without regions has a base");
            self.take_over(&pending.without, base, &mut vertices, &mut enumerators);
        }
        Manifest {
            checkpoint: pending.id,
            job: identity.job,
            job_name: identity.name.clone(),
            format: pending.format,
            key_encoding: reflow_types::key::ENCODING,
            build: identity.build.clone(),
            triggered_at: pending.triggered_at.as_millis(),
            next_subtask,
            vertices,
            enumerators,
            lineage: lineage.clone(),
            ending: pending.ending().or(self.ends),
            version: wire::FORMAT,
        }
    }
}

/// The state of a subtask that has none and does not hold the watermark back.
pub(super) fn nothing() -> SubtaskState {
    SubtaskState { watermark: MAX_WATERMARK, ..SubtaskState::default() }
}

/// The max parallelism of a vertex's state, which only a keyed vertex has.
fn max_parallelism(vertex: &Vertex, table: Option<&OwnershipTable>) -> MaxParallelism {
    let of_table = table.map(OwnershipTable::max_parallelism);
    of_table.or(vertex.max_parallelism).unwrap_or(MaxParallelism::DEFAULT)
}

/// The runs with which a vertex's chains begin. `base` is the checkpoint on which the next one builds.
fn inherited<'a>(base: Option<&'a Completed>, vertex: &VertexState) -> Cow<'a, [OwnedRuns]> {
    let former = base.and_then(|restored| {
        let same = |former: &&VertexState| {
            former.vertex == vertex.vertex && former.max_parallelism == vertex.max_parallelism
        };
        restored.manifest.vertices.iter().find(same)
    });
    former.map_or(Cow::Borrowed(&[]), |former| former.keyed_of(vertex.states()))
}

/// The runs of the last complete checkpoint, by vertex.
fn former_runs(
    participants: &BTreeMap<SubtaskId, Participant>,
    chains: &BTreeMap<SubtaskId, Chain>,
) -> BTreeMap<usize, Vec<OwnedRuns>> {
    let mut runs: BTreeMap<usize, Vec<OwnedRuns>> = BTreeMap::new();
    for (id, chain) in chains {
        let vertex = usize::from(participants[id].vertex.0);
        runs.entry(vertex).or_default().extend(chain.parts());
    }
    runs
}
