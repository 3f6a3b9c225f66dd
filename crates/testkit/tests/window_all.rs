//! Windows over all records, in two stages: what crosses between them, and what is late.

use reflow::prelude::*;
use reflow_testkit::{Collect, Feed, Harness};

const WINDOW: Duration = Duration::from_millis(100);

/// The sums of windows, by their start, of the records so far.
fn sums(out: &Collect<(Timestamp, u64)>) -> Vec<(Timestamp, u64)> {
    out.written().into_iter().map(|(sum, _)| sum).collect()
}

/// Records are pairs of event time and value.
fn job<'a>(
    feed: &'a Feed<(Timestamp, u64)>,
    out: &'a Collect<(Timestamp, u64)>,
    watermarks: Watermarks,
    lateness: Duration,
) -> Harness<'a> {
    Harness::new(move |env| {
        env.source("in", feed.clone())
            .assign_event_time(|record| record.0, watermarks)
            .map(|(_, value)| value)
            .window_all(TumblingWindows::of(WINDOW))
            .allowed_lateness(lateness)
            .reduce(|a, b| a + b)
            .uid("sums")
            .map(|sum| (sum.window.start, sum.value))
            .sink("out", out.clone());
    })
}

/// The records that the second stage has got.
fn crossed(job: &mut Harness<'_>) -> u64 {
    job.metrics().last().map_or(0, |metrics| metrics.records_in)
}

#[test]
fn one_record_crosses_for_each_window_and_subtask() {
    let (feed, out) = (Feed::new(3), Collect::new("out"));
    let mut job = job(&feed, &out, Watermarks::monotonic(), Duration::ZERO);
    job.start(3);
    for split in 0..3 {
        feed.push(split, (0..1_000).map(|n| (n, 1)));
    }
    feed.push(0, [(1_000, 1)]);
    feed.push(1, [(1_000, 1)]);
    feed.push(2, [(1_000, 1)]);
    job.settle();
    let expected: Vec<(Timestamp, u64)> = (0..10).map(|window| (window * 100, 300)).collect();
    assert_eq!(sums(&out), expected);
    assert_eq!(crossed(&mut job), 30);
    // At a checkpoint, what is open is emitted, so that the first stage has no state.
    assert!(job.checkpoint());
    assert_eq!(crossed(&mut job), 33);
    feed.end();
    assert!(job.finish());
    assert_eq!(sums(&out), [(1_000, 3)]);
}

#[test]
fn late_records_are_dropped_as_with_one_stage() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let mut job = job(&feed, &out, Watermarks::monotonic(), Duration::ZERO);
    job.start(2);
    feed.push(0, [(10, 1), (150, 2)]);
    job.settle();
    feed.push(0, [(20, 4), (30, 8), (160, 16)]);
    feed.end();
    assert!(job.finish());
    assert_eq!(sums(&out), [(0, 1), (100, 18)]);
}

#[test]
fn records_within_the_lateness_fire_again() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let mut job = job(&feed, &out, Watermarks::monotonic(), Duration::from_millis(100));
    job.start(1);
    feed.push(0, [(10, 1), (150, 2)]);
    job.settle();
    assert_eq!(sums(&out), [(0, 1)]);
    feed.push(0, [(20, 4)]);
    job.settle();
    assert_eq!(sums(&out), [(0, 5)]);
    feed.push(0, [(200, 0)]);
    job.settle();
    feed.push(0, [(30, 8)]);
    feed.end();
    assert!(job.finish());
    assert_eq!(sums(&out), [(100, 2), (200, 0)]);
}

/// Event time goes on without an idle subtask. What it holds must not become late by that.
#[test]
fn an_idle_subtask_holds_nothing_back() {
    let (feed, out) = (Feed::new(2), Collect::new("out"));
    let idle = Watermarks::monotonic().with_idleness(Duration::from_secs(1));
    let mut job = job(&feed, &out, idle, Duration::ZERO);
    job.start(2);
    feed.push(0, [(10, 1)]);
    feed.push(1, [(20, 2)]);
    job.settle();
    for step in 1..10 {
        job.advance(Duration::from_millis(500));
        feed.push(1, [(20 + step, 0)]);
        job.settle();
    }
    feed.push(1, [(200, 0)]);
    job.settle();
    assert_eq!(sums(&out), [(0, 3)]);
}
