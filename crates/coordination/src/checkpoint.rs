//! The checkpoints of one job: when each is triggered, completed, aborted and deleted.
//!
//! [`Coordinator`] is a state machine without I/O. Its inputs are requests ([`Request`]), subtasks' acknowledgements and
//! storage's answers; its outputs are [`Effect`]s. It guarantees:
//!
//! - At most one checkpoint or savepoint is pending, and ids only grow.
//! - Checkpoint *n* is complete if and only if its manifest is stored under its deciding name. If it may be stored there,
//!   the checkpoint fails only after an abandonment has taken the name, so no checkpoint fails and is complete later.
//! - An object that a retained, the restored or a pending checkpoint names is not deleted.
//!
//! Reading order: [`coordinator`] (its inputs), `decision` (how a checkpoint ends), `pending` (the pending checkpoint),
//! `deployed` (the attempt), `absence` (regions that do not take part), `cut` (how the attempt's graph changes), `queue` (waiting requests), [`chain`] (which runs hold
//! which key groups), [`retention`] (what is kept and what is deleted), [`recovery`] (what a new JobManager finds),
//! [`fallback`] (if that is damaged), [`stats`] (statistics for users). The design is described in
//! `docs/design/checkpoints.md`.

mod absence;
pub mod chain;
pub mod coordinator;
mod cut;
mod decision;
mod deployed;
pub mod fallback;
#[cfg(test)]
mod model_tests;
mod pending;
mod queue;
pub mod recovery;
pub mod retention;
pub mod stats;
#[cfg(test)]
mod tests;

pub use coordinator::Coordinator;
pub use recovery::{Recovered, recover};
pub use retention::Completed;
pub use stats::Stats;

use crate::action::{Action, EndState};
use crate::event::RequestId;
use reflow_graph::VertexIndex;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{CheckpointId, JobId, LeaderEpoch, SubtaskId, SubtaskIndex};
use std::time::Duration;

/// The configuration of checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The time from one periodic trigger to the next; `None` if there are no periodic checkpoints.
    pub interval: Option<Duration>,
    /// The longest time from the trigger to the stored manifest. A checkpoint that takes longer fails.
    pub timeout: Duration,
    /// The least time from the end of a checkpoint to the next periodic trigger.
    pub min_pause: Duration,
    /// The number of consecutive periodic checkpoints that may fail.
    pub tolerable_failures: u32,
    /// The number of complete checkpoints that are retained; at least 1.
    pub retained: usize,
    /// The full name of the job's directory, such as `file:///checkpoints/<job id>`, without a trailing slash.
    pub job_dir: String,
    /// Whether the checkpoints of a job outlive its cancellation (`RETAIN_ON_CANCELLATION`).
    pub keep_on_cancellation: bool,
    /// The most bytes of operator state and of lists of runs, because a deployment sends them in one message.
    pub max_operator_bytes: u64,
    /// `web.checkpoints.history`: the most checkpoints in the statistics.
    pub history: usize,
}

/// The default of [`Settings::max_operator_bytes`]: the largest message of a connection.
pub const MAX_OPERATOR_BYTES: u64 = 1 << 30;

/// The owner of checkpoints: a leadership and a build of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub job: JobId,
    pub name: String,
    /// This leadership.
    pub epoch: LeaderEpoch,
    /// The fingerprint of the job's executable (SHA-256).
    pub build: String,
}

/// The purpose of a checkpoint. If several requests wait, the purpose that is last in this list goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// A periodic checkpoint.
    Periodic,
    /// A checkpoint that a user requested.
    User,
    /// A savepoint that a user requested.
    Savepoint,
    /// A checkpoint of a live rescale: its state is prefetched before the cut, or it publishes the cut.
    LiveRescale,
    /// The last checkpoint before a rescale with a restart.
    Rescale,
    /// The cut of a live rescale.
    Cut,
    /// Stop with a savepoint.
    Stop {
        /// Whether windows and timers fire first.
        drain: bool,
    },
    /// Cancel with a savepoint.
    Cancel,
    /// The last checkpoint before the job is suspended.
    Suspend,
    /// The final checkpoint of a job whose inputs have ended, which commits the rest of its output.
    Final,
}

impl Purpose {
    /// Whether it is a savepoint: self-contained, with its schema, and in its own directory.
    pub fn is_savepoint(self) -> bool {
        self == Purpose::Savepoint || self.is_stop()
    }

    /// Whether it is a savepoint that stops the job.
    pub fn is_stop(self) -> bool {
        matches!(self, Purpose::Stop { .. } | Purpose::Cancel)
    }

    /// The state in which the job ends with it, if it does.
    pub fn end_state(self) -> Option<EndState> {
        match self {
            Purpose::Stop { .. } | Purpose::Final => Some(EndState::Finished),
            Purpose::Cancel => Some(EndState::Canceled),
            _ => None,
        }
    }
}

/// A request for a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The purpose.
    pub purpose: Purpose,
    /// What sources do after the barrier.
    pub then: AfterBarrier,
    /// The request of a user that is answered, if any.
    pub request: Option<RequestId>,
    /// The directory in which a savepoint gets its own directory. Required for savepoints, absent otherwise.
    pub directory: Option<String>,
    /// The cut that its barrier carries, for [`Purpose::Cut`] only.
    pub cut: Option<Cut>,
}

impl Request {
    /// A request without an answer, after whose barrier sources continue.
    pub fn of(purpose: Purpose) -> Self {
        Self { purpose, then: AfterBarrier::Continue, request: None, directory: None, cut: None }
    }
}

/// A subtask of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Participant {
    pub subtask: SubtaskId,
    pub vertex: VertexIndex,
    pub index: SubtaskIndex,
}

/// The cause of a checkpoint's failure, as far as decisions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// Storage has failed for a subtask's part or the manifest. A restart would need storage as well.
    Storage,
    /// The checkpoint timed out, its attempt has ended, or an acknowledgement is invalid.
    Other,
}

/// An output of the coordinator. Effects are handled in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An action of the JobManager.
    Act(Action),
    /// A checkpoint is complete.
    Completed {
        checkpoint: CheckpointId,
        /// Its purpose.
        purpose: Purpose,
        /// Its directory.
        at: String,
    },
    /// A checkpoint has failed and will never complete.
    Failed {
        checkpoint: CheckpointId,
        /// Its purpose.
        purpose: Purpose,
        /// The cause.
        cause: FailureCause,
        reason: String,
    },
    /// More consecutive checkpoints have failed than are tolerated, so the attempt should fail.
    TooManyFailures {
        /// The reason of the last failure.
        reason: String,
    },
}
