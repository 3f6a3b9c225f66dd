//! Reports of subtasks and executors.
//!
//! A task creates a [`SubtaskEvent`]. Its slot adds the attempt and the subtask, and executor and JobManager pass
//! the [`SubtaskReport`] on to the scheduler unchanged. A new fact is one variant here, handled where it is
//! reported and in the scheduler.

use crate::deployment::Attempt;
use crate::failure::Failure;
use crate::rescale::Installation;
use crate::snapshot::{OperatorState, SubtaskState};
use bytes::Bytes;
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, SubtaskId, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A report of a subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubtaskReport {
    pub attempt: Attempt,
    pub subtask: SubtaskId,
    pub event: SubtaskEvent,
}

/// An event of a subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubtaskEvent {
    /// Its state is restored and its channels are open.
    Running,
    /// A source reader has read all of its splits, and no more will follow. It stays without input, so that a
    /// rescale may assign other splits to it, until
    /// [`SubtaskCommand::EndSource`](crate::command::SubtaskCommand::EndSource).
    Exhausted,
    /// A source reader's message to its enumerator.
    SourceEvent(Bytes),
    /// A source reader requests a split.
    SplitRequested,
    /// The event time of a source reader that is aligned with others.
    EventTime(EventTimeReport),
    /// Its inputs have ended, and it waits for the final checkpoint.
    Ended,
    /// Its inputs have ended, and its last transactions are committed.
    Finished,
    /// It failed. Its executor has stopped the other subtasks of its region there as well.
    Failed(Failure),
    /// Its part of a checkpoint is stored.
    Acknowledged {
        checkpoint: CheckpointId,
        /// Handles to the state that it wrote.
        state: SubtaskState,
        timing: SnapshotTiming,
    },
    /// Its part of a checkpoint has failed, because its state could not be written.
    Declined { checkpoint: CheckpointId, reason: String },
    /// A subtask of the old graph has passed the cut of a live rescale. Reported before its acknowledgement.
    Cut {
        /// The new graph.
        version: GraphVersion,
        /// Splits that it has released, each with its position at the barrier, encoded by the source.
        splits: Vec<Bytes>,
        /// Its union and broadcast state at the barrier.
        operator: Vec<OperatorState>,
    },
    /// A subtask of the new graph has installed all of its incoming key groups and processes their records.
    Installed { version: GraphVersion, installation: Installation },
}

/// The event time of a source reader that is aligned with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimeReport {
    /// The group of readers with which it is aligned.
    pub group: String,
    /// Its watermark; the highest one if it holds nobody back.
    pub watermark: Timestamp,
    /// The lowest watermark of the group, as it was told last.
    pub lowest: Timestamp,
    /// Set if it reads nothing, because it is ahead: the lowest watermark of the group with which it reads on.
    pub waits_for: Option<Timestamp>,
}

/// The durations of a subtask's part of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTiming {
    /// From the first barrier to the last.
    pub alignment: Duration,
    /// From the last barrier to the acknowledgement.
    pub writing: Duration,
}

/// A report of an executor about itself, or about all of its subtasks together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExecutorReport {
    /// It exceeds its memory limit and exits. If subtasks run, the one with the most state fails, too.
    MemoryExhausted,
    /// The attempt has no tasks in it any more.
    AttemptCanceled { attempt: Attempt },
    /// The regions that restart with the graph of this version have no tasks in it any more.
    RegionsCanceled { attempt: Attempt, version: GraphVersion },
    /// Tasks, channels and the state up to this checkpoint are prepared for the cut of a live rescale.
    RescalePrepared {
        attempt: Attempt,
        version: GraphVersion,
        /// The checkpoint of the message that this answers.
        checkpoint: CheckpointId,
    },
    /// How many bytes of state its tasks have read so far to prepare a live rescale.
    RescaleProgress { attempt: Attempt, version: GraphVersion, bytes: u64 },
    /// It cannot prepare the rescale. The running tasks are unchanged.
    RescaleRefused { attempt: Attempt, version: GraphVersion, reason: String },
    /// Another executor with which it exchanges records or state gives no sign of life, or does not answer an attempt to connect.
    PeerSilent { peer: ExecutorId },
}
