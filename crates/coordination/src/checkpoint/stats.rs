//! Checkpoint statistics for users: counts, the latest ones, and figures for each subtask.

use super::Purpose;
use reflow_types::{CheckpointId, Instant, SubtaskIndex, Timestamp, VertexId};
use std::collections::VecDeque;
use std::time::Duration;

/// The statistics of a job's checkpoints since the start of the JobManager.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// The numbers of checkpoints.
    pub counts: Counts,
    /// The latest checkpoints, newest first, with the pending one.
    pub history: VecDeque<Entry>,
    /// The most checkpoints in the history, without the pending one.
    most: usize,
    /// The last complete checkpoint that is not a savepoint.
    pub latest_completed: Option<Entry>,
    /// The last complete savepoint.
    pub latest_savepoint: Option<Entry>,
    /// The last one that failed.
    pub latest_failed: Option<Entry>,
    /// The last restore.
    pub restored: Option<Restored>,
    /// Checkpoints that were found damaged at a restore, with the reasons.
    pub rejected: Vec<(CheckpointId, String)>,
}

/// The numbers of checkpoints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The number of attempts that began from a checkpoint.
    pub restored: u64,
    /// Triggered.
    pub total: u64,
    /// Under way: 0 or 1.
    pub in_progress: u64,
    /// Complete.
    pub completed: u64,
    pub failed: u64,
}

/// One checkpoint or savepoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub checkpoint: CheckpointId,
    /// What it is for.
    pub purpose: Purpose,
    /// When it was triggered.
    pub triggered_at: Instant,
    /// Its status.
    pub status: Status,
    /// By vertex, in the order of the job graph.
    pub vertices: Vec<VertexStats>,
}

/// The status of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not decided.
    InProgress,
    /// Complete.
    Completed {
        at: Instant,
        /// Its directory.
        path: String,
        /// Whether it has been deleted since.
        discarded: bool,
    },
    /// Failed.
    Failed { at: Instant, reason: String },
}

/// A checkpoint's acknowledgements of a vertex.
#[derive(Clone, Debug, PartialEq)]
pub struct VertexStats {
    pub vertex: VertexId,
    /// By subtask index.
    pub subtasks: Vec<(SubtaskIndex, Option<Acknowledgement>)>,
}

/// A subtask's acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// When it arrived.
    pub at: Instant,
    /// Bytes that it wrote.
    pub checkpointed_bytes: u64,
    /// Bytes of its state in the checkpoint, including objects of earlier ones.
    pub state_bytes: u64,
    /// The time from the first barrier to the last.
    pub alignment: Duration,
    /// The time from the last barrier to the acknowledgement.
    pub writing: Duration,
}

/// A restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The checkpoint that was restored.
    pub checkpoint: CheckpointId,
    /// When, in milliseconds since the Unix epoch.
    pub at: Timestamp,
    /// Whether it was a savepoint.
    pub savepoint: bool,
    /// Its directory.
    pub path: String,
}

impl Entry {
    /// All acknowledgements.
    pub fn acknowledgements(&self) -> impl Iterator<Item = &Acknowledgement> {
        self.vertices.iter().flat_map(|vertex| vertex.subtasks.iter().filter_map(|(_, ack)| ack.as_ref()))
    }

    /// When the last acknowledgement arrived.
    pub fn latest_acknowledgement(&self) -> Option<Instant> {
        self.acknowledgements().map(|ack| ack.at).max()
    }
}

impl Stats {
    /// Statistics with a history of at most this number of checkpoints.
    pub(super) fn new(most: usize, rejected: Vec<(CheckpointId, String)>) -> Self {
        Self { most, rejected, ..Self::default() }
    }

    pub(super) fn triggered(&mut self, entry: Entry) {
        self.counts.total += 1;
        self.counts.in_progress += 1;
        self.history.push_front(entry);
        self.history.truncate(self.most.max(1));
    }

    /// The pending checkpoint, which is always the newest.
    fn current(&mut self, checkpoint: CheckpointId) -> Option<&mut Entry> {
        self.history.front_mut().filter(|entry| entry.checkpoint == checkpoint)
    }

    pub(super) fn acknowledged(
        &mut self,
        checkpoint: CheckpointId,
        vertex: usize,
        index: SubtaskIndex,
        ack: Acknowledgement,
    ) {
        let entry = self.current(checkpoint);
        let vertex = entry.and_then(|entry| entry.vertices.get_mut(vertex));
        let subtask = vertex.and_then(|vertex| vertex.subtasks.iter_mut().find(|(i, _)| *i == index));
        if let Some((_, slot)) = subtask {
            *slot = Some(ack);
        }
    }

    /// Sets the state bytes of a subtask, which are known only when its chain is.
    pub(super) fn holds(&mut self, checkpoint: CheckpointId, vertex: usize, index: SubtaskIndex, bytes: u64) {
        let entry = self.current(checkpoint);
        let vertex = entry.and_then(|entry| entry.vertices.get_mut(vertex));
        let subtask = vertex.and_then(|vertex| vertex.subtasks.iter_mut().find(|(i, _)| *i == index));
        if let Some((_, Some(ack))) = subtask {
            ack.state_bytes = bytes;
        }
    }

    pub(super) fn completed(&mut self, checkpoint: CheckpointId, at: Instant, path: String) {
        self.counts.in_progress -= 1;
        self.counts.completed += 1;
        let Some(entry) = self.current(checkpoint) else { return };
        entry.status = Status::Completed { at, path, discarded: false };
        let entry = entry.clone();
        let latest = if entry.purpose.is_savepoint() {
            &mut self.latest_savepoint
        } else {
            &mut self.latest_completed
        };
        *latest = Some(entry);
        self.history.truncate(self.most);
    }

    pub(super) fn failed(&mut self, checkpoint: CheckpointId, at: Instant, reason: String) {
        self.counts.in_progress -= 1;
        self.counts.failed += 1;
        let Some(entry) = self.current(checkpoint) else { return };
        entry.status = Status::Failed { at, reason };
        self.latest_failed = Some(entry.clone());
        self.history.truncate(self.most);
    }

    pub(super) fn discarded(&mut self, checkpoint: CheckpointId) {
        let latest = self.latest_completed.iter_mut();
        for entry in self.history.iter_mut().chain(latest).filter(|entry| entry.checkpoint == checkpoint) {
            if let Status::Completed { discarded, .. } = &mut entry.status {
                *discarded = true;
            }
        }
    }

    pub(super) fn restored(&mut self, restored: Restored) {
        self.counts.restored += 1;
        self.restored = Some(restored);
    }
}
