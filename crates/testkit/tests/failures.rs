//! What user code and bad input do to a job: one failure, which names the operator.

use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::window::{GlobalWindows, TumblingWindows};
use reflow_api::{
    Context, Emit, Enumerator, Polled, ProcessFunction, Reader, Source, TimeDomain, UserError, Watermarks,
};
use reflow_protocol::failure::Fault;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::{Instant, MAX_WATERMARK, Timestamp};
use std::time::Duration;

/// Feeds 1, 2, 3 and expects one failure, of the operator, whose message holds the text.
fn check(
    job: impl Fn(&mut StreamEnv, Feed<i64>, Collect<i64>) + 'static,
    (fault, operator, text): (Fault, &str, &str),
) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone()));
    harness.start(1);
    feed.push(0, [1, 2, 3]);
    harness.settle();
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    assert_eq!(failure.fault, fault, "{failure:?}");
    assert!(failure.operator.contains(operator), "{failure:?}");
    assert!(failure.message.contains(text), "{failure:?}");
}

#[test]
fn a_panic_is_a_failure_of_its_task() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .map(|n: i64| if n == 2 { panic!("no twos") } else { n })
                .sink("out", out);
        },
        (Fault::User, "numbers", "no twos (the record at split 0, record 1)"),
    );
}

#[test]
fn an_error_of_a_sink_names_it() {
    check(
        |env, feed, out| {
            out.refuse("the disk is on fire");
            let _ = env.source("numbers", feed).sink("out", out).uid("the-sink");
        },
        (Fault::External, "the-sink", "the disk is on fire"),
    );
}

#[test]
fn a_timestamp_out_of_range_is_named() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .assign_event_time(|n: &i64| n * 1_000_000_000_000_000, Watermarks::monotonic())
                .uid("in-microseconds")
                .sink("out", out);
        },
        (Fault::User, "in-microseconds", "the years -9999 to 9999 (the record at split 0, record 0)"),
    );
}

/// A source of one's own, of one record, that gives absurd values.
#[derive(Clone)]
struct Odd {
    split: u64,
    time: Timestamp,
}

struct OddReader {
    values: Odd,
    splits: Vec<u64>,
    wait: Option<Instant>,
}

impl Source for Odd {
    type Item = i64;
    type Split = u64;
    type Reader = OddReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new([self.split]))
    }

    fn reader(&self, _: &ReaderContext) -> OddReader {
        OddReader { values: self.clone(), splits: Vec::new(), wait: Some(Instant(u64::MAX)) }
    }
}

impl Reader for OddReader {
    type Item = i64;
    type Split = u64;

    fn add_split(&mut self, split: u64) -> u64 {
        self.splits.push(split);
        split
    }

    fn no_more_splits(&mut self) {}

    fn release(&mut self, _: usize) -> Vec<(u64, u64)> {
        Vec::new()
    }

    fn poll(&mut self, _: Instant, out: &mut impl Emit<i64>) -> Result<Polled, UserError> {
        if let Some(split) = self.splits.pop() {
            out.split(split);
            out.emit(1, self.values.time);
        }
        Ok(Polled::Wait(self.wait))
    }

    fn snapshot(&self) -> Vec<u64> {
        self.splits.clone()
    }

    fn pending_records(&self) -> Option<u64> {
        Some(u64::MAX)
    }
}

/// Reads an [`Odd`] source into windows of a second, and returns what fails.
fn failures_of(odd: Odd) -> Vec<(Fault, String)> {
    let out = Collect::new("out");
    let sink = out.clone();
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let source = env.source("odd", odd.clone()).uid("the-source");
        let windows = source.key_by(|_: &i64| 0u8).window(TumblingWindows::of(Duration::from_secs(1)));
        let _ = windows.count().uid("windows").map(|windowed| windowed.value).sink("out", sink.clone());
    });
    job.start(1);
    job.settle();
    job.failures()
        .iter()
        .map(|failure| (failure.fault, format!("{}: {}", failure.operator, failure.message)))
        .collect()
}

#[test]
fn absurd_values_of_a_reader_are_named() {
    assert_eq!(failures_of(Odd { split: u64::MAX - 3, time: 0 }), [], "though it waits for the end of time");
    for split in [u64::MAX - 2, u64::MAX - 1, u64::MAX] {
        let failures = failures_of(Odd { split, time: 0 });
        let [(Fault::User, text)] = &failures[..] else { panic!("{failures:?}") };
        assert!(text.contains("the-source") && text.contains(&split.to_string()), "{text}");
    }
    for time in [i64::MIN + 1, i64::MAX, i64::MAX - 1, 253_402_300_800_000, -377_705_116_800_001] {
        let failures = failures_of(Odd { split: 0, time });
        let [(Fault::User, text)] = &failures[..] else { panic!("{failures:?}") };
        assert!(text.contains("windows") && text.contains(&time.to_string()), "{text}");
    }
}

#[test]
fn the_first_and_the_last_timestamp_make_no_watermark() {
    for time in [i64::MIN, i64::MAX] {
        check(
            move |env, feed, out| {
                let _ = env
                    .source("numbers", feed)
                    .assign_event_time(
                        move |_: &i64| time,
                        Watermarks::bounded_out_of_orderness(Duration::MAX),
                    )
                    .uid("times")
                    .sink("out", out);
            },
            (Fault::User, "times", &format!("the timestamp {time} is out of range")),
        );
    }
}

