//! Watermarks, idleness, late records, processing time.

use reflow_api::window::{SlidingWindows, TumblingWindows};
use reflow_api::{Context, ProcessFunction, TimeDomain, UserError, Watermarks};
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Timestamp;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Counts = Collect<(Timestamp, u64)>;

/// Counts records, which are their times, in windows of 10 ms.
fn count_times(watermarks: Watermarks) -> impl Fn(&mut StreamEnv, Feed<i64>, Counts) + 'static {
    move |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, watermarks)
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    }
}

fn start<T: Clone + Send + 'static, O: 'static>(
    splits: usize,
    parallelism: u32,
    job: impl Fn(&mut StreamEnv, Feed<T>, Collect<O>) + 'static,
) -> (Feed<T>, Collect<O>, Harness<'static>) {
    let (feed, out) = (Feed::new(splits), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone())).on_executors(2);
    harness.start(parallelism);
    (feed, out, harness)
}

fn values<O>(out: &Collect<O>) -> Vec<O> {
    out.written().into_iter().map(|(value, _)| value).collect()
}

#[test]
fn the_slowest_split_holds_the_watermark_back() {
    for parallelism in 1..=3 {
        let (feed, out, mut job) = start(2, parallelism, count_times(Watermarks::monotonic()));
        feed.push(0, [1, 5, 12]);
        job.settle();
        assert_eq!(values(&out), []);
        feed.push(1, [3]);
        job.settle();
        assert_eq!(values(&out), []);
        feed.push(1, [11]);
        job.settle();
        assert_eq!(values(&out), [(10, 3)]);
        feed.end();
        job.settle();
        assert_eq!(values(&out), [(20, 2)]);
    }
}

/// One that ended would make every later rescale a restart.
#[test]
fn a_reader_without_splits_waits_for_the_others_and_holds_no_watermark_back() {
    let (feed, out, mut job) = start(2, 4, count_times(Watermarks::monotonic()));
    feed.push(0, [1, 12]);
    feed.push(1, [2, 13]);
    job.settle();
    assert_eq!(job.ended_subtasks(), 0);
    assert_eq!(values(&out), [(10, 2)], "without idleness, too");
    assert!(job.checkpoint());
    job.fail_over(3);
    feed.push(0, [21]);
    feed.push(1, [22]);
    job.settle();
    assert_eq!((job.ended_subtasks(), values(&out)), (0, vec![(20, 2)]));
    feed.end();
    job.settle();
    assert!(job.is_ended());
    assert_eq!(values(&out).last(), Some(&(30, 2)));
}

#[test]
fn an_idle_split_holds_nobody_back() {
    for parallelism in 1..=3 {
        let watermarks = Watermarks::monotonic().with_idleness(Duration::from_secs(1));
        let (feed, out, mut job) = start(2, parallelism, count_times(watermarks));
        feed.push(0, [1, 12]);
        feed.push(1, [2]);
        job.settle();
        assert_eq!(values(&out), []);
        job.advance(ms(600));
        feed.push(0, [13]);
        job.advance(ms(600));
        assert_eq!(values(&out), [(10, 2)], "at parallelism {parallelism}");
        feed.push(1, [15]);
        job.settle();
        feed.push(0, [25]);
        job.settle();
        assert_eq!(values(&out), []);
        feed.push(1, [21]);
        job.settle();
        assert_eq!(values(&out), [(20, 3)], "at parallelism {parallelism}");
    }
}

#[test]
fn a_reader_that_does_not_know_its_splits_yet_holds_event_time_back() {
    let watermarks = Watermarks::monotonic().with_idleness(Duration::from_secs(1));
    let (feed, out) = (Feed::new(2), Collect::new("out"));
    let (source, sink, job) = (feed.clone(), out.clone(), count_times(watermarks));
    let mut job =
        Harness::new(move |env| job(env, source.clone(), sink.clone())).on_executors(2).with_late_reader(1);
    job.start(2);
    feed.push(0, [1, 25]);
    feed.push(1, [2]);
    for _ in 0..5 {
        // The other reader is not idle meanwhile.
        feed.push(0, [26]);
        job.advance(ms(900));
    }
    assert_eq!(values(&out), [], "the record of the other split is not late yet");
    assert!(job.checkpoint());
    job.assign_late_splits();
    feed.push(0, [27]);
    job.settle();
    assert_eq!(values(&out), [], "its split counts from the moment that the reader has it");
    feed.push(0, [28]);
    job.advance(ms(900));
    feed.push(0, [29]);
    job.advance(ms(900));
    assert_eq!(values(&out), [(10, 2)], "only then may it be idle");
}

