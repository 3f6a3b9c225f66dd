//! The jobs with slow operators: one directly behind the source, behind one or two exchanges, or behind an
//! operator that makes hundreds of records from one while its outputs are full.

use super::counts::{self, Counted};
use super::reading::{Reading, Readings};
use super::sink::LineSink;
use super::{Lines, Workload};
use reflow_stream::StreamEnv;

/// The number of groups in the keys of a burst's records, beside their index in it.
const GROUPS: u64 = 5;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    workload
        .readings(env, "readings")
        .map(workload.slow(0))
        .rebalance()
        .map(workload.slow(1))
        .key_by(|reading: &Reading| reading.key)
        .aggregate(counts::CountInAnyOrder)
        .max_parallelism(workload.max_parallelism[0])
        .rebalance()
        .map(workload.slow(2))
        .map(|counted: Counted| counted.line())
        .sink("lines", LineSink);
}

pub(super) fn build_bursts(env: &mut StreamEnv, workload: &Workload) {
    let fan_out = workload.fan_out;
    workload
        .readings(env, "readings")
        .flat_map(move |reading: Reading| burst(reading, fan_out))
        .key_by(|reading: &Reading| reading.key)
        .aggregate(counts::CountInAnyOrder)
        .max_parallelism(workload.max_parallelism[0])
        .map(workload.slow(0))
        .map(|counted: Counted| counted.line())
        .sink("lines", LineSink);
}

pub(super) fn expected_bursts(readings: &Readings, fan_out: u64) -> Lines {
    counts::expected(readings.all().flat_map(|reading| burst(reading, fan_out)))
}

fn burst(reading: Reading, fan_out: u64) -> impl Iterator<Item = Reading> {
    (0..fan_out).map(move |place| Reading { key: reading.key % GROUPS * fan_out + place, ..reading })
}
