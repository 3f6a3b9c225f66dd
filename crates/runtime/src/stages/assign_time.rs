//! The stage that assigns event time: it reads each record's timestamp and derives watermarks from the event time
//! that the [splits](super::split_times) have reached.

use super::split_times::{Reached, SplitTimes};
use crate::failure::OperatorName;
use crate::stage::{AdoptedState, Control, NO_SPLIT, OpenContext, SnapshotContext, Stage, Starved};
use reflow_api::Watermarks;
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::Redistribution;
use reflow_state::SnapshotKind;
use reflow_types::{Instant, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::marker::PhantomData;
use std::time::Duration;

/// The valid timestamps: the years −9999 to 9999 in milliseconds. A timestamp outside is a mistake, usually of
/// units.
pub(crate) const TIME_RANGE: std::ops::RangeInclusive<Timestamp> = -377_705_116_800_000..=253_402_300_799_999;

/// How a record tells its event time.
pub trait EventTime<T>: Clone + Send + 'static {
    /// What a timestamp must be, for the error of one that is not.
    const EXPECTED: &str =
        "event time is in milliseconds since the Unix epoch, within the years -9999 to 9999";

    /// The record's timestamp. `given` is the one that it has.
    fn timestamp(&self, value: &T, given: Timestamp) -> Timestamp;

    /// The event time that its split has reached with this record: no earlier record follows, but for the disorder that
    /// the watermark strategy allows.
    #[inline]
    fn reached(&self, _value: &T, timestamp: Timestamp) -> Timestamp {
        timestamp
    }
}

/// A function of the record.
#[derive(Clone, Copy)]
pub struct Extracted<F>(pub F);

impl<T, F: Fn(&T) -> Timestamp + Clone + Send + 'static> EventTime<T> for Extracted<F> {
    #[inline]
    fn timestamp(&self, value: &T, _: Timestamp) -> Timestamp {
        (self.0)(value)
    }
}

/// The timestamp that the record has, as its source has given it.
#[derive(Clone, Copy)]
pub struct Given;

impl<T> EventTime<T> for Given {
    const EXPECTED: &str = "the source must give its records times in milliseconds since the Unix epoch, within the years \
                            -9999 to 9999; or extract them by .assign_event_time(…)";

    #[inline]
    fn timestamp(&self, _: &T, given: Timestamp) -> Timestamp {
        given
    }
}

/// A function of the record, and one that says which records carry a watermark.
#[derive(Clone, Copy)]
pub struct Punctuated<F, W> {
    /// The record's timestamp.
    pub time: F,
    /// The watermark of a record and its timestamp, if it carries one.
    pub watermark: W,
}

impl<T, F, W> EventTime<T> for Punctuated<F, W>
where
    F: Fn(&T) -> Timestamp + Clone + Send + 'static,
    W: Fn(&T, Timestamp) -> Option<Timestamp> + Clone + Send + 'static,
{
    #[inline]
    fn timestamp(&self, value: &T, _: Timestamp) -> Timestamp {
        (self.time)(value)
    }

    #[inline]
    fn reached(&self, value: &T, timestamp: Timestamp) -> Timestamp {
        match (self.watermark)(value, timestamp) {
            // Records at the watermark are late, those behind it are not.
            Some(watermark) => watermark.saturating_add(1),
            // The lowest that counts as a record, so that a split without watermarks is not idle.
            None => MIN_WATERMARK + 1,
        }
    }
}

/// Assigns event time.
pub struct AssignTime<T, F, D> {
    operator: OperatorName,
    time: F,
    splits: SplitTimes,
    now: Instant,
    emitted: Timestamp,
    idle: bool,
    /// Whether records come from another task. They count as one split, which exists before its first record.
    behind_gate: bool,
    next: D,
    takes: PhantomData<fn(&T)>,
}

/// The name of the stage's operator state.
pub(crate) const WATERMARKS: &str = "watermarks";

impl<T, F, D: Control> AssignTime<T, F, D> {
    /// A stage that takes timestamps by `time`.
    pub fn new(operator: OperatorName, time: F, watermarks: Watermarks, next: D) -> Self {
        Self {
            operator,
            time,
            splits: SplitTimes::new(watermarks),
            now: Instant::default(),
            emitted: MIN_WATERMARK,
            idle: false,
            behind_gate: false,
            next,
            takes: PhantomData,
        }
    }

