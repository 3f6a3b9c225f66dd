//! Windows over all records, in two stages: what crosses between them, and what is late.

use reflow::Pipeline;
use reflow::prelude::*;
use reflow_testkit::{Collect, Feed, Harness, OperatorHarness};

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

const LATE: OutputTag<u64> = OutputTag::new("late");

/// What windows over all records emit that one subtask has, as lines; with a rescale from one subtask to three before the
/// third record, which all windows outlive.
fn in_one_subtask<P: Pipeline<Out = String>>(
    windows: impl Fn(BoxedStream<u64>) -> Stream<P>,
    records: [(u64, Timestamp); 5],
) -> Vec<String> {
    let mut job = OperatorHarness::new(|records| windows(records.rebalance().boxed()));
    for (number, (record, time)) in records.into_iter().enumerate() {
        if number == 2 {
            job.rescale(3);
        }
        job.push(record, time);
        job.watermark(time - 50);
    }
    job.finish();
    job.output()
}

#[test]
fn sessions_of_all_records_merge() {
    let sessions = |records: BoxedStream<u64>| {
        let windows = records.window_all(SessionWindows::with_gap(Duration::from_millis(20)));
        windows.sum(|value| *value).uid("sums").map(|sum| format!("{:?} {}", sum.window, sum.value))
    };
    // The fourth record joins the sessions of the first and the third.
    let lines = in_one_subtask(sessions, [(1, 100), (2, 130), (4, 145), (8, 115), (16, 200)]);
    assert_eq!(lines, ["Window { start: 100, end: 165 } 15", "Window { start: 200, end: 220 } 16"]);
}

#[test]
fn a_trigger_sees_all_records() {
    let counted = |records: BoxedStream<u64>| {
        let windows = records.window_all(TumblingWindows::of(WINDOW)).trigger(CountTrigger::every(2));
        windows.max_by(|value| *value).uid("highest").map(|highest| highest.value.to_string())
    };
    assert_eq!(in_one_subtask(counted, [(5, 100), (2, 130), (4, 145), (8, 115), (16, 200)]), ["5", "8"]);
    let counted = |records: BoxedStream<u64>| {
        records.count_window_all(2).sum(|value| *value).uid("sums").map(|sum| sum.value.to_string())
    };
    assert_eq!(in_one_subtask(counted, [(5, 100), (2, 130), (4, 145), (8, 115), (16, 200)]), ["7", "12"]);
}

#[test]
fn late_records_of_all_are_a_side_output() {
    let divided = |records: BoxedStream<u64>| {
        let windows = records.window_all(TumblingWindows::of(WINDOW)).late_output(&LATE);
        let sums = windows.apply(|_, window, values: &Elements<u64>| {
            Some(format!("from {}: {}", window.start, values.iter().map(|(_, value)| value).sum::<u64>()))
        });
        let (sums, late) = sums.uid("sums").side_output(&LATE);
        sums.union(late.map(|value| format!("late: {value}")))
    };
    let lines = in_one_subtask(divided, [(1, 10), (2, 20), (4, 180), (8, 30), (16, 190)]);
    assert_eq!(lines, ["from 0: 3", "late: 8", "from 100: 20"]);
}

#[test]
fn windows_in_processing_time_have_one_stage() {
    let mut job = OperatorHarness::new(|records: BoxedStream<u64>| {
        let windows = records.window_all(TumblingWindows::of(WINDOW).in_processing_time());
        windows.in_one_subtask().count().uid("counts").map(|count| count.value)
    });
    (0..3).for_each(|number| job.push(number, 0));
    job.advance(WINDOW);
    assert_eq!(job.output(), [3]);
}
