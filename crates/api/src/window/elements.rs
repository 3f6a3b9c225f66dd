//! The records that a window keeps.

use reflow_types::{Data, Timestamp};
use std::collections::VecDeque;

/// A window's records with their timestamps, in the order of their arrival.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::Elements;
///
/// let mut speeds = Elements::default();
/// [(1_000, 50), (2_000, 80), (3_000, 85), (4_000, 60)].map(|(time, speed)| speeds.push(time, speed));
/// assert_eq!((speeds.len(), speeds.newest()), (4, Some(4_000)));
/// speeds.drop_until(1_000); // what evictors do
/// speeds.drop_first(1);
/// speeds.retain(|speed| *speed > 60);
/// assert_eq!(speeds.get(0), Some(&(3_000, 85)));
/// assert_eq!(speeds.last(), speeds.iter().next());
/// assert!(!speeds.is_empty());
/// ```
#[derive(Clone, Debug, Data)]
pub struct Elements<T> {
    rows: VecDeque<(Timestamp, T)>,
    /// The highest timestamp added since the window was last empty, removed records included.
    newest: Timestamp,
    /// Whether timestamps never decreased, so that the oldest records are in front.
    in_order: bool,
}

impl<T> Default for Elements<T> {
    fn default() -> Self {
        Self { rows: VecDeque::new(), newest: Timestamp::MIN, in_order: true }
    }
}

impl<T> Elements<T> {
    /// Appends a record.
    #[inline]
    pub fn push(&mut self, time: Timestamp, record: T) {
        self.in_order &= time >= self.newest;
        self.newest = self.newest.max(time);
        self.rows.push_back((time, record));
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The records with their timestamps.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, T)> + Clone {
        self.rows.iter()
    }

    /// The record at this place, with its timestamp.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&(Timestamp, T)> {
        self.rows.get(index)
    }

    /// The record that arrived last.
    pub fn last(&self) -> Option<&(Timestamp, T)> {
        self.rows.back()
    }

    /// The highest timestamp.
    pub fn newest(&self) -> Option<Timestamp> {
        (!self.rows.is_empty()).then_some(self.newest)
    }

    /// Removes records whose timestamp is not above `time`. If timestamps never decreased, it visits only the
    /// records that it removes.
    pub fn drop_until(&mut self, time: Timestamp) {
        if self.in_order {
            while self.rows.front().is_some_and(|(of, _)| *of <= time) {
                self.rows.pop_front();
            }
        } else {
            self.rows.retain(|(of, _)| *of > time);
        }
    }

    /// Removes the first `n` records, or all if there are fewer.
    pub fn drop_first(&mut self, n: usize) {
        self.rows.drain(..n.min(self.rows.len()));
        self.find_newest();
    }

    /// Keeps the records for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.rows.retain(|(_, record)| keep(record));
        self.find_newest();
    }

    /// Appends the records of `later`.
    pub fn append(&mut self, later: Self) {
        later.rows.into_iter().for_each(|(time, record)| self.push(time, record));
    }

    fn find_newest(&mut self) {
        self.newest = self.rows.iter().map(|(time, _)| *time).max().unwrap_or(Timestamp::MIN);
    }
}

/// The records of two connected streams that are in one window.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{CoGroup, Elements};
///
/// let mut group = CoGroup::<String, u64>::default();
/// group.first.push(0, "a".to_owned());
/// group.second.push(0, 7);
/// assert_eq!((group.first.len(), group.second.len()), (1, 1));
/// let mut earlier = Elements::default();
/// earlier.push(1, 6);
/// group.second.append(earlier);
/// ```
#[derive(Clone, Debug, Data)]
pub struct CoGroup<A, B> {
    /// Those of the first stream.
    pub first: Elements<A>,
    /// Those of the second stream.
    pub second: Elements<B>,
}

impl<A, B> Default for CoGroup<A, B> {
    fn default() -> Self {
        Self { first: Elements::default(), second: Elements::default() }
    }
}
