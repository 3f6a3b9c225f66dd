//! A source that the test fills.

use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::{Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_types::{CheckpointId, Data, Instant, NO_TIMESTAMP};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A source with a fixed number of splits. Pushed records are kept, so that they are read again after a restore.
/// Clones are the same source. Its records have no timestamps.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// # use reflow_types::Instant;
/// use reflow::testing::{Collect, Feed, Harness};
///
/// let (numbers, out) = (Feed::new(2), Collect::new("out"));
/// let mut job = Harness::new(|env| {
///     env.source("numbers", numbers.clone()).sink("out", out.clone());
/// });
/// job.start(2);
/// numbers.push(0, [1, 2]); // to the first split
/// numbers.push_due(1, Instant(u64::MAX), 3); // never read, in this test
/// assert!(job.checkpoint());
/// assert_eq!(numbers.completed(), [2, 0]);
/// assert_eq!(out.committed(&job), [1, 2]);
/// ```
pub struct Feed<T>(Arc<Mutex<Shared<T>>>);

struct Shared<T> {
    splits: Vec<Vec<Entry<T>>>,
    /// The position of each split in the last complete checkpoint.
    completed: Vec<usize>,
    ended: bool,
    observer: Option<Box<Observer>>,
}

/// Called with a split's number and the position behind the record that was emitted.
type Observer = dyn Fn(usize, usize) + Send;

struct Entry<T> {
    record: T,
    /// The time before which it is not read.
    due: Instant,
}

impl<T> Clone for Feed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Feed<T> {
    /// An empty source with `splits` splits.
    pub fn new(splits: usize) -> Self {
        let (completed, splits) = (vec![0; splits], (0..splits).map(|_| Vec::new()).collect());
        Self(Arc::new(Mutex::new(Shared { splits, completed, ended: false, observer: None })))
    }

    /// Appends records to a split, which are read when the job runs.
    ///
    /// # Panics
    /// If there is no such split, or the input has ended.
    pub fn push(&self, split: usize, records: impl IntoIterator<Item = T>) {
        records.into_iter().for_each(|record| self.push_due(split, Instant::default(), record));
    }

    /// As [`push`](Self::push), with the time of the job's clock before which the record is not read. Records of a
    /// split are read in order, so a record that is due later delays those behind it.
    ///
    /// # Panics
    /// If there is no such split, or the input has ended.
    pub fn push_due(&self, split: usize, due: Instant, record: T) {
        let mut shared = self.lock();
        assert!(!shared.ended, "the input has ended");
        shared.splits[split].push(Entry { record, due });
    }

    /// From now on `observer` is called for each record that is emitted, with the number of its split and the position
    /// behind it. A record that is read again is reported again.
    #[doc(hidden)]
    pub fn observe(&self, observer: impl Fn(usize, usize) + Send + 'static) {
        self.lock().observer = Some(Box::new(observer));
    }

    /// Ends the input: nothing more will be pushed. [`Harness::finish`](crate::Harness::finish) then runs the job to its
    /// end.
    ///
    /// ```
    /// # use reflow_testkit::{Feed, Harness};
    /// fn end(numbers: &Feed<u64>, job: &mut Harness<'_>) {
    ///     numbers.end();
    ///     assert!(job.finish());
    /// }
    /// ```
    pub fn end(&self) {
        self.lock().ended = true;
    }

    /// The positions up to which the splits will not be read again, as the readers were told.
    pub fn completed(&self) -> Vec<usize> {
        self.lock().completed.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone + Send + 'static> Source for Feed<T> {
    type Item = T;
    type Split = FeedSplit;
    type Reader = FeedReader<T>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        let splits = self.lock().splits.len() as u64;
        Box::new(FixedSplits::new((0..splits).map(|number| FeedSplit { number, next: 0 })))
    }

    fn reader(&self, _: &ReaderContext) -> FeedReader<T> {
        FeedReader { feed: self.clone(), splits: Vec::new(), complete: false, emitted: None }
    }
}

/// A split with the position of its next record.
#[derive(Clone, Copy, Debug, Data)]
pub struct FeedSplit {
    number: u64,
    next: usize,
}

/// Reads a [`Feed`].
pub struct FeedReader<T> {
    feed: Feed<T>,
    splits: Vec<FeedSplit>,
    complete: bool,
    emitted: Option<FeedSplit>,
}

impl<T: Clone + Send> Reader for FeedReader<T> {
    type Item = T;
    type Split = FeedSplit;

    fn add_split(&mut self, split: FeedSplit) -> u64 {
        self.splits.push(split);
        split.number
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, FeedSplit)> {
        let released = self.splits.split_off(keep.min(self.splits.len()));
        released.into_iter().map(|split| (split.number, split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<T>) -> Result<Polled, UserError> {
        let shared = self.feed.lock();
        let (mut more, mut next_due) = (false, None::<Instant>);
        self.splits.retain_mut(|split| {
            let records = &shared.splits[split.number as usize];
            out.split(split.number);
            while let Some(Entry { record, .. }) = records.get(split.next).filter(|entry| entry.due <= now)
                && !out.is_full()
                && !out.is_paused(split.number)
            {
                self.emitted = Some(*split);
                out.emit(record.clone(), NO_TIMESTAMP);
                split.next += 1;
                shared.observer.iter().for_each(|observe| observe(split.number as usize, split.next));
            }
            let read = split.next == records.len();
            match records.get(split.next) {
                Some(Entry { due, .. }) if *due > now => {
                    next_due = Some(next_due.map_or(*due, |earliest| earliest.min(*due)));
                }
                Some(_) => more |= !out.is_paused(split.number),
                None => {}
            }
            if read && shared.ended {
                out.end_split(split.number);
            }
            !read || !shared.ended
        });
        Ok(match more {
            true => Polled::More,
            false if self.complete && self.splits.is_empty() => Polled::End,
            false => Polled::Wait(next_due),
        })
    }

    fn snapshot(&self) -> Vec<FeedSplit> {
        self.splits.clone()
    }

    fn completed(&mut self, _: CheckpointId, splits: &[FeedSplit]) {
        let mut shared = self.feed.lock();
        splits.iter().for_each(|split| shared.completed[split.number as usize] = split.next);
    }

    fn position(&self) -> Option<String> {
        self.emitted.map(|at| format!("split {}, record {}", at.number, at.next))
    }

    fn pending_records(&self) -> Option<u64> {
        let shared = self.feed.lock();
        let left = |split: &FeedSplit| shared.splits[split.number as usize].len() - split.next;
        Some(self.splits.iter().map(left).sum::<usize>() as u64)
    }
}
