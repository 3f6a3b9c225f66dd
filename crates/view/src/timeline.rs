//! The time line of a job: its figures at intervals, and events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The time line of a job since this JobManager leads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TimelineView {
    /// The least time between two points, in milliseconds. Older points are further apart.
    pub interval_ms: i64,
    /// The points, oldest first.
    pub points: Vec<TimelinePoint>,
    /// The events, oldest first.
    pub events: Vec<TimelineEvent>,
}

/// The figures of a job at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TimelinePoint {
    /// When they were taken.
    pub at_ms: i64,
    /// The largest parallelism of the vertices; 0 while none is deployed.
    pub parallelism: u32,
    /// The number of slots in the cluster.
    pub slots_total: u32,
    /// The number of slots that no job uses.
    pub slots_free: u32,
    /// The number of registered TaskManagers.
    pub task_managers: u32,
    /// The records that sources read.
    pub records_in_per_second: f64,
    /// The records that sinks got.
    pub records_out_per_second: f64,
    /// The number of records that the sources have not read yet; `None` if no source knows it.
    pub lag: Option<u64>,
    /// How far the job's watermark is behind the wall clock; `None` if it has none.
    pub event_time_lag_ms: Option<i64>,
    /// The largest share of its time, 0 to 1, for which a subtask was busy.
    pub busy: f64,
    /// The largest share of its time, 0 to 1, for which a subtask was backpressured.
    pub backpressured: f64,
    /// The duration of the last completed checkpoint.
    pub checkpoint_ms: Option<u64>,
    /// The latency of records; `None` if none flow, or none leave the task of their source.
    pub latency: Option<LatencyPoint>,
}

/// The time that records take from a source to a sink, of the subtasks of sinks where it is highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyPoint {
    /// The latency that half of the records exceed.
    pub median_ms: f64,
    /// The latency that one record in a hundred exceeds.
    pub p99_ms: f64,
}

/// An event on the time line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEvent {
    /// When it occurred.
    pub at_ms: i64,
    /// Its kind.
    pub kind: TimelineEventKind,
    /// Its id elsewhere in the API: the id of a rescale or checkpoint, the number of a restart, the time of a
    /// failure or the name of a state.
    pub id: String,
    /// A description for users.
    pub text: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TimelineEventKind {
    /// A rescale ended, successfully or not.
    Rescale,
    /// A failure occurred.
    Failure,
    /// A checkpoint or savepoint failed.
    CheckpointFailed,
    /// The job was restarted after a failure.
    Restart,
    /// The autoscaler decided to change the parallelism, or advised it.
    Autoscaler,
    /// Another JobManager has become the leader.
    LeaderChange,
    /// The job changed its state.
    State,
}

display_as_serialized!(TimelineEventKind);
