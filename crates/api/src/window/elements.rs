//! The records that a window keeps.

use reflow_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A window's records with their times, in the order in which they came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Elements<T> {
    rows: VecDeque<(Timestamp, T)>,
    /// The highest time among those that ever came since the last time that it was empty.
    newest: Timestamp,
    /// Whether times never went back, so that what is old stands in front.
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The records with their times.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(Timestamp, T)> + Clone {
        self.rows.iter()
    }

    /// The one that came last.
    pub fn last(&self) -> Option<&(Timestamp, T)> {
        self.rows.back()
    }

    /// The highest time.
    pub fn newest(&self) -> Option<Timestamp> {
        (!self.rows.is_empty()).then_some(self.newest)
    }

    /// Drops what is not after `time`. Looks only at what it drops, if times never went back.
    pub fn drop_until(&mut self, time: Timestamp) {
        if self.in_order {
            while self.rows.front().is_some_and(|(of, _)| *of <= time) {
                self.rows.pop_front();
            }
        } else {
            self.rows.retain(|(of, _)| *of > time);
        }
    }

    /// Drops the first `n`, or all if there are fewer.
    pub fn drop_first(&mut self, n: usize) {
        self.rows.drain(..n.min(self.rows.len()));
        self.newest = self.rows.iter().map(|(time, _)| *time).max().unwrap_or(Timestamp::MIN);
    }
}
