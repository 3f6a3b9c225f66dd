//! The names of the scheduler's states, and the job status that corresponds to each.

use crate::action::EndState;
use reflow_view::JobStatus;

/// A state of the scheduler, as Flink's adaptive scheduler has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateName {
    /// Nothing has happened yet.
    Created,
    /// Not enough slots, or not long enough.
    WaitingForResources,
    /// The execution graph is made, and deployed. Takes no time.
    CreatingExecutionGraph,
    /// An attempt is deployed.
    Executing,
    /// The attempt's graph changes while it runs. Reflow's own: the outside sees it as executing.
    Rescaling,
    /// An attempt is being cancelled, to be followed by another.
    Restarting,
    /// The user cancelled; the attempt is being cancelled.
    Canceling,
    /// The job failed for good; the attempt is being cancelled.
    Failing,
    /// A last snapshot is taken, after which the job ends.
    StopWithSavepoint,
    /// The end.
    Finished,
}

impl StateName {
    /// What Flink's tools know it by.
    pub fn flink_name(self) -> &'static str {
        match self {
            StateName::Rescaling => StateName::Executing.as_str(),
            other => other.as_str(),
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            StateName::Created => "Created",
            StateName::WaitingForResources => "WaitingForResources",
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
