//! The job with a split that pauses, and with idleness: the split must not hold the others back, and no split may
//! become idle because of a slow operator, a full output or a rescale.
//!
//! A split that is rightly idle continues with later timestamps than all others, so that none of its records is
//! late and the result is exact. A split that was wrongly idle has late records, which are missing in the output.

use super::reading::{Reading, Readings};
use super::sink::LineSink;
use super::source::Pause;
use super::{Lines, Workload, windows};
use crate::rng::Rng;
use reflow_api::Watermarks;
use reflow_api::window::{TumblingWindows, Windowed};
use reflow_stream::StreamEnv;
use reflow_types::Timestamp;
use std::time::Duration;

/// A time after those of all records, except those after a pause.
const AFTER_ALL: Timestamp = 1_000_000_000_000;

/// The pause of a workload's first split, if there are others.
pub(super) fn pause(readings: &Readings) -> Option<Pause> {
    let mut rng = Rng::new(readings.seed).fork("pause");
    let after = rng.within(1..=readings.per_split - 2);
    let lasts = idleness(readings) * rng.within(1..=4) as u32;
    (readings.splits > 1).then_some(Pause { split: 0, after, lasts })
}

/// A time-out longer than a split that is read waits for its next record.
fn idleness(readings: &Readings) -> Duration {
    readings.interval * 4 + Duration::from_millis(500)
}

fn time(reading: &Reading, pause: Option<Pause>) -> Timestamp {
    let paused = pause.is_some_and(|pause| pause.split == reading.split && pause.after <= reading.number);
    if paused { AFTER_ALL + reading.time } else { reading.time }
}

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let readings = &workload.readings;
    let disorder = Duration::from_millis(readings.disorder_ms);
    let pause = pause(readings);
    let watermarks = Watermarks::bounded_out_of_orderness(disorder).with_idleness(idleness(readings));
    let slow = workload.slow(0);
    workload
        .readings(env, "readings")
        .map(move |reading: Reading| Reading { time: time(&reading, pause), ..slow(reading) })
        .assign_event_time(|reading: &Reading| reading.time, watermarks)
        .key_by(|reading: &Reading| reading.key)
        .window(TumblingWindows::of(workload.window))
        .aggregate(windows::Sum)
        .max_parallelism(workload.max_parallelism[0])
        .map(workload.slow(1))
        .map(|windowed: Windowed<u64, (u64, i64)>| windows::line(&windowed))
        .sink("lines", LineSink);
}

pub(super) fn expected(workload: &Workload) -> Lines {
    let readings = &workload.readings;
    let pause = pause(readings);
    let timed = |reading: Reading| Reading { time: time(&reading, pause), ..reading };
    let size = workload.window.as_millis() as i64;
    windows::sums(readings.all().map(timed), size, size)
}
