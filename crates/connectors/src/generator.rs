//! A source that computes each record from its index.
//!
//! Split `s` of `n` has the indices `s`, `s + n`, `s + 2n`, … in this order. So the position of a split is its next
//! index, and any number of readers can share the splits.

use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::{Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_types::{Data, Instant, NO_TIMESTAMP};
use std::time::Duration;

/// How many records a reader emits of one split before it turns to the next.
const CHUNK: u64 = 256;
/// The least time between two wake-ups of a source with a rate. Records that are due by then are emitted together.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// A source whose records are computed from their indices 0, 1, 2, …
///
/// The function must return the same record for the same index each time, because after a failure the records since
/// the last checkpoint are computed again. Records carry no event time; assign it downstream.
///
/// ```
/// use reflow_connectors::Generator;
///
/// // The first hundred squares, ten a second.
/// let squares = Generator::new(|index: u64| index * index).count(100).rate(10);
/// ```
#[derive(Clone, Debug)]
pub struct Generator<F> {
    make: F,
    limits: Limits,
    splits: u32,
}

/// The bounds and the rate of the source.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// One past the last index.
    end: u64,
    /// Records per second of the whole source.
    rate: Option<f64>,
}

impl<F> Generator<F> {
    /// An unbounded source with 16 splits and without a rate limit.
    pub fn new<T>(make: F) -> Self
    where
        F: Fn(u64) -> T + Clone + Send + 'static,
    {
        Self { make, limits: Limits { end: u64::MAX, rate: None }, splits: 16 }
    }

    /// Ends after the indices 0 … n − 1.
    #[must_use]
    pub fn count(mut self, n: u64) -> Self {
        self.limits.end = n;
        self
    }

    /// Emits this many records per second, over all splits together.
    ///
    /// The record with index `i` is due at start + `i` / rate, even if earlier ones are late. The start is the time
    /// at which its split is first read and is part of the split's state, so the source catches up after a pause. A
    /// record is emitted at most a millisecond after it is due, if its reader gets to run.
    ///
    /// # Panics
    /// If the rate is not a positive number.
    #[must_use]
    pub fn rate(mut self, per_second: impl Into<f64>) -> Self {
        let rate = per_second.into();
        assert!(rate > 0.0 && rate.is_finite(), "the rate of a generator is {rate}: give a positive number");
        self.limits.rate = Some(rate);
        self
    }

    /// Divides the source into `n` splits, which is the largest number of subtasks that can read it.
    ///
    /// ```
    /// let numbers = reflow_connectors::Generator::new(|index: u64| index).splits(4);
    /// ```
    ///
    /// # Panics
    /// If `n` is 0.
    #[must_use]
    pub fn splits(mut self, n: u32) -> Self {
        assert!(n > 0, "a generator has 0 splits: give at least 1");
        self.splits = n;
        self
    }
}

/// Every `of`-th index, starting with the next one.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct GeneratorSplit {
    number: u32,
    of: u32,
    next: u64,
    /// When the record with index 0 was due. Set when the split is first read, if there is a rate.
    start: Option<Instant>,
}

impl<T, F> Source for Generator<F>
where
    T: Send + 'static,
    F: Fn(u64) -> T + Clone + Send + 'static,
{
    type Item = T;
    type Split = GeneratorSplit;
    type Reader = GeneratorReader<F>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        let of = self.splits;
        let split = |number| GeneratorSplit { number, of, next: number.into(), start: None };
        Box::new(FixedSplits::new((0..of).map(split)))
    }

    fn reader(&self, _: &ReaderContext) -> GeneratorReader<F> {
        GeneratorReader {
            make: self.make.clone(),
            limits: self.limits,
            splits: Vec::new(),
            turn: 0,
            complete: false,
            now: Instant::default(),
        }
    }
}

/// Reads splits of a [`Generator`], in turn.
#[doc(hidden)]
pub struct GeneratorReader<F> {
    make: F,
    limits: Limits,
    splits: Vec<GeneratorSplit>,
    /// The split that is read next, as an index into `splits`.
    turn: usize,
    complete: bool,
    /// The time of the last poll.
    now: Instant,
}

impl<T, F> Reader for GeneratorReader<F>
where
    F: Fn(u64) -> T + Send,
{
    type Item = T;
    type Split = GeneratorSplit;

    fn add_split(&mut self, split: GeneratorSplit) -> u64 {
        let number = split.number.into();
        self.splits.push(split);
        number
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, GeneratorSplit)> {
        let released = self.splits.split_off(keep.min(self.splits.len()));
        released.into_iter().map(|split| (split.number.into(), split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<T>) -> Result<Polled, UserError> {
        self.now = now;
        if self.limits.rate.is_some() {
            self.splits.iter_mut().for_each(|split| _ = split.start.get_or_insert(now));
        }
        let mut without = 0; // so many splits in a row had nothing due
        while without < self.splits.len() {
            if out.is_full() {
                return Ok(Polled::More);
            }
            self.turn %= self.splits.len();
            let split = &mut self.splits[self.turn];
            without += 1;
            let due = self.limits.due_before(split, now);
            if split.next < due && !out.is_paused(split.number.into()) {
                without = 0;
                out.split(split.number.into());
                let step = u64::from(split.of);
                let stop = due.min(split.next.saturating_add(CHUNK * step));
                let mut index = split.next;
                while index < stop && !out.is_full() {
                    out.emit((self.make)(index), NO_TIMESTAMP);
                    index = index.saturating_add(step);
                }
                split.next = index;
            }
            if split.next >= self.limits.end {
                out.end_split(split.number.into());
                self.splits.remove(self.turn);
                without = 0;
            } else {
                self.turn += 1;
            }
        }
        let due = self.splits.iter().map(|split| self.limits.due(split)).min();
        Ok(match due {
            Some(due) => Polled::Wait(Some(due.max(now + LEAST_WAIT))),
            None if self.complete => Polled::End,
            None => Polled::Wait(None),
        })
    }

    fn snapshot(&self) -> Vec<GeneratorSplit> {
        self.splits.clone()
    }

    /// With a rate, the records that were due at the last poll and were not emitted. Otherwise all remaining
    /// records, if the source is bounded.
    fn pending_records(&self) -> Option<u64> {
        let known = self.limits.rate.is_some() || self.limits.end < u64::MAX;
        let pending = |split: &GeneratorSplit| {
            let due = self.limits.due_before(split, self.now);
            due.saturating_sub(split.next).div_ceil(split.of.into())
        };
        known.then(|| self.splits.iter().map(pending).sum())
    }
}

impl Limits {
    /// One past the last index of this split that is due by `now`.
    fn due_before(&self, split: &GeneratorSplit, now: Instant) -> u64 {
        let (Some(rate), Some(start)) = (self.rate, split.start) else { return self.end };
        let due = ((now.since(start).as_secs_f64() * rate) as u64).saturating_add(1);
        // The two computations may round differently. The time of `due` decides, because a reader that is woken
        // at that time must find the record due.
        let due = if self.due(split) <= now { due.max(split.next.saturating_add(1)) } else { due };
        due.min(self.end)
    }

    /// When the next record of a split is due.
    fn due(&self, split: &GeneratorSplit) -> Instant {
        let (Some(rate), Some(start)) = (self.rate, split.start) else { return Instant::default() };
        start + Duration::try_from_secs_f64(split.next as f64 / rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
