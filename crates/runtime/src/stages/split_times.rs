//! The event time of the splits of a reader, and which of them are idle.
//!
//! The watermark is the lowest event time of the splits that are not idle. A split holds the watermark back from
//! the moment that it is assigned, also before its first record; otherwise the file that is read first would make
//! all others late. A reader whose splits are not assigned yet also holds it back, and is never idle: one
//! executor may start long before another, and its records must not make the other's late.
//!
//! A split is idle if it was read repeatedly for the timeout and had no records. The source reports this
//! ([`Control::starved`](crate::stage::Control::starved)) and counts only the time in which the split could have
//! been read. By wall time, a split that waits for its turn or for a slow operator would become idle, and its
//! records late.
//!
//! The event time of a split is kept over restarts. It is union state, so it is available wherever the split
//! goes.

use crate::stage::{AWAITED_SPLIT, NO_MORE_SPLITS, NO_SPLIT, Starved};
use reflow_api::Watermarks;
use reflow_types::{Instant, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The event times of a reader's splits.
pub struct SplitTimes {
    pub(crate) watermarks: Watermarks,
    splits: BTreeMap<u64, Split>,
    /// When the reader was first polled without having a split.
    without_split_since: Option<Duration>,
    /// When the input last had no records: by the input clock, and by the wall clock.
    starved: (Duration, Instant),
    /// The restored event times of splits, including those that this reader does not have.
    restored: BTreeMap<u64, Timestamp>,
    current: u64,
    /// The highest timestamp of the current split's records that `splits` does not include yet.
    highest: Timestamp,
}

struct Split {
    highest: Timestamp,
    /// When it was first read without result since its last record, by the input clock.
    starved_since: Option<Duration>,
}

impl Split {
    fn new(highest: Timestamp) -> Self {
        Self { highest, starved_since: None }
    }
}

/// The event time that all splits together have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The lowest time of the splits that are not idle.
    Time(Timestamp),
    /// There is no split yet, but one may be assigned soon, and its records must not be late.
    AwaitsSplit,
    /// All splits of this reader are finished; only other readers have some.
    Exhausted,
    /// All splits are idle.
    Idle,
}

impl SplitTimes {
    /// No splits yet.
    pub(super) fn new(watermarks: Watermarks) -> Self {
        Self {
            watermarks,
            splits: BTreeMap::new(),
            without_split_since: None,
            starved: (Duration::ZERO, Instant::default()),
            restored: BTreeMap::new(),
            current: NO_SPLIT,
            highest: MIN_WATERMARK,
        }
    }

    /// Counts a record of the current split.
    #[inline]
    pub(super) fn record(&mut self, time: Timestamp) {
        if time > self.highest {
            self.highest = time;
        }
    }

    /// Adds restored event times of splits.
    pub(super) fn restore(&mut self, reached: Vec<(u64, Timestamp)>) {
        for (split, reached) in reached {
            let known = self.restored.entry(split).or_insert(reached);
            // Behind a gate, the subtasks had reached different times, and each may get records that another one
            // got before. So the lowest counts.
            *known = if split == NO_SPLIT { reached.min(*known) } else { reached.max(*known) };
        }
    }

    /// Adds event times of other subtasks. Input from another task continues from there.
    pub(super) fn adopt(&mut self, reached: Vec<(u64, Timestamp)>) {
        self.restore(reached);
        if let (Some(own), Some(reached)) = (self.splits.get_mut(&NO_SPLIT), self.restored.get(&NO_SPLIT)) {
            own.highest = own.highest.max(*reached);
        }
    }

    /// Adds a split of the reader, which continues at its restored event time.
    pub(super) fn add(&mut self, split: u64) {
        let highest = self.restored.get(&split).copied().unwrap_or(MIN_WATERMARK);
        self.splits.insert(split, Split::new(highest));
    }

    /// Resets the event time of a split.
    pub(super) fn reset(&mut self, split: u64) {
        self.splits.insert(split, Split::new(MIN_WATERMARK));
    }

