//! The views of a cluster that users see, and the commands that they can give, as plain values without a web
//! framework.
//!
//! The JobManager publishes a new [`ClusterView`] whenever something has changed. Every request is answered from
//! the latest one, so an answer never waits for the scheduler and never sees half of a change. The views contain
//! ordinary Rust values; `crates/schema` defines their JSON form. The trait [`Cluster`] is the interface between
//! the two sides: the JobManager implements it, the REST server calls it.
//!
//! Times are milliseconds since the Unix epoch, sizes are bytes, shares are between 0 and 1.
#![warn(missing_docs)]

/// Implements `Display` for an enum by the name that serde gives its variants.
macro_rules! display_as_serialized {
    ($($name:ty),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, f)
            }
        }
    )+};
}

mod autoscaler;
mod checkpoint;
mod cluster;
mod id;
mod job;
mod leadership;
mod readiness;
mod rescale;
mod status;
pub mod summary;
mod task_manager;
mod timeline;
mod vertex;

pub use autoscaler::{AutoscalerView, ProvisioningView, ScalingDecisionView};
pub use checkpoint::{
    AckView, CheckpointConfigView, CheckpointCounts, CheckpointKind, CheckpointOutcome, CheckpointSamples,
    CheckpointSummary, CheckpointView, CheckpointsView, RestoredView, SavepointFormat, SubtaskCheckpointView,
    VertexCheckpointView,
};
pub use cluster::{Cluster, ClusterProcess, Command, CommandError, OperationStatus, Reply};
pub use id::{RequestId, RescaleId};
pub use job::{ExceptionView, ExecutionConfigView, JobView, RegionRestartView};
pub use leadership::{LeaderChange, LeaderChangeCause, LeadershipView, TakeoverView};
pub use readiness::Readiness;
pub use rescale::{
    LiveOutcomeView, LivePhaseView, LiveRescaleView, RescaleConfigView, RescaleCounts, RescaleView,
    RescalesView, ResourceProfileView, SchedulerStateView, SlotRescaleView, TerminalState, TerminatedReason,
    TriggerCause, VertexRescaleView,
};
pub use status::{ExecutionState, JobStatus};
pub use task_manager::{AllocatedSlotView, MemoryView, TaskManagerView};
pub use timeline::{LatencyPoint, TimelineEvent, TimelineEventKind, TimelinePoint, TimelineView};
pub use vertex::{
    Figure, InputView, IoView, ParallelismBounds, PlacementView, SharingGroup, SubtaskView, VertexView,
};

use std::collections::BTreeMap;

use reflow_types::{JobId, TaskManagerId};

/// The view of a cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterView {
    /// When the view was published. Durations in REST answers are relative to it.
    pub now_ms: i64,
    /// The version of Reflow, such as `0.1.0`. The REST API returns it in the fields that Flink calls
    /// `flink-version`.
    pub version: String,
    /// The commit from which Reflow was built; may be empty.
    pub commit: String,
    /// The effective configuration of the JobManager, without secrets.
    pub configuration: BTreeMap<String, String>,
    /// Whether the JobManager can do its work.
    pub readiness: Readiness,
    /// Which JobManagers have led the job.
    pub leadership: LeadershipView,
    /// Whether jobs may be cancelled over REST.
    pub cancel_enabled: bool,
    /// Whether the parallelism may be changed over REST.
    pub rescale_enabled: bool,
    /// Metrics of the JobManager's process that are not derived from this view.
    pub metrics: BTreeMap<String, f64>,
    /// Registered TaskManagers, in the order in which they are listed.
    pub task_managers: Vec<TaskManagerView>,
    /// Jobs, running and ended, newest first.
    pub jobs: Vec<JobView>,
}

impl ClusterView {
    /// The job with this id.
    pub fn job(&self, id: JobId) -> Option<&JobView> {
        self.jobs.iter().find(|job| job.id == id)
    }

    /// The TaskManager with this id.
    pub fn task_manager(&self, id: TaskManagerId) -> Option<&TaskManagerView> {
        self.task_managers.iter().find(|task_manager| task_manager.id == id)
    }

    /// The number of slots of all TaskManagers.
    pub fn slots_total(&self) -> u32 {
        self.task_managers.iter().map(|task_manager| task_manager.slots).sum()
    }

    /// The number of slots that no job uses.
    pub fn slots_free(&self) -> u32 {
        self.task_managers.iter().map(TaskManagerView::free_slots).sum()
    }
}
