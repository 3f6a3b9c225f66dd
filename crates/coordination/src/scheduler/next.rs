//! The answer of a state to an event: to stay, or the next state.

use super::rescale_plan::Plan;
use crate::action::EndState;
use crate::checkpoint::Purpose;
use crate::manifest;
use reflow_graph::{RegionIndex, VertexIndex};
use reflow_types::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// The answer of a state, from which [`step`](super::step) makes the next state.
#[derive(Debug)]
pub(super) enum Next {
    /// The state stays.
    Stay,
    /// The job waits for slots.
    WaitForResources,
    /// Executors run an attempt of a former leader. Whether it goes on is decided when all of them have registered.
    Reconcile,
    /// The next attempt is planned and deployed.
    CreateExecutionGraph,
    /// The attempt runs.
    Execute(Execution),
    /// A live rescale begins.
    Rescale(Box<Plan>),
    /// The attempt ends, and another one follows.
    Restart(Restart),
    /// A user has cancelled the job.
    Cancel,
    /// The job has failed, for this reason.
    Fail(String),
    /// The job ends with a snapshot or, if none is possible, by a cancellation.
    Stop(Stop),
    /// The job has ended, with the reason if there is one.
    Finish(EndState, Option<String>),
}

/// Why an attempt is in Executing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Execution {
    /// It was just deployed.
    Deployed,
    /// A former leader has deployed it.
    Adopted,
    /// It continues after a stop or live rescale without effect.
    Resumed,
    /// It continues with the next graph.
    Rescaled,
    /// It continues after an abandoned live rescale. The next one is tried at that time.
    RetryAt(Instant),
}

/// Why an attempt is followed by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// To run with the parallelism that the available slots allow.
    Rescale,
    /// A former leader has deployed it, and it cannot go on under this one.
    NotAdopted,
    /// Regions of it have failed, and cannot restart while the others run on.
    NotByRegion,
    /// The state of a vertex in the latest checkpoint is damaged. Whether the job goes back to an older one is decided
    /// when the outcome of every checkpoint is known.
    Damage {
        vertex: VertexIndex,
        /// The damage, which names the object.
        damage: String,
    },
    /// It failed.
    Failure {
        /// The delay of the restart strategy.
        backoff: Duration,
        /// What ends the backoff early.
        until: BackoffEnd,
        /// The failure.
        error: String,
        /// The regions that have failed; `None` if the whole job has.
        regions: Option<BTreeSet<RegionIndex>>,
    },
}

/// When the backoff after a failure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackoffEnd {
    /// When the delay has elapsed.
    Elapsed,
    /// When the delay has elapsed, or when the loss of a process is reported, which most likely caused the
    /// failure.
    ElapsedOrExecutorLost,
}

/// How a stop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A snapshot for this goal was requested, or a pending checkpoint for another purpose serves as one.
    Snapshot(Goal, Purpose),
    /// The job is suspended without a snapshot.
    SuspendAtOnce,
    /// An attempt was just deployed from the snapshot with which the job ends.
    Deployed(manifest::Ending),
}

/// The goal of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Stop with a savepoint.
    Stop,
    /// Stop with a savepoint, after all windows and timers have fired.
    Drain,
    /// Cancel with a savepoint.
    Cancel,
    /// Suspend the job, for the next JobManager to resume.
    Suspend,
}

impl Goal {
    /// The purpose of its snapshot.
    pub(super) fn purpose(self) -> Purpose {
        match self {
            Goal::Stop => Purpose::Stop { drain: false },
            Goal::Cancel => Purpose::Cancel,
            Goal::Drain => Purpose::Stop { drain: true },
            Goal::Suspend => Purpose::Suspend,
        }
    }

    /// The terminal state with which the job ends.
    pub(super) fn end(self) -> EndState {
        match self {
            Goal::Stop | Goal::Drain => EndState::Finished,
            Goal::Cancel => EndState::Canceled,
            Goal::Suspend => EndState::Suspended,
        }
    }
}

impl Next {
    /// The error for the history of states, if a failure is the cause.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Next::Restart(Restart::Failure { error, .. } | Restart::Damage { damage: error, .. })
            | Next::Fail(error) => Some(error),
            _ => None,
        }
    }
}
