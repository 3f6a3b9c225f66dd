//! The migration of key groups between tables while records flow.
//!
//! The new owner prefetches the state of its incoming groups from a checkpoint and keeps it apart from its own
//! entries ([`KeyedTable::arrive`](crate::KeyedTable::arrive)), so nothing of it can be found, fires or is
//! written to a snapshot. At the cut, the snapshot of the old owner contains what has changed since (`arrive`
//! again). Then the groups are installed ([`KeyedTable::install`](crate::KeyedTable::install)). A segment in
//! which the new owner has no entries yet is moved as a whole, at no cost per entry.
//!
//! Handed-over state belongs to the checkpoint of the cut. Its entries are marked as written by that checkpoint,
//! so the next snapshot omits them if the checkpoint is complete and writes them if it has failed.
//!
//! The old owner releases the groups ([`KeyedTable::release`](crate::KeyedTable::release)) once its snapshot of
//! the cut is written. Freeing a large state takes long, so both sides set the memory aside and free it in
//! bounded steps ([`KeyedTable::discard`](crate::KeyedTable::discard)).
//!
//! ```
//! use reflow_state::{
//!     InstallCursor, KeyedTable, Origin, Progress, Restore, SnapshotKind, SnapshotWriter, StateError, TableId,
//! };
//! use reflow_types::{CheckpointId, Key, KeyGroupSet, MaxParallelism};
//!
//! type Table = KeyedTable<u64, u64>;
//! fn write(table: &mut Table, checkpoint: CheckpointId, kind: SnapshotKind) -> Result<Vec<u8>, StateError> {
//!     table.freeze(checkpoint, kind);
//!     let mut writer = SnapshotWriter::new(Vec::new());
//!     while table.snapshot_step(1 << 20, &mut writer)? == Progress::More {}
//!     table.complete(checkpoint);
//!     Ok(writer.finish().0)
//! }
//!
//! let max = MaxParallelism::DEFAULT;
//! let (key, hash, groups) = (7u64, 7u64.key_hash(), KeyGroupSet::all(max));
//! let [mut old, mut new] = [(); 2].map(|()| Table::new(TableId(0), "counts", max));
//! let from = |origin| Restore { table: TableId(0), owned: &groups, origin };
//! old.insert_or_replace(hash, &key, 1);
//!
//! // The new owner prefetches a checkpoint. Nothing of it can be found yet.
//! new.arrive(&write(&mut old, CheckpointId(1), SnapshotKind::Checkpoint)?, from(Origin::Own))?;
//! assert_eq!(new.get(hash, &key), None);
//!
//! // The old owner processes records until the cut. Its snapshot of the cut contains what has changed.
//! old.insert_or_replace(hash, &key, 2);
//! let changed = write(&mut old, CheckpointId(2), SnapshotKind::Cut)?;
//! new.begin_at(CheckpointId(2));
//! new.arrive(&changed, from(Origin::HandedOver))?;
//! let mut cursor = InstallCursor::default();
//! while new.install(&groups, &mut cursor, 1_000, None) == Progress::More {}
//! old.release(&groups);
//! assert_eq!((new.get(hash, &key), old.get(hash, &key)), (Some(&2), None));
//! # Ok::<(), StateError>(())
//! ```

use crate::StateKey;
use crate::entries::Entries;
use crate::error::StateError;
use crate::load::{Loader, Restore};
use crate::mark::Epoch;
use crate::slots::{Entry, Slots};
use crate::snapshot::Progress;
use reflow_types::{Data, KeyGroupSet};

/// The prefetched state of groups that still belong to other owners.
pub(crate) struct Arrivals<K, V> {
    entries: Option<Box<Entries<K, V>>>,
}

/// The progress of installing the groups of one old owner. Each old owner has a cursor of its own, because the
/// groups of several may be installed alternately.
#[derive(Clone, Debug, Default)]
pub struct InstallCursor {
    /// The next segment to install.
    segment: usize,
}

/// Entries that are freed in bounded steps.
pub(crate) struct Discarded<K, V> {
    slots: Vec<std::vec::IntoIter<Option<Entry<K, V>>>>,
}

impl<K: StateKey, V: Data> Arrivals<K, V> {
    pub(crate) fn new() -> Self {
        Self { entries: None }
    }

    /// Loads a run of incoming groups of `owner`, whose current epoch is `epoch`.
    pub(crate) fn load(
        &mut self,
        owner: &Entries<K, V>,
        epoch: Epoch,
        bytes: &[u8],
        restore: Restore<'_>,
    ) -> Result<(), StateError> {
        let entries = self.entries.get_or_insert_with(|| Box::new(owner.new_like()));
        Loader::new(entries, epoch, restore, |_, _| {}).load(bytes)
    }

