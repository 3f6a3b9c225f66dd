//! The JSON form of the time line: `GET /jobs/:id/timeline`, which Flink does not have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{TimelineEventKind, TimelineView};

/// `GET /jobs/:id/timeline`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Timeline {
    pub now: i64,
    pub interval: i64,
    pub points: Vec<TimelinePoint>,
    pub events: Vec<TimelineEvent>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct TimelinePoint {
    pub t: i64,
    pub parallelism: u32,
    pub slots_total: u32,
    pub slots_free: u32,
    pub task_managers: u32,
    pub records_in_per_second: f64,
    pub records_out_per_second: f64,
    #[schema(required)]
    pub lag: Option<u64>,
    #[schema(required)]
    pub event_time_lag_ms: Option<i64>,
    pub busy: f64,
    pub backpressured: f64,
    #[schema(required)]
    pub checkpoint_duration: Option<u64>,
    #[schema(required)]
    pub latency_median_ms: Option<f64>,
    #[schema(required)]
    pub latency_p99_ms: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TimelineEvent {
    pub t: i64,
    pub kind: TimelineEventKind,
    pub id: String,
    pub text: String,
}

impl Timeline {
    /// The points and events after `since_ms`.
    pub fn of(timeline: &TimelineView, now_ms: i64, since_ms: i64) -> Self {
        let points = timeline.points.iter().filter(|point| point.at_ms > since_ms);
        let events = timeline.events.iter().filter(|event| event.at_ms > since_ms);
        Self {
            now: now_ms,
            interval: timeline.interval_ms,
            points: points.map(TimelinePoint::from).collect(),
            events: events.map(TimelineEvent::from).collect(),
        }
    }
}

impl From<&reflow_view::TimelinePoint> for TimelinePoint {
    fn from(point: &reflow_view::TimelinePoint) -> Self {
        Self {
            t: point.at_ms,
            parallelism: point.parallelism,
            slots_total: point.slots_total,
            slots_free: point.slots_free,
            task_managers: point.task_managers,
            records_in_per_second: point.records_in_per_second,
            records_out_per_second: point.records_out_per_second,
            lag: point.lag,
            event_time_lag_ms: point.event_time_lag_ms,
            busy: point.busy,
            backpressured: point.backpressured,
            checkpoint_duration: point.checkpoint_ms,
            latency_median_ms: point.latency.map(|latency| latency.median_ms),
            latency_p99_ms: point.latency.map(|latency| latency.p99_ms),
        }
    }
}

impl From<&reflow_view::TimelineEvent> for TimelineEvent {
    fn from(event: &reflow_view::TimelineEvent) -> Self {
        Self { t: event.at_ms, kind: event.kind, id: event.id.clone(), text: event.text.clone() }
    }
}
