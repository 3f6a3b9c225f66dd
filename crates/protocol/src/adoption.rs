//! The report with which an executor that has lost its JobManager registers with the next one.
//!
//! Tasks process on without a JobManager. The next leader takes the attempt over if the reports of all its executors agree
//! (`docs/design/adoption.md`). So a report contains what only the former leader knew besides: the graph in effect, the
//! status of subtasks, the outcome of checkpoints, and the splits of readers.

use crate::deployment::Attempt;
use crate::snapshot::AfterBarrier;
use bytes::Bytes;
use reflow_graph::ExecutionGraph;
use reflow_types::{CheckpointId, GraphVersion, LeaderEpoch, SubtaskId};
use serde::{Deserialize, Serialize};

/// An attempt as one of its executors knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub attempt: Attempt,
    /// The graph in effect: the one that was deployed, or that of the last live rescale that was committed.
    pub graph: ExecutionGraph,
    /// The highest version of a graph that the executor has heard of. The next rescale needs a higher one.
    pub version: GraphVersion,
    /// The live rescale under way.
    pub rescale: RescaleProgress,
    /// The checkpoint from which the attempt was deployed.
    pub restored: Option<CheckpointId>,
    /// The last checkpoint of whose completion the executor was notified. Savepoints after which the job continues are left
    /// out.
    pub completed: Option<TakenCheckpoint>,
    /// The checkpoint that was triggered and of whose outcome the executor was not notified.
    pub undecided: Option<TakenCheckpoint>,
    /// The highest checkpoint that was triggered, whatever its outcome.
    pub highest: Option<CheckpointId>,
    /// The subtasks of this executor.
    pub subtasks: Vec<(SubtaskId, ReportedStatus)>,
    /// The source readers of this executor.
    pub readers: Vec<ReaderReport>,
}

/// The progress of a live rescale in an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RescaleProgress {
    /// There is none.
    None,
    /// The next graph is being prepared. It can be abandoned without effect.
    Preparing(GraphVersion),
    /// The cut was triggered.
    Cut(GraphVersion),
}

/// A checkpoint that was triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenCheckpoint {
    /// The leadership that has triggered it. Two leaderships may use the same id.
    pub epoch: LeaderEpoch,
    pub checkpoint: CheckpointId,
    /// What sources do after its barrier.
    pub then: AfterBarrier,
}

/// The status of a subtask in its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportedStatus {
    /// It is being built, or restores its state.
    Deploying,
    Running,
    /// Its inputs have ended.
    Ended,
    /// It has finished.
    Finished,
    /// The executor's part of the attempt has failed.
    Failed,
}

/// A source reader: what its enumerator's side in the JobManager knew of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReaderReport {
    pub subtask: SubtaskId,
    /// The number of splits that it has got, those of its restored state included.
    pub splits: u64,
    /// Splits that were assigned to it, oldest first, each with the last checkpoint that was triggered before. Those before
    /// the last complete checkpoint are left out. `None` if they are too many to be kept.
    pub assigned: Option<Vec<(Option<CheckpointId>, Bytes)>>,
    /// What it was notified of about further splits.
    pub notified: SplitNotice,
    /// The splits that it has requested and not got.
    pub requests: u64,
    /// Whether it has read all of its splits.
    pub exhausted: bool,
    /// Whether it has sent messages of its own to the enumerator.
    pub has_sent_events: bool,
}

/// What a reader was notified of about further splits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SplitNotice {
    /// Nothing, or only that the rest of an assignment follows.
    Nothing,
    /// More may follow.
    MayFollow,
    /// No further splits follow.
    NoneFollow,
}
