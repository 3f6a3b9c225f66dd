//! Tasks, each of which runs one subtask in a slot.

mod core;
mod handover_writer;
mod input;
mod input_clock;
mod latency;
mod migration;
mod pace;
mod prefetch;
mod restore;
mod retained;
mod snapshot;
mod source;
mod splits;
mod stateful_chain;
mod upload;

pub use input::InputTask;
pub(crate) use pace::FIRST_CHUNK;
pub use retained::RetainedState;
pub use source::SourceTask;

use crate::rescale::Preparation;
use bytes::Bytes;
use reflow_protocol::command::{MoreSplits, SnapshotKind};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::Failure;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_types::{CheckpointId, GraphVersion, Instant, SubtaskId, Timestamp};

/// The code that runs one subtask. Its slot calls it, on the slot's thread. Methods unwind if user code or state
/// fails, and the slot catches that.
pub trait Task: Send {
    /// Does a bounded piece of work.
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep;
    /// Triggers a checkpoint. A source takes its snapshot now; other tasks wait for the barrier, unless their
    /// input has ended.
    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind);
    /// A checkpoint is complete.
    fn completed(&mut self, checkpoint: CheckpointId);
    /// A checkpoint has failed.
    fn aborted(&mut self, checkpoint: CheckpointId);
    /// Assigns splits to the source, with the state that belongs to them.
    fn assign_splits(&mut self, splits: &[Bytes], states: Vec<OperatorState>, more: MoreSplits);
    /// Sets the number of readers of the source that have splits to read.
    fn active_readers(&mut self, _readers: u32) {}
    /// Ends the input, because all readers of the source are [exhausted](SubtaskEvent::Exhausted). No effect on a
    /// reader that got splits since.
    fn end_source(&mut self) {}
    /// Sets the lowest watermark of the readers with which the source's reader is aligned.
    fn set_lowest_watermark(&mut self, _lowest: Timestamp) {}
    /// Prepares the next graph. Answered by [`TaskEvent::Prepared`] or [`TaskEvent::Refused`].
    fn prepare(&mut self, preparation: Preparation);
    /// Prefetches the state of the incoming groups from a later checkpoint. Answered as `prepare`.
    fn catch_up(&mut self, checkpoint: CheckpointId, restore: &Restore);
    /// Abandons the next graph.
    fn abandon(&mut self);
    /// Takes a part of the hand-over from the old owner `from`.
    fn hand_over(&mut self, from: SubtaskId, part: Part);
    /// Sets the union and broadcast state with which an added task starts.
    fn adopt(&mut self, states: Vec<OperatorState>);
    /// Closes the functions that were opened and not closed. The last call but for `retain_state` and `metrics`, also after
    /// a failure. Returns what failed; does not unwind.
    fn close(&mut self) -> Option<Failure> {
        None
    }
    /// Returns the state that the next attempt may reuse. Called at the end of the attempt.
    fn retain_state(&mut self) -> Option<RetainedState> {
        None
    }
    /// Takes the state of this slot's task of the same vertex in the previous attempt. Called before the first
    /// step.
    fn adopt_retained(&mut self, _retained: RetainedState) {}
    /// The task's metrics, without the times that the slot measures (`busy` and others).
    fn metrics(&self) -> SubtaskMetrics;
    /// The source position of the current record, if it is known, for errors of user code. Also called after a
    /// failure.
    fn position(&self) -> Option<String> {
        None
    }
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStep {
    /// The task did something and may have more to do.
    Worked,
    /// The task has no input until its signal is raised, or until the given time.
    Idle(Option<Instant>),
    /// The task's outputs have no room.
    Backpressured(Option<Instant>),
    /// The task takes no more input until calls to other systems are answered, or until the given time. It counts as busy,
    /// because it limits the job's throughput.
    AtCapacity(Option<Instant>),
    /// The task has ended.
    Finished,
}

/// An event of a task for its executor.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEvent {
    /// An event that the executor reports to the JobManager.
    Report(SubtaskEvent),
    /// The task is prepared for the next graph, with the state up to this checkpoint. The executor reports this
    /// once for all of its tasks.
    Prepared { version: GraphVersion, checkpoint: CheckpointId },
    /// The task has read this many bytes of state for the next graph, since the last such event.
    Prefetched { version: GraphVersion, bytes: u64 },
    /// The task cannot prepare the next graph.
    Refused { version: GraphVersion, reason: String },
    /// A part of the state of outgoing key groups, for their new owner.
    HandOver {
        /// The cut.
        checkpoint: CheckpointId,
        /// The new owner.
        to: SubtaskId,
        part: Part,
    },
}

impl TaskStep {
    /// The outcome of a step that has also done something besides its input. It is not idle, because there may be
    /// more of that.
    fn or_worked(self) -> Self {
        match self {
            Self::Idle(_) | Self::Backpressured(_) | Self::AtCapacity(_) => Self::Worked,
            step => step,
        }
    }

    /// The outcome of a step after which the task wants to be woken at this time, too.
    fn until(self, at: Option<Instant>) -> Self {
        let sooner = |wake: Option<Instant>| wake.into_iter().chain(at).min();
        match self {
            Self::Idle(wake) => Self::Idle(sooner(wake)),
            Self::Backpressured(wake) => Self::Backpressured(sooner(wake)),
            Self::AtCapacity(wake) => Self::AtCapacity(sooner(wake)),
            Self::Worked | Self::Finished => self,
        }
    }
}

impl From<SubtaskEvent> for TaskEvent {
    fn from(event: SubtaskEvent) -> Self {
        Self::Report(event)
    }
}
