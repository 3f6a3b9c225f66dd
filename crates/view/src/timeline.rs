//! How a job went over time: figures at intervals, and what happened in between.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The history of a job's figures, since this JobManager leads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimelineView {
    /// The least time between two points, in milliseconds. Older points lie further apart.
    pub interval_ms: i64,
    /// Oldest first.
    pub points: Vec<TimelinePoint>,
    /// Oldest first.
    pub events: Vec<TimelineEvent>,
}

/// A job's figures at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimelinePoint {
    /// When.
    pub at_ms: i64,
    /// The largest of the vertices' parallelisms; 0 while none is deployed.
    pub parallelism: u32,
    /// All slots of the cluster.
    pub slots_total: u32,
    /// Those that no job holds.
    pub slots_free: u32,
    /// Registered TaskManagers.
    pub task_managers: u32,
    /// Records that the sources read.
    pub records_in_per_second: f64,
    /// Records that the sinks were given.
    pub records_out_per_second: f64,
    /// Records that the sources know of and have not read; `None` if no source knows.
    pub lag: Option<u64>,
    /// How far the job's watermark is behind the clock; `None` if it has none.
    pub event_time_lag_ms: Option<i64>,
    /// The greatest share of its time that a subtask works, 0 … 1.
    pub busy: f64,
    /// The greatest share of its time that a subtask waits for room downstream, 0 … 1.
    pub backpressured: f64,
    /// How long the checkpoint took that was completed last.
    pub checkpoint_ms: Option<u64>,
}

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEvent {
    /// When.
    pub at_ms: i64,
    /// What.
    pub kind: TimelineEventKind,
    /// What it is called elsewhere in the API: the id of a rescale or checkpoint, the number of a restart, the time
    /// of a failure, the name of a state.
    pub id: String,
    /// For the user to read.
    pub text: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TimelineEventKind {
    /// A rescale ended, successfully or not.
    Rescale,
    /// Something failed.
    Failure,
    /// A checkpoint or savepoint failed.
    CheckpointFailed,
    /// The job was restarted after a failure.
    Restart,
    /// The job went into another state.
    State,
}
