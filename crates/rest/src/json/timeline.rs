//! `GET /jobs/:id/timeline`, which Flink does not have.

use serde::Serialize;

use reflow_view::{TimelineEvent, TimelineEventKind, TimelinePoint, TimelineView};

/// `GET /jobs/:id/timeline`
#[derive(Serialize)]
pub(crate) struct Timeline<'a> {
    now: i64,
    interval: i64,
    points: Vec<Point>,
    events: Vec<Event<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Point {
    t: i64,
    parallelism: u32,
    slots_total: u32,
    slots_free: u32,
    task_managers: u32,
    records_in_per_second: f64,
    records_out_per_second: f64,
    lag: Option<u64>,
    event_time_lag_ms: Option<i64>,
    busy: f64,
    backpressured: f64,
    checkpoint_duration: Option<u64>,
}

#[derive(Serialize)]
struct Event<'a> {
    t: i64,
    kind: TimelineEventKind,
    id: &'a str,
    text: &'a str,
}

impl<'a> Timeline<'a> {
    /// What lies after `since_ms`.
    pub(crate) fn of(timeline: &'a TimelineView, now_ms: i64, since_ms: i64) -> Self {
        let points = timeline.points.iter().filter(|point| point.at_ms > since_ms);
        let events = timeline.events.iter().filter(|event| event.at_ms > since_ms);
        Self {
            now: now_ms,
            interval: timeline.interval_ms,
            points: points.map(Point::from).collect(),
            events: events.map(Event::from).collect(),
        }
    }
}

impl From<&TimelinePoint> for Point {
    fn from(point: &TimelinePoint) -> Self {
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
        }
    }
}

impl<'a> From<&'a TimelineEvent> for Event<'a> {
    fn from(event: &'a TimelineEvent) -> Self {
        Self { t: event.at_ms, kind: event.kind, id: &event.id, text: &event.text }
    }
}
