//! The enumerators of an attempt that a former leader has deployed.
//!
//! What the former JobManager has assigned since the last complete checkpoint is lost with it. Readers have it: each
//! enumerator is restored from that checkpoint, and then told which splits were assigned since. If one cannot be told, the
//! attempt cannot go on, because the enumerator would find the splits again.

use super::Enumerators;
use super::source::Source;
use bytes::Bytes;
use reflow_graph::{ExecutionGraph, VertexIndex};
use reflow_protocol::adoption::{ReaderReport, SplitNotice};
use reflow_types::{CheckpointId, Instant, SubtaskId, injected_fault};
use std::collections::BTreeMap;

/// The readers of an attempt, and the checkpoint that has the rest of its enumerators' states.
pub(crate) struct Readers<'a> {
    pub(crate) graph: &'a ExecutionGraph,
    pub(crate) reports: &'a [ReaderReport],
    /// The last complete checkpoint, if there is one.
    pub(crate) checkpoint: Option<CheckpointId>,
    /// The vertices whose state that checkpoint has taken over from an earlier one.
    pub(crate) taken_over: &'a BTreeMap<VertexIndex, CheckpointId>,
    /// The states of the enumerators in the last complete checkpoint, `(operator uid, state)`.
    pub(crate) states: &'a [(String, Bytes)],
}

/// The most requests for splits that a reader can have sent and the last leader cannot have answered.
const MAX_REQUESTS: u64 = 10_000;

impl Enumerators {
    /// Continues an attempt.
    ///
    /// # Errors
    /// The reason why that is not possible.
    pub(crate) fn adopt(&mut self, now: Instant, readers: &Readers<'_>) -> Result<(), String> {
        self.running = true;
        self.messages.clear();
        self.paused_by = None;
        let by_subtask: BTreeMap<SubtaskId, &ReaderReport> =
            readers.reports.iter().map(|report| (report.subtask, report)).collect();
        for source in &mut self.sources {
            let state = readers.states.iter().find(|(uid, _)| *uid == source.uid).map(|(_, state)| state);
            source.restore(now, state).map_err(|failure| failure.message)?;
            let Some(vertex) = source.vertex else { continue };
            let subtasks = &readers.graph.vertex(vertex).subtasks;
            let reports: Option<Vec<_>> =
                subtasks.iter().map(|reader| by_subtask.get(&reader.id).copied()).collect();
            let reports = reports.ok_or_else(|| format!("a reader of '{}' was not reported", source.uid))?;
            let since = readers.taken_over.get(&vertex).copied().or(readers.checkpoint);
            source.adopt(&reports, since)?;
        }
        Ok(())
    }
}

impl Source {
    /// Takes the place of the former enumerator of these readers, after a restore from the checkpoint `since`.
    fn adopt(&mut self, readers: &[&ReaderReport], since: Option<CheckpointId>) -> Result<(), String> {
        self.load = readers.iter().map(|reader| (reader.subtask, reader.splits as usize)).collect();
        for reader in readers {
            if reader.has_sent_events {
                return Err(format!(
                    "readers of '{}' have sent events, which are in no checkpoint",
                    self.uid
                ));
            }
            let Some(assigned) = &reader.assigned else {
                return Err(format!(
                    "too many splits of '{}' were assigned since the last checkpoint",
                    self.uid
                ));
            };
            let is_new = |after: &Option<CheckpointId>| since.is_none() || *after >= since;
            for (_, split) in assigned.iter().filter(|(after, _)| is_new(after)) {
                self.note_assigned(split)?;
            }
            if reader.requests > MAX_REQUESTS {
                return Err(format!(
                    "a reader of '{}' reports {} requests for splits, which cannot be",
                    self.uid, reader.requests
                ));
            }
            self.requests.extend((0..reader.requests).map(|_| reader.subtask));
            if reader.notified != SplitNotice::Nothing {
                self.notified.insert(reader.subtask);
            }
            if reader.exhausted {
                self.exhausted.insert(reader.subtask);
            }
        }
        self.told_last = readers.iter().all(|reader| reader.notified == SplitNotice::NoneFollow);
        Ok(())
    }

    /// A split was assigned since the snapshot that the enumerator has restored.
    fn note_assigned(&mut self, split: &Bytes) -> Result<(), String> {
        if injected_fault::is_active("assignments_of_the_former_leader_forgotten") {
            return Ok(());
        }
        if let Some(place) = self.unassigned.iter().position(|unassigned| unassigned == split) {
            self.unassigned.remove(place);
        } else if !self.enumerator.assigned(split) {
            return Err(format!(
                "'{}' has assigned splits that it found after the last checkpoint",
                self.uid
            ));
        }
        Ok(())
    }
}
