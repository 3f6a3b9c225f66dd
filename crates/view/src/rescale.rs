//! The rescales of a job: every change of parallelism, with its cause, phases and outcome.

use reflow_types::VertexId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{RescaleId, SharingGroup};

/// The rescales of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RescalesView {
    /// The numbers of rescales since the job began.
    pub counts: RescaleCounts,
    /// The retained rescales, newest first.
    pub history: Vec<RescaleView>,
    /// The configuration of rescales.
    pub config: RescaleConfigView,
}

/// The numbers of rescales by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescaleCounts {
    /// Ended because something made them unnecessary.
    pub ignored: u64,
    /// In progress.
    pub in_progress: u64,
    /// Completed.
    pub completed: u64,
    /// Failed with an error.
    pub failed: u64,
}

/// One rescale.
#[derive(Debug, Clone, PartialEq)]
pub struct RescaleView {
    /// Its id.
    pub id: RescaleId,
    /// The id of the resource requirements that it served. It changes whenever they do.
    pub requirements: RescaleId,
    /// Counts the rescales under those requirements, from 1.
    pub attempt: u64,
    /// Its trigger cause.
    pub cause: TriggerCause,
    /// When it began.
    pub started_at_ms: i64,
    /// When it ended, and why; `None` while it is in progress.
    pub ended: Option<(i64, TerminatedReason)>,
    /// The vertices before and after it.
    pub vertices: Vec<VertexRescaleView>,
    /// The slots before and after it.
    pub slots: Vec<SlotRescaleView>,
    /// The scheduler states that it has gone through, in order.
    pub states: Vec<SchedulerStateView>,
    /// Its course as a live rescale, if it is one.
    pub live: Option<LiveRescaleView>,
    /// Why it restarts the running job instead, if it does.
    pub restart_reason: Option<String>,
}

/// The course of a live rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRescaleView {
    /// The version of the next graph.
    pub graph_version: u64,
    /// Its phases so far, in order.
    pub phases: Vec<LivePhaseView>,
    /// The number of key groups that change their owner.
    pub key_groups_moved: u64,
    /// The number of key groups that keep their owner.
    pub key_groups_kept: u64,
    /// Bytes of state that executors have read from checkpoints so far.
    pub bytes_read: u64,
    /// Bytes of state that they read before the cut; it grows while the state changes.
    pub bytes_to_read: u64,
    /// Bytes of state that old owners handed over.
    pub bytes_handed_over: u64,
    /// The number of buffered records.
    pub records_parked: u64,
    /// The longest time for which a key group had no owner, in microseconds.
    pub longest_pause_us: u64,
    /// Its outcome; `None` while it is in progress.
    pub outcome: Option<LiveOutcomeView>,
}

/// The outcome of a live rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveOutcomeView {
    /// The job runs with the next graph.
    Committed,
    /// The rescale was abandoned; the job runs with the current graph.
    GivenUp {
        /// Why.
        reason: String,
    },
    /// The attempt ended first, or the cause no longer existed.
    Interrupted,
}

/// A phase of a live rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePhaseView {
    /// `PLAN`, `PREPARE`, `CATCH_UP`, `CUT`, `COMMIT`.
    pub phase: &'static str,
    /// When it began.
    pub entered_at_ms: i64,
    /// When it ended; `None` while it lasts.
    pub left_at_ms: Option<i64>,
}

impl RescaleView {
    /// Its duration; `None` while it is in progress.
    pub fn duration_ms(&self) -> Option<i64> {
        self.ended.map(|(ended_at_ms, _)| ended_at_ms - self.started_at_ms)
    }

    /// Its terminal state; `None` while it is in progress.
    pub fn terminal_state(&self) -> Option<TerminalState> {
        self.ended.map(|(_, reason)| reason.terminal_state())
    }
}

/// The cause of a rescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TriggerCause {
    /// The job's first deployment.
    InitialSchedule,
    /// The resource requirements changed.
    UpdateRequirement,
    /// Slots were added, or a TaskManager asked to leave; Flink has no name for the latter.
    NewResourceAvailable,
    /// A failure, after which the job restarts.
    RecoverableFailover,
}

