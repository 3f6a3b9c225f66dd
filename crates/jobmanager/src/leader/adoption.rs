//! The adoption of an attempt that a former leader has deployed.

use super::Leader;
use crate::enumerators::adoption::Readers;
use bytes::Bytes;
use reflow_coordination::adoption::Adopted;
use reflow_coordination::event::Event;
use reflow_env::Output;
use reflow_graph::VertexIndex;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{CheckpointId, Instant};
use std::collections::BTreeMap;

/// The most reports that are kept until the decision about the attempt. Beyond that it does not go on.
const MAX_EARLY_REPORTS: usize = 1 << 16;

/// Reports of subtasks of an attempt about which the leader has not decided, oldest first. Their executors have registered,
/// so that nobody else has these reports.
#[derive(Default)]
pub(super) struct EarlyReports {
    reports: Vec<SubtaskReport>,
    /// A report that was not kept.
    lost: Option<SubtaskReport>,
}

impl EarlyReports {
    fn add(&mut self, report: SubtaskReport) {
        // Events of readers are of any size, and there may be many.
        let is_small = !matches!(report.event, SubtaskEvent::SourceEvent(_));
        if is_small && self.reports.len() < MAX_EARLY_REPORTS {
            self.reports.push(report);
        } else {
            self.lost = Some(report);
        }
    }
}

/// A checkpoint, the vertices whose state it has taken over from an earlier one, and the enumerators' states.
type LastCheckpoint<'a> =
    (Option<CheckpointId>, &'a BTreeMap<VertexIndex, CheckpointId>, &'a [(String, Bytes)]);

impl Leader {
    /// Handles a report of a subtask. Before the job has an attempt, it is kept for the one that may be adopted.
    pub(super) fn subtask_reported(&mut self, report: SubtaskReport, out: &mut Vec<Output>) {
        if self.scheduler.view().attempt.is_none() {
            self.early.add(report);
        } else if is_of_reader(&report.event) {
            self.reader_reported(report, out);
        } else {
            self.events.push_back(Event::SubtaskReported(report));
        }
    }

    /// Handles the reports that have waited, once the job has an attempt.
    pub(super) fn take_early(&mut self, out: &mut Vec<Output>) {
        let is_empty = self.early.reports.is_empty() && self.early.lost.is_none();
        if is_empty || self.scheduler.view().attempt.is_none() {
            return;
        }
        let EarlyReports { reports, lost } = std::mem::take(&mut self.early);
        for report in reports {
            self.subtask_reported(report, out);
        }
        if let Some(SubtaskReport { attempt, .. }) = lost {
            let reason = "reports of its subtasks were lost before it was adopted".to_owned();
            self.events.push_back(Event::AdoptionRefused { attempt, reason });
        }
    }

    /// Continues an attempt. `checkpoint` is the last complete one, with the enumerators' states and the vertices whose state it
    /// has taken over from an earlier one.
    pub(super) fn adopt(
        &mut self,
        now: Instant,
        adopted: &Adopted,
        (checkpoint, taken_over, states): LastCheckpoint<'_>,
        out: &mut Vec<Output>,
    ) {
        let Adopted { attempt, graph, readers: reports, .. } = adopted;
        let readers = Readers { graph, reports, checkpoint, taken_over, states };
        if let Err(reason) = self.enumerators.adopt(now, &readers) {
            self.enumerators.stop();
            self.events.push_back(Event::AdoptionRefused { attempt: *attempt, reason });
            return;
        }
        self.alignment.retain(|_| false);
        self.metrics.deploy(graph);
        self.deployed.adopt(*attempt, graph, &self.members, out);
    }
}

/// Whether a report of a reader is for its enumerator or about its event time, and not for the scheduler.
fn is_of_reader(event: &SubtaskEvent) -> bool {
    matches!(
        event,
        SubtaskEvent::Exhausted
            | SubtaskEvent::SplitRequested
            | SubtaskEvent::SourceEvent(_)
            | SubtaskEvent::EventTime(_)
    )
}
