//! Joins of two streams.

use reflow_api::window::{CoGroup, SlidingWindows, TumblingWindows, WindowContext, WindowFunction};
use reflow_api::{Either, JoinContext, OutputTag, ProcessJoinFunction, TimeBound, UserError, Watermarks};
use reflow_stream::pipeline::Boxed;
use reflow_stream::{KeyedStream, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::{Data, Timestamp};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A record: its key, its time, and a number that no other record of its stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Data)]
struct Record {
    key: u64,
    time: Timestamp,
    number: u64,
}

/// The most by which a record may be earlier than one before it.
const DISORDER_MS: u64 = 40;
const YEAR_MS: Timestamp = 366 * 24 * 3_600 * 1_000;

/// Random records in their order of arrival, with a pause of a year among them.
fn random_records(seed: u64, count: u64) -> Vec<Record> {
    let mut random = seed;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    let mut record = |number| {
        let year = if number > count / 2 { YEAR_MS } else { 0 };
        let late = below(DISORDER_MS) as Timestamp;
        Record { key: below(3), time: (number * 5) as Timestamp - late + year, number }
    };
    (0..count).map(&mut record).collect()
}

type Records = KeyedStream<Boxed<Record>, fn(&Record) -> u64>;

fn key(record: &Record) -> u64 {
    record.key
}

/// Two streams that a job joins.
struct Joining<O> {
    left: Feed<Record>,
    right: Feed<Record>,
    out: Collect<O>,
    job: Harness<'static>,
}

