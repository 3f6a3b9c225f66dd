//! The states of jobs and subtasks, with Flink's names.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of a job. Scheduler states are mapped to it: waiting for resources is `CREATED`, stopping with a
/// savepoint is `RUNNING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// The JobManager has accepted the job and prepares to schedule it.
    Initializing,
    /// The job waits for slots, or its execution graph is being created.
    Created,
    /// Tasks are deployed.
    Running,
    /// The job has failed; its tasks are being cancelled.
    Failing,
    /// The job has failed.
    Failed,
    /// A user has cancelled the job; its tasks are being cancelled.
    Cancelling,
    /// A user has cancelled the job, and all tasks have ended.
    Canceled,
    /// All tasks have finished.
    Finished,
    /// Tasks are being cancelled, after which the job restarts.
    Restarting,
    /// This JobManager has stopped running the job; another one may resume it.
    Suspended,
    /// A new JobManager looks for tasks that still run.
    Reconciling,
}

impl JobStatus {
    /// All states, for answers that list them.
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

    /// Whether the job has ended and no JobManager will run it again. Everything that needs to know calls this.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Failed | Self::Canceled | Self::Finished)
    }
}

/// The state of a subtask, or of a vertex as a whole. In the order in which a subtask goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionState {
    /// The subtask exists in the execution graph.
    Created,
    /// The subtask has a slot.
    Scheduled,
    /// The deployment was sent.
    Deploying,
    /// The task restores its state.
    Initializing,
    /// The task processes records.
    Running,
    /// The task has ended by itself.
    Finished,
    /// The task is being cancelled.
    Canceling,
    /// The task was cancelled.
    Canceled,
    /// The task has failed.
    Failed,
    /// A new JobManager looks for the task. Reflow does not use it.
    Reconciling,
}

impl ExecutionState {
    /// All states, for answers that count them.
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

    /// Whether the attempt of the subtask has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Finished | Self::Canceled | Self::Failed)
    }

    /// The state of a vertex whose subtasks are in `states`: the worst one, as in Flink, or `CREATED` without
    /// subtasks.
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
