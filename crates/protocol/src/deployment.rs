//! What an executor needs to run its share of an attempt.

use crate::snapshot::{Codec, Restore};
use reflow_graph::ExecutionGraph;
use reflow_types::{AttemptNumber, CheckpointId, ExecutorId, LeaderEpoch, SubtaskId};
use serde::{Deserialize, Serialize};

/// Names one deployment of a job over all leaderships. Whatever arrives with another one is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The leadership that deployed it.
    pub epoch: LeaderEpoch,
    /// Counts deployments within the leadership.
    pub number: AttemptNumber,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.epoch, self.number)
    }
}

/// An attempt as one executor gets it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its name.
    pub attempt: Attempt,
    /// All subtasks of the job; the executor runs those in its slots.
    pub graph: ExecutionGraph,
    /// Where each executor listens for data connections (`host:port`).
    pub executors: Vec<(ExecutorId, String)>,
    /// State of this executor's subtasks.
    pub restore: Vec<(SubtaskId, Restore)>,
    /// The codec in which that state is written.
    pub restore_codec: Codec,
    /// The checkpoint that is restored, if any.
    pub checkpoint: Option<CheckpointId>,
    /// The directory below which data objects of checkpoints are named.
    pub checkpoint_dir: String,
}
