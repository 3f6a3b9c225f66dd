//! Joins of two streams.

use reflow_api::window::{CoGroup, SlidingWindows, TumblingWindows, WindowContext, WindowFunction};
use reflow_api::{Either, OutputTag, UserError, Watermarks};
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
