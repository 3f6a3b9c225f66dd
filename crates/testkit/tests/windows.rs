//! Windows in processing time, triggers with timers, late records, window functions, errors.

use reflow_api::window::{
    CalendarWindows, ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, Elements, EventTimeTrigger,
    GlobalWindows, ProcessingTimeTrigger, SessionWindows, SlidingWindows, Trigger, TriggerResult,
    TumblingWindows, Window, WindowContext, WindowFunction, Windowed,
};
use reflow_api::{OnError, OutputTag, RuntimeContext, TryAggregate, UserError, Watermarks};
use reflow_stream::pipeline::Boxed;
use reflow_stream::{KeyedStream, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Timestamp;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Records = KeyedStream<Boxed<i64>, fn(&i64) -> u8>;

/// A job whose records are their times, with the same key.
fn start<O: 'static>(
    parallelism: u32,
    job: impl Fn(Records, Collect<O>) + 'static,
) -> (Feed<i64>, Collect<O>, Harness<'static>) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env: &mut StreamEnv| {
        let timed =
            env.source("in", source.clone()).assign_event_time(|time| *time, Watermarks::monotonic()).boxed();
        job(timed.key_by(one_key as fn(&i64) -> u8), sink.clone());
    })
    .on_executors(2);
    harness.start(parallelism);
    (feed, out, harness)
}

fn one_key(_: &i64) -> u8 {
    0
}

fn values<O>(out: &Collect<O>) -> Vec<O> {
    out.written().into_iter().map(|(value, _)| value).collect()
}

/// Start and end of a window, relative to the harness's first time, and its count.
fn counted(count: Windowed<u8, u64>) -> (Timestamp, Timestamp, u64) {
    (count.window.start - 1_000_000_000, count.window.end - 1_000_000_000, count.value)
}

type Counted = Collect<(Timestamp, Timestamp, u64)>;

#[test]
fn windows_in_processing_time_end_by_the_wall_clock() {
    let (feed, out, mut job) = start(1, |records, out: Counted| {
        let windows = records.window(TumblingWindows::of(ms(100)).in_processing_time());
        let _ = windows.count().map(counted).sink("out", out);
    });
    feed.push(0, [5, 3]);
    job.settle();
    job.advance(ms(50));
    feed.push(0, [1_000_000]);
    job.advance(ms(48));
    assert!(values(&out).is_empty(), "98 ms");
    job.rescale(2);
    job.advance(ms(2));
    assert_eq!(values(&out), [(0, 100, 3)]);
    feed.push(0, [1]);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert!(values(&out).is_empty(), "an open window ends with the input, and emits nothing");
}

#[test]
fn sessions_in_processing_time_end_a_gap_after_the_last_record() {
    let (feed, out, mut job) = start(1, |records, out: Counted| {
        let windows = records.window(SessionWindows::with_gap(ms(50)).in_processing_time());
        let _ = windows.count().map(counted).sink("out", out);
    });
    for _ in 0..4 {
        feed.push(0, [5]);
        job.advance(ms(40));
    }
    assert!(values(&out).is_empty());
    job.rescale(2);
    job.advance(ms(8));
    assert!(values(&out).is_empty());
    job.advance(ms(1));
    assert_eq!(values(&out), [(0, 170, 4)]);
}

#[test]
fn sliding_windows_in_processing_time() {
    let (feed, out, mut job) = start(1, |records, out: Counted| {
        let windows = records.window(SlidingWindows::of(ms(100), ms(50)).in_processing_time());
        let _ = windows.count().map(counted).sink("out", out);
    });
    feed.push(0, [5]);
    job.advance(ms(60));
    feed.push(0, [5]);
    job.advance(ms(100));
    assert_eq!(values(&out), [(-50, 50, 1), (0, 100, 2), (50, 150, 1)]);
}