#[test]
fn windows_without_event_time_say_what_is_missing() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .key_by(|_: &i64| 0u8)
                .window(TumblingWindows::of(Duration::from_secs(1)))
                .reduce(|a, b| a + b)
                .uid("sums")
                .map(|windowed| windowed.value)
                .sink("out", out);
        },
        (Fault::User, "sums", "assign_event_time"),
    );
}

#[test]
fn global_windows_need_no_event_time() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let windowed = env.source("numbers", source.clone()).key_by(|_: &i64| 0u8).window(GlobalWindows);
        let _ = windowed.reduce(|a, b| a + b).map(|windowed| windowed.value).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1, 2, 3]);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job), [6]);
}

#[test]
fn damaged_state_is_named_and_refused() {
    let (feed, out) = (Feed::<i64>::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let keyed = env.source("numbers", source.clone()).key_by(|n: &i64| *n);
        let _ = keyed.reduce(|a, b| a + b).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1, 2, 3]);
    assert!(job.checkpoint());
    job.kill();
    let (name, body) = {
        let (name, body) = job.store().below("/checkpoints/data/").next().unwrap();
        (name.to_owned(), body.to_vec())
    };
    let middle = body.len() / 2;
    let mut flipped = body.clone();
    flipped[middle] ^= 1;
    let mut known = 0;
    for damaged in [Some(&flipped[..]), Some(&body[..middle]), Some(&body[..0]), None] {
        match damaged {
            Some(damaged) => job.store_mut().overwrite(&name, damaged.to_vec()),
            None => job.store_mut().remove(&name),
        }
        job.start(2);
        job.advance(Duration::from_secs(3));
        job.kill();
        let failures = &job.failures()[known..];
        assert!(!failures.is_empty(), "{damaged:?} is taken for state");
        // Damage is what makes the scheduler go on from an older checkpoint.
        let is_damage = |failure: &reflow_protocol::failure::Failure| {
            failure.fault == Fault::Damage && failure.message.contains(&name)
        };
        assert!(failures.iter().all(is_damage), "{damaged:?}: {failures:?}");
        known = job.failures().len();
    }
    job.store_mut().overwrite(&name, body);
    job.start(2);
    job.kill();
    assert_eq!(job.failures().len(), known, "undamaged, it is restored");
    // A bit that flips on the way from storage is no damage.
    job.store_mut().flip_reads(2);
    job.start(1);
    job.advance(Duration::from_secs(3));
    assert_eq!(job.failures().len(), known, "undamaged, it is restored");
}

/// Registers the next timer whenever one fires, unless `stops` says no, and emits the times of all.
#[derive(Clone)]
struct Renew {
    stops: fn(watermark: Timestamp, time: Timestamp) -> bool,
}

impl ProcessFunction for Renew {
    type Key = i64;
    type In = i64;
    type Out = i64;
    type State = ();

    fn process(&mut self, context: &mut impl Context<i64, (), i64>, number: i64) -> Result<(), UserError> {
        context.register_timer(TimeDomain::Event, number);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<i64, (), i64>,
        time: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        context.emit(time);
        if !(self.stops)(context.watermark(), time) {
            context.register_timer(TimeDomain::Event, time + 1_000);
        }
        Ok(())
    }
}

/// Feeds these numbers, of each of which a timer is due at the end, and ends.
fn renewed(
    numbers: std::ops::Range<i64>,
    stops: fn(Timestamp, Timestamp) -> bool,
) -> (Collect<i64>, Harness<'static>) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let timers = env.source("numbers", source.clone()).key_by(|number: &i64| *number);
        let _ = timers.process(Renew { stops }).uid("renews").sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, numbers);
    feed.end();
    job.settle();
    (out, job)
}

#[test]
fn timers_that_renew_themselves_do_not_keep_a_job_from_ending() {
    let (_, job) = renewed(1..4, |_, _| false);
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!(failure.fault, Fault::Permanent, "a restart would not end either");
    assert!(failure.operator.contains("renews") && failure.message.contains("register none"), "{failure:?}");

    // Those of a function that stops fire, many though they are.
    let (out, job) = renewed(1..4, |_, time| time > 100_000_000);
    assert!(job.failures().is_empty(), "{:?}", job.failures());
    assert_eq!(out.written().len(), 3 * 100_001);
    let (out, _) = renewed(1..4, |watermark, _| watermark == MAX_WATERMARK);
    assert_eq!(out.written().len(), 3);
}

/// The end of the input makes a million timers of as many keys due at once.
#[test]
fn a_million_timers_that_are_due_at_once_fire_once_each() {
    const MANY: i64 = 1_000_000;
    let (out, mut job) = renewed(0..MANY, |_, _| true);
    assert!(job.finish(), "{}", job.state());
    assert!(job.failures().is_empty(), "{:?}", job.failures());
    let mut fired: Vec<i64> = out.written().into_iter().map(|(time, _)| time).collect();
    fired.sort_unstable();
    assert!(fired.into_iter().eq(0..MANY));
}

#[test]
fn a_source_without_timestamps_needs_times() {
    check(
        |env, feed, out| {
            let times = env.source("numbers", feed).assign_watermarks(Watermarks::monotonic());
            let _ = times.uid("times").sink("out", out);
        },
        (Fault::User, "times", "or extract them by .assign_event_time(…)"),
    );
}
