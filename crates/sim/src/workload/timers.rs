//! The job with a process function that uses both kinds of timers: sums at event time, and records that are held
//! back for some processing time or until the end of the input.

use super::reading::Reading;
use super::sink::LineSink;
use super::{Lines, Workload};
use crate::faults::Probe;
use reflow_api::{Context, ProcessFunction, TimeDomain, UserError};
use reflow_stream::StreamEnv;
use reflow_types::{Data, MAX_WATERMARK, Timestamp};
use std::collections::BTreeMap;

/// How long a record is held back.
const HOLD_MS: i64 = 150;
/// Fires when the input has ended, and not before.
const AT_THE_END: Timestamp = MAX_WATERMARK - 1;

pub(super) fn build(env: &mut StreamEnv, workload: &Workload) {
    workload
        .readings(env, "readings")
        .assign_event_time(|reading: &Reading| reading.time, workload.watermarks())
        .key_by(|reading: &Reading| reading.key)
        .process(HoldAndSum { size_ms: workload.window.as_millis() as i64, probe: workload.probe.clone() })
        .max_parallelism(workload.max_parallelism[0])
        .sink("lines", LineSink);
}

pub(super) fn expected(workload: &Workload) -> Lines {
    let size_ms = workload.window.as_millis() as i64;
    let mut sums: BTreeMap<(u64, i64), (u64, i64)> = BTreeMap::new();
    let mut held = Vec::new();
    for Reading { split, number, key, time, amount } in workload.readings.all() {
        let (count, sum) = sums.entry((key, end_of(time, size_ms))).or_default();
        *count += 1;
        *sum += amount;
        held.push(held_line(key, split, number));
    }
    let sums = sums.into_iter().map(|((key, end), (count, sum))| sum_line(key, end, count, sum));
    super::lines(held.into_iter().chain(sums))
}

fn end_of(time: i64, size_ms: i64) -> i64 {
    (time.div_euclid(size_ms) + 1) * size_ms - 1
}

fn held_line(key: u64, split: u32, number: u64) -> String {
    format!("held {key} {split} {number}")
}

fn sum_line(key: u64, end: i64, count: u64, sum: i64) -> String {
    format!("sum {key} {end} {count} {sum}")
}

/// See the file's header.
#[derive(Clone, Debug)]
struct HoldAndSum {
    size_ms: i64,
    probe: Probe,
}

/// What is kept of a key.
#[derive(Clone, Debug, Default, Data)]
struct Kept {
    held: Vec<(u32, u64)>,
    sums: BTreeMap<i64, (u64, i64)>,
}

impl ProcessFunction for HoldAndSum {
    type Key = u64;
    type In = Reading;
    type Out = String;
    type State = Kept;

    fn process(
        &mut self,
        context: &mut impl Context<u64, Kept, String>,
        reading: Reading,
    ) -> Result<(), UserError> {
        let end = end_of(reading.time, self.size_ms);
        let kept = context.state_mut();
        kept.held.push((reading.split, reading.number));
        let (count, sum) = kept.sums.entry(end).or_default();
        *count += 1;
        *sum += reading.amount;
        context.register_timer(TimeDomain::Event, end);
        context.register_timer(TimeDomain::Event, AT_THE_END);
        context.register_timer(TimeDomain::Processing, context.processing_time() + HOLD_MS);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, Kept, String>,
        time: Timestamp,
        domain: TimeDomain,
    ) -> Result<(), UserError> {
        if self.probe.called() {
            return Err("the timer does not work this time".into());
        }
        let key = *context.key();
        let (kept, mut emit) = context.state_and_emit();
        if domain == TimeDomain::Processing || time == AT_THE_END {
            for (split, number) in kept.held.drain(..) {
                emit(held_line(key, split, number));
            }
        } else if let Some((count, sum)) = kept.sums.remove(&time) {
            emit(sum_line(key, time, count, sum));
        }
        Ok(())
    }
}