    /// Sets the split of the following records.
    pub(super) fn select(&mut self, split: u64) {
        self.settle();
        self.current = split;
    }

    /// Removes a split that has ended. Returns its event time if it was the last one.
    pub(super) fn remove(&mut self, split: u64) -> Option<Timestamp> {
        self.settle();
        self.restored.remove(&split);
        let ended = self.splits.remove(&split)?;
        self.without_split_since = None;
        (self.splits.is_empty() && ended.highest > MIN_WATERMARK).then_some(ended.highest)
    }

    /// Marks splits that had no records when the input was read, at `at` by the input clock and `now` by the wall
    /// clock.
    pub(super) fn mark_starved(&mut self, at: Duration, now: Instant, splits: Starved<'_>) {
        if self.watermarks.idleness().is_none() {
            return;
        }
        self.settle();
        self.starved = (at, now);
        match splits {
            Starved::Split(split) => {
                let split = self.splits.get_mut(&split);
                split.into_iter().for_each(|split| _ = split.starved_since.get_or_insert(at));
            }
            Starved::AllBut(has_more) => {
                for (number, split) in &mut self.splits {
                    if has_more(*number) {
                        split.starved_since = None;
                    } else if !matches!(*number, AWAITED_SPLIT | NO_MORE_SPLITS) {
                        split.starved_since.get_or_insert(at);
                    }
                }
                if self.splits.is_empty() {
                    self.without_split_since.get_or_insert(at);
                }
            }
        }
    }

    /// Adds the records since the last call to the current split.
    pub(super) fn settle(&mut self) {
        if self.highest == MIN_WATERMARK {
            return;
        }
        let split = self.splits.entry(self.current).or_insert(Split::new(MIN_WATERMARK));
        split.highest = split.highest.max(self.highest);
        split.starved_since = None;
        self.highest = MIN_WATERMARK;
    }

    /// The event time that all splits together have reached.
    pub(super) fn reached(&mut self) -> Reached {
        self.settle();
        self.settled()
    }

    fn settled(&self) -> Reached {
        let active = |(number, split): &(&u64, &Split)| {
            **number != NO_MORE_SPLITS && !self.is_idle(split.starved_since)
        };
        let lowest = self.splits.iter().filter(active).map(|(_, split)| split.highest).min();
        match lowest {
            Some(lowest) => Reached::Time(lowest),
            // A reader that has finished its splits holds no watermark back while others read. It must not count
            // as idle: once all readers have finished, the results of windows would come from idle tasks, and be
            // late for tasks that already have the end of faster ones.
            None if self.splits.keys().eq([&NO_MORE_SPLITS]) => Reached::Exhausted,
            None if self.splits.is_empty() && !self.is_idle(self.without_split_since) => Reached::AwaitsSplit,
            None => Reached::Idle,
        }
    }

    /// The watermark for the highest timestamp seen. As in Flink, another record with that timestamp may still
    /// come.
    pub(super) fn watermark_at(&self, highest: Timestamp) -> Timestamp {
        highest.saturating_sub(self.watermarks.delay_ms()).saturating_sub(1)
    }

    /// The watermark of a split.
    pub(crate) fn watermark_of(&self, split: u64) -> Timestamp {
        let before = self.splits.get(&split).map_or(MIN_WATERMARK, |split| split.highest);
        let since = if split == self.current { self.highest } else { MIN_WATERMARK };
        self.watermark_at(before.max(since))
    }

