//! Tasks: what a slot runs, one per subtask.

mod input;
mod restore;
mod snapshot;
mod source;
mod upload;

pub use input::InputTask;
pub use source::SourceTask;

use bytes::Bytes;
use reflow_protocol::control::{Failure, SnapshotKind, SnapshotTiming, SubtaskMetrics};
use reflow_protocol::snapshot::SubtaskState;
use reflow_types::{CheckpointId, Instant};

/// A subtask at work. Driven by its slot, on the slot's thread. Methods unwind where user code or state fails;
/// the slot catches it.
pub trait Task: Send {
    /// Does a bounded piece of work.
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep;
    /// A checkpoint begins. A source takes its snapshot now; others wait for the barrier, unless their input
    /// has ended.
    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind);
    /// A checkpoint is complete.
    fn completed(&mut self, checkpoint: CheckpointId);
    /// A checkpoint has failed.
    fn aborted(&mut self, checkpoint: CheckpointId);
    /// The source has these splits, too.
    fn assign_splits(&mut self, splits: &[Bytes], last: bool);
    /// What was counted; `busy` and its like are the slot's.
    fn metrics(&self) -> SubtaskMetrics;
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// It did something; there may be more.
    Worked,
    /// It has no input until woken, or until the given moment.
    Idle(Option<Instant>),
    /// It has no room in its outputs.
    Backpressured(Option<Instant>),
    /// It has nothing more to do, ever.
    Finished,
}

/// What a task has to say.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEvent {
    /// Its state is restored and its channels stand.
    Running,
    /// Its inputs have ended; it waits for the final checkpoint.
    Ended,
    /// All that it had to commit is committed.
    Finished,
    /// Its part of a checkpoint is in storage.
    Acknowledged {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What it wrote.
        state: SubtaskState,
        /// How long it took.
        timing: SnapshotTiming,
    },
    /// It cannot take part in a checkpoint.
    Declined {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What went wrong.
        reason: String,
    },
    /// It has failed.
    Failed(Failure),
}
