//! The states of jobs and subtasks, as Flink names them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a job. The scheduler's own states map onto these: waiting for resources is `CREATED`,
/// stopping with a savepoint is `RUNNING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// The JobManager has the job and prepares to schedule it.
    Initializing,
    /// Waits for slots, or the execution graph is being made.
    Created,
    /// Tasks are deployed.
    Running,
    /// Failed for good; tasks are being cancelled.
    Failing,
    /// Failed for good.
    Failed,
    /// The user cancelled; tasks are being cancelled.
    Cancelling,
    /// The user cancelled; nothing runs any more.
    Canceled,
    /// All tasks ended by themselves.
    Finished,
    /// Tasks are being cancelled, to be started again.
    Restarting,
    /// This JobManager gave the job up; another may resume it.
    Suspended,
    /// A new JobManager collects what still runs.
    Reconciling,
}

impl JobStatus {
    /// Every state, for answers that list all of them.
    pub const ALL: [Self; 11] = [
        Self::Initializing,
        Self::Created,
        Self::Running,
        Self::Failing,
        Self::Failed,
        Self::Cancelling,
        Self::Canceled,
        Self::Finished,
        Self::Restarting,
        Self::Suspended,
        Self::Reconciling,
    ];

    /// Whether the job is over and will never run again, on any JobManager. The one place that decides it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// The state of a subtask, and of a vertex as the sum of its subtasks. In the order of a subtask's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionState {
    /// Exists in the execution graph.
    Created,
    /// Has a slot.
    Scheduled,
    /// Its deployment was sent.
    Deploying,
    /// Restores its state.
    Initializing,
    /// Processes records.
    Running,
    /// Ended by itself.
    Finished,
    /// Was told to end.
    Canceling,
    /// Ended because it was told to.
    Canceled,
    /// Ended with an error.
    Failed,
    /// A new JobManager asks for it.
    Reconciling,
}

impl ExecutionState {
    /// Every state, for answers that count all of them.
    pub const ALL: [Self; 10] = [
        Self::Created,
        Self::Scheduled,
        Self::Deploying,
        Self::Initializing,
        Self::Running,
        Self::Finished,
        Self::Canceling,
        Self::Canceled,
        Self::Failed,
        Self::Reconciling,
    ];

    /// Whether the attempt is over.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }

    /// The state of a vertex whose subtasks are in `states`: the worst one wins, as in Flink; without
    /// subtasks it is `CREATED`.
    pub fn of_vertex(states: impl Iterator<Item = Self> + Clone) -> Self {
        let any = |wanted: Self| states.clone().any(|state| state == wanted);
        for state in [Self::Failed, Self::Canceling, Self::Canceled, Self::Initializing, Self::Running] {
            if any(state) {
                return state;
            }
        }
        match (any(Self::Finished), states.clone().all(|state| state == Self::Finished)) {
            (true, true) => Self::Finished,
            (true, false) => Self::Running,
            (false, _) => Self::Created,
        }
    }
}

display_as_serialized!(JobStatus, ExecutionState);

#[cfg(test)]
mod tests {
    use super::ExecutionState::{self, *};
    use super::JobStatus;

    #[test]
    fn states_are_displayed_as_flink_names_them() {
        assert_eq!(JobStatus::Cancelling.to_string(), "CANCELLING");
        assert_eq!(ExecutionState::Canceling.to_string(), "CANCELING");
    }

    #[test]
    fn a_vertex_is_in_the_worst_state_of_its_subtasks() {
        let check = |states: &[ExecutionState], expected| {
            assert_eq!(ExecutionState::of_vertex(states.iter().copied()), expected, "{states:?}");
        };
        check(&[], Created);
        check(&[Scheduled, Deploying], Created);
        check(&[Running, Running], Running);
        check(&[Running, Initializing], Initializing);
        check(&[Finished, Deploying], Running);
        check(&[Finished, Finished], Finished);
        check(&[Running, Canceled, Canceling], Canceling);
        check(&[Canceling, Failed], Failed);
    }
}
