//! A wrapper that limits the rate of any source.
//!
//! The readers that have splits to read share the rate equally; the JobManager tells them how many they are. Each
//! reader takes records from a token bucket, which is small: what was not used in time is not used later, so the
//! rate is a limit and not an average.

use reflow_api::source::ReaderContext;
use reflow_api::{Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_types::{CheckpointId, Instant, Timestamp};
use std::time::Duration;

/// A reader's bucket has room for the records of this time, and for at least one.
const BURST: Duration = Duration::from_millis(20);
/// The least time between two wake-ups of a reader. Records that are due by then are emitted together.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// A source that reads a limited number of records per second, to limit the load on the system that it reads from
/// or to make a short input last longer.
///
/// ```
/// use reflow_connectors::{FileSource, RateLimited};
///
/// let lines = RateLimited::new(FileSource::lines("/data/words"), 1_000);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimited<S> {
    source: S,
    per_second: f64,
}

impl<S: Source> RateLimited<S> {
    /// Reads at most `per_second` records of `source` per second, in all its readers together. The readers with
    /// unfinished splits have equal shares, also while one of them has no records.
    ///
    /// # Panics
    /// If the rate is not a positive number.
    pub fn new(source: S, per_second: impl Into<f64>) -> Self {
        let per_second = per_second.into();
        let is_rate = per_second > 0.0 && per_second.is_finite();
        assert!(is_rate, "the rate of a source is {per_second}: give a positive number");
        Self { source, per_second }
    }
}

impl<S: Source> Source for RateLimited<S> {
    type Item = S::Item;
    type Split = S::Split;
    type Reader = RateLimitedReader<S::Reader>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        self.source.enumerator()
    }

    fn reader(&self, context: &ReaderContext) -> Self::Reader {
        let mut reader = RateLimitedReader {
            total: self.per_second,
            bucket: Bucket { per_second: self.per_second, records: 0.0, filled: None },
            throttled: false,
            reader: self.source.reader(context),
        };
        reader.share(context.parallelism);
        reader
    }
}

/// Reads at its share of the rate.
#[doc(hidden)]
pub struct RateLimitedReader<R> {
    /// Records per second of all readers together.
    total: f64,
    bucket: Bucket,
    /// Whether the rate ended the last poll, so that any split may have more records.
    throttled: bool,
    reader: R,
}

/// A token bucket: how many records may be emitted now.
struct Bucket {
    per_second: f64,
    /// Below zero if a reader took more than the bucket contained.
    records: f64,
    filled: Option<Instant>,
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let since = self.filled.map_or(BURST, |filled| now.since(filled));
        let most = (self.per_second * BURST.as_secs_f64()).max(1.0);
        self.records = (self.records + since.as_secs_f64() * self.per_second).min(most);
        self.filled = Some(now);
    }

    /// When the bucket contains a record again.
    fn refilled(&self, now: Instant) -> Instant {
        let missing = ((1.0 - self.records) / self.per_second).max(0.0);
        // Rounded up, because a reader that is woken must find a record in the bucket.
        let missing = Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX);
        now + missing.saturating_add(Duration::from_micros(1)).max(LEAST_WAIT)
    }
}

impl<R> RateLimitedReader<R> {
    fn share(&mut self, readers: u32) {
        self.bucket.per_second = self.total / f64::from(readers);
    }
}

impl<R: Reader> Reader for RateLimitedReader<R> {
    type Item = R::Item;
    type Split = R::Split;

    fn add_split(&mut self, split: R::Split) -> u64 {
        self.reader.add_split(split)
    }

    fn no_more_splits(&mut self) {
        self.reader.no_more_splits();
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, R::Split)> {
        self.reader.release(keep)
    }

    fn rescaled(&mut self, parallelism: u32) {
        self.share(parallelism);
        self.reader.rescaled(parallelism);
    }

    fn active_readers(&mut self, readers: u32) {
        self.share(readers.max(1));
        self.reader.active_readers(readers);
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<R::Item>) -> Result<Polled, UserError> {
        self.bucket.fill(now);
        let mut metered = Metered { left: &mut self.bucket.records, out };
        // Poll the inner reader even if the bucket is empty, because it may have to request data or be at its
        // end.
        let polled = self.reader.poll(now, &mut metered)?;
        self.throttled = self.bucket.records < 1.0;
        Ok(if polled == Polled::More && self.throttled {
            Polled::Wait(Some(self.bucket.refilled(now)))
        } else {
            polled
        })
    }

    fn snapshot(&self) -> Vec<R::Split> {
        self.reader.snapshot()
    }

    fn completed(&mut self, checkpoint: CheckpointId, splits: &[R::Split]) {
        self.reader.completed(checkpoint, splits);
    }