    /// The splits whose watermark is above this one.
    pub(crate) fn above(&self, watermark: Timestamp) -> impl Iterator<Item = u64> + '_ {
        self.splits.keys().copied().filter(move |split| self.watermark_of(*split) > watermark)
    }

    /// The watermark by which the reader holds others back with which it is aligned; the highest one if it holds back
    /// nobody, because it has no split or all are idle.
    pub(crate) fn holds_back(&self) -> Timestamp {
        match self.settled() {
            Reached::Time(lowest) => self.watermark_at(lowest),
            Reached::AwaitsSplit | Reached::Exhausted | Reached::Idle => MAX_WATERMARK,
        }
    }

    /// Whether the timeout has passed since `since`.
    fn is_idle(&self, since: Option<Duration>) -> bool {
        let waited = since.map(|since| self.starved.0.saturating_sub(since));
        waited.zip(self.watermarks.idleness()).is_some_and(|(waited, timeout)| waited >= timeout)
    }

    /// When the next split becomes idle.
    pub(super) fn next_idle(&self, now: Instant) -> Option<Instant> {
        let timeout = self.watermarks.idleness()?;
        let (at, wall) = self.starved;
        let without = self.without_split_since.filter(|_| self.splits.is_empty());
        let starved = self.splits.values().filter_map(|split| split.starved_since).chain(without);
        let dues = starved.map(|since| wall + (since + timeout).saturating_sub(at));
        dues.filter(|due| *due > now).min()
    }

    /// The event time of each split, for a snapshot.
    pub(super) fn to_snapshot(&self) -> impl Iterator<Item = (u64, Timestamp)> + '_ {
        let there =
            self.splits.iter().filter(|(split, _)| !matches!(**split, AWAITED_SPLIT | NO_MORE_SPLITS));
        there.map(|(split, state)| (*split, state.highest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The story of a reader with two splits, of which one falls silent.
    #[test]
    fn the_lowest_split_that_is_not_idle_decides() {
        let mut splits = SplitTimes::new(Watermarks::monotonic().with_idleness(3 * SECOND));
        assert_eq!(splits.reached(), Reached::AwaitsSplit);
        splits.restore(vec![(1, 40)]);
        splits.add(1);
        splits.add(2);
        assert_eq!(splits.reached(), Reached::Time(MIN_WATERMARK), "split 2 has no record yet");
        splits.select(2);
        splits.record(50);
        splits.record(45);
        assert_eq!(splits.reached(), Reached::Time(40), "split 1 goes on from where it was");

        // Split 1 has nothing at 2 s of the input's time, and still nothing 3 s later.
        splits.mark_starved(2 * SECOND, Instant(0), Starved::Split(1));
        assert_eq!(splits.next_idle(Instant(0)), Some(Instant(0) + 3 * SECOND));
        splits.mark_starved(5 * SECOND, Instant(0), Starved::Split(1));
        assert_eq!(splits.reached(), Reached::Time(50));

        splits.select(1);
        splits.record(60);
        assert_eq!(splits.reached(), Reached::Time(50), "it is back");
        assert_eq!(splits.to_snapshot().collect::<Vec<_>>(), [(1, 60), (2, 50)]);
        assert_eq!(splits.remove(2), None);
        assert_eq!(splits.remove(1), Some(60), "the last one leaves its watermark");
    }

    #[test]
    fn a_reader_at_the_end_of_its_splits_is_not_idle() {
        let mut splits = SplitTimes::new(Watermarks::monotonic().with_idleness(SECOND));
        splits.add(NO_MORE_SPLITS);
        splits.mark_starved(SECOND, Instant(0), Starved::AllBut(&|_| false));
        splits.mark_starved(9 * SECOND, Instant(0), Starved::AllBut(&|_| false));
        assert_eq!(splits.reached(), Reached::Exhausted);
        assert_eq!(splits.to_snapshot().count(), 0);
    }

    /// What it has more of was held up, also if it had nothing before.
    #[test]
    fn a_split_that_has_more_is_not_idle() {
        let mut splits = SplitTimes::new(Watermarks::monotonic().with_idleness(SECOND));
        splits.add(1);
        splits.select(1);
        splits.record(7);
        splits.mark_starved(SECOND, Instant(0), Starved::AllBut(&|_| false));
        splits.mark_starved(9 * SECOND, Instant(0), Starved::AllBut(&|_| true));
        assert_eq!(splits.reached(), Reached::Time(7));
        assert_eq!((splits.watermark_of(1), splits.holds_back()), (6, 6));
    }
}
