//! Records that functions emit with other timestamps than those of their input.

use reflow_api::window::{Elements, TumblingWindows, WindowContext, WindowFunction};
use reflow_api::{
    Context, OnError, ProcessFunction, TimeDomain, UnkeyedContext, UnkeyedProcessFunction, UserError,
    Watermarks,
};
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Timestamp;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

type Counts = Collect<(Timestamp, u64)>;

fn start<T: Clone + Send + 'static, O: 'static>(
    job: impl Fn(&mut StreamEnv, Feed<T>, Collect<O>) + 'static,
) -> (Feed<T>, Collect<O>, Harness<'static>) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone())).on_executors(2);
    harness.start(1);
    (feed, out, harness)
}

/// Emits each record, which is its time, 10 ms later, and the first one of a timer 5 ms after the timer before.
#[derive(Clone)]
struct EmitLater;

impl ProcessFunction for EmitLater {
    type Key = u8;
    type In = i64;
    type Out = i64;
    type State = ();

    fn process(&mut self, context: &mut impl Context<u8, (), i64>, time: i64) -> Result<(), UserError> {
        context.register_timer(TimeDomain::Event, time + 20);
        Ok(context.emit_at(time + 10, time)?)
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u8, (), i64>,
        time: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        assert!(context.output_watermark() < time && time <= context.watermark());
        Ok(context.emit_at(time - 5, -time)?)
    }
}

#[test]
fn functions_emit_with_other_timestamps() {
    let (feed, out, mut job) = start(|env, feed, out: Collect<i64>| {
        let times = env.source("in", feed).assign_event_time(|time: &i64| *time, Watermarks::monotonic());
        let _ = times.key_by(|_: &i64| 0u8).process(EmitLater).sink("out", out);
    });
    feed.push(0, [0]);
    job.settle();
    // The timer at 20 fires when the watermark, which was -1, becomes 29: 15 is not late for anybody.
    feed.push(0, [30]);
    job.settle();
    assert_eq!(out.written(), [(0, 10), (30, 40), (-20, 15)]);
    job.rescale(2);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.written(), [(-50, 45)]);
}

/// Emits each record at the time that it is.
#[derive(Clone)]
struct EmitAt {
    late: Late,
}

#[derive(Clone, Copy)]
enum Late {
    Refused,
    Emitted,
}

impl UnkeyedProcessFunction for EmitAt {
    type In = (i64, i64);
    type Out = i64;

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<i64>,
        (_, time): (i64, i64),
    ) -> Result<(), UserError> {
        match self.late {
            Late::Refused => context.emit_at(time, time)?,
            Late::Emitted => context.emit_late_at(time, time),
        }
        Ok(())
    }
}

fn emit_at(late: Late, on_error: OnError) -> impl Fn(&mut StreamEnv, Feed<(i64, i64)>, Counts) + 'static {
    move |env, feed, out| {
        let records =
            env.source("in", feed).assign_event_time(|it: &(i64, i64)| it.0, Watermarks::monotonic());
        let emitted = records.process(EmitAt { late }).on_error(on_error).uid("emit");
        let windows = emitted.key_by(|_: &i64| 0u8).window(TumblingWindows::of(ms(10))).count();
        let _ = windows.map(|counted| (counted.window.end, counted.value)).sink("out", out);
    }
}

/// Each record is followed by its watermark.
fn one_by_one<T>(feed: &Feed<T>, job: &mut Harness, records: impl IntoIterator<Item = T>) {
    for record in records {
        feed.push(0, [record]);
        job.settle();
    }
}

