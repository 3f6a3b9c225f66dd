//! Reports of subtasks and executors.
//!
//! A task makes a [`SubtaskEvent`]; its slot adds the attempt and the subtask; executor and JobManager pass the
//! [`SubtaskReport`] on to the scheduler unchanged. A new fact is one variant here, handled where it is reported and where
//! the scheduler handles it.

use crate::deployment::Attempt;
use crate::failure::Failure;
use crate::rescale::Installation;
use crate::snapshot::{OperatorState, SubtaskState};
use bytes::Bytes;
use reflow_types::{CheckpointId, GraphVersion, SubtaskId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A report of a subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubtaskReport {
    /// The attempt that the subtask belongs to.
    pub attempt: Attempt,
    pub subtask: SubtaskId,
    /// What happened to it.
    pub event: SubtaskEvent,
}

/// What happened to a subtask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubtaskEvent {
    /// Its state is restored and its channels are open.
    Running,
    /// A source reader has read all of its splits, and no more will come. It goes on without input, so that a rescale
    /// may assign it others, until [`SubtaskCommand::EndSource`](crate::command::SubtaskCommand::EndSource).
    Exhausted,
    /// Its inputs have ended; it waits for the final checkpoint.
    Ended,
    /// It has nothing more to do: its inputs have ended, and its last transactions are committed.
    Finished,
    /// It failed. Its executor has stopped the attempt's other subtasks there as well.
    Failed(Failure),
    /// Its part of a checkpoint is in storage.
    Acknowledged {
        checkpoint: CheckpointId,
        /// The state that it wrote.
        state: SubtaskState,
        /// How long that took.
        timing: SnapshotTiming,
    },
    /// It cannot take part in a checkpoint, because its state could not be written.
    Declined {
        checkpoint: CheckpointId,
        /// What went wrong.
        reason: String,
    },
    /// A subtask of the old graph has passed the cut of a live rescale. Comes before its acknowledgement.
    Cut {
        /// The graph that it has now.
        version: GraphVersion,
        /// Splits that it has released, each at the position of the barrier; encoded by the source.
        splits: Vec<Bytes>,
        /// Its union and broadcast state at the barrier.
        operator: Vec<OperatorState>,
    },
    /// A subtask of the new graph has installed all of its key groups and processes their records.
    Installed {
        version: GraphVersion,
        /// What the installation took.
        installation: Installation,
    },
}

/// How long a subtask's part of a checkpoint took.
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
    /// It uses more memory than it may, and ends. The subtask with the most state fails, too, if one runs.
    MemoryExhausted,
    /// Nothing of the attempt is left in it.
    AttemptCanceled { attempt: Attempt },
    /// It is ready for the cut of a live rescale: tasks, channels, and the state up to this checkpoint.
    RescalePrepared {
        attempt: Attempt,
        /// The graph that is prepared.
        version: GraphVersion,
        /// The checkpoint of the message that this answers.
        checkpoint: CheckpointId,
    },
    /// It cannot prepare the rescale. Nothing has changed yet.
    RescaleRefused {
        attempt: Attempt,
        /// The graph that was to be prepared.
        version: GraphVersion,
        /// What went wrong.
        reason: String,
    },
}
