//! The jobs with sums by key and window in event time. No record is late, because watermarks allow for the
//! disorder of the readings.

use super::reading::Reading;
use super::sink::LineSink;
use super::{Lines, Workload};
use reflow_api::Aggregate;
use reflow_api::window::{SlidingWindows, TumblingWindows, Windowed};
use reflow_stream::StreamEnv;
use std::collections::BTreeMap;

/// The number of slides in a sliding window.
const SLIDES: u32 = 3;

pub(super) fn line(windowed: &Windowed<u64, (u64, i64)>) -> String {
    let Windowed { key, window, value: (count, sum) } = windowed;
    format!("{key} {}..{} {count} {sum}", window.start, window.end)
}

pub(super) fn build_tumbling(env: &mut StreamEnv, workload: &Workload) {
    workload
        .readings(env, "readings")
        .assign_event_time(|reading: &Reading| reading.time, workload.watermarks())
        .key_by(|reading: &Reading| reading.key)
        .window(TumblingWindows::of(workload.window))
        .aggregate(Sum)
        .max_parallelism(workload.max_parallelism[0])
        .map(|windowed: Windowed<u64, (u64, i64)>| line(&windowed))
        .sink("lines", LineSink);
}

pub(super) fn expected_tumbling(workload: &Workload) -> Lines {
    let size = workload.window.as_millis() as i64;
    sums(workload.readings.all(), size, size)
}

pub(super) fn build_sliding_union(env: &mut StreamEnv, workload: &Workload) {
    let mut of = |name, source| {
        workload
            .readings_of(env, name, source)
            .assign_event_time(|reading: &Reading| reading.time, workload.watermarks())
    };
    let one = of("readings", workload.source());
    let other = of("the first again", workload.source().ending_early());
    one.union(other)
        .key_by(|reading: &Reading| reading.key)
        .window(SlidingWindows::of(workload.window * SLIDES, workload.window))
        .aggregate(Sum)
        .max_parallelism(workload.max_parallelism[1])
        .map(|windowed: Windowed<u64, (u64, i64)>| line(&windowed))
        .sink("lines", LineSink);
}

pub(super) fn expected_sliding_union(workload: &Workload) -> Lines {
    let slide = workload.window.as_millis() as i64;
    let twice = workload.readings.all().chain(workload.readings.first());
    sums(twice, slide * i64::from(SLIDES), slide)
}

/// The sums of all windows of a size that begin at multiples of `slide`.
pub(super) fn sums(readings: impl Iterator<Item = Reading>, size: i64, slide: i64) -> Lines {
    let mut sums: BTreeMap<(u64, i64), (u64, i64)> = BTreeMap::new();
    for reading in readings {
        let mut start = reading.time.div_euclid(slide) * slide;
        while start + size > reading.time {
            let (count, sum) = sums.entry((reading.key, start)).or_default();
            *count += 1;
            *sum += reading.amount;
            start -= slide;
        }
    }
    let line = |((key, start), (count, sum))| format!("{key} {start}..{} {count} {sum}", start + size);
    super::lines(sums.into_iter().map(line))
}

/// Counts and sums readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum;

impl Aggregate for Sum {
    type In = Reading;
    type Acc = (u64, i64);
    type Out = (u64, i64);

    fn create(&self) -> (u64, i64) {
        (0, 0)
    }

    fn add(&self, (count, sum): &mut (u64, i64), reading: Reading) {
        *count += 1;
        *sum += reading.amount;
    }

    fn result(&self, acc: &(u64, i64)) -> (u64, i64) {
        *acc
    }
}