fn start<O: 'static>(job: impl Fn(Records, Records, Collect<O>) + 'static) -> Joining<O> {
    let (left, right, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
    let (one, two, sink) = (left.clone(), right.clone(), out.clone());
    let mut harness = Harness::new(move |env: &mut StreamEnv| {
        let mut timed = |name, feed: &Feed<Record>| {
            let watermarks = Watermarks::bounded_out_of_orderness(ms(DISORDER_MS));
            let timed = env.source(name, feed.clone()).assign_event_time(|record| record.time, watermarks);
            timed.boxed().key_by(key as fn(&Record) -> u64)
        };
        let (first, second) = (timed("first", &one), timed("second", &two));
        job(first, second, sink.clone());
    })
    .on_executors(2);
    harness.start(2);
    Joining { left, right, out, job: harness }
}

impl<O: Data + Clone + Ord> Joining<O> {
    /// Feeds the records of both streams, a few at a time, with rescales and a crash between them. Returns what is
    /// committed.
    fn run(&mut self, first: &[Record], second: &[Record]) -> Vec<O> {
        let parts = 8;
        let part = |records: &[Record], number: usize| {
            let size = records.len().div_ceil(parts).max(1);
            records.chunks(size).nth(number).map(<[Record]>::to_vec).unwrap_or_default()
        };
        for number in 0..parts {
            self.left.push(0, part(first, number));
            self.right.push(0, part(second, number));
            self.job.settle();
            match number {
                2 => self.job.rescale(3),
                4 => {
                    assert!(self.job.checkpoint(), "{}", self.job.state());
                    self.job.kill();
                    self.job.start(1);
                }
                6 => self.job.rescale(2),
                _ => {}
            }
        }
        self.left.end();
        self.right.end();
        assert!(self.job.finish(), "{}", self.job.state());
        let mut committed = self.out.committed(&self.job);
        committed.sort_unstable();
        committed
    }
}

/// The pairs of records that match, by key and time.
fn pairs(
    first: &[Record],
    second: &[Record],
    matches: impl Fn(Timestamp, Timestamp) -> usize,
) -> Vec<(u64, u64)> {
    let mut pairs = Vec::new();
    for one in first {
        for two in second.iter().filter(|two| two.key == one.key) {
            pairs.extend(vec![(one.number, two.number); matches(one.time, two.time)]);
        }
    }
    pairs.sort_unstable();
    assert!(pairs.len() > 1_000, "{} pairs", pairs.len());
    pairs
}

#[test]
fn windows_join_each_pair_once_for_each_window() {
    for seed in 1..4 {
        let (first, second) = (random_records(seed, 500), random_records(seed + 100, 700));
        let mut tumbling = start(|first, second, out| {
            let windows = first.connect(second).window(TumblingWindows::of(ms(100)));
            let _ = windows.join(|_, _, one, two| (one.number, two.number)).sink("out", out);
        });
        let together =
            |one: Timestamp, two: Timestamp| usize::from(one.div_euclid(100) == two.div_euclid(100));
        assert_eq!(tumbling.run(&first, &second), pairs(&first, &second, together));

        let mut sliding = start(|first, second, out| {
            let windows = first.connect(second).window(SlidingWindows::of(ms(60), ms(20)));
            let _ = windows.join(|_, _, one, two| (one.number, two.number)).sink("out", out);
        });
        let together = |one: Timestamp, two: Timestamp| {
            let last = |time: Timestamp| time.div_euclid(20);
            let earliest = last(one).max(last(two)) - 2;
            (earliest..=last(one).min(last(two))).count()
        };
        assert_eq!(sliding.run(&first, &second), pairs(&first, &second, together));
    }
}

/// More pairs than a step passes on, and than a batch or the credit of a channel has room for, in one window.
#[test]
fn a_window_of_very_many_pairs() {
    let mut joining = start(|first, second, out: Collect<(u64, u64)>| {
        let windows = first.connect(second).window(TumblingWindows::of(ms(100_000)));
        let pairs = windows.join(|_, _, one, two| (one.number, two.number));
        let _ = pairs.filter(|(one, two)| one % 100 == 0 && two % 100 == 99).sink("out", out);
    });
    let records = |count| (0..count).map(|number| Record { key: 0, time: number as Timestamp, number });
    joining.left.push(0, records(1_200));
    joining.right.push(0, records(1_000));
    joining.job.settle();
    assert!(joining.job.checkpoint(), "{}", joining.job.state());
    assert!(joining.out.committed(&joining.job).is_empty());
    joining.left.end();
    joining.right.end();
    assert!(joining.job.finish(), "{}", joining.job.state());
    let expected = (0..12).flat_map(|one| (0..10).map(move |two| (one * 100, two * 100 + 99)));
    assert_eq!(joining.out.committed(&joining.job), expected.collect::<Vec<_>>());
}

const LATE: OutputTag<Either<Record, Record>> = OutputTag::new("late");

#[test]
fn late_records_join_again_and_later_ones_go_to_the_side_output() {
    let mut joining = start(|first, second, out: Collect<(u64, u64)>| {
        let windows = first.connect(second).window(TumblingWindows::of(ms(100)));
        let windows = windows.allowed_lateness(ms(100)).late_output(&LATE);
        let (pairs, late) = windows.join(|_, _, one, two| (one.number, two.number)).side_output(&LATE);
        let late = late.map(|late| match late {
            Either::First(record) => (record.number, 0),
            Either::Second(record) => (0, record.number),
        });
        let _ = pairs.union(late).sink("out", out);
    });
    let record = |time, number| Record { key: 0, time, number };
    joining.left.push(0, [record(10, 1), record(141, 2)]);
    joining.right.push(0, [record(20, 11), record(141, 12)]);
    joining.job.settle();
    let written = |joining: &Joining<(u64, u64)>| -> Vec<(u64, u64)> {
        joining.out.written().into_iter().map(|(pair, _)| pair).collect()
    };
    assert_eq!(written(&joining), [(1, 11)], "the watermark is 100");
    joining.right.push(0, [record(30, 13)]);
    joining.job.settle();
    assert_eq!(written(&joining), [(1, 11), (1, 13)], "it fires again with all pairs");
    joining.job.rescale(3);
    joining.left.push(0, [record(241, 3)]);
    joining.right.push(0, [record(241, 14)]);
    joining.job.settle();
    joining.left.push(0, [record(40, 4)]);
    joining.right.push(0, [record(40, 15)]);
    joining.job.settle();
    let mut last = written(&joining);
    last.sort_unstable();
    assert_eq!(last, [(0, 15), (2, 12), (4, 0)]);
}

/// Counts the records of both streams, also of a window in which one of them has none.
#[derive(Clone)]
struct Counts;

impl WindowFunction for Counts {
    type Key = u64;
    type In = CoGroup<Record, Record>;
    type Out = (Timestamp, usize, usize);
    type State = ();
    type KeyState = ();

    fn process(
        &mut self,
        context: &mut impl WindowContext<Self>,
        group: &CoGroup<Record, Record>,
    ) -> Result<(), UserError> {
        let counts = (context.window().start, group.first.len(), group.second.len());
        context.emit(counts);
        Ok(())
    }
}

/// A stream without records, whose watermark is there, holds nothing back and keeps nothing.
#[test]
fn windows_without_records_of_one_stream() {
    let mut joining = start(|first, second, out: Collect<(Timestamp, usize, usize)>| {
        let windows = first.connect(second).window(TumblingWindows::of(ms(100)));
        let _ = windows.co_group_with(Counts).sink("out", out);
    });
    let record = |time| Record { key: 0, time, number: 0 };
    joining.right.push(0, [record(5)]);
    joining.right.end();
    for round in 0..20 {
        joining.left.push(0, (0..50).map(|number| record(round * 100 + number)));
        joining.job.settle();
    }
    let written: Vec<_> = joining.out.written().into_iter().map(|(counts, _)| counts).collect();
    let expected = (0..19).map(|round| (round * 100, 50, usize::from(round == 0)));
    assert_eq!(written, expected.collect::<Vec<_>>());
}

/// Emits the numbers of both records, and the time that the result must have.
#[derive(Clone)]
struct Numbers;

type Pair = (u64, u64, Timestamp);

impl ProcessJoinFunction for Numbers {
    type Key = u64;
    type Left = Record;
    type Right = Record;
    type Out = Pair;

    fn process(
        &mut self,
        context: &mut impl JoinContext<u64, Pair>,
        left: &Record,
        right: &Record,
    ) -> Result<(), UserError> {
        assert_eq!((*context.key(), *context.key()), (left.key, right.key));
        assert_eq!((context.left_timestamp(), context.right_timestamp()), (left.time, right.time));
        context.emit((left.number, right.number, left.time.max(right.time)));
        Ok(())
    }
}

#[test]
fn an_interval_joins_each_pair_once() {
    let (before, after) = (|n| TimeBound::before(ms(n)), |n| TimeBound::after(ms(n)));
    for (seed, (lower, upper, first_ms, last_ms)) in [
        (before(30), after(50), -30, 50),
        (before(30).exclusive(), after(50).exclusive(), -29, 49),
        (after(5), after(60), 5, 60),
        (before(90), before(10).exclusive(), -90, -11),
        (before(0), after(0), 0, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let (left, right) = (random_records(seed as u64, 900), random_records(seed as u64 + 100, 700));
        let mut joining = start(move |left, right, out: Collect<Pair>| {
            let _ = left.interval_join(right).between(lower, upper).process(Numbers).sink("out", out);
        });
        let mut expected = Vec::new();
        for one in &left {
            let matching = one.time + first_ms..=one.time + last_ms;
            let matches = right.iter().filter(|two| two.key == one.key && matching.contains(&two.time));
            expected.extend(matches.map(|two| (one.number, two.number, one.time.max(two.time))));
        }
        expected.sort_unstable();
        assert!(expected.len() > 20, "{} pairs", expected.len());
        assert_eq!(joining.run(&left, &right), expected, "between {lower:?} and {upper:?}");
        assert!(joining.out.written().into_iter().all(|((_, _, expected), time)| time == expected));
    }
}

/// The size of a savepoint, which has what is kept and nothing else.
fn kept_bytes(job: &mut Harness) -> usize {
    let directory = job.savepoint().expect("a savepoint");
    let objects = job.store().below("").filter(|(name, _)| name.contains(&directory));
    let bytes = objects.map(|(_, body)| body.len()).sum();
    assert!(bytes > 0, "no objects in {directory}");
    bytes
}

/// A record matches more records than a call removes, and than a small index has; then a watermark that jumps by a year
/// drops all of them.
#[test]
fn an_interval_of_many_records_and_a_watermark_that_jumps_a_year() {
    const MANY: u64 = 5_000;
    let mut joining = start(|left, right, out: Collect<(u64, u64)>| {
        let joined =
            left.interval_join(right).between(TimeBound::before(ms(10_000)), TimeBound::after(ms(0)));
        let _ = joined.join(|_, one, two| (one.number, two.number)).sink("out", out);
    });
    let record = |time, number| Record { key: 0, time, number };
    joining.right.push(0, (0..MANY).map(|number| record(number as Timestamp, number)));
    joining.left.push(0, [record(10, 0), record(MANY as Timestamp, 1)]);
    joining.job.settle();
    let mut written: Vec<_> = joining.out.written().into_iter().map(|(pair, _)| pair).collect();
    written.sort_unstable();
    let expected = (0..=10).map(|two| (0, two)).chain((0..MANY).map(|two| (1, two)));
    assert_eq!(written, expected.collect::<Vec<_>>());
    let before = kept_bytes(&mut joining.job);
    joining.job.rescale(3);
    joining.left.push(0, [record(YEAR_MS, 2)]);
    joining.right.push(0, [record(YEAR_MS, MANY)]);
    joining.job.settle();
    let after = kept_bytes(&mut joining.job);
    assert!(after < before / 5, "{after} of {before} bytes");
    assert!(joining.job.checkpoint(), "{}", joining.job.state());
    joining.left.end();
    joining.right.end();
    assert!(joining.job.finish(), "{}", joining.job.state());
    assert!(joining.out.committed(&joining.job).contains(&(2, MANY)));
}

/// The state of a join whose right stream has no records is what the watermark has not passed.
#[test]
fn the_state_of_an_interval_join_with_an_idle_side_is_bounded() {
    let mut joining = start(|left, right, out: Collect<(u64, u64)>| {
        let joined = left.interval_join(right).between(TimeBound::before(ms(100)), TimeBound::after(ms(100)));
        let _ = joined.join(|_, one, two| (one.number, two.number)).sink("out", out);
    });
    let record = |time| Record { key: time as u64 % 5, time, number: 0 };
    joining.right.push(0, [record(-100_000)]);
    joining.job.settle();
    let mut sizes = Vec::new();
    for round in 0..30 {
        if round == 10 {
            joining.right.end();
        }
        joining.left.push(0, (0..200).map(|number| record(round * 200 + number)));
        joining.job.settle();
        sizes.push(kept_bytes(&mut joining.job));
    }
    assert!(sizes[9] * 2 > sizes[2] * 3, "the right stream holds the watermark back: {sizes:?}");
    assert!(sizes[12..].iter().all(|size| *size < sizes[9] / 2), "{sizes:?}");
}

const LEFT_LATE: OutputTag<Record> = OutputTag::new("left late");
const RIGHT_LATE: OutputTag<Record> = OutputTag::new("right late");

#[test]
fn late_records_of_either_side_of_an_interval_join() {
    let mut joining = start(|left, right, out: Collect<(u64, u64)>| {
        let joined = left.interval_join(right).between(TimeBound::before(ms(500)), TimeBound::after(ms(500)));
        let joined = joined.left_late_output(&LEFT_LATE).right_late_output(&RIGHT_LATE);
        let (pairs, left) = joined.join(|_, one, two| (one.number, two.number)).side_output(&LEFT_LATE);
        let (pairs, right) = pairs.side_output(&RIGHT_LATE);
        let late = left.map(|late| (late.number, 0)).union(right.map(|late| (0, late.number)));
        let _ = pairs.union(late).sink("out", out);
    });
    let record = |time, number| Record { key: 0, time, number };
    joining.left.push(0, [record(141, 1)]);
    joining.right.push(0, [record(141, 11)]);
    joining.job.settle();
    // The watermark is 100.
    joining.left.push(0, [record(100, 2), record(101, 3)]);
    joining.job.settle();
    joining.right.push(0, [record(100, 12), record(101, 13)]);
    joining.job.settle();
    let mut written: Vec<_> = joining.out.written().into_iter().map(|(pair, _)| pair).collect();
    written.sort_unstable();
    assert_eq!(written, [(0, 12), (1, 11), (1, 13), (2, 0), (3, 11), (3, 13)]);
}

#[test]
fn an_interval_join_without_event_time_says_what_to_do() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let shared = env.source("in", source.clone()).share();
        let (left, right) = (shared.stream().key_by(|n: &u64| *n), shared.stream().key_by(|n: &u64| *n));
        let joined = left.interval_join(right).between(TimeBound::before(ms(0)), TimeBound::after(ms(0)));
        let _ = joined.join(|_, one, two| (*one, *two)).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1]);
    job.settle();
    let failures: Vec<String> = job.failures().iter().map(|failure| format!("{failure:?}")).collect();
    assert!(failures[0].contains("a record has no timestamp: give both streams event time"), "{failures:?}");
    assert!(failures[0].contains("Interval join"), "{failures:?}");
}

