//! Checkpoints while regions restart: those that run take part, and the manifest has the others' state of the last complete
//! checkpoint.
//!
//! A region is absent from its failure until all of its subtasks run again. It is deployed with the state that it has in the
//! last complete checkpoint. Checkpoints without it do not change that state, so it does not matter which of them is the
//! last one when the region is deployed, nor whether one is under way. Its objects are named by each of these manifests,
//! so they are retained for as long as anything may restore them.

use super::coordinator::{Coordinator, restored_entry};
use super::deployed::Deployed;
use super::retention::Completed;
use super::{Effect, FailureCause, Participant};
use crate::manifest::{Manifest, VertexState};
use crate::restore;
use bytes::Bytes;
use reflow_graph::{ExecutionGraph, JobGraph, RegionIndex, VertexIndex};
use reflow_protocol::snapshot::{FirstCheckpoint, StateFormat};
use reflow_types::{Instant, SubtaskId, injected_fault};
use std::collections::{BTreeMap, BTreeSet};

impl Coordinator {
    /// Whether regions of the attempt can restart alone: its graph does not change, and it does not end.
    pub fn can_restart_regions(&self) -> bool {
        let ends = self.retention.latest().is_some_and(|latest| latest.manifest.ending.is_some());
        let can = |deployed: &Deployed| {
            deployed.change.is_none() && deployed.leaving.is_empty() && !deployed.ending && !ends
        };
        self.deployed.as_ref().is_some_and(can)
    }

    /// Regions of the attempt restart. A pending checkpoint of theirs is abandoned, because it cannot be complete without
    /// them. Until they [run](Self::regions_run) again, checkpoints do without them.
    pub fn begin_region_restart(&mut self, now: Instant, regions: &BTreeSet<RegionIndex>) -> Vec<Effect> {
        let mut out = Vec::new();
        if let Some(deployed) = &mut self.deployed {
            deployed.absent.extend(regions);
        }
        if !self.is_settled_for(regions) {
            self.give_up(now, FailureCause::Other, "a region of the job restarts".to_owned(), &mut out);
        }
        out
    }

    /// Whether the outcome of every checkpoint is known in which one of these regions takes part, so that the regions may be
    /// deployed from [`latest`](Self::latest).
    pub fn is_settled_for(&self, regions: &BTreeSet<RegionIndex>) -> bool {
        self.pending.as_ref().is_none_or(|pending| regions.is_subset(&pending.without))
    }

    /// The subtasks of some vertices, those of `regions`, are deployed anew with the state of [`latest`](Self::latest).
    ///
    /// # Panics
    /// If that [is not settled](Self::is_settled_for).
    pub fn restart_regions(
        &mut self,
        now: Instant,
        job: &JobGraph,
        graph: &ExecutionGraph,
        (regions, restarts): (&BTreeSet<RegionIndex>, impl Fn(VertexIndex) -> bool),
    ) {
        assert!(self.is_settled_for(regions), "a region restarts while a checkpoint of it is undecided");
        let restored = self.retention.latest();
        if let Some(deployed) = &mut self.deployed {
            deployed.replace(job, graph, restored, restarts);
            self.next_subtask = self.next_subtask.max(deployed.next_subtask);
        }
        if let Some(restored) = restored {
            self.stats.restored(restored_entry(now, restored));
        }
    }

    /// The regions that are being restarted and do not run yet.
    pub fn absent(&self) -> BTreeSet<RegionIndex> {
        self.deployed.as_ref().map(|deployed| deployed.absent.clone()).unwrap_or_default()
    }

    /// These regions run again and take part in the next checkpoint, although others do not run yet.
    pub fn regions_run(&mut self, now: Instant, regions: &BTreeSet<RegionIndex>) -> Vec<Effect> {
        let mut out = Vec::new();
        if let Some(deployed) = &mut self.deployed {
            deployed.absent.retain(|region| !regions.contains(region));
        }
        self.advance(now, &mut out);
        out
    }
}

impl Deployed {
    /// The subtasks that take part in a checkpoint without these regions.
    pub(super) fn participants_without(
        &self,
        without: &BTreeSet<RegionIndex>,
    ) -> BTreeMap<SubtaskId, Participant> {
        let takes_part =
            |participant: &Participant| !without.contains(&self.regions.region(participant.vertex));
        let participants = self.participants.iter().filter(|(_, participant)| takes_part(participant));
        participants.map(|(id, participant)| (*id, *participant)).collect()
    }

    /// Whether a checkpoint can do without the absent regions, if there are any: `latest` has their state in the form in which
    /// this attempt writes it, and some region runs.
    pub(super) fn can_take_over(&self, latest: Option<&Completed>) -> bool {
        if self.absent.is_empty() {
            return true;
        }
        // A savepoint's objects are the user's, and a checkpoint in full is one of the whole job.
        let Some(latest) = latest.filter(|latest| latest.owned && !self.rewrite) else { return false };
        let manifest = &latest.manifest;
        let is_same = |vertex: &VertexState| {
            manifest.vertices.iter().any(|former| {
                let form = |state: &VertexState| (state.vertex, state.max_parallelism, state.table.is_some());
                form(former) == form(vertex) && former.operators == vertex.operators
            })
        };
        let is_own = manifest.format == StateFormat::Checkpoint
            && manifest.key_encoding == reflow_types::key::ENCODING
            && manifest.ending.is_none();
        is_own
            && self.absent != self.regions.all()
            && self.vertices_of(&self.absent).all(|(_, vertex)| is_same(vertex))
    }

    /// Replaces the state of these regions by that in `base`.
    pub(super) fn take_over(
        &self,
        regions: &BTreeSet<RegionIndex>,
        base: &Manifest,
        vertices: &mut [VertexState],
        enumerators: &mut Vec<(String, Bytes)>,
    ) {
        for (index, vertex) in self.vertices_of(regions) {
            let former = base.vertices.iter().find(|former| former.vertex == vertex.vertex);
            vertices[index].clone_from(former.expect("the trigger has looked"));
        }
        if injected_fault::is_active("enumerators_of_an_absent_region_taken") {
            return;
        }
        let operators = self.vertices_of(regions).flat_map(|(_, vertex)| &vertex.operators);
        let uids: BTreeSet<&str> = operators.map(|operator| operator.uid.as_str()).collect();
        enumerators.retain(|(uid, _)| !uids.contains(uid.as_str()));
        enumerators.extend(base.enumerators.iter().filter(|(uid, _)| uids.contains(uid.as_str())).cloned());
    }

    fn vertices_of(&self, regions: &BTreeSet<RegionIndex>) -> impl Iterator<Item = (usize, &VertexState)> {
        let of_regions = |index: usize| regions.contains(&self.regions.region(VertexIndex(index as u16)));
        self.vertices.iter().enumerate().filter(move |(index, _)| of_regions(*index))
    }
}

/// Whether the next checkpoint of subtasks that restore `restored` contains only changes.
pub(super) fn builds_on(job: &JobGraph, restored: &Completed) -> bool {
    restore::first_checkpoint(job, &restored.manifest) == FirstCheckpoint::Changes
}
