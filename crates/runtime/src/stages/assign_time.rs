//! Event time: takes each record's time from it, and makes watermarks, one a split.
//!
//! The watermark is the lowest of the splits that are not idle. A split holds it back from the moment that the
//! reader has it, also before its first record; otherwise a file that is read first would make all others late. So do
//! the splits of a reader that has not been told yet which are its own, and those are never idle: one executor may
//! start long before another, and what it reads meanwhile must not make the other's records late.
//! A split is idle when it was read again and again for the timeout and had nothing. The source says so ([`Control::starved`])
//! and counts only the time in which it could have been read; wall time would take a split that waits for its turn, or
//! for a slow operator, for idle, and its records for late.
//! What a split has reached is kept over restarts (union state: wherever the split goes, its watermark is).

use crate::stage::{
    AWAITED_SPLIT, AdoptedState, Control, NO_MORE_SPLITS, NO_SPLIT, OpenContext, SnapshotContext, Stage,
    Starved,
};
use reflow_api::Watermarks;
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::Redistribution;
use reflow_state::SnapshotKind;
use reflow_types::{Instant, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

/// Timestamps beyond these are a mistake, most often of units: years −9999 … 9999 in milliseconds.
pub(crate) const TIME_RANGE: std::ops::RangeInclusive<Timestamp> = -377_705_116_800_000..=253_402_300_799_999;

/// Names a record's time.
pub trait TimeSelector<T>: Clone + Send + 'static {
    /// Milliseconds since the Unix epoch.
    fn time(&self, value: &T) -> Timestamp;
}

impl<T, F: Fn(&T) -> Timestamp + Clone + Send + 'static> TimeSelector<T> for F {
    #[inline]
    fn time(&self, value: &T) -> Timestamp {
        self(value)
    }
}

/// Assigns event time.
pub struct AssignTime<T, F, D> {
    operator: String,
    time: F,
    watermarks: Watermarks,
    splits: BTreeMap<u64, Split>,
    /// Since when the reader has had no split, if it has none and was asked.
    without_split_since: Option<Duration>,
    /// When the input last had nothing: in its own time, and on the wall clock.
    starved: (Duration, Instant),
    /// What splits had reached that are not here (any more).
    restored: BTreeMap<u64, Timestamp>,
    current: u64,
    /// Of the records since the last look at the current split.
    highest: Timestamp,
    now: Instant,
    emitted: Timestamp,
    idle: bool,
    /// Records come from another task: they count as one split, which is there before its first record.
    behind_gate: bool,
    next: D,
    takes: PhantomData<fn(&T)>,
}

struct Split {
    highest: Timestamp,
    /// When it was first found without a record since its last one, in the input's time.
    starved_since: Option<Duration>,
}

impl Split {
    fn new(highest: Timestamp) -> Self {
        Self { highest, starved_since: None }
    }
}

/// The name of its state.
const WATERMARKS: &str = "watermarks";

impl<T, F, D: Control> AssignTime<T, F, D> {
    /// Takes times by `time`.
    pub fn new(operator: String, time: F, watermarks: Watermarks, next: D) -> Self {
        Self {
            operator,
            time,
            watermarks,
            splits: BTreeMap::new(),
            without_split_since: None,
            starved: (Duration::ZERO, Instant::default()),
            restored: BTreeMap::new(),
            current: NO_SPLIT,
            highest: MIN_WATERMARK,
            now: Instant::default(),
            emitted: MIN_WATERMARK,
            idle: false,
            behind_gate: false,
            next,
            takes: PhantomData,
        }
    }

    /// For a chain whose head reads a gate.
    #[must_use]
    pub fn behind_gate(mut self) -> Self {
        self.behind_gate = true;
        self
    }

    /// Takes note of what splits had reached.
    fn restore(&mut self, reached: Vec<(u64, Timestamp)>) {
        for (split, reached) in reached {
            let known = self.restored.entry(split).or_insert(reached);
            // Behind a gate each subtask had reached something else, and anyone may get what another was to get.
            *known = if split == NO_SPLIT { reached.min(*known) } else { reached.max(*known) };
        }
    }

    /// Books the records since the last look to the current split.
    fn settle(&mut self) {
        if self.highest == MIN_WATERMARK {
            return;
        }
        let split = self.splits.entry(self.current).or_insert(Split::new(MIN_WATERMARK));
        split.highest = split.highest.max(self.highest);
        split.starved_since = None;
        self.highest = MIN_WATERMARK;
    }

    /// Whether it has been without input for the timeout.
    fn is_idle(&self, since: Option<Duration>) -> bool {
        let waited = since.map(|since| self.starved.0.saturating_sub(since));
        waited.zip(self.watermarks.idleness()).is_some_and(|(waited, timeout)| waited >= timeout)
    }

    fn advance(&mut self) {
        self.settle();
        let active = |(number, split): &(&u64, &Split)| {
            **number != NO_MORE_SPLITS && !self.is_idle(split.starved_since)
        };
        let lowest = self.splits.iter().filter(active).map(|(_, split)| split.highest).min();
        // Without a split it may be about to get one, whose records must not be late.
        let awaits_split = self.splits.is_empty() && !self.is_idle(self.without_split_since);
        // A reader that has come to the end of its splits, and waits for those of others, has nothing that anybody could
        // wait for. It is not idle: once all readers are there, whatever windows fire would come from idle tasks, and
        // be late for tasks that have heard the end of quicker ones.
        let exhausted = self.splits.keys().eq([&NO_MORE_SPLITS]);
        let idle = lowest.is_none() && !awaits_split && !exhausted;
        if idle != self.idle {
            self.idle = idle;
            self.next.idle(idle);
        }
        // As in Flink: a record with the highest time seen may still come.
        let watermark = match lowest {
            None if exhausted => MAX_WATERMARK,
            lowest => {
                lowest.unwrap_or(MIN_WATERMARK).saturating_sub(self.watermarks.delay_ms()).saturating_sub(1)
            }
        };
        if watermark > self.emitted {
            self.emitted = watermark;
            self.next.watermark(watermark);
        }
    }
}

