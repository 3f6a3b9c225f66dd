//! What users see of a cluster, and what they can ask of it: plain values, without any web framework.
//!
//! The JobManager publishes a new [`ClusterView`] whenever something changed; every request is answered from
//! the newest one, so an answer never waits for the scheduler and never sees half a change. The views hold
//! natural Rust values; how Flink spells them as JSON is the business of `crates/rest`. The trait [`Cluster`] is
//! the seam between the two: the JobManager implements it, the REST server calls it.
//!
//! Times are milliseconds since the epoch, sizes are bytes, shares lie in 0 … 1.

/// Displays an enum by its name in answers, as serde spells it.
macro_rules! display_as_serialized {
    ($($name:ty),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, f)
            }
        }
    )+};
}

mod checkpoint;
mod cluster;
mod id;
mod job;
mod rescale;
mod status;
pub mod summary;
mod task_manager;
mod timeline;
mod vertex;

pub use checkpoint::{
    AckView, CheckpointConfigView, CheckpointCounts, CheckpointKind, CheckpointOutcome, CheckpointSamples,
    CheckpointSummary, CheckpointView, CheckpointsView, RestoredView, SavepointFormat, SubtaskCheckpointView,
    VertexCheckpointView,
};
pub use cluster::{Cluster, Command, CommandError, OperationStatus, Reply};
pub use id::{RequestId, RescaleId};
pub use job::{ExceptionView, ExecutionConfigView, JobView};
pub use rescale::{
    LiveOutcomeView, LivePhaseView, LiveRescaleView, RescaleConfigView, RescaleCounts, RescaleView,
    RescalesView, ResourceProfileView, SchedulerStateView, SlotRescaleView, TerminalState, TerminatedReason,
    TriggerCause, VertexRescaleView,
};
pub use status::{ExecutionState, JobStatus};
pub use task_manager::{AllocatedSlotView, MemoryView, TaskManagerView};
pub use timeline::{TimelineEvent, TimelineEventKind, TimelinePoint, TimelineView};
pub use vertex::{
    InputView, IoView, ParallelismBounds, PlacementView, SharingGroup, SubtaskView, VertexView,
};

use std::collections::BTreeMap;

use reflow_types::{JobId, TaskManagerId};

/// The whole cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterView {
    /// When this snapshot was taken. All durations in answers are relative to it.
    pub now_ms: i64,
    /// The version of Reflow, `0.1.0`. Served in the fields that Flink calls `flink-version`.
    pub version: String,
    /// The commit that was built, or empty.
    pub commit: String,
    /// The effective configuration of the JobManager, secrets already masked.
    pub configuration: BTreeMap<String, String>,
    /// Whether jobs may be cancelled by REST.
    pub cancel_enabled: bool,
    /// Whether the parallelism may be changed by REST.
    pub rescale_enabled: bool,
    /// Metrics of the JobManager's process beyond those that follow from this view.
    pub metrics: BTreeMap<String, f64>,
    /// Registered TaskManagers, in the order they are to be listed.
    pub task_managers: Vec<TaskManagerView>,
    /// Jobs, running and ended, newest first.
    pub jobs: Vec<JobView>,
}

impl ClusterView {
    /// The job of that id.
    pub fn job(&self, id: JobId) -> Option<&JobView> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// The TaskManager of that id.
    pub fn task_manager(&self, id: TaskManagerId) -> Option<&TaskManagerView> {
        self.task_managers.iter().find(|task_manager| task_manager.id == id)
    }

    /// All slots of all TaskManagers.
    pub fn slots_total(&self) -> u32 {
        self.task_managers.iter().map(|task_manager| task_manager.slots).sum()
    }

    /// Slots that no job holds.
    pub fn slots_free(&self) -> u32 {
        self.task_managers.iter().map(TaskManagerView::free_slots).sum()
    }
}
