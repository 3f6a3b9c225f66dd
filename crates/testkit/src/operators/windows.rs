//! The windowed ones of these jobs whose functions are longer than a line.

use super::{Reading, Sum, text, window_line};
use reflow_api::window::{
    CountTrigger, Elements, EventTimeTrigger, PurgingTrigger, TumblingWindows, Window, WindowContext,
    WindowFunction, Windowed,
};
use reflow_api::{Aggregate, MergeableAggregate, OutputTag, UserError, Watermarks};
use reflow_stream::{BoxedStream, Pipeline, Stream};
use reflow_types::Timestamp;
use std::time::Duration;

/// How much earlier than its reading a record is if the value is divisible by [`DELAYED`].
const LATE_MS: Timestamp = 120;
/// See [`LATE_MS`].
pub const DELAYED: i64 = 5;
const LATE: OutputTag<Reading> = OutputTag::new("late");

/// The event time of a reading in the jobs with late records.
pub fn late_time(reading: &Reading) -> Timestamp {
    if reading.value % DELAYED == 0 { reading.time - LATE_MS } else { reading.time }
}

/// The gap behind a reading in the job with sessions.
pub fn gap_ms(reading: &Reading) -> Timestamp {
    10 + reading.value.rem_euclid(3) * 10
}

/// The line of a session's sum.
pub fn session_line(key: u64, window: Window, sum: i64) -> String {
    format!("{key} from {} until {}: {sum}", window.start, window.end)
}

/// The line of a window's sum and of the sum of all windows of its key so far.
pub fn total_line(key: u64, end: Timestamp, sum: i64, total: i64) -> String {
    format!("{}, {total} in all", window_line(key, end, sum))
}

/// Sums that are emitted when their window is removed, so that it does not matter which records were late. Until then
/// it fires and is purged at any time.
#[inline] // see [`build`](super::Operator::build)
pub(super) fn lateness(readings: BoxedStream<Reading>, in_split: Duration) -> BoxedStream<String> {
    let firings = EventTimeTrigger.with_early_firings(Duration::from_millis(10));
    readings
        .assign_event_time(late_time, Watermarks::bounded_out_of_orderness(in_split))
        .key_by(super::key)
        .window(TumblingWindows::of(super::TUMBLING))
        .allowed_lateness(Duration::from_millis(LATE_MS as u64))
        .trigger(PurgingTrigger::of(firings))
        .aggregate_with(Sum, SumOnRemoval)
        .boxed()
}

/// Each record, either from its window or as a late one.
#[inline] // see [`build`](super::Operator::build)
pub(super) fn late_output(readings: BoxedStream<Reading>, in_split: Duration) -> BoxedStream<String> {
    let (in_time, late) = readings
        .assign_event_time(late_time, Watermarks::bounded_out_of_orderness(in_split))
        .key_by(super::key)
        .window(TumblingWindows::of(super::TUMBLING))
        .late_output(&LATE)
        .apply(|_: &u64, _: Window, records: &Elements<Reading>| {
            Some(records.iter().map(|(_, reading)| *reading).collect::<Vec<_>>())
        })
        .side_output(&LATE);
    let in_time = in_time.flat_map(|records: Vec<Reading>| records);
    in_time.map(text).union(late.map(text)).boxed()
}

/// Sums of sessions.
pub(super) fn sessions(timed: Stream<impl Pipeline<Out = Reading>>) -> BoxedStream<String> {
    timed
        .key_by(super::key)
        .sessions_by_gap(|reading| Duration::from_millis(gap_ms(reading) as u64))
        .aggregate(Sum)
        .map(|sum: Windowed<u64, i64>| session_line(sum.key, sum.window, sum.value))
        .boxed()
}

/// Numbers the records of each key, in windows that end by the wall clock.
#[inline] // see [`build`](super::Operator::build)
pub(super) fn processing_time(readings: BoxedStream<Reading>) -> BoxedStream<String> {
    readings
        .key_by(super::key)
        .window(TumblingWindows::of(Duration::from_millis(20)).in_processing_time())
        .trigger(CountTrigger::every(1))
        .process(Numbering)
        .boxed()
}

impl MergeableAggregate for Sum {
    fn merge(&self, acc: &mut i64, other: <Sum as Aggregate>::Acc) -> Result<(), UserError> {
        *acc += other;
        Ok(())
    }
}

/// Adds up what a window fires, and emits it when the window is removed.
#[derive(Clone)]
struct SumOnRemoval;

impl WindowFunction for SumOnRemoval {
    type Key = u64;
    type In = i64;
    type Out = String;
    type State = i64;
    type KeyState = i64;

    fn process(&mut self, context: &mut impl WindowContext<Self>, sum: &i64) -> Result<(), UserError> {
        *context.state_mut() += sum;
        Ok(())
    }

    fn clear(&mut self, context: &mut impl WindowContext<Self>) -> Result<(), UserError> {
        let (sum, key) = (*context.state_mut(), *context.key());
        *context.key_state_mut() += sum;
        let total = *context.key_state_mut();
        context.emit(total_line(key, context.window().end, sum, total));
        Ok(())
    }
}

/// Numbers the firings of each key.
#[derive(Clone)]
struct Numbering;

impl WindowFunction for Numbering {
    type Key = u64;
    type In = Elements<Reading>;
    type Out = String;
    type State = ();
    type KeyState = u64;

    fn process(
        &mut self,
        context: &mut impl WindowContext<Self>,
        _: &Elements<Reading>,
    ) -> Result<(), UserError> {
        *context.key_state_mut() += 1;
        let number = (*context.key(), *context.key_state_mut());
        context.emit(text(number));
        Ok(())
    }
}