/// An hour each, over the night in which daylight saving time begins, and the one in which it ends.
#[test]
fn days_of_a_time_zone_have_the_hours_that_the_clock_gives_them() {
    for (midnight, days) in [("2026-03-27T23:00Z", [24, 23, 24]), ("2026-10-23T22:00Z", [24, 25, 24])] {
        let (feed, out, mut job) = start(2, |records, out: Collect<u64>| {
            let windows = records.window(CalendarWindows::days("Europe/Berlin"));
            let _ = windows.count().map(|day| day.value).sink("out", out);
        });
        let midnight: jiff::Timestamp = midnight.parse().expect("a time");
        let hours =
            |range: std::ops::Range<i64>| range.map(move |n| midnight.as_millisecond() + n * 3_600_000);
        feed.push(0, hours(0..30));
        job.settle();
        job.rescale(3);
        feed.push(0, hours(30..days.iter().sum::<u64>() as i64));
        feed.end();
        assert!(job.finish(), "{}", job.state());
        assert_eq!(values(&out), days, "{midnight}");
    }
}

#[test]
fn late_records_fire_again_and_later_ones_go_to_the_side_output() {
    const LATE: OutputTag<i64> = OutputTag::new("late");
    let (feed, out, mut job) = start(1, |records, out: Collect<(i64, u64)>| {
        let windows = records.window(TumblingWindows::of(ms(10))).allowed_lateness(ms(20)).late_output(&LATE);
        let (counts, late) = windows.count().side_output(&LATE);
        let counts = counts.map(|count| (count.window.end, count.value));
        let _ = counts.union(late.map(|time| (time, 0))).sink("out", out);
    });
    feed.push(0, [5, 15]);
    job.settle();
    assert_eq!(values(&out), [(10, 1)]);
    feed.push(0, [6, 7]);
    job.settle();
    assert_eq!(values(&out), [(10, 2), (10, 3)]);
    job.rescale(1);
    for record in [29, 8, 31, 9] {
        feed.push(0, [record]);
        job.settle();
    }
    assert_eq!(values(&out), [(20, 1), (10, 4), (30, 1), (9, 0)], "the lateness ends with the watermark 29");
    let late: u64 = job.metrics().iter().map(|metrics| metrics.late_records).sum();
    assert_eq!(late, 0, "what the side output takes is not dropped");
}

#[test]
fn a_late_record_merges_sessions() {
    let (feed, out, mut job) = start(1, |records, out: Collect<(i64, i64, u64)>| {
        let windows = records.window(SessionWindows::with_gap(ms(10))).allowed_lateness(ms(30));
        let _ = windows.count().map(|c| (c.window.start, c.window.end, c.value)).sink("out", out);
    });
    feed.push(0, [0, 15, 30]);
    job.settle();
    assert_eq!(values(&out), [(0, 10, 1), (15, 25, 1)]);
    job.rescale(2);
    feed.push(0, [7]);
    job.settle();
    assert_eq!(values(&out), [(0, 25, 3)], "late, and both have ended");
    feed.push(0, [25]);
    job.settle();
    assert!(values(&out).is_empty());
    feed.push(0, [45]);
    job.settle();
    assert_eq!(values(&out), [(0, 40, 5)], "it ends again");
}

#[test]
fn early_and_late_firings_wait_for_their_delay() {
    let (feed, out, mut job) = start(1, |records, out: Collect<u64>| {
        let firings = EventTimeTrigger.with_early_firings(ms(100)).with_late_firings(ms(50));
        let windows = records.window(TumblingWindows::of(ms(10))).allowed_lateness(ms(1_000));
        let _ = windows.trigger(firings).count().map(|count| count.value).sink("out", out);
    });
    feed.push(0, [1, 2]);
    job.advance(ms(99));
    assert!(values(&out).is_empty());
    job.rescale(2);
    job.advance(ms(1));
    assert_eq!(values(&out), [2]);
    job.advance(ms(1_000));
    assert!(values(&out).is_empty(), "there was no record since");
    feed.push(0, [3, 20]);
    job.settle();
    assert_eq!(values(&out), [3], "at the end");
    feed.push(0, [4, 5]);
    job.advance(ms(49));
    assert!(values(&out).is_empty());
    job.advance(ms(1));
    assert_eq!(values(&out), [5], "late records");
}