    /// Sets that the head of the chain reads a gate.
    #[must_use]
    pub fn behind_gate(mut self) -> Self {
        self.behind_gate = true;
        self
    }

    fn advance(&mut self) {
        let reached = self.splits.reached();
        let idle = reached == Reached::Idle;
        if idle != self.idle {
            self.idle = idle;
            self.next.idle(idle);
        }
        match reached {
            Reached::Time(lowest) => self.emit(self.splits.watermark_at(lowest)),
            Reached::Exhausted => self.emit(MAX_WATERMARK),
            Reached::AwaitsSplit | Reached::Idle => {}
        }
    }

    fn emit(&mut self, watermark: Timestamp) {
        if watermark > self.emitted {
            self.emitted = watermark;
            self.next.watermark(watermark);
        }
    }
}

impl<T, F: EventTime<T>, D: Stage<T>> Stage<T> for AssignTime<T, F, D> {
    #[inline]
    fn push(&mut self, value: T, given: Timestamp) {
        let time = self.time.timestamp(&value, given);
        self.splits.record(self.time.reached(&value, time));
        if !TIME_RANGE.contains(&time) {
            out_of_range(&self.operator, time, F::EXPECTED);
        }
        self.next.push(value, time);
    }
}

#[cold]
fn out_of_range(operator: &OperatorName, time: Timestamp, expected: &str) -> ! {
    let message = format!("the timestamp {time} is out of range: {expected}");
    crate::fail(Fault::User, &operator.to_string(), message)
}

impl<T, F: Send, D: Control> Control for AssignTime<T, F, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.now = context.now;
        let reached = context.take_list(&self.operator.uid, WATERMARKS);
        self.splits.restore(reached);
        if self.behind_gate {
            self.splits.add(NO_SPLIT);
        }
        // The restored watermark is that of the input, and says nothing about the times that this stage assigns.
        context.watermark = MIN_WATERMARK;
        self.next.open(context);
    }

    fn split_added(&mut self, split: u64) {
        self.splits.add(split);
        self.next.split_added(split);
    }

    fn split(&mut self, split: u64) {
        self.splits.select(split);
        self.next.split(split);
    }

    fn split_ended(&mut self, split: u64) {
        // The watermark of the last split was not emitted yet.
        if let Some(highest) = self.splits.remove(split) {
            self.emit(self.splits.watermark_at(highest));
        }
        self.next.split_ended(split);
    }

    fn starved(&mut self, at: Duration, splits: Starved<'_>) {
        self.splits.mark_starved(at, self.now, splits);
        self.next.starved(at, splits);
        // If all splits are starved, no further step may come soon, so the watermark advances now. If only one
        // is, another step follows, and checking all splits for each starved one would cost too much.
        if self.behind_gate || matches!(splits, Starved::AllBut(_)) {
            self.advance();
        }
    }

    /// Drops watermarks of earlier stages, because this stage makes its own. Only the end of the input passes.
    fn watermark(&mut self, time: Timestamp) {
        if time == MAX_WATERMARK {
            self.splits.settle();
            self.next.watermark(time);
        }
    }

    fn idle(&mut self, _: bool) {}

    fn aligned(&self) -> Option<&SplitTimes> {
        match self.splits.watermarks.alignment() {
            Some(_) => Some(&self.splits),
            None => self.next.aligned(),
        }
    }

    fn tick(&mut self, now: Instant) {
        self.now = now;
        self.advance();
        self.next.tick(now);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.splits.next_idle(self.now).into_iter().chain(self.next.next_wakeup()).min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        // The watermark of the records so far precedes the barrier. Behind it, the watermark would not belong to
        // the checkpoint.
        self.advance();
        context.put_list(&self.operator.uid, WATERMARKS, Redistribution::Union, self.splits.to_snapshot());
        // Behind a gate the stage cannot know whether it will get records that other subtasks got before the cut.
        context.resets |= self.behind_gate && context.kind == SnapshotKind::Cut;
        let resets = context.resets;
        self.next.snapshot(context);
        if resets {
            (self.emitted, self.idle) = (MIN_WATERMARK, false);
            if self.behind_gate {
                self.splits.reset(NO_SPLIT);
            }
        }
    }

    fn adopt(&mut self, states: &mut AdoptedState) {
        let reached = states.take_list(&self.operator.uid, WATERMARKS);
        self.splits.adopt(reached);
        self.next.adopt(states);
    }

    fn end(&mut self) {
        self.next.end();
    }
}