#[test]
fn out_of_order_records_are_awaited() {
    let watermarks = Watermarks::bounded_out_of_orderness(ms(5));
    let (feed, out, mut job) = start(1, 2, count_times(watermarks));
    feed.push(0, [1, 14, 9]);
    job.settle();
    assert_eq!(values(&out), []);
    feed.push(0, [15]);
    job.settle();
    assert_eq!(values(&out), [(10, 2)]);
}

#[test]
fn times_assigned_behind_an_exchange_wait_for_every_subtask() {
    let job = |env: &mut StreamEnv, feed: Feed<i64>, out: Counts| {
        let _ = env
            .source("in", feed)
            .rebalance()
            .assign_event_time(|time: &i64| *time, Watermarks::monotonic())
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    };
    let (feed, out, mut job) = start(1, 2, job);
    feed.push(0, [20]);
    job.settle();
    feed.push(0, [5]);
    job.settle();
    feed.end();
    job.settle();
    assert_eq!(values(&out), [(10, 1), (30, 1)]);
}

/// Behind an exchange every subtask has reached a different event time. After a restore none may be ahead of the
/// slowest.
#[test]
fn times_assigned_behind_an_exchange_survive_a_rescale() {
    let job = |env: &mut StreamEnv, feed: Feed<i64>, out: Counts| {
        let _ = env
            .source("in", feed)
            .rebalance()
            .assign_event_time(|time: &i64| *time, Watermarks::monotonic())
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    };
    let (feed, out, mut job) = start(1, 2, job);
    feed.push(0, [1, 50]);
    job.rescale(2);
    feed.push(0, [51, 6]);
    feed.push(0, [7, 52]);
    feed.end();
    job.settle();
    assert_eq!(values(&out).into_iter().map(|(_, count)| count).sum::<u64>(), 6, "{:?}", job.metrics());
}

#[test]
fn late_records_are_dropped_and_counted_once() {
    let (feed, out, mut job) = start(1, 1, |env: &mut StreamEnv, feed: Feed<i64>, out: Counts| {
        let _ = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, Watermarks::monotonic())
            .key_by(|_: &i64| 0u8)
            .window(SlidingWindows::of(ms(20), ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    });
    feed.push(0, [5, 15]);
    job.settle();
    assert_eq!(values(&out), [(10, 1)]);
    feed.push(0, [5, 25]);
    job.settle();
    assert_eq!(values(&out), [(20, 3)]);
    feed.push(0, [6]);
    job.settle();
    let late: u64 = job.metrics().iter().map(|metrics| metrics.late_records).sum();
    assert_eq!(late, 1, "5 still had an open window, 6 has none");
}

/// Emits a key 100 ms of processing time after each of its records.
#[derive(Clone)]
struct Later;

impl ProcessFunction for Later {
    type Key = u64;
    type In = u64;
    type Out = (u64, Timestamp);
    type State = ();

    fn process(&mut self, context: &mut impl Context<u64, (), Self::Out>, _: u64) -> Result<(), UserError> {
        let now = context.processing_time();
        context.register_timer(TimeDomain::Processing, now + 100);
        context.register_timer(TimeDomain::Processing, i64::MAX);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, (), Self::Out>,
        time: Timestamp,
        domain: TimeDomain,
    ) -> Result<(), UserError> {
        assert_eq!(domain, TimeDomain::Processing);
        context.emit((*context.key(), time));
        Ok(())
    }
}

fn later(env: &mut StreamEnv, feed: Feed<u64>, out: Collect<(u64, Timestamp)>) {
    let _ =
        env.source("in", feed).key_by(|n: &u64| *n).process(Later).rebalance().map(|r| r).sink("out", out);
}

#[test]
fn processing_time_timers_fire_and_their_output_leaves_at_once() {
    let (feed, out, mut job) = start(1, 2, later);
    feed.push(0, 1..=5);
    job.settle();
    assert_eq!(values(&out), []);
    job.advance(ms(99));
    assert_eq!(values(&out), []);
    job.advance(ms(1));
    let mut fired = values(&out);
    fired.sort();
    assert_eq!(fired, (1..=5).map(|n| (n, 1_000_000_100)).collect::<Vec<_>>());
}

#[test]
fn processing_time_timers_move_with_their_keys() {
    for (from, to) in [(1, 2), (2, 1), (2, 3), (3, 3)] {
        let (feed, out, mut job) = start(1, from, later);
        feed.push(0, 0..50);
        job.advance(ms(50));
        job.rescale(to);
        feed.push(0, 50..60);
        job.advance(ms(49));
        assert_eq!(values(&out), []);
        job.advance(ms(1));
        let mut fired: Vec<u64> = values(&out).into_iter().map(|(key, _)| key).collect();
        fired.sort();
        assert_eq!(fired, (0..50).collect::<Vec<_>>(), "from {from} to {to}");
        job.advance(ms(50));
        assert_eq!(values(&out).len(), 10);
    }
}

#[test]
fn processing_time_timers_do_not_outlive_the_input() {
    let (feed, out, mut job) = start(1, 2, later);
    feed.push(0, 1..=5);
    feed.end();
    job.settle();
    job.advance(ms(1_000));
    assert_eq!(values(&out), []);
    assert!(job.finish(), "{}", job.state());
}

/// As [`count_times`], with an operator before the windows that takes `slow` for each record.
fn count_slowly(
    watermarks: Watermarks,
    slow: Duration,
    clock: &std::sync::Arc<std::sync::OnceLock<reflow_testkit::ManualClock>>,
) -> impl Fn(&mut StreamEnv, Feed<i64>, Counts) + 'static {
    let clock = clock.clone();
    move |env, feed, out| {
        let clock = clock.clone();
        let _ = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, watermarks)
            .map(move |time: i64| {
                let clock = clock.get().expect("the test sets it before the first record");
                clock.advance(slow);
                time
            })
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    }
}