#[test]
fn a_processing_time_trigger_does_not_wait_for_the_watermark() {
    let (feed, out, mut job) = start(1, |records, out: Collect<u64>| {
        let windows = records.window(TumblingWindows::of(ms(100))).trigger(ProcessingTimeTrigger);
        let _ = windows.count().map(|count| count.value).sink("out", out);
    });
    feed.push(0, [1_000_000_030]);
    job.advance(ms(98));
    assert!(values(&out).is_empty());
    job.advance(ms(2));
    assert_eq!(values(&out), [1]);
    feed.push(0, [1_000_001_000]);
    job.settle();
    assert!(values(&out).is_empty(), "nor does it fire with the watermark");
}

const YEAR_MS: i64 = 365 * 24 * 3_600 * 1_000;

/// A record is in as many windows as it can be, and a watermark that jumps by a year fires all of them.
#[test]
fn the_largest_sliding_windows_are_exact() {
    const WINDOWS: i64 = 100_000;
    let (feed, out, mut job) = start(1, |records, out: Counted| {
        let windows = records.window(SlidingWindows::of(ms(WINDOWS as u64), ms(1)));
        let _ =
            windows.count().map(|count| (count.window.start, count.window.end, count.value)).sink("out", out);
    });
    feed.push(0, [0, 0]);
    job.settle();
    assert!(job.checkpoint(), "{}", job.state());
    assert!(values(&out).is_empty());
    job.rescale(2);
    feed.push(0, [YEAR_MS]);
    job.settle();
    let mut fired = values(&out);
    fired.sort_unstable();
    assert!(fired.into_iter().eq((1 - WINDOWS..=0).map(|start| (start, start + WINDOWS, 2))));
}

#[test]
fn continuous_triggers_fire_at_each_interval() {
    let (feed, out, mut job) = start(1, |records, out: Collect<u64>| {
        let windows = records.window(GlobalWindows).trigger(ContinuousEventTimeTrigger::every(ms(10)));
        let _ = windows.count().map(|count| count.value).sink("out", out);
    });
    feed.push(0, [1, 2, 9]);
    job.settle();
    assert!(values(&out).is_empty());
    job.rescale(2);
    feed.push(0, [11]);
    job.settle();
    assert_eq!(values(&out), [4], "the record that moves the watermark comes first");
    feed.push(0, [12, 21]);
    job.settle();
    assert_eq!(values(&out), [6]);
    feed.push(0, [YEAR_MS]);
    job.settle();
    assert_eq!(values(&out), [7], "once for all intervals of a year");
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(values(&out), [7], "once with the last watermark");
}

#[test]
fn continuous_triggers_in_processing_time_move_with_their_keys() {
    let (feed, out, mut job) = start(2, |records, out: Collect<u64>| {
        let windows = records.window(GlobalWindows).trigger(ContinuousProcessingTimeTrigger::every(ms(100)));
        let _ = windows.count().map(|count| count.value).sink("out", out);
    });
    feed.push(0, [1, 2]);
    job.settle();
    job.rescale(3);
    job.advance(ms(100));
    assert_eq!(values(&out), [2]);
    feed.push(0, [3]);
    job.rescale(1);
    job.advance(ms(100));
    assert_eq!(values(&out), [3]);
}

/// A trigger as users wrote it before triggers had contexts.
#[derive(Clone)]
struct PurgingCount(u64);

impl<T> Trigger<T> for PurgingCount {
    type State = u64;
    fn on_element(&self, _: &T, _: Timestamp, _: &Window, n: &mut u64) -> TriggerResult {
        *n += 1;
        if *n < self.0 {
            return TriggerResult::Continue;
        }
        *n = 0;
        TriggerResult::FireAndPurge
    }
    fn on_end(&self, _: &Window, _: &mut u64) -> TriggerResult {
        TriggerResult::Fire
    }
}

#[test]
fn a_purged_window_has_no_result() {
    let (feed, out, mut job) = start(1, |records, out: Collect<i64>| {
        let windows = records.window(TumblingWindows::of(ms(100))).trigger(PurgingCount(2));
        let _ = windows.reduce(|a, b| a + b).map(|sum| sum.value).sink("out", out);
    });
    feed.push(0, [1, 2, 3]);
    job.rescale(1);
    feed.push(0, [4, 100, 201]);
    job.settle();
    assert_eq!(values(&out), [3, 7, 100]);
    assert!(job.metrics().iter().all(|metrics| metrics.state_bytes < 2_000_000));
}