    fn has_more(&self, split: u64) -> bool {
        self.throttled || self.reader.has_more(split)
    }

    fn pending_records(&self) -> Option<u64> {
        self.reader.pending_records()
    }

    fn position(&self) -> Option<String> {
        self.reader.position()
    }

    fn skipped_records(&self) -> u64 {
        self.reader.skipped_records()
    }
}

/// An output that is full when the bucket is empty.
struct Metered<'a, E> {
    left: &'a mut f64,
    out: &'a mut E,
}

impl<T, E: Emit<T>> Emit<T> for Metered<'_, E> {
    fn split(&mut self, split: u64) {
        self.out.split(split);
    }

    fn end_split(&mut self, split: u64) {
        self.out.end_split(split);
    }

    fn emit(&mut self, value: T, time: Timestamp) {
        *self.left -= 1.0;
        self.out.emit(value, time);
    }

    fn is_paused(&self, split: u64) -> bool {
        self.out.is_paused(split)
    }

    fn is_full(&self) -> bool {
        *self.left < 1.0 || self.out.is_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Collection;
    use crate::testing::{Collected, reader_context, splits_of};

    const SECOND: Duration = Duration::from_secs(1);

    fn reader(per_second: u32, parallelism: u32) -> impl Reader<Item = u32> {
        let source = RateLimited::new(Collection::of(Vec::from_iter(0..10_000u32)), per_second);
        let mut reader = source.reader(&ReaderContext { parallelism, ..reader_context() });
        for split in splits_of(&source) {
            reader.add_split(split);
        }
        reader.no_more_splits();
        reader
    }

    /// Polls at the times that the reader requests, until the time is over or there are no more records. Returns
    /// their number.
    fn read_for(reader: &mut impl Reader<Item = u32>, time: Duration) -> (usize, Duration) {
        let start = Instant::from_millis(5_000);
        let (mut now, mut out) = (start, Collected::with_room(usize::MAX));
        while now.since(start) < time {
            match reader.poll(now, &mut out).unwrap() {
                Polled::Wait(until) => now = until.expect("nothing else can wake it"),
                Polled::More => panic!("there is room, so only the rate can have stopped it"),
                Polled::End => break,
            }
        }
        assert!(out.records.iter().copied().eq(0..out.records.len() as u32), "each once and in order");
        (out.records.len(), now.since(start))
    }

    #[test]
    fn readers_share_the_rate() {
        for (rate, parallelism, expected) in [(1_000, 1, 1_000), (1_000, 4, 250), (3, 1, 3), (3, 3, 1)] {
            let (read, _) = read_for(&mut reader(rate, parallelism), SECOND);
            let burst = (expected / 50).max(1);
            assert!((expected - 1..=expected + burst + 1).contains(&read), "{rate}/{parallelism}: {read}");
        }
    }

    #[test]
    fn a_share_follows_the_number_of_readers() {
        let mut reader = reader(1_000, 1);
        reader.rescaled(4);
        let (read, _) = read_for(&mut reader, SECOND);
        assert!((249..=256).contains(&read), "{read}");
    }

    #[test]
    fn readers_without_splits_have_no_share() {
        let mut reader = reader(1_000, 4);
        reader.active_readers(1);
        let (read, _) = read_for(&mut reader, SECOND);
        assert!((999..=1_021).contains(&read), "{read}");
    }

    #[test]
    fn everything_is_read_and_then_it_ends() {
        let (read, took) = read_for(&mut reader(5_000, 1), 100 * SECOND);
        assert_eq!(read, 10_000);
        assert!((1.9..2.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[test]
    fn any_positive_rate_can_be_waited_for() {
        for (rate, most) in [(f64::MIN_POSITIVE, 1), (1e-9, 1), (f64::MAX, 10_000)] {
            let source = RateLimited::new(Collection::of(Vec::from_iter(0..10_000u32)), rate);
            let mut reader = source.reader(&reader_context());
            for split in splits_of(&source) {
                reader.add_split(split);
            }
            reader.no_more_splits();
            let (read, _) = read_for(&mut reader, SECOND);
            assert!(read <= most && (read > 0 || rate < 1.0), "{rate}: {read}");
        }
    }

    #[test]
    fn what_was_not_read_in_time_is_not_caught_up() {
        let mut reader = reader(1_000, 1);
        let mut out = Collected::with_room(usize::MAX);
        for second in 0..10 {
            reader.poll(Instant::from_millis(5_000 + second * 1_000), &mut out).unwrap();
        }
        assert_eq!(out.records.len(), 10 * 20, "twenty milliseconds' worth each time");
    }
}