/// The terminal state of a rescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminalState {
    /// The job runs at the new parallelism.
    Completed,
    /// It has failed with an error.
    Failed,
    /// It became unnecessary.
    Ignored,
}

/// Why a rescale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminatedReason {
    /// All subtasks run at the new parallelism.
    Succeeded,
    /// An error occurred.
    ExceptionOccurred,
    /// New resource requirements replaced those that it served.
    ResourceRequirementsUpdated,
    /// The available slots allow only the current parallelism.
    NoResourcesOrParallelismsChange,
    /// The job finished first.
    JobFinished,
    /// The job failed for good first.
    JobFailed,
    /// The user cancelled first.
    JobCanceled,
    /// A failure made the job restart first.
    JobFailoverRestarting,
}

impl TerminatedReason {
    /// The terminal state to which the reason belongs.
    pub fn terminal_state(self) -> TerminalState {
        match self {
            Self::Succeeded => TerminalState::Completed,
            Self::ExceptionOccurred => TerminalState::Failed,
            Self::ResourceRequirementsUpdated
            | Self::NoResourcesOrParallelismsChange
            | Self::JobFinished
            | Self::JobFailed
            | Self::JobCanceled
            | Self::JobFailoverRestarting => TerminalState::Ignored,
        }
    }
}

/// A vertex in a rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexRescaleView {
    /// The vertex.
    pub id: VertexId,
    /// Its name.
    pub name: String,
    /// Its slot sharing group.
    pub sharing_group: SharingGroup,
    /// The upper bound of its parallelism.
    pub desired: u32,
    /// The lower bound of its parallelism.
    pub sufficient: u32,
    /// Parallelism before; `None` for the first deployment.
    pub before: Option<u32>,
    /// Parallelism after; `None` until it is decided.
    pub after: Option<u32>,
}

/// The slots of a slot sharing group in a rescale.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotRescaleView {
    /// The group.
    pub sharing_group: SharingGroup,
    /// Slots for the upper bounds.
    pub desired: u32,
    /// Slots for the lower bounds.
    pub sufficient: u32,
    /// Slots before; `None` for the first deployment.
    pub before: Option<u32>,
    /// Slots after; `None` until it is decided.
    pub after: Option<u32>,
    /// The requested resources of each slot; `None` if none were requested.
    pub requested: Option<ResourceProfileView>,
    /// The resources of each slot; `None` until they are decided.
    pub acquired: Option<ResourceProfileView>,
}

/// The resources of a slot, with memory in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceProfileView {
    /// Processor cores.
    pub cpu_cores: f64,
    /// Memory for user code.
    pub task_mib: u64,
    /// Memory for keyed state.
    pub managed_mib: u64,
    /// Memory for network buffers.
    pub network_mib: u64,
}

/// A state that the scheduler was in during a rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerStateView {
    /// `Executing`, `Restarting`, …
    pub state: String,
    /// When it was entered.
    pub entered_at_ms: i64,
    /// When it was left; `None` if it is the current one.
    pub left_at_ms: Option<i64>,
    /// The error that caused it.
    pub error: Option<String>,
}

/// The configuration of rescales: the options of the adaptive scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RescaleConfigView {
    /// The number of rescales in the history.
    pub history_max: u32,
    /// Whether the job runs in reactive mode.
    pub reactive: bool,
    /// How long the first deployment waits for slots; `None` for no limit.
    pub submission_wait_ms: Option<u64>,
    /// How long sufficient but fewer than the desired slots must be stable at the first deployment.
    pub submission_stabilization_ms: u64,
    /// How long an unused slot is kept.
    pub slot_idle_ms: u64,
    /// The least time between two rescales.
    pub cooldown_ms: u64,
    /// How long sufficient but fewer than the desired slots must be stable while the job runs.
    pub stabilization_ms: u64,
    /// How long a rescale waits for a checkpoint on which it can build.
    pub max_trigger_delay_ms: u64,
    /// The number of failed checkpoints after which it does not wait any longer.
    pub on_failed_checkpoints: u32,
}

display_as_serialized!(TriggerCause, TerminalState, TerminatedReason);
