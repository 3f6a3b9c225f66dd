//! The walk that removes dead entries, such as those whose time to live has passed, in bounded steps between
//! batches of records.
//!
//! The walk removes an entry as a record does: with a tombstone for the next snapshot and an entry in the undo log.
//! So an entry that is gone stays gone after a restore. Between two steps the walk rests at a tag, which means the
//! same place after the array has grown. Entries that move meanwhile may be missed until the next round.

use crate::slots::TAGS;
use crate::snapshot::Progress;
use crate::table::Found;
use crate::{KeyedTable, StateKey};
use reflow_types::Data;

/// Where a walk rests. It begins as the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCursor {
    segment: usize,
    tag: u64,
}

/// What a walk does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// It is removed.
    Remove,
}

impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// Looks at about `budget` slots and removes the entries that `judge` condemns. When the walk has seen the whole
    /// table, it returns [`Progress::Done`] and the cursor is at the beginning again.
    ///
    /// ```
    /// use reflow_state::{KeyedTable, Progress, SweepCursor, TableId, Verdict};
    /// use reflow_types::{Key, MaxParallelism};
    /// let mut ages = KeyedTable::<u64, u32>::new(TableId(0), "ages", MaxParallelism::DEFAULT);
    /// for key in 0..100u64 {
    ///     ages.upsert(key.key_hash(), &key, || key as u32);
    /// }
    /// let mut cursor = SweepCursor::default();
    /// let old = |age: &u32| if *age >= 30 { Verdict::Remove } else { Verdict::Keep };
    /// while ages.sweep(&mut cursor, 10, old) == Progress::More {}
    /// assert_eq!(ages.len(), 30);
    /// ```
    pub fn sweep(
        &mut self,
        cursor: &mut SweepCursor,
        budget: usize,
        judge: impl FnMut(&V) -> Verdict,
    ) -> Progress {
        self.sweep_each(cursor, budget, judge, |_| {})
    }

    /// As [`sweep`](Self::sweep). Calls `removed` with each key before it is removed.
    pub(crate) fn sweep_each(
        &mut self,
        cursor: &mut SweepCursor,
        budget: usize,
        mut judge: impl FnMut(&V) -> Verdict,
        mut removed: impl FnMut(&K),
    ) -> Progress {
        let mut left = budget;
        let segments = usize::from(self.layout().segments());
        while cursor.segment < segments {
            if left == 0 {
                return Progress::More;
            }
            let number = cursor.segment;
            let mut position = self.entries().slots(number).home(cursor.tag);
            while position < self.entries().slots(number).positions() {
                if left == 0 {
                    let tag = self.entries().slots(number).lowest_tag(position);
                    // Behind the last tag there are only the few spare slots.
                    if tag < TAGS {
                        cursor.tag = tag;
                        return Progress::More;
                    }
                }
                left = left.saturating_sub(1);
                match self.entries().slots(number).at(position) {
                    Some(entry) if judge(&entry.value) == Verdict::Remove => {
                        removed(&entry.key);
                        let positions = self.entries().slots(number).positions();
                        self.remove_at(Found { segment: number, position });
                        // A later entry closes the gap, so the same position is next. If the array has shrunk, any
                        // entry may have moved.
                        if self.entries().slots(number).positions() != positions {
                            position = 0;
                        }
                    }
                    _ => position += 1,
                }
            }
            *cursor = SweepCursor { segment: number + 1, tag: 0 };
            left = left.saturating_sub(1); // so that many empty segments are not one step either
        }
        *cursor = SweepCursor::default();
        Progress::Done
    }
}
