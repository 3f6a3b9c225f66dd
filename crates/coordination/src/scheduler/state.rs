//! The names of the scheduler's states, and the job status that corresponds to each.

use crate::action::EndState;
use reflow_view::JobStatus;

/// A state of the scheduler, as in Flink's adaptive scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateName {
    /// Nothing has happened yet.
    Created,
    /// The job waits for slots.
    WaitingForResources,
    /// Executors run an attempt of a former JobManager. Whether it goes on under this one is not decided yet.
    Reconciling,
    /// The execution graph is created and deployed. Takes no time.
    CreatingExecutionGraph,
    /// An attempt is deployed.
    Executing,
    /// A live rescale is in progress. Flink does not have this state, so REST shows it as Executing.
    Rescaling,
    /// An attempt is being cancelled, and another one follows.
    Restarting,
    /// A user has cancelled the job; the attempt is being cancelled.
    Canceling,
    /// The job has failed; the attempt is being cancelled.
    Failing,
    /// A last snapshot is taken, after which the job ends.
    StopWithSavepoint,
    /// The job has ended.
    Finished,
}

impl StateName {
    /// Whether the job ends on a decision that only this leadership knows of.
    pub fn is_ending(self) -> bool {
        matches!(self, StateName::Canceling | StateName::Failing | StateName::StopWithSavepoint)
    }

    /// Its name in Flink's REST API.
    pub fn flink_name(self) -> &'static str {
        match self {
            StateName::Rescaling => StateName::Executing.as_str(),
            StateName::Reconciling => StateName::WaitingForResources.as_str(),
            other => other.as_str(),
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            StateName::Created => "Created",
            StateName::WaitingForResources => "WaitingForResources",
            StateName::Reconciling => "Reconciling",
            StateName::CreatingExecutionGraph => "CreatingExecutionGraph",
            StateName::Executing => "Executing",
            StateName::Rescaling => "Rescaling",
            StateName::Restarting => "Restarting",
            StateName::Canceling => "Canceling",
            StateName::Failing => "Failing",
            StateName::StopWithSavepoint => "StopWithSavepoint",
            StateName::Finished => "Finished",
        }
    }

    /// The job's status in this state, as users see it. `end` is how the job ended, if it has.
    pub fn job_status(self, end: Option<EndState>) -> JobStatus {
        match (self, end) {
            (StateName::Created, _) => JobStatus::Initializing,
            (StateName::WaitingForResources | StateName::CreatingExecutionGraph, _) => JobStatus::Created,
            (StateName::Reconciling, _) => JobStatus::Reconciling,
            (StateName::Executing | StateName::Rescaling | StateName::StopWithSavepoint, _) => {
                JobStatus::Running
            }
            (StateName::Restarting, _) => JobStatus::Restarting,
            (StateName::Canceling, _) => JobStatus::Cancelling,
            (StateName::Failing, _) => JobStatus::Failing,
            (StateName::Finished, Some(EndState::Canceled)) => JobStatus::Canceled,
            (StateName::Finished, Some(EndState::Failed)) => JobStatus::Failed,
            (StateName::Finished, Some(EndState::Suspended)) => JobStatus::Suspended,
            (StateName::Finished, Some(EndState::Finished) | None) => JobStatus::Finished,
        }
    }
}

impl std::fmt::Display for StateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
