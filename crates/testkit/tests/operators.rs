//! Every stateful operator, rescaled and killed with open windows and pending timers.

use reflow_api::window::{
    CountEvictor, CountTrigger, DeltaTrigger, GlobalWindows, SlidingWindows, TimeEvictor, TumblingWindows,
    Windowed,
};
use reflow_api::{Aggregate, Context, ProcessFunction, TimeDomain, UserError, Watermarks};
use reflow_testkit::check_rescales;
use reflow_types::Timestamp;
use std::time::Duration;

/// A record: its key, its time, its value.
type Reading = (u64, Timestamp, i64);

const SPLITS: u64 = 5;

/// Five splits with keys of their own, so that the order between splits does not matter; each in order of time.
fn readings() -> Vec<Vec<Reading>> {
    let of_split = |split: u64| {
        let reading = move |n: u64| {
            let key = split + SPLITS * (n * n % 7);
            (key, (n * 10 + split) as Timestamp, ((n * 31 + split * 17) % 100) as i64 - 50)
        };
        (0..80).map(reading).collect()
    };
    (0..SPLITS).map(of_split).collect()
}

/// The same, but all splits share their keys.
fn shared_readings() -> Vec<Vec<Reading>> {
    let shared =
        |split: Vec<Reading>| split.into_iter().map(|(key, time, value)| (key % 4, time, value)).collect();
    readings().into_iter().map(shared).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn key(reading: &Reading) -> u64 {
    reading.0
}

fn time(reading: &Reading) -> Timestamp {
    reading.1
}

fn flat<K>(windowed: Windowed<K, i64>) -> (K, Timestamp, i64) {
    (windowed.key, windowed.window.end, windowed.value)
}

#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = Reading;
    type Acc = i64;
    type Out = i64;
    fn create(&self) -> i64 {
        0
    }
    fn add(&self, acc: &mut i64, value: Reading) {
        *acc += value.2;
    }
    fn result(&self, acc: &i64) -> i64 {
        *acc
    }
}

/// The sums per key and window, computed without the engine.
fn sums(readings: Vec<Vec<Reading>>, size: Timestamp, slide: Timestamp) -> Vec<(u64, Timestamp, i64)> {
    let mut sums = std::collections::BTreeMap::new();
    for (key, time, value) in readings.into_iter().flatten() {
        let mut start = time.div_euclid(slide) * slide;
        while start > time - size {
            *sums.entry((key, start + size)).or_insert(0) += value;
            start -= slide;
        }
    }
    sums.into_iter().map(|((key, end), sum)| (key, end, sum)).collect()
}

#[test]
fn rolling_reduce() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .key_by(key)
            .reduce(|a: Reading, b: Reading| (a.0, b.1, a.2 + b.2))
            .sink("out", out);
    });
    assert_eq!(out.len(), 400);
}

#[test]
fn rolling_aggregate() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .key_by(|r: &Reading| format!("key {}", r.0))
            .aggregate(Sum)
            .sink("out", out);
    });
    assert_eq!(out.len(), 400);
}

#[test]
fn tumbling_windows() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .window(TumblingWindows::of(ms(100)))
            .aggregate(Sum)
            .map(flat)
            .sink("out", out);
    });
    assert_eq!(out, sums(shared_readings(), 100, 100));
}

#[test]
fn sliding_windows() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .window(SlidingWindows::of(ms(150), ms(50)))
            .aggregate(Sum)
            .map(flat)
            .sink("out", out);
    });
    assert_eq!(out, sums(shared_readings(), 150, 50));
}

#[test]
fn windows_behind_an_exchange_with_times_assigned_there() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .rebalance()
            .assign_event_time(time, Watermarks::bounded_out_of_orderness(ms(10_000)))
            .key_by(key)
            .window(TumblingWindows::of(ms(100)))
            .aggregate(Sum)
            .map(flat)
            .sink("out", out);
    });
    assert_eq!(out, sums(shared_readings(), 100, 100));
}

#[test]
fn global_windows_by_count() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .window(GlobalWindows)
            .trigger(CountTrigger::every(3))
            .evict(CountEvictor::keep_last(5))
            .max_by(|r| r.2)
            .sink("out", out);
    });
    assert!(out.len() > 100);
}

#[test]
fn global_windows_by_delta() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .window(GlobalWindows)
            .evict(TimeEvictor::keep_last(ms(100)))
            .trigger(DeltaTrigger::every(50.0, |r: &Reading| r.1 as f64))
            .max_by(|r| r.2)
            .sink("out", out);
    });
    assert!(out.len() > 100);
}

/// Emits a record 55 and 56 ms of event time after a record; deletes the first timer of a record that is divisible by 5; forgets
/// everything at every 9th record.
#[derive(Clone)]
struct Delayed;