#[test]
fn a_split_that_waits_for_a_slow_operator_is_not_idle() {
    let watermarks = Watermarks::monotonic().with_idleness(ms(100));
    for slow in [4, 150] {
        let clock = std::sync::Arc::default();
        let (feed, out, mut job) = start(3, 1, count_slowly(watermarks, ms(slow), &clock));
        assert!(clock.set(job.clock().clone()).is_ok());
        for split in 0..3 {
            feed.push(split, (0..300).map(|n| (2 - split as i64) * 1_000 + n));
        }
        feed.end();
        assert!(job.finish(), "{}", job.state());
        let counted: u64 = values(&out).into_iter().map(|(_, count)| count).sum();
        assert_eq!(counted, 900, "with {slow} ms a record");
    }
}

#[test]
fn a_split_without_records_is_idle_while_others_are_busy() {
    let watermarks = Watermarks::monotonic().with_idleness(ms(100));
    let clock = std::sync::Arc::default();
    let (feed, out, mut job) = start(2, 1, count_slowly(watermarks, ms(1), &clock));
    assert!(clock.set(job.clock().clone()).is_ok());
    feed.push(0, [0]);
    feed.push(1, 0..1_000);
    job.settle();
    let last = values(&out).last().map(|(end, _)| *end);
    assert!(last > Some(500), "the other split had nothing for a second: {last:?}");
}

#[test]
fn a_subtask_behind_an_exchange_that_gets_nothing_becomes_idle() {
    let (feed, out, mut job) = start(1, 2, |env, feed: Feed<i64>, out: Counts| {
        let watermarks = Watermarks::monotonic().with_idleness(ms(100));
        let _ = env
            .source("in", feed)
            .key_by(|_: &i64| 0u8)
            .reduce(|_, last| last)
            .assign_event_time(|time: &i64| *time, watermarks)
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    });
    job.advance(ms(60));
    feed.push(0, [1, 12]);
    job.advance(ms(39));
    assert_eq!(values(&out), [], "the other subtask may still get an earlier record");
    job.advance(ms(1));
    assert_eq!(values(&out), [(10, 1)], "woken by the timeout alone");
}

/// Counts records in windows of 10 ms, of which those that are divisible by ten carry a watermark.
fn count_punctuated(watermarks: Watermarks) -> impl Fn(&mut StreamEnv, Feed<i64>, Counts) + 'static {
    move |env, feed, out| {
        let watermark = |time: &i64, _| (time % 10 == 0).then_some(*time);
        let _ = env
            .source("in", feed)
            .assign_punctuated_event_time(|time: &i64| *time, watermark, watermarks)
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    }
}

#[test]
fn only_records_that_carry_a_watermark_raise_it() {
    let (feed, out, mut job) = start(1, 1, count_punctuated(Watermarks::monotonic()));
    feed.push(0, [1, 25, 35, 3]);
    job.settle();
    assert_eq!(values(&out), [], "no watermark has come");
    feed.push(0, [10]);
    job.settle();
    assert_eq!(values(&out), [(10, 2)]);
    feed.push(0, [2, 11]);
    feed.end();
    job.settle();
    assert_eq!(values(&out), [(20, 2), (30, 1), (40, 1)], "2 is late");
}

#[test]
fn a_split_whose_records_carry_no_watermark_is_not_idle() {
    let watermarks = Watermarks::monotonic().with_idleness(ms(100));
    let (feed, out, mut job) = start(2, 1, count_punctuated(watermarks));
    for _ in 0..10 {
        feed.push(0, [5]);
        feed.push(1, [10, 20]);
        job.settle();
        job.advance(ms(60));
    }
    assert_eq!(values(&out), [], "split 0 holds the watermark back");
    for _ in 0..10 {
        feed.push(1, [30]);
        job.settle();
        job.advance(ms(60));
    }
    assert_eq!(values(&out), [(10, 10), (20, 10), (30, 10)], "it is idle now");
}

