//! A source of given records, for examples and tests.

use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::{Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_types::{Data, Instant, NO_TIMESTAMP};
use std::sync::Arc;

/// A bounded source of given records, in their order. One subtask reads them all.
///
/// Each process builds the records when it runs the job function, which must therefore pass the same ones each
/// time. Records carry no event time; assign it downstream.
///
/// ```
/// use reflow_connectors::Collection;
///
/// let words = Collection::of(vec!["to", "be", "or", "not", "to", "be"]);
/// ```
#[derive(Clone, Debug)]
pub struct Collection<T> {
    items: Arc<[T]>,
}

impl<T> Collection<T> {
    /// A source of these records.
    pub fn of(items: impl Into<Arc<[T]>>) -> Self {
        Self { items: items.into() }
    }
}

/// The whole collection, with the position of the next record.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct CollectionSplit {
    next: u64,
}

impl<T: Clone + Send + Sync + 'static> Source for Collection<T> {
    type Item = T;
    type Split = CollectionSplit;
    type Reader = CollectionReader<T>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new([CollectionSplit { next: 0 }]))
    }

    fn reader(&self, _: &ReaderContext) -> CollectionReader<T> {
        CollectionReader { items: self.items.clone(), split: None, complete: false }
    }
}

/// Reads a [`Collection`].
#[doc(hidden)]
pub struct CollectionReader<T> {
    items: Arc<[T]>,
    split: Option<CollectionSplit>,
    complete: bool,
}

impl<T: Clone + Send + Sync> Reader for CollectionReader<T> {
    type Item = T;
    type Split = CollectionSplit;

    fn add_split(&mut self, split: CollectionSplit) -> u64 {
        self.split = Some(split);
        0
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, CollectionSplit)> {
        let released = if keep == 0 { self.split.take() } else { None };
        released.into_iter().map(|split| (0, split)).collect()
    }

    fn poll(&mut self, _: Instant, out: &mut impl Emit<T>) -> Result<Polled, UserError> {
        if let Some(split) = &mut self.split {
            out.split(0);
            let left = usize::try_from(split.next).ok().and_then(|next| self.items.get(next..));
            for item in left.unwrap_or_default() {
                if out.is_full() {
                    return Ok(Polled::More);
                }
                out.emit(item.clone(), NO_TIMESTAMP);
                split.next += 1;
            }
            out.end_split(0);
            self.split = None;
        }
        Ok(if self.complete { Polled::End } else { Polled::Wait(None) })
    }

    fn snapshot(&self) -> Vec<CollectionSplit> {
        self.split.into_iter().collect()
    }

    fn pending_records(&self) -> Option<u64> {
        let left = |split: CollectionSplit| (self.items.len() as u64).saturating_sub(split.next);
        Some(self.split.map_or(0, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{read_to_the_end, reader_context};

    #[test]
    fn yields_its_records_in_order_from_any_position() {
        let items: Vec<u32> = (0..20).collect();
        let source = Collection::of(items.clone());
        for position in 0..=20 {
            let mut reader = source.reader(&reader_context());
            assert_eq!(reader.add_split(CollectionSplit { next: position }), 0);
            reader.no_more_splits();
            assert_eq!(reader.pending_records(), Some(20 - position));
            assert_eq!(read_to_the_end(&mut reader, 3), items[position as usize..]);
            assert_eq!(reader.snapshot(), []);
        }
    }

    #[test]
    fn waits_until_told_that_no_split_comes() {
        let mut reader = Collection::of([1]).reader(&reader_context());
        let mut out = crate::testing::Collected::with_room(10);
        assert_eq!(reader.poll(Instant::default(), &mut out).unwrap(), Polled::Wait(None));
        reader.no_more_splits();
        assert_eq!(reader.poll(Instant::default(), &mut out).unwrap(), Polled::End);
    }
}
