//! Tests of the job: one runs its operator step by step, one runs the job on simulated clusters.

use super::*;
use reflow::testing::{Collect, Feed, OperatorHarness, Simulation};
use std::collections::BTreeMap;

fn event(door: u32, open: bool, seconds: i64) -> Event {
    Event { door, open, time: seconds * 1_000 }
}

#[test]
fn a_door_that_stays_open_gives_one_alert() {
    let mut doors = OperatorHarness::new(alerts);
    doors.push(event(1, true, 0), 0);
    doors.push(event(2, true, 10), 10_000);
    doors.push(event(1, false, 29), 29_000);
    doors.watermark(39_999);
    assert_eq!(doors.output(), []);
    doors.rescale(3);
    doors.watermark(40_000);
    assert_eq!(doors.output(), [Alert { door: 2, opened: 10_000 }]);
    doors.finish();
    assert_eq!(doors.output(), []);
}

#[test]
fn alerts_are_exact_whatever_happens_to_the_cluster() {
    let events: Vec<Event> = (0..300).map(|n| event(n % 7, n * n % 3 != 0, n.into())).collect();
    Simulation::new(events, |env, events: Feed<Event>, out: Collect<Alert>| {
        let events = env.source("events", events);
        alerts(events.assign_event_time(|event| event.time, Watermarks::monotonic())).sink("alerts", out);
        Ok(())
    })
    .assert_output(|events| expected(events));
}

/// The alerts by a program that shares nothing with the job.
fn expected(events: &[Event]) -> Vec<Alert> {
    let mut opened = BTreeMap::new();
    let mut alerts = Vec::new();
    let ends = events.iter().map(|event| event.door).map(|door| event(door, false, 1_000_000));
    for event in events.iter().cloned().chain(ends) {
        if event.open {
            opened.entry(event.door).or_insert(event.time);
        } else if let Some(opened) = opened.remove(&event.door)
            && event.time > opened + MOST_MS
        {
            alerts.push(Alert { door: event.door, opened });
        }
    }
    alerts
}
