//! The view of the autoscaler.

use std::collections::BTreeMap;

use reflow_types::VertexId;

/// What the autoscaler of a job sees and decides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AutoscalerView {
    /// Whether its decisions are carried out.
    pub scaling: bool,
    /// The TaskManagers that the job should have; `None` while that is not known.
    pub desired_task_managers: Option<u32>,
    /// Whether more may be right, too, because the job has not run for long enough to tell.
    pub desired_is_least: bool,
    /// The parallelism that each vertex should have.
    pub parallelism: BTreeMap<VertexId, u32>,
    /// How busy the slots of that parallelism would be; above 1, they are too few.
    pub utilization: f64,
    /// Records that sources have not read yet.
    pub lag_records: u64,
    /// The time that these took to arrive.
    pub lag_seconds: f64,
    /// Records per second that arrive at sources.
    pub arriving_per_second: f64,
    /// What it does, or why it does nothing.
    pub status: String,
    /// Its last decisions, oldest first.
    pub decisions: Vec<ScalingDecisionView>,
    /// What became of the number of TaskManagers, if the JobManager changes it itself.
    pub provisioning: ProvisioningView,
}

/// What became of the number of TaskManagers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProvisioningView {
    /// Why it is not the desired one; `None` if nothing is in the way.
    pub status: Option<String>,
    /// What happened when, oldest first.
    pub events: Vec<(i64, String)>,
}

/// A decision of the autoscaler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingDecisionView {
    /// When it was made.
    pub at_ms: i64,
    /// The number of slots before.
    pub from: u32,
    /// The number of slots that the job should have.
    pub to: u32,
    /// Why.
    pub reason: String,
}