/// Refuses negative numbers, and results above 100.
#[derive(Clone)]
struct Sum;

impl TryAggregate for Sum {
    type In = i64;
    type Acc = i64;
    type Out = i64;

    fn create(&self) -> i64 {
        0
    }
    fn try_add(&self, sum: &mut i64, value: i64) -> Result<(), UserError> {
        *sum += u32::try_from(value).map(i64::from)?;
        Ok(())
    }
    fn try_result(&self, sum: &i64) -> Result<i64, UserError> {
        if *sum > 100 { Err("above 100".into()) } else { Ok(*sum) }
    }
}

#[test]
fn records_and_results_that_fail_are_skipped() {
    let (feed, out, mut job) = start(1, |records, out: Collect<i64>| {
        let windows = records.window(TumblingWindows::of(ms(50)));
        let sums = windows.aggregate(Sum).on_error(OnError::Skip);
        let _ = sums.map(|sum| sum.value).sink("out", out);
    });
    feed.push(0, [-30, 1, 2, 60, 61, 120]);
    job.settle();
    assert_eq!(values(&out), [3]);
    let skipped: u64 = job.metrics().iter().map(|metrics| metrics.skipped_records).sum();
    assert_eq!(skipped, 2, "a record and a result");
}

#[test]
fn rolling_aggregates_skip_what_fails() {
    let (feed, out, mut job) = start(1, |records, out: Collect<i64>| {
        let _ = records.aggregate(Sum).on_error(OnError::Skip).sink("out", out);
    });
    feed.push(0, [-1, 3, 5, -2, 7]);
    job.settle();
    assert_eq!(values(&out), [3, 8, 15]);
}

#[test]
fn an_error_names_the_operator() {
    let (feed, _out, mut job) = start(1, |records, out: Collect<i64>| {
        let windows = records.window(TumblingWindows::of(ms(50)));
        let sums = windows.aggregate(Sum).name("Sums").uid("sums");
        let _ = sums.map(|sum| sum.value).sink("out", out);
    });
    feed.push(0, [-1]);
    job.settle();
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!(failure.operator, "Sums (uid sums)");
}

const BIG: OutputTag<i64> = OutputTag::new("big");

/// Emits each record with the number of the window's firing, and those above 1,000 to a side output.
#[derive(Clone, Default)]
struct Numbered(Option<RuntimeContext>);

impl WindowFunction for Numbered {
    type Key = u8;
    type In = Elements<i64>;
    type Out = (u32, i64);
    type State = u32;
    type KeyState = ();

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        assert!(self.0.replace(context.clone()).is_none(), "opened twice");
        Ok(())
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.take().map(drop).ok_or_else(|| "it is not open".into())
    }

    fn process(
        &mut self,
        context: &mut impl WindowContext<Self>,
        records: &Elements<i64>,
    ) -> Result<(), UserError> {
        assert_eq!(self.0.as_ref(), Some(context.runtime()));
        *context.state_mut() += 1;
        let firing = *context.state_mut();
        for (_, record) in records.iter() {
            if *record > 1_000 {
                context.emit_to(&BIG, *record);
            } else {
                context.emit((firing, *record));
            }
        }
        Ok(())
    }
}

#[test]
fn a_window_function_has_state_and_side_outputs() {
    let (feed, out, mut job) = start(1, |records, out: Collect<(u32, i64)>| {
        let windows = records.window(TumblingWindows::of(ms(10_000))).allowed_lateness(ms(100));
        let (numbered, big) = windows.process(Numbered::default()).side_output(&BIG);
        let _ = numbered.union(big.map(|record| (0, record))).sink("out", out);
    });
    feed.push(0, [1, 2_000, 10_001]);
    job.settle();
    assert_eq!(values(&out), [(1, 1), (0, 2_000)]);
    job.rescale(1);
    feed.push(0, [3]);
    job.settle();
    let mut late = values(&out);
    late.sort();
    assert_eq!(late, [(0, 2_000), (2, 1), (2, 3)]);
    feed.push(0, [20_000]);
    job.settle();
    assert_eq!(values(&out), [(0, 10_001)], "another window");
    assert!(job.failures().is_empty());
}
