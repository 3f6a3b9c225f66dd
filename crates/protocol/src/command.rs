//! Commands to the subtasks of a running attempt.
//!
//! The scheduler, or a split enumerator in the JobManager, makes a command; JobManager and executor pass it on unchanged,
//! and the slot hands it to its tasks. A new command is one variant here, handled where it is made and where it is carried
//! out.

use crate::deployment::Attempt;
use crate::rescale::Cut;
use crate::snapshot::{AfterBarrier, Codec, OperatorState, Restore};
use bytes::Bytes;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId};
use serde::{Deserialize, Serialize};

/// A command to a running attempt. An executor drops one to an attempt that it does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptCommand {
    pub attempt: Attempt,
    /// What it is to do.
    pub command: Command,
}

/// What an attempt is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// To all tasks of the attempt.
    Checkpoint {
        checkpoint: CheckpointId,
        /// What they do for it.
        command: CheckpointCommand,
    },
    /// To one subtask.
    Subtask {
        subtask: SubtaskId,
        /// What it does.
        command: SubtaskCommand,
    },
    /// To the executors of the old and of the new graph of a live rescale.
    Rescale {
        /// The new graph.
        version: GraphVersion,
        /// What they do for it.
        command: RescaleCommand,
    },
}

/// What tasks do for a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CheckpointCommand {
    /// Begin it at the sources, and at subtasks whose inputs have ended.
    Trigger(SnapshotKind),
    /// It is complete: commit what belongs to it.
    NotifyComplete,
    /// It failed. Sources that paused for it go on.
    NotifyAborted,
}

/// What a checkpoint is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotKind {
    /// In which codec. The savepoint codec means all state, not the changes.
    pub codec: Codec,
    /// Whether all keyed state is written in the exchange codec, too: what earlier checkpoints wrote of it is gone.
    pub full: bool,
    /// Below which directory data objects are written.
    pub directory: String,
    /// What sources do after the barrier.
    pub then: AfterBarrier,
    /// The graph changes with the barrier: a live rescale.
    pub cut: Option<Cut>,
}

/// What one subtask does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubtaskCommand {
    /// A source reader reads these splits, too.
    AssignSplits(SplitAssignment),
    /// So many readers of this one's source have splits to read.
    SetActiveReaders(u32),
    /// All readers of the source are exhausted: this one's input ends. Changes nothing if it has splits again.
    EndSource,
    /// Begin with this union and broadcast state of the cut. An added subtask waits for it.
    AdoptState(Vec<OperatorState>),
}

/// Splits for one source reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitAssignment {
    /// Encoded by the source.
    pub splits: Vec<Bytes>,
    /// Union state that belongs to splits which another reader has released.
    pub states: Vec<OperatorState>,
    /// Whether others will come.
    pub more: MoreSplits,
}

impl SplitAssignment {
    /// No splits: only whether others will come.
    pub fn empty(more: MoreSplits) -> Self {
        Self { splits: Vec::new(), states: Vec::new(), more }
    }
}

/// What comes to a source reader after some splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoreSplits {
    /// The rest of this assignment, in further messages. Until it is there, the reader does not know how far it is in
    /// event time: a split that is still under way may be far behind.
    Follow,
    /// The enumerator may find others.
    Possible,
    /// No more.
    None,
}

/// What executors do for a live rescale that they have begun to prepare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RescaleCommand {
    /// Read what a later checkpoint adds to what was prepared. Answered as
    /// [`PrepareRescale`](crate::control::ToExecutor::PrepareRescale).
    CatchUp {
        checkpoint: CheckpointId,
        /// As in `PrepareRescale`: all that the groups have in this checkpoint. From the scheduler it is that of all
        /// subtasks; an executor gets that of its own.
        restore: Vec<(SubtaskId, Restore)>,
    },
    /// The rescale is abandoned before its cut: drop what was prepared.
    Abandon,
    /// The rescale is over: removed subtasks have ended.
    Commit,
}