#[test]
fn a_record_that_would_be_late_is_refused_unless_late_records_are_accepted() {
    let records = [(5, 25), (20, 22), (30, 19), (31, 30)];
    let (feed, _, mut job) = start(emit_at(Late::Refused, OnError::Fail));
    one_by_one(&feed, &mut job, records);
    let failure = format!("{:?}", job.failures());
    assert!(failure.contains("timestamp 19 would be late") && failure.contains("watermark 19"), "{failure}");

    for late in [Late::Refused, Late::Emitted] {
        let (feed, out, mut job) = start(emit_at(late, OnError::Skip));
        one_by_one(&feed, &mut job, records);
        let metrics = job.metrics();
        feed.end();
        assert!(job.finish(), "{}", job.state());
        let counts: Vec<_> = out.written().into_iter().map(|(count, _)| count).collect();
        assert_eq!(counts, [(30, 2), (40, 1)]);
        let skipped: u64 = metrics.iter().map(|it| it.skipped_records).sum();
        let dropped: u64 = metrics.iter().map(|it| it.late_records).sum();
        match late {
            Late::Refused => assert_eq!([skipped, dropped], [1, 0]),
            Late::Emitted => assert_eq!([skipped, dropped], [0, 1]),
        }
    }
}

/// Emits the number of a window's records at its start.
#[derive(Clone)]
struct CountAtStart;

impl WindowFunction for CountAtStart {
    type Key = u8;
    type In = Elements<i64>;
    type Out = u64;
    type State = ();
    type KeyState = ();

    fn process(
        &mut self,
        context: &mut impl WindowContext<Self>,
        times: &Elements<i64>,
    ) -> Result<(), UserError> {
        let (start, count) = (context.window().start, times.len() as u64);
        if let Err(late) = context.emit_at(start, count) {
            assert_eq!((late.time, late.watermark), (start, context.output_watermark()));
            context.emit_late_at(start, count + 100);
        }
        Ok(())
    }
}

#[test]
fn window_functions_emit_with_other_timestamps() {
    let (feed, out, mut job) = start(|env, feed, out: Collect<u64>| {
        let times = env
            .source("in", feed)
            .assign_event_time(|time: &i64| *time, Watermarks::bounded_out_of_orderness(ms(10)));
        let windows = times.key_by(|_: &i64| 0u8).window(TumblingWindows::of(ms(10)));
        let _ = windows.process(CountAtStart).sink("out", out);
    });
    one_by_one(&feed, &mut job, [1, 2, 25, 45, 46, 51]);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    // The watermark 40 has been passed on when the window of 45 and 46 fires.
    assert_eq!(out.written(), [(2, 0), (1, 20), (102, 40), (1, 50)]);
}

/// The checkpoint has the watermark of the first times. It must not make records late by the second ones.
#[test]
fn no_record_is_late_by_times_that_were_replaced() {
    let (feed, out, mut job) = start(|env, feed, out: Collect<i64>| {
        let first = env.source("in", feed).assign_event_time(|it: &(i64, i64)| it.0, Watermarks::monotonic());
        let second = first.rebalance().assign_event_time(|it: &(i64, i64)| it.1, Watermarks::monotonic());
        let _ = second.process(EmitAt { late: Late::Refused }).uid("emit").sink("out", out);
    });
    job.rescale(2);
    // One of two subtasks has got no second time yet.
    feed.push(0, [(1_000, 1)]);
    job.rescale(2);
    feed.push(0, [(2_000, 2), (3_000, 3)]);
    feed.end();
    assert!(job.finish(), "{} {:?}", job.state(), job.failures());
    assert_eq!(out.committed(&job), [1, 2, 3]);
}

/// Both times are those of a split.
#[test]
fn times_that_replace_others_are_those_of_their_split() {
    let (feed, out) = (Feed::new(2), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let first = env
            .source("in", source.clone())
            .assign_event_time(|it: &(i64, i64)| it.0, Watermarks::monotonic());
        let second = first.assign_event_time(|it: &(i64, i64)| it.1, Watermarks::monotonic());
        let _ = second.process(EmitAt { late: Late::Refused }).uid("emit").sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [(0, 100), (0, 200)]);
    job.settle();
    feed.push(1, [(0, 5)]);
    feed.end();
    assert!(job.finish(), "{} {:?}", job.state(), job.failures());
    assert_eq!(out.committed(&job), [5, 100, 200]);
}
