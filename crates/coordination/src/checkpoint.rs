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
//! `deployed` (the attempt), `cut` (how the attempt's graph changes), `queue` (waiting requests), [`chain`] (which runs hold
//! which key groups), [`retention`] (what is kept and what is deleted), [`recovery`] (what a new JobManager finds),
//! [`fallback`] (if that is damaged), [`stats`] (statistics for users). The design is described in
//! `docs/design/checkpoints.md`.

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

/// What governs checkpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// From the beginning of one periodic checkpoint to that of the next; `None`: no periodic ones.
    pub interval: Option<Duration>,
    /// From trigger to stored manifest; what takes longer is given up.
    pub timeout: Duration,
    /// From the end of a checkpoint to the beginning of the next periodic one.
    pub min_pause: Duration,
    /// How many periodic checkpoints may fail in a row.
    pub tolerable_failures: u32,
    /// How many complete checkpoints are kept. At least 1.
    pub retained: usize,
    /// Full name of the job's directory, e.g. `file:///checkpoints/<job id>`, without a slash at the end.
    pub job_dir: String,
    /// Whether the checkpoints of a job outlive its cancellation (`RETAIN_ON_CANCELLATION`).
    pub keep_on_cancellation: bool,
    /// The most bytes of operator state and of lists of runs: a deployment sends them between processes, in one message.
    pub max_operator_bytes: u64,
}

/// The default of [`Settings::max_operator_bytes`]: what a connection takes as a message.
pub const MAX_OPERATOR_BYTES: u64 = 1 << 30;

/// Whose checkpoints they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub job: JobId,
    pub name: String,
    /// This leadership.
    pub epoch: LeaderEpoch,
    /// The fingerprint of the job's executable (SHA-256).
    pub build: String,
}

/// What a checkpoint is for. Later ones go first where several wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The interval has passed.
    Periodic,
    /// A user asked for a checkpoint.
    User,
    /// A user asked for a savepoint.
    Savepoint,
    /// A live rescale builds on it: its state is read before the cut, or it publishes the cut.
    LiveRescale,
    /// The attempt ends with it, and the next begins from it at another parallelism.
    Rescale,
    /// The attempt's graph changes with its barrier.
    Cut,
    /// Stop with a savepoint.
    Stop {
        /// Whether windows and timers fire first.
        drain: bool,
    },
    /// Cancel with a savepoint.
    Cancel,
    /// The JobManager is to end, the job to be resumed.
    Suspend,
    /// All inputs have ended: what is still to be committed.
    Final,
}

impl Purpose {
    /// Whether it is the user's, complete in itself, in the savepoint codec and in a directory of its own.
    pub fn is_savepoint(self) -> bool {
        self == Purpose::Savepoint || self.is_stop()
    }

    /// Whether it is a savepoint that stops the job.
    pub fn is_stop(self) -> bool {
        matches!(self, Purpose::Stop { .. } | Purpose::Cancel)
    }

    /// The state in which the job ends once it is complete and sources have done what follows, if it does.
    pub fn end_state(self) -> Option<EndState> {
        match self {
            Purpose::Stop { .. } | Purpose::Final => Some(EndState::Finished),
            Purpose::Cancel => Some(EndState::Canceled),
            _ => None,
        }
    }
}

/// A checkpoint that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What for.
    pub purpose: Purpose,
    /// What sources do after the barrier.
    pub then: AfterBarrier,
    /// Who is to be answered.
    pub request: Option<RequestId>,
    /// Below which directory a savepoint gets its own. Savepoints must have one, others have none.
    pub directory: Option<String>,
    /// What changes with its barrier, for [`Purpose::Cut`] only.
    pub cut: Option<Cut>,
}

impl Request {
    /// One that nobody is answered for, after whose barrier sources go on.
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

/// Why a checkpoint fails, as far as decisions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureCause {
    /// Storage did not take a subtask's part or the manifest. A restart would need storage, too.
    Storage,
    /// It was late, its attempt has ended, or an acknowledgement does not fit.
    Other,
}

/// What the coordinator wants, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// To be done.
    Act(Action),
    /// A checkpoint is complete.
    Completed {
        checkpoint: CheckpointId,
        /// What it was for.
        purpose: Purpose,
        /// Its directory.
        at: String,
    },
    /// A checkpoint has failed, and will never be complete.
    Failed {
        checkpoint: CheckpointId,
        /// What it was for.
        purpose: Purpose,
        /// What kind of failure it is.
        cause: FailureCause,
        reason: String,
    },
    /// The attempt should fail: more checkpoints fail one after the other than are tolerated.
    TooManyFailures {
        /// What happened last.
        reason: String,
    },
}