impl<T, F: TimeSelector<T>, D: Stage<T>> Stage<T> for AssignTime<T, F, D> {
    #[inline]
    fn push(&mut self, value: T, _: Timestamp) {
        let time = self.time.time(&value);
        if time > self.highest {
            self.highest = time;
        }
        if !TIME_RANGE.contains(&time) {
            out_of_range(&self.operator, time);
        }
        self.next.push(value, time);
    }
}

#[cold]
fn out_of_range(operator: &str, time: Timestamp) -> ! {
    let hint = "event time is in milliseconds since the Unix epoch, within the years -9999 to 9999";
    crate::fail(Fault::User, operator, format!("the timestamp {time} is out of range: {hint}"))
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
        let reached = context.take_list(&self.operator, WATERMARKS);
        self.restore(reached);
        if self.behind_gate {
            let reached = self.restored.get(&NO_SPLIT).copied().unwrap_or(MIN_WATERMARK);
            self.splits.insert(NO_SPLIT, Split::new(reached));
        }
        self.next.open(context);
    }

    fn split_added(&mut self, split: u64) {
        let highest = self.restored.get(&split).copied().unwrap_or(MIN_WATERMARK);
        self.splits.insert(split, Split::new(highest));
    }

    fn split(&mut self, split: u64) {
        self.settle();
        self.current = split;
    }

    fn split_ended(&mut self, split: u64) {
        self.settle();
        if let Some(ended) = self.splits.remove(&split) {
            self.without_split_since = None;
            // The last split's watermark is still due.
            if self.splits.is_empty() && ended.highest > MIN_WATERMARK {
                let watermark = ended.highest.saturating_sub(self.watermarks.delay_ms()).saturating_sub(1);
                if watermark > self.emitted {
                    self.emitted = watermark;
                    self.next.watermark(watermark);
                }
            }
        }
        self.restored.remove(&split);
    }

    fn starved(&mut self, at: Duration, splits: Starved<'_>) {
        if self.watermarks.idleness().is_some() {
            self.settle();
            self.starved = (at, self.now);
            match splits {
                Starved::Split(split) => {
                    let split = self.splits.get_mut(&split);
                    split.into_iter().for_each(|split| _ = split.starved_since.get_or_insert(at));
                }
                Starved::AllBut(has_more) => {
                    for (number, split) in &mut self.splits {
                        if !matches!(*number, AWAITED_SPLIT | NO_MORE_SPLITS) && !has_more(*number) {
                            split.starved_since.get_or_insert(at);
                        }
                    }
                    if self.splits.is_empty() {
                        self.without_split_since.get_or_insert(at);
                    }
                }
            }
        }
        self.next.starved(at, splits);
        // A task that found nothing has no further step now. One with records has, and a look at all splits for each that
        // had nothing would be too much.
        if self.behind_gate || matches!(splits, Starved::AllBut(_)) {
            self.advance();
        }
    }

    /// Watermarks from before do not count: this stage makes its own. Only the end of the input passes.
    fn watermark(&mut self, time: Timestamp) {
        if time == MAX_WATERMARK {
            self.settle();
            self.next.watermark(time);
        }
    }

    fn idle(&mut self, _: bool) {}

    fn tick(&mut self, now: Instant) {
        self.now = now;
        self.advance();
        self.next.tick(now);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let own = self.watermarks.idleness().and_then(|timeout| {
            let (at, wall) = self.starved;
            let without = self.without_split_since.filter(|_| self.splits.is_empty());
            let starved = self.splits.values().filter_map(|split| split.starved_since).chain(without);
            let dues = starved.map(|since| wall + (since + timeout).saturating_sub(at));
            dues.filter(|due| *due > self.now).min()
        });
        own.into_iter().chain(self.next.next_wakeup()).min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        // The watermark that belongs to the records so far goes before the barrier, so that it is not lost.
        self.advance();
        let there =
            self.splits.iter().filter(|(split, _)| !matches!(**split, AWAITED_SPLIT | NO_MORE_SPLITS));
        let reached = there.map(|(split, state)| (*split, state.highest));
        context.put_list(&self.operator, WATERMARKS, Redistribution::Union, reached);
        // Behind a gate nobody says whether records of others come from here on.
        context.resets |= self.behind_gate && context.kind == SnapshotKind::Cut;
        self.next.snapshot(context);
        if context.resets {
            (self.emitted, self.idle) = (MIN_WATERMARK, false);
            if self.behind_gate {
                self.splits.insert(NO_SPLIT, Split::new(MIN_WATERMARK));
            }
        }
    }

    fn adopt(&mut self, states: &mut AdoptedState) {
        let reached = states.take_list(&self.operator, WATERMARKS);
        self.restore(reached);
        if let (Some(own), Some(reached)) = (self.splits.get_mut(&NO_SPLIT), self.restored.get(&NO_SPLIT)) {
            own.highest = own.highest.max(*reached);
        }
        self.next.adopt(states);
    }

    fn end(&mut self) {
        self.next.end();
    }
}