    /// Drops the prefetched state of these groups in a segment.
    pub(crate) fn forget(&mut self, segment: u16, groups: &KeyGroupSet) {
        if let Some(entries) = &mut self.entries {
            entries.remove_groups(usize::from(segment), groups);
        }
    }

    /// Drops all prefetched state; it is freed later.
    pub(crate) fn abandon(&mut self, discarded: &mut Discarded<K, V>) {
        if let Some(entries) = self.entries.take() {
            entries.into_slots().into_iter().for_each(|slots| discarded.add(slots));
        }
    }

    /// Moves `groups` into the owner's entries, about `budget` entries in a call. See
    /// [`KeyedTable::install`](crate::KeyedTable::install).
    pub(crate) fn install(
        &mut self,
        owner: &mut Entries<K, V>,
        groups: &KeyGroupSet,
        cursor: &mut InstallCursor,
        budget: usize,
        mut entered: Option<&mut dyn FnMut(&K)>,
    ) -> Progress {
        let Some(entries) = &mut self.entries else { return Progress::Done };
        let segments = usize::from(owner.layout().segments());
        let mut left = budget;
        while cursor.segment < segments && left > 0 {
            let looked_at = move_segment(cursor.segment, groups, entries, owner, &mut entered);
            left -= looked_at.min(left).max(1);
            cursor.segment += 1;
        }
        if cursor.segment < segments {
            return Progress::More;
        }
        if is_empty(entries) {
            self.entries = None;
        }
        Progress::Done
    }
}

/// Whether neither entries nor tombstones are left.
fn is_empty<K: StateKey, V: Data>(entries: &Entries<K, V>) -> bool {
    entries.len() == 0 && entries.segments().all(|(_, segment)| segment.tombstones.is_empty())
}

/// Moves the entries and tombstones of `groups` in one segment. Returns the number of entries that were visited.
fn move_segment<K: StateKey, V: Data>(
    number: usize,
    groups: &KeyGroupSet,
    from: &mut Entries<K, V>,
    to: &mut Entries<K, V>,
    entered: &mut Option<&mut dyn FnMut(&K)>,
) -> usize {
    let max = to.layout().max_parallelism();
    let (first, last) = to.layout().groups(number as u16);
    let before = from.slots(number).len();
    if !groups.intersects(first, last) || (before == 0 && from.segment(number).tombstones.is_empty()) {
        return 0;
    }
    let comes = |key: &K| groups.contains(key.state_hash().group(max));
    to.segment_mut(number).tombstones.absorb(&mut from.segment_mut(number).tombstones, comes);
    let whole = groups.contains_range(first, last) && to.slots(number).len() == 0;
    let (taken, looked_at) = if whole {
        let slots = from.take_slots(number);
        let looked_at = if let Some(entered) = entered {
            slots.iter().for_each(|entry| entered(&entry.key));
            slots.len()
        } else {
            1
        };
        to.put_slots(number, slots);
        (before, looked_at)
    } else {
        let mut count = 0;
        let taken = |entry: Entry<K, V>| {
            if let Some(entered) = entered {
                entered(&entry.key);
            }
            to.insert(number, entry);
            count += 1;
        };
        from.extract_if(number, |entry| comes(&entry.key), taken);
        (count, before)
    };
    let (account, theirs) = (&mut to.segment_mut(number).account, &mut from.segment_mut(number).account);
    account.absorb(theirs, taken, before);
    looked_at
}

impl<K, V> Discarded<K, V> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<K: Eq, V> Discarded<K, V> {
    pub(crate) fn add(&mut self, slots: Slots<K, V>) {
        self.slots.push(slots.into_slots());
    }

    /// Frees about `budget` slots. Returns whether any are left.
    pub(crate) fn free(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while let Some(slots) = self.slots.last_mut() {
            while left > 0 && slots.next().is_some() {
                left -= 1;
            }
            if left == 0 {
                return true;
            }
            self.slots.pop();
        }
        false
    }
}

impl<K: StateKey, V: Data> Discarded<K, V> {
    /// Removes `groups` from the entries of their old owner. Whole segments are only set aside, to be freed
    /// later.
    pub(crate) fn release(&mut self, owner: &mut Entries<K, V>, groups: &KeyGroupSet) {
        for number in 0..usize::from(owner.layout().segments()) {
            let (first, last) = owner.layout().groups(number as u16);
            if groups.contains_range(first, last) {
                let gone = owner.take_slots(number);
                let segment = owner.segment_mut(number);
                segment.tombstones.clear();
                segment.account.kept(0, gone.len());
                self.add(gone);
            } else if groups.intersects(first, last) {
                owner.remove_groups(number, groups);
            }
        }
    }
}
