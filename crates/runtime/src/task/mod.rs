//! Tasks: what a slot runs, one per subtask.

mod core;
mod handover_writer;
mod input;
mod input_clock;
mod migration;
mod pace;
mod prefetch;
mod restore;
mod retained;
mod snapshot;
mod source;
mod splits;
mod upload;

pub use input::InputTask;
pub(crate) use pace::FIRST_CHUNK;
pub use retained::RetainedState;
pub use source::SourceTask;

use crate::rescale::Preparation;
use bytes::Bytes;
use reflow_protocol::command::{MoreSplits, SnapshotKind};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_types::{CheckpointId, GraphVersion, Instant, SubtaskId};

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
    /// The source has these splits, too, with the state that belongs to them.
    fn assign_splits(&mut self, splits: &[Bytes], states: Vec<OperatorState>, more: MoreSplits);
    /// So many readers of the source have splits to read.
    fn active_readers(&mut self, _readers: u32) {}
    /// All readers of the source are [exhausted](SubtaskEvent::Exhausted): its input ends. Without effect on a reader that
    /// has got splits since.
    fn end_source(&mut self) {}
    /// Another graph is to come. Answered by [`TaskEvent::Prepared`] or [`TaskEvent::Refused`].
    fn prepare(&mut self, preparation: Preparation);
    /// What a later checkpoint has of the groups that are to come. Answered as `prepare`.
    fn catch_up(&mut self, checkpoint: CheckpointId, restore: &Restore);
    /// The rescale is abandoned: the current graph stays.
    fn abandon(&mut self);
    /// A part of the hand-over from the old owner `from`.
    fn hand_over(&mut self, from: SubtaskId, part: Part);
    /// The union and broadcast state with which an added task starts.
    fn adopt(&mut self, states: Vec<OperatorState>);
    /// The attempt has ended: returns state that the next one may reuse. The last call.
    fn retain_state(&mut self) -> Option<RetainedState> {
        None
    }
    /// Before the first step: the state of this slot's task of the same vertex in the previous attempt.
    fn adopt_retained(&mut self, _retained: RetainedState) {}
    /// What was counted; `busy` and its like are the slot's.
    fn metrics(&self) -> SubtaskMetrics;
    /// Where the record at hand comes from, if that is known: for errors of user code. Asked after a failure, too.
    fn position(&self) -> Option<String> {
        None
    }
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

/// What a task sends to its executor.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEvent {
    /// For the JobManager.
    Report(SubtaskEvent),
    /// It is ready for another graph, with the state up to this checkpoint. The executor reports this once for all of
    /// its tasks.
    Prepared {
        /// The graph.
        version: GraphVersion,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// It cannot be made ready for another graph.
    Refused {
        /// The graph.
        version: GraphVersion,
        /// What went wrong.
        reason: String,
    },
    /// A part of the state of outgoing key groups, for their new owner.
    HandOver {
        /// The cut.
        checkpoint: CheckpointId,
        /// The new owner.
        to: SubtaskId,
        /// The part.
        part: Part,
    },
}

impl TaskStep {
    /// The outcome of a step that has also done something apart from its input: it is not idle, because that may have
    /// more to do.
    fn or_worked(self) -> Self {
        match self {
            Self::Idle(_) | Self::Backpressured(_) => Self::Worked,
            step => step,
        }
    }
}

impl From<SubtaskEvent> for TaskEvent {
    fn from(event: SubtaskEvent) -> Self {
        Self::Report(event)
    }
}
