//! Rescales: every change of parallelism, with its cause, its phases and its outcome.

use reflow_types::VertexId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{RescaleId, SharingGroup};

/// All that is known of a job's rescales.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RescalesView {
    /// How many there were since the job began.
    pub counts: RescaleCounts,
    /// The retained ones, newest first.
    pub history: Vec<RescaleView>,
    /// What governs them.
    pub config: RescaleConfigView,
}

/// How many rescales there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RescaleCounts {
    /// Given up because something made them pointless.
    pub ignored: u64,
    /// Under way.
    pub in_progress: u64,
    /// Done.
    pub completed: u64,
    /// Ended by an error.
    pub failed: u64,
}

/// One rescale.
#[derive(Debug, Clone, PartialEq)]
pub struct RescaleView {
    /// Its id.
    pub id: RescaleId,
    /// The resource requirements it served: another id whenever they change.
    pub requirements: RescaleId,
    /// Counts the rescales under those requirements, from 1.
    pub attempt: u64,
    /// What set it off.
    pub cause: TriggerCause,
    /// When it began.
    pub started_at_ms: i64,
    /// When it ended, and how; `None` while under way.
    pub ended: Option<(i64, TerminatedReason)>,
    /// The vertices, before and after.
    pub vertices: Vec<VertexRescaleView>,
    /// The slots, before and after.
    pub slots: Vec<SlotRescaleView>,
    /// The scheduler's states that it went through, in order.
    pub states: Vec<SchedulerStateView>,
    /// How it went while the job ran on, if it did.
    pub live: Option<LiveRescaleView>,
}

/// A rescale without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRescaleView {
    /// Counts the graphs of the attempt.
    pub graph_version: u64,
    /// Its phases so far, in order.
    pub phases: Vec<LivePhaseView>,
    /// Key groups that change their owner.
    pub key_groups_moved: u64,
    /// Key groups that stay where they are.
    pub key_groups_kept: u64,
    /// Bytes of state that old owners handed over.
    pub bytes_handed_over: u64,
    /// Records that waited for their key group.
    pub records_parked: u64,
    /// The longest time for which a key group was nobody's, in microseconds.
    pub longest_pause_us: u64,
    /// How it ended; `None` while under way.
    pub outcome: Option<LiveOutcomeView>,
}

/// How a live rescale ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveOutcomeView {
    /// The job runs on the new graph.
    Committed,
    /// The job runs on as it did.
    GivenUp {
        /// Why.
        reason: String,
    },
    /// The attempt ended first, or what set it off was gone.
    Interrupted,
}

/// A phase of a live rescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePhaseView {
    /// `PLAN`, `PREPARE`, `CATCH_UP`, `CUT`, `COMMIT`.
    pub phase: &'static str,
    /// When it began.
    pub entered_at_ms: i64,
    /// When it was over; `None` while it lasts.
    pub left_at_ms: Option<i64>,
}

impl RescaleView {
    /// How long it took; `None` while under way.
    pub fn duration_ms(&self) -> Option<i64> {
        self.ended.map(|(ended_at_ms, _)| ended_at_ms - self.started_at_ms)
    }

    /// How it ended; `None` while under way.
    pub fn terminal_state(&self) -> Option<TerminalState> {
        self.ended.map(|(_, reason)| reason.terminal_state())
    }
}

/// What sets a rescale off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TriggerCause {
    /// The job's first deployment.
    InitialSchedule,
    /// The resource requirements changed.
    UpdateRequirement,
    /// Slots came, or a TaskManager asked to leave: Flink has no name for the latter.
    NewResourceAvailable,
    /// A failure, after which the job starts again.
    RecoverableFailover,
}

/// How a rescale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminalState {
    /// The job runs at the new parallelism.
    Completed,
    /// An error ended it.
    Failed,
    /// It became pointless.
    Ignored,
}

/// Why a rescale ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TerminatedReason {
    /// All subtasks run at the new parallelism.
    Succeeded,
    /// An error.
    ExceptionOccurred,
    /// New requirements replaced those it served.
    ResourceRequirementsUpdated,
    /// The slots allow nothing other than what runs.
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
    /// The terminal state that the reason belongs to.
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
    /// The upper bound.
    pub desired: u32,
    /// The lower bound.
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
    /// What each slot was to offer; `None` where nothing was asked.
    pub requested: Option<ResourceProfileView>,
    /// What each slot offers; `None` until it is decided.
    pub acquired: Option<ResourceProfileView>,
}

/// What a slot offers. Memory in MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ResourceProfileView {
    /// Processor cores.
    pub cpu_cores: f64,
    /// For user code.
    pub task_mib: u64,
    /// For keyed state.
    pub managed_mib: u64,
    /// For network buffers.
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

/// What governs rescales: the options of the adaptive scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RescaleConfigView {
    /// How many records are retained.
    pub history_max: u32,
    /// Whether the job follows its cluster.
    pub reactive: bool,
    /// How long the first deployment waits for slots; `None` is without end.
    pub submission_wait_ms: Option<u64>,
    /// How long sufficient, but not desired slots must be stable at the first deployment.
    pub submission_stabilization_ms: u64,
    /// How long an unused slot is kept.
    pub slot_idle_ms: u64,
    /// Least time between two rescales.
    pub cooldown_ms: u64,
    /// How long sufficient, but not desired slots must be stable while the job runs.
    pub stabilization_ms: u64,
    /// How long a rescale waits for a checkpoint to build on.
    pub max_trigger_delay_ms: u64,
    /// After how many failed checkpoints it waits no more.
    pub on_failed_checkpoints: u32,
}

display_as_serialized!(TriggerCause, TerminalState, TerminatedReason);