#[test]
fn the_bounds_of_an_interval_are_checked() {
    let panic = std::panic::catch_unwind(|| {
        StreamEnv::build("job", |env| {
            let stream = |env: &mut StreamEnv| env.source("in", Feed::<u64>::new(1)).key_by(|n: &u64| *n);
            let (left, right) = (stream(env), stream(env));
            let after = TimeBound::after(ms(5));
            let _ = left.interval_join(right).between(after, after.exclusive());
            Ok(())
        })
    });
    let panic = panic.err().and_then(|panic| panic.downcast::<String>().ok()).expect("a text");
    assert!(panic.contains("no record matches an interval join"), "{panic}");
}

type WithVersion = (u64, Option<u64>);

#[test]
fn records_are_joined_with_the_version_of_their_time() {
    for seed in 1..4 {
        let (left, versions) = (random_records(seed, 900), random_records(seed + 100, 500));
        let is_deletion = |version: &Record| version.number.is_multiple_of(6);
        let mut joining = start(move |left, versions, out: Collect<WithVersion>| {
            let joined = left.temporal_join(versions).deleted_by(is_deletion);
            let _ = joined.left_join(|_, one, two| (one.number, two.map(|two| two.number))).sink("out", out);
        });
        let expected: Vec<WithVersion> = left
            .iter()
            .map(|one| {
                let until = versions.iter().filter(|two| two.key == one.key && two.time <= one.time);
                let valid = until.max_by_key(|two| (two.time, two.number));
                (one.number, valid.filter(|two| !is_deletion(two)).map(|two| two.number))
            })
            .collect();
        assert!(expected.iter().filter(|(_, version)| version.is_none()).count() > 20, "{expected:?}");
        assert_eq!(joining.run(&left, &versions), expected);
        let time_of = |number: u64| left[number as usize].time;
        assert!(joining.out.written().into_iter().all(|((number, _), time)| time == time_of(number)));
    }
}