#[test]
fn timestamps_that_records_have_are_kept() {
    let job = |env: &mut StreamEnv, feed: Feed<i64>, out: Counts| {
        let _ = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, Watermarks::monotonic())
            .map(|time| -time)
            .assign_watermarks(Watermarks::bounded_out_of_orderness(ms(5)))
            .key_by(|_: &i64| 0u8)
            .window(TumblingWindows::of(ms(10)))
            .count()
            .map(|counted| (counted.window.end, counted.value))
            .sink("out", out);
    };
    let (feed, out, mut job) = start(1, 1, job);
    feed.push(0, [11, 8, 16, 15]);
    job.settle();
    assert_eq!(values(&out), [(10, 1)]);
    feed.end();
    job.settle();
    assert_eq!(values(&out), [(20, 3)]);
}

fn aligned(watermarks: Watermarks) -> Watermarks {
    watermarks.with_alignment("times", ms(100))
}

/// Passes on records, which are their times. Readers may be 100 ms ahead of others.
fn pass_on_aligned(watermarks: Watermarks) -> impl Fn(&mut StreamEnv, Feed<i64>, Collect<i64>) + 'static {
    move |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, aligned(watermarks))
            .sink("out", out);
    }
}

fn highest(out: &Collect<i64>) -> Option<i64> {
    values(out).into_iter().max()
}

#[test]
fn a_split_that_is_ahead_waits_for_others() {
    for parallelism in 1..=3 {
        let (feed, out, mut job) = start(2, parallelism, pass_on_aligned(Watermarks::monotonic()));
        feed.push(0, (0..1_000).step_by(10));
        job.advance(ms(500));
        assert_eq!(highest(&out), Some(0), "nothing is known of the other");
        feed.push(1, [5]);
        job.advance(ms(500));
        assert_eq!(highest(&out), Some(110), "watermarks of 109 and 4");
        let drift = job.metrics().iter().filter_map(|metrics| metrics.alignment_drift_ms).max();
        assert_eq!(drift, Some(if parallelism == 1 { 0 } else { 105 }));
        assert!(job.checkpoint());
        job.fail_over(4 - parallelism);
        job.advance(ms(500));
        assert!(highest(&out) <= Some(220), "not further ahead of where it was before it knows of the other");
        feed.push(1, [300]);
        job.advance(ms(500));
        assert_eq!(highest(&out), Some(410));
        feed.end();
        job.advance(ms(1_000));
        assert!(job.finish(), "{}", job.state());
        assert_eq!(out.committed(&job).len(), 102, "what has ended holds nobody back");
    }
}

#[test]
fn an_idle_split_does_not_hold_back_those_that_are_ahead() {
    for parallelism in 1..=2 {
        let watermarks = Watermarks::monotonic().with_idleness(ms(1_000));
        let (feed, out, mut job) = start(2, parallelism, pass_on_aligned(watermarks));
        feed.push(0, (0..1_000).step_by(10));
        feed.push(1, [5]);
        job.advance(ms(900));
        assert_eq!(highest(&out), Some(110));
        job.advance(ms(2_000));
        assert_eq!(highest(&out), Some(990), "at parallelism {parallelism}");
        // The split that has waited is not idle itself.
        feed.push(1, [995]);
        job.advance(ms(300));
        feed.push(0, [1_000, 1_200, 2_000]);
        job.advance(ms(600));
        assert_eq!(highest(&out), Some(1_200), "at parallelism {parallelism}");
    }
}

#[test]
fn sources_of_a_group_wait_for_each_other() {
    let (fast, slow, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
    let (sources, sink) = ([fast.clone(), slow.clone()], out.clone());
    let mut job = Harness::new(move |env| {
        let [fast, slow] = sources.clone();
        let watermarks = aligned(Watermarks::monotonic());
        let fast = env.source("fast", fast).assign_event_time(|time: &i64| *time, watermarks);
        let slow = env.source("slow", slow).map(|time: i64| time).boxed();
        fast.union(slow.assign_event_time(|time: &i64| *time, watermarks)).sink("out", sink.clone());
    });
    job.start(1);
    fast.push(0, (0..1_000).step_by(10));
    slow.push(0, [0, 50]);
    job.advance(ms(500));
    assert_eq!(highest(&out), Some(160));
    slow.end();
    fast.end();
    job.advance(ms(1_000));
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job).len(), 102);
}

#[test]
#[should_panic(expected = "cannot be aligned with the group 'times' behind an exchange")]
fn event_time_is_aligned_behind_a_source_only() {
    let _ = StreamEnv::build("test", |env| {
        let times = env.source("in", Feed::new(1)).rebalance();
        times
            .assign_event_time(|time: &i64| *time, aligned(Watermarks::monotonic()))
            .sink("out", Collect::new("out"));
        Ok(())
    });
}
