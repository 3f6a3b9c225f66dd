//! Commands to the subtasks of a running attempt.
//!
//! The scheduler, or a split enumerator in the JobManager, creates a command. JobManager and executor pass it on
//! unchanged, and the slot passes it to its tasks. A new command is one variant here, handled where it is created
//! and where it is carried out.

use crate::deployment::Attempt;
use crate::rescale::Cut;
use crate::snapshot::{AfterBarrier, OperatorState, Restore, StateFormat};
use bytes::Bytes;
use reflow_graph::RegionIndex;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A command to a running attempt. An executor drops a command for an attempt that it does not run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptCommand {
    pub attempt: Attempt,
    pub command: Command,
}

/// A command to an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// For the tasks of the regions that take part in the checkpoint.
    Checkpoint {
        checkpoint: CheckpointId,
        /// The regions that do not take part, because they are being restarted. Usually none.
        without: BTreeSet<RegionIndex>,
        command: CheckpointCommand,
    },
    /// For one subtask.
    Subtask { subtask: SubtaskId, command: SubtaskCommand },
    /// For the executors of the old and of the new graph of a live rescale.
    Rescale {
        /// The new graph.
        version: GraphVersion,
        command: RescaleCommand,
    },
}

/// A command about a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CheckpointCommand {
    /// Begin the checkpoint at the sources, and at subtasks whose inputs have ended.
    Trigger(SnapshotKind),
    /// The checkpoint is complete: commit the transactions that belong to it.
    NotifyComplete,
    /// The checkpoint has failed. Sources that paused for it continue.
    NotifyAborted,
}

/// How a checkpoint's snapshots are written, and what follows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotKind {
    /// A checkpoint or a savepoint. A savepoint contains all state, not only the changes.
    pub format: StateFormat,
    /// Whether a checkpoint, too, contains all keyed state, because objects of earlier checkpoints are lost.
    pub full: bool,
    /// The directory for data objects.
    pub directory: String,
    /// What sources do after the barrier.
    pub then: AfterBarrier,
    /// Set for a live rescale, in which the graph changes with the barrier.
    pub cut: Option<Cut>,
}

/// A command to one subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubtaskCommand {
    /// Read these splits in addition.
    AssignSplits(SplitAssignment),
    /// The number of readers of the subtask's source that have splits to read.
    SetActiveReaders(u32),
    /// The lowest watermark of the readers with which the subtask's reader is aligned.
    SetLowestWatermark(Timestamp),
    /// End the input, because all readers of the source are exhausted. Ignored by a reader that has splits again.
    EndSource,
    /// Start with this union and broadcast state of the cut. An added subtask waits for it.
    AdoptState(Vec<OperatorState>),
}

/// Splits for one source reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitAssignment {
    /// Encoded by the source.
    pub splits: Vec<Bytes>,
    /// Union state that belongs to splits which another reader has released.
    pub states: Vec<OperatorState>,
    /// Whether other splits may follow.
    pub more: MoreSplits,
}

impl SplitAssignment {
    /// An assignment without splits, which only changes `more`.
    pub fn empty(more: MoreSplits) -> Self {
        Self { splits: Vec::new(), states: Vec::new(), more }
    }
}

/// What follows an assignment of splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoreSplits {
    /// The rest of this assignment follows in further messages. Until it has arrived, the reader emits no
    /// watermark, because a later split may be far behind in event time.
    Follow,
    /// The enumerator may find other splits.
    Possible,
    /// No further splits follow.
    None,
}

/// A command about a live rescale that executors are preparing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RescaleCommand {
    /// Prefetch what a later checkpoint adds. Answered as
    /// [`PrepareRescale`](crate::control::ToExecutor::PrepareRescale).
    CatchUp {
        checkpoint: CheckpointId,
        /// The whole state of the moving key groups in this checkpoint, as in `PrepareRescale`. The scheduler
        /// gives the state of all subtasks, and an executor gets that of its own.
        restore: Vec<(SubtaskId, Restore)>,
    },
    /// Drop what was prepared, because the rescale was abandoned before its cut.
    Abandon,
    /// End the rescale, because removed subtasks have ended.
    Commit,
}
