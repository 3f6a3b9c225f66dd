//! The job with late records, and with windows of two sizes, of which every second pair has the same end.
//!
//! Whether a record is late depends on the progress of other splits, so the model does not determine which ones
//! are dropped. It has what holds in any case: a window fires once, with all records that are in time, and a late
//! record is in each of its windows at most once.

use super::reading::{Reading, Readings};
use super::sink::LineSink;
use super::{Lines, Workload};
use reflow_api::window::{Assigner, Window, Windowed};
use reflow_api::{Aggregate, Watermarks};
use reflow_stream::StreamEnv;
use reflow_types::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// One of this many records of a split is late.
const EVERY: u64 = 5;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    let Workload { readings, window, .. } = workload;
    let (disorder, size_ms) = (Duration::from_millis(readings.disorder_ms), window.as_millis() as i64);
    let by_ms = late_by_ms(readings, size_ms);
    workload
        .readings(env, "readings")
        .map(move |reading: Reading| Reading { time: time(&reading, by_ms), ..reading })
        .assign_event_time(|reading: &Reading| reading.time, Watermarks::bounded_out_of_orderness(disorder))
        .key_by(|reading: &Reading| reading.key)
        .window(TwoSizes { size_ms })
        .aggregate(Members)
        .max_parallelism(workload.max_parallelism[0])
        .flat_map(|fired: Windowed<u64, Vec<(u32, u64)>>| {
            let Windowed { key, window, value } = fired;
            let members = value.into_iter().map(move |(split, number)| member(key, window, split, number));
            std::iter::once(fired_line(key, window)).chain(members)
        })
        .sink("lines", LineSink);
}

/// The lines that must be committed, and those that may be.
pub(super) fn expected(workload: &Workload) -> (Lines, Lines) {
    let size_ms = workload.window.as_millis() as i64;
    let by_ms = late_by_ms(&workload.readings, size_ms);
    let (mut expected, mut possible) = (Lines::new(), Lines::new());
    let (mut certain, mut others) = (BTreeSet::new(), BTreeSet::new());
    for reading in workload.readings.all() {
        let (lines, windows) = match is_late(&reading) {
            true => (&mut possible, &mut others),
            false => (&mut expected, &mut certain),
        };
        TwoSizes { size_ms }.assign(time(&reading, by_ms), |window| {
            lines.insert(member(reading.key, window, reading.split, reading.number), 1);
            windows.insert(fired_line(reading.key, window));
        });
    }
    possible.extend(others.difference(&certain).map(|line| (line.clone(), 1)));
    expected.extend(certain.into_iter().map(|line| (line, 1)));
    (expected, possible)
}

/// A time some windows before all records that are in time.
fn late_by_ms(readings: &Readings, size_ms: i64) -> i64 {
    readings.disorder_ms as i64 + size_ms * 2
}

fn is_late(reading: &Reading) -> bool {
    reading.number % EVERY == EVERY - 1
}

fn time(reading: &Reading, by_ms: i64) -> Timestamp {
    if is_late(reading) { reading.time - by_ms } else { reading.time }
}

fn fired_line(key: u64, window: Window) -> String {
    format!("{key} {}..{} has fired", window.start, window.end)
}

fn member(key: u64, window: Window, split: u32, number: u64) -> String {
    format!("{key} {}..{} has {split} {number}", window.start, window.end)
}

/// Tumbling windows of a size and of twice the size.
#[derive(Clone, Copy, Debug)]
struct TwoSizes {
    size_ms: i64,
}

impl Assigner for TwoSizes {
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        for size in [self.size_ms, 2 * self.size_ms] {
            let start = time.div_euclid(size) * size;
            each(Window { start, end: start + size });
        }
    }
}

/// The records of a window.
#[derive(Clone, Copy, Debug)]
struct Members;

impl Aggregate for Members {
    type In = Reading;
    type Acc = Vec<(u32, u64)>;
    type Out = Vec<(u32, u64)>;

    fn create(&self) -> Self::Acc {
        Vec::new()
    }

    fn add(&self, members: &mut Self::Acc, reading: Reading) {
        members.push((reading.split, reading.number));
    }

    fn result(&self, members: &Self::Acc) -> Self::Out {
        members.clone()
    }
}