#[test]
fn versions_that_are_replaced_are_dropped_and_late_ones_count() {
    let mut joining = start(|left, versions, out: Collect<(u64, u64)>| {
        let joined = left.temporal_join(versions).late_output(&LEFT_LATE);
        let (pairs, late) = joined.join(|_, one, two| (one.number, two.number)).side_output(&LEFT_LATE);
        let _ = pairs.union(late.map(|late| (late.number, 0))).sink("out", out);
    });
    let record = |time, number| Record { key: 0, time, number };
    let written = |joining: &Joining<(u64, u64)>| {
        let mut written: Vec<_> = joining.out.written().into_iter().map(|(pair, _)| pair).collect();
        written.sort_unstable();
        written
    };
    joining.left.push(0, [record(50, 1)]);
    joining.right.push(0, (0..5_000).map(|number| record(number as Timestamp, number)));
    joining.job.settle();
    assert_eq!(written(&joining), [], "the record waits for the watermark");
    let before = kept_bytes(&mut joining.job);
    joining.left.push(0, [record(5_000, 2)]);
    joining.job.settle();
    assert_eq!(written(&joining), [(1, 50)]);
    let after = kept_bytes(&mut joining.job);
    assert!(after < before / 5, "{after} of {before} bytes");
    // The watermark becomes 9,959.
    joining.left.push(0, [record(10_000, 3)]);
    joining.right.push(0, [record(10_000, 9_000)]);
    joining.job.rescale(3);
    assert_eq!(written(&joining), [(2, 4_999)]);
    // A late version between the current one and the watermark, and one before the current one.
    joining.right.push(0, [record(9_000, 7_000), record(100, 7_001)]);
    joining.job.settle();
    joining.left.push(0, [record(9_959, 4), record(9_960, 5)]);
    joining.job.settle();
    assert_eq!(written(&joining), [(4, 0)]);
    joining.left.push(0, [record(YEAR_MS, 6)]);
    joining.right.push(0, [record(YEAR_MS + 1, 9_001)]);
    joining.left.end();
    joining.right.end();
    assert!(joining.job.finish(), "{}", joining.job.state());
    assert_eq!(written(&joining), [(3, 9_000), (5, 7_000), (6, 9_000)]);
}

#[test]
fn the_latest_version_in_processing_time() {
    let mut joining = start(|left, versions, out: Collect<WithVersion>| {
        let joined =
            left.temporal_join(versions).deleted_by(|version| version.number == 0).in_processing_time();
        let _ = joined.left_join(|_, one, two| (one.number, two.map(|two| two.number))).sink("out", out);
    });
    let record = |number| Record { key: 0, time: 0, number };
    joining.left.push(0, [record(1)]);
    for version in [7, 8, 0] {
        joining.job.settle();
        joining.right.push(0, [record(version)]);
        joining.job.rescale(1 + version as u32 % 3);
        joining.left.push(0, [record(version + 10)]);
    }
    joining.job.settle();
    let written: Vec<_> = joining.out.written().into_iter().map(|(pair, _)| pair).collect();
    assert_eq!(written, [(1, None), (17, Some(7)), (18, Some(8)), (10, None)]);
}
