//! The jobs that count by key. Each record gives a line, so that a record that is lost or processed twice is
//! detected.

use super::reading::{Reading, Readings};
use super::sink::LineSink;
use super::{Lines, Workload, lines};
use reflow_api::Aggregate;
use reflow_stream::StreamEnv;
use reflow_types::Data;
use std::collections::BTreeMap;

/// How many buckets the second count has.
const BUCKETS: u64 = 7;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let counts = workload
        .readings(env, "readings")
        .key_by(|reading: &Reading| reading.key)
        .aggregate(Count)
        .max_parallelism(workload.max_parallelism[0]);
    let line = |counted: Counted| counted.line();
    if workload.max_parallelism[1].is_multiple_of(2) {
        // A forward edge keeps the order of each key, however many slots there are.
        counts.start_new_chain().map(line).sink("lines", LineSink);
    } else {
        counts.map(line).sink("lines", LineSink);
    }
}

pub(super) fn expected(readings: impl Iterator<Item = Reading>) -> Lines {
    let mut counts: BTreeMap<u64, Counted> = BTreeMap::new();
    lines(readings.map(|reading| {
        let counted = counts.entry(reading.key).or_default();
        counted.key = reading.key;
        counted.count += 1;
        counted.line()
    }))
}

pub(super) fn build_twice(env: &mut StreamEnv, workload: &Workload) {
    workload
        .readings(env, "readings")
        .rebalance()
        .key_by(|reading: &Reading| reading.key)
        .aggregate(CountInAnyOrder)
        .max_parallelism(workload.max_parallelism[0])
        .key_by(|counted: &Counted| counted.key % BUCKETS)
        .aggregate(CountCounts)
        .max_parallelism(workload.max_parallelism[1])
        .map(|counted: Counted| counted.line())
        .sink("lines", LineSink);
}

pub(super) fn expected_twice(readings: &Readings) -> Lines {
    let mut counts: BTreeMap<u64, Counted> = BTreeMap::new();
    lines(readings.all().map(|reading| {
        let bucket = reading.key % BUCKETS;
        let counted = counts.entry(bucket).or_default();
        counted.key = bucket;
        counted.count += 1;
        counted.line()
    }))
}

/// A key and how many records it has had.
#[derive(Clone, Debug, Default, PartialEq, Eq, Data)]
pub struct Counted {
    key: u64,
    count: u64,
    /// Whether a record came that was not the next one.
    disorder: bool,
    /// The last number of each split, or the last count of each key.
    last: BTreeMap<u64, u64>,
}

impl Counted {
    pub(super) fn line(&self) -> String {
        let disorder = if self.disorder { " disorder" } else { "" };
        format!("{} {}{disorder}", self.key, self.count)
    }
}

/// Counts readings; those of one split come in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count;

impl Aggregate for Count {
    type In = Reading;
    type Acc = Counted;
    type Out = Counted;

    fn create(&self) -> Counted {
        Counted::default()
    }

    fn add(&self, acc: &mut Counted, reading: Reading) {
        acc.key = reading.key;
        acc.count += 1;
        let last = acc.last.insert(reading.split.into(), reading.number);
        acc.disorder |= last.is_some_and(|last| last >= reading.number);
    }

    fn result(&self, acc: &Counted) -> Counted {
        acc.clone()
    }
}

/// Counts readings that were rebalanced: they come in any order.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountInAnyOrder;

impl Aggregate for CountInAnyOrder {
    type In = Reading;
    type Acc = Counted;
    type Out = Counted;

    fn create(&self) -> Counted {
        Counted::default()
    }

    fn add(&self, acc: &mut Counted, reading: Reading) {
        acc.key = reading.key;
        acc.count += 1;
    }

    fn result(&self, acc: &Counted) -> Counted {
        acc.clone()
    }
}

/// Counts counts; those of one key come one by one.
#[derive(Clone, Copy, Debug)]
struct CountCounts;

impl Aggregate for CountCounts {
    type In = Counted;
    type Acc = Counted;
    type Out = Counted;

    fn create(&self) -> Counted {
        Counted::default()
    }

    fn add(&self, acc: &mut Counted, counted: Counted) {
        acc.key = counted.key % BUCKETS;
        acc.count += 1;
        let last = acc.last.insert(counted.key, counted.count).unwrap_or(0);
        acc.disorder |= last + 1 != counted.count;
    }

    fn result(&self, acc: &Counted) -> Counted {
        acc.clone()
    }
}
