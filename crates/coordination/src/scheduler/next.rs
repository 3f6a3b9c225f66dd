//! A state's answer to an event: stay, or which state follows.

use super::rescale_plan::Plan;
use crate::action::EndState;
use crate::checkpoint::Purpose;
use crate::manifest;
use reflow_types::Instant;
use std::time::Duration;

/// What follows a state. [`step`](super::step) makes the next state from it.
#[derive(Debug)]
pub(super) enum Next {
    /// The same state.
    Stay,
    /// The job waits for slots.
    WaitForResources,
    /// The next attempt is made and deployed.
    CreateExecutionGraph,
    /// The attempt runs.
    Execute(Execution),
    /// The attempt's graph changes while it runs.
    Rescale(Box<Plan>),
    /// The attempt ends, and another follows.
    Restart(Restart),
    /// The user has cancelled the job.
    Cancel,
    /// The job has failed for good, for this reason.
    Fail(String),
    /// The attempt ends with a snapshot or, if there is none to be had, by a cancellation, and so does the job.
    Stop(Stop),
    /// The job has ended, and why if there is more to say.
    Finish(EndState, Option<String>),
}

/// How an attempt comes to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Execution {
    /// It was just deployed.
    Deployed,
    /// It goes on after a stop or a live rescale that came to nothing.
    Resumed,
    /// It goes on with another graph.
    Rescaled,
    /// It goes on after a live rescale that was given up; the next is tried at that time.
    RetryAt(Instant),
}

/// Why an attempt is followed by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// To run at the parallelism that the present slots allow.
    Rescale,
    /// It failed.
    Failure {
        /// How long the strategy waits.
        backoff: Duration,
        /// What ends the backoff early.
        until: BackoffEnd,
        /// What failed.
        error: String,
    },
}

/// When the backoff after a failure is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackoffEnd {
    /// When its time is.
    Elapsed,
    /// What failed most likely follows from the loss of a process: also when that is reported.
    ElapsedOrExecutorLost,
}

/// How a stop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// A snapshot for this goal was requested, or a checkpoint that is under way for another purpose serves as one.
    Snapshot(Goal, Purpose),
    /// The job is suspended without a snapshot.
    SuspendAtOnce,
    /// An attempt was just deployed from the snapshot with which the job ends.
    Deployed(manifest::Ending),
}

/// What the snapshot of a stop is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Stop with a savepoint.
    Stop,
    /// Stop with a savepoint, and let windows and timers fire.
    Drain,
    /// Cancel with a savepoint.
    Cancel,
    /// End here, for the next JobManager to go on.
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

    /// How the job ends with it.
    pub(super) fn end(self) -> EndState {
        match self {
            Goal::Stop | Goal::Drain => EndState::Finished,
            Goal::Cancel => EndState::Canceled,
            Goal::Suspend => EndState::Suspended,
        }
    }
}

impl Next {
    /// The failure that leads to what follows, as the history of states shows it.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Next::Restart(Restart::Failure { error, .. }) | Next::Fail(error) => Some(error),
            _ => None,
        }
    }
}