impl ProcessFunction for Delayed {
    type Key = u64;
    type In = Reading;
    type Out = (u64, Timestamp, i64);
    type State = i64;

    fn process(
        &mut self,
        context: &mut impl Context<u64, i64, Self::Out>,
        (_, time, value): Reading,
    ) -> Result<(), UserError> {
        assert_eq!(context.timestamp(), time);
        *context.state_mut() += 1;
        context.register_timer(TimeDomain::Event, time + 55);
        context.register_timer(TimeDomain::Event, time + 56);
        if value % 5 == 0 {
            context.delete_timer(TimeDomain::Event, time + 55);
        }
        if context.state() == Some(&9) {
            context.clear_state();
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, i64, Self::Out>,
        time: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        // How far the count is depends on when the watermark comes, that there is one does not.
        let known = context.state().is_some() || time > 0;
        context.emit((*context.key(), time, known.into()));
        Ok(())
    }
}

#[test]
fn event_time_timers() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .process(Delayed)
            .sink("out", out);
    });
    let kept = readings().into_iter().flatten().filter(|(_, _, value)| value % 5 != 0).count();
    assert_eq!(out.len(), 400 + kept);
}

#[test]
fn two_keyed_vertices_with_max_parallelisms_of_their_own() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .assign_event_time(time, Watermarks::monotonic())
            .key_by(key)
            .window(TumblingWindows::of(ms(50)))
            .aggregate(Sum)
            .map(|w| (0, w.window.max_timestamp(), w.value))
            .max_parallelism(7)
            .key_by(key)
            .window(TumblingWindows::of(ms(200)))
            .aggregate(Sum)
            .max_parallelism(32_768)
            .map(flat)
            .sink("out", out);
    });
    let all = shared_readings().into_iter().flatten().map(|(_, time, value)| (0, time, value)).collect();
    assert_eq!(out, sums(vec![all], 200, 200));
}

#[test]
fn a_single_subtask_between_many() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .map(|r| r)
            .start_new_chain()
            .filter(|r: &Reading| r.2 != 7)
            .parallelism(1)
            .assign_event_time(time, Watermarks::bounded_out_of_orderness(ms(10_000)))
            .key_by(key)
            .window(TumblingWindows::of(ms(100)))
            .aggregate(Sum)
            .map(flat)
            .sink("out", out);
    });
    let kept = shared_readings().into_iter().map(|s| s.into_iter().filter(|r| r.2 != 7).collect()).collect();
    assert_eq!(out, sums(kept, 100, 100));
}

#[test]
fn union_of_shared_streams() {
    let out = check_rescales(shared_readings(), |env, feed, out| {
        let shared = env.source("in", feed).assign_event_time(time, Watermarks::monotonic()).share();
        let low = shared.stream().filter(|r: &Reading| r.2 < 0);
        let high = shared.stream().filter(|r: &Reading| r.2 >= 0);
        let _ = low
            .union(high)
            .key_by(key)
            .window(TumblingWindows::of(ms(100)))
            .aggregate(Sum)
            .map(flat)
            .sink("out", out);
    });
    assert_eq!(out, sums(shared_readings(), 100, 100));
}

#[test]
fn flat_map_over_full_batches() {
    let out = check_rescales(readings(), |env, feed, out| {
        let _ = env
            .source("in", feed)
            .flat_map(|r: Reading| (0..100).map(move |n| (r.0 * 1000 + n, r.1, r.2)))
            .rebalance()
            .filter(|r: &Reading| r.0.is_multiple_of(50))
            .sink("out", out);
    });
    let expected =
        readings().into_iter().flatten().map(|r| (0..100).filter(|n| (r.0 * 1000 + n) % 50 == 0).count());
    assert_eq!(out.len(), expected.sum::<usize>());
}

/// A broadcast gives each record to every subtask: as many copies as there are.
#[test]
fn broadcast() {
    use reflow_testkit::{Collect, Feed, Harness};
    for parallelism in 1..=3 {
        let (feed, out) = (Feed::new(2), Collect::new("out"));
        let (source, sink) = (feed.clone(), out.clone());
        let mut job = Harness::new(move |env| {
            let _ = env.source("in", source.clone()).broadcast().map(|n: u32| n).sink("out", sink.clone());
        })
        .on_executors(2);
        job.start(parallelism);
        feed.push(0, [1, 2]);
        feed.push(1, [3]);
        feed.end();
        assert!(job.finish());
        let copies = |n| std::iter::repeat_n(n, parallelism as usize);
        assert_eq!(out.committed(&job), [1, 2, 3].into_iter().flat_map(copies).collect::<Vec<u32>>());
    }
}
