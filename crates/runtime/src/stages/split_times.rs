//! What the splits of a reader have reached in event time, and which of them are idle.
//!
//! The watermark is the lowest of the splits that are not idle. A split holds it back from the moment that the
//! reader has it, also before its first record; otherwise a file that is read first would make all others late. So do
//! the splits of a reader that has not been told yet which are its own, and those are never idle: one executor may
//! start long before another, and what it reads meanwhile must not make the other's records late.
//! A split is idle when it was read again and again for the timeout and had nothing. The source says so ([`Control::starved`](crate::stage::Control::starved))
//! and counts only the time in which it could have been read; wall time would take a split that waits for its turn, or
//! for a slow operator, for idle, and its records for late.
//! What a split has reached is kept over restarts (union state: wherever the split goes, its watermark is).

use crate::stage::{AWAITED_SPLIT, NO_MORE_SPLITS, NO_SPLIT, Starved};
use reflow_types::{Instant, MIN_WATERMARK, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The splits of a reader.
pub(super) struct SplitTimes {
    /// After how long without a record a split is idle, in the input's time.
    idle_after: Option<Duration>,
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

/// What all of the splits have reached together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// The lowest time of those that are not idle.
    Time(Timestamp),
    /// There is no split, but there may be one soon, whose records must not be late.
    AwaitsSplit,
    /// All splits are read, and only others' are still to be.
    Exhausted,
    /// All are idle.
    Idle,
}

impl SplitTimes {
    /// No splits yet.
    pub(super) fn new(idle_after: Option<Duration>) -> Self {
        Self {
            idle_after,
            splits: BTreeMap::new(),
            without_split_since: None,
            starved: (Duration::ZERO, Instant::default()),
            restored: BTreeMap::new(),
            current: NO_SPLIT,
            highest: MIN_WATERMARK,
        }
    }

    /// A record of the current split.
    #[inline]
    pub(super) fn record(&mut self, time: Timestamp) {
        if time > self.highest {
            self.highest = time;
        }
    }

    /// Takes note of what splits had reached.
    pub(super) fn restore(&mut self, reached: Vec<(u64, Timestamp)>) {
        for (split, reached) in reached {
            let known = self.restored.entry(split).or_insert(reached);
            // Behind a gate each subtask had reached something else, and anyone may get what another was to get.
            *known = if split == NO_SPLIT { reached.min(*known) } else { reached.max(*known) };
        }
    }

    /// Takes note of what splits had reached elsewhere; what comes from another task goes on from there.
    pub(super) fn adopt(&mut self, reached: Vec<(u64, Timestamp)>) {
        self.restore(reached);
        if let (Some(own), Some(reached)) = (self.splits.get_mut(&NO_SPLIT), self.restored.get(&NO_SPLIT)) {
            own.highest = own.highest.max(*reached);
        }
    }

    /// The reader gets a split, which goes on from what it had reached.
    pub(super) fn add(&mut self, split: u64) {
        let highest = self.restored.get(&split).copied().unwrap_or(MIN_WATERMARK);
        self.splits.insert(split, Split::new(highest));
    }

    /// What a split had reached does not count any more.
    pub(super) fn reset(&mut self, split: u64) {
        self.splits.insert(split, Split::new(MIN_WATERMARK));
    }

    /// The records from here on are of this split.
    pub(super) fn select(&mut self, split: u64) {
        self.settle();
        self.current = split;
    }

    /// A split has ended. If it was the last one, returns what it had reached.
    pub(super) fn remove(&mut self, split: u64) -> Option<Timestamp> {
        self.settle();
        self.restored.remove(&split);
        let ended = self.splits.remove(&split)?;
        self.without_split_since = None;
        (self.splits.is_empty() && ended.highest > MIN_WATERMARK).then_some(ended.highest)
    }

    /// Splits had nothing when the input was read, at a time of the input's own and on the wall clock.
    pub(super) fn mark_starved(&mut self, at: Duration, now: Instant, splits: Starved<'_>) {
        if self.idle_after.is_none() {
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

    /// Books the records since the last look to the current split.
    pub(super) fn settle(&mut self) {
        if self.highest == MIN_WATERMARK {
            return;
        }
        let split = self.splits.entry(self.current).or_insert(Split::new(MIN_WATERMARK));
        split.highest = split.highest.max(self.highest);
        split.starved_since = None;
        self.highest = MIN_WATERMARK;
    }

    /// What all of the splits have reached together.
    pub(super) fn reached(&mut self) -> Reached {
        self.settle();
        let active = |(number, split): &(&u64, &Split)| {
            **number != NO_MORE_SPLITS && !self.is_idle(split.starved_since)
        };
        let lowest = self.splits.iter().filter(active).map(|(_, split)| split.highest).min();
        match lowest {
            Some(lowest) => Reached::Time(lowest),
            // A reader that has come to the end of its splits, and waits for those of others, has nothing that anybody
            // could wait for. It is not idle: once all readers are there, whatever windows fire would come from idle
            // tasks, and be late for tasks that have heard the end of quicker ones.
            None if self.splits.keys().eq([&NO_MORE_SPLITS]) => Reached::Exhausted,
            None if self.splits.is_empty() && !self.is_idle(self.without_split_since) => Reached::AwaitsSplit,
            None => Reached::Idle,
        }
    }

    /// Whether it has been without input for the timeout.
    fn is_idle(&self, since: Option<Duration>) -> bool {
        let waited = since.map(|since| self.starved.0.saturating_sub(since));
        waited.zip(self.idle_after).is_some_and(|(waited, timeout)| waited >= timeout)
    }

    /// When the next split turns idle.
    pub(super) fn next_idle(&self, now: Instant) -> Option<Instant> {
        let timeout = self.idle_after?;
        let (at, wall) = self.starved;
        let without = self.without_split_since.filter(|_| self.splits.is_empty());
        let starved = self.splits.values().filter_map(|split| split.starved_since).chain(without);
        let dues = starved.map(|since| wall + (since + timeout).saturating_sub(at));
        dues.filter(|due| *due > now).min()
    }

    /// What each split has reached, to be kept.
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
        let mut splits = SplitTimes::new(Some(3 * SECOND));
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
        let mut splits = SplitTimes::new(Some(SECOND));
        splits.add(NO_MORE_SPLITS);
        splits.mark_starved(SECOND, Instant(0), Starved::AllBut(&|_| false));
        splits.mark_starved(9 * SECOND, Instant(0), Starved::AllBut(&|_| false));
        assert_eq!(splits.reached(), Reached::Exhausted);
        assert_eq!(splits.to_snapshot().count(), 0);
    }
}
