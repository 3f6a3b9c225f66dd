//! Key groups that change their owner while records flow.
//!
//! The new owner reads what a checkpoint holds of them ahead of time, beside its own entries ([`KeyedTable::arrive`]):
//! nothing there can be found, fires or is written before the groups are its own. At the cut, a snapshot of the old
//! owner gives what has changed since (`arrive` again); then the groups are taken in
//! ([`KeyedTable::install`]). A segment that holds nothing yet is taken in whole, so that this costs next to nothing
//! however large the state.
//!
//! What was handed over belongs to the checkpoint of the cut. It is marked as written by it, so that the next
//! snapshot leaves it out if that checkpoint is complete, and writes it if it has failed.
//!
//! The old owner lets go ([`KeyedTable::release`]) once its snapshot of the cut is written. Freeing a large state
//! takes long, so both sides set memory aside and free it bit by bit ([`KeyedTable::discard`]).

use crate::error::StateError;
use crate::load::{Origin, Restore};
use crate::slots::{Entry, Slots};
use crate::snapshot::{Awaiting, Progress, SnapshotKind};
use crate::table::StateValue;
use crate::{KeyedTable, StateKey};
use reflow_types::{CheckpointId, KeyGroupSet};

/// What has been read for groups that are still another's.
pub(crate) struct Arrivals<K, V> {
    table: KeyedTable<K, V>,
}

/// How far a table has taken in the groups of one old owner. Each old owner has its own, because the groups of
/// several may be taken in by turns.
#[derive(Clone, Debug, Default)]
pub struct InstallCursor {
    /// The next segment to be taken in.
    segment: usize,
}

impl<K, V> Arrivals<K, V> {
    /// Whether nothing is left: neither an entry nor the removal of one.
    fn is_empty(&self) -> bool {
        self.table.len == 0 && self.table.segments.iter().all(|segment| segment.tombstones.is_empty())
    }
}

impl<K: StateKey, V: StateValue> KeyedTable<K, V> {
    /// Reads a run of groups that will be this owner's: of a checkpoint ([`Origin::Own`]), or what has changed since,
    /// up to the cut ([`Origin::HandedOver`]). The latter comes after the table has frozen for the cut, or has
    /// [begun](Self::begin_at) with it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn arrive(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        if restore.origin == Origin::HandedOver {
            self.handed_over_in = Some(self.epoch.before());
        }
        let Self { arrivals, id, name, layout, epoch, .. } = self;
        let arrivals = arrivals.get_or_insert_with(|| {
            let table = KeyedTable::new(*id, name, layout.max_parallelism());
            Box::new(Arrivals { table })
        });
        arrivals.table.enter_epoch(*epoch);
        arrivals.table.load(bytes, restore)
    }

    /// Forgets what was read of these groups in a segment: a later checkpoint holds it anew.
    pub fn forget_arrivals(&mut self, segment: u16, groups: &KeyGroupSet) {
        let Some(arrivals) = &mut self.arrivals else { return };
        arrivals.table.clear_segment(usize::from(segment), groups);
    }

    /// The groups stay where they are: forgets all that was read of them.
    pub fn abandon_arrivals(&mut self) {
        if let Some(arrivals) = self.arrivals.take() {
            self.discarded.extend(arrivals.table.slots.into_iter().map(Slots::into_slots));
        }
    }

    /// For an owner that begins with a cut, and writes no snapshot for it.
    pub fn begin_at(&mut self, checkpoint: CheckpointId) {
        let (kind, epoch, written) = (SnapshotKind::Checkpoint, self.epoch, Vec::new());
        self.awaiting.push(Awaiting { checkpoint, kind, epoch, written });
        self.enter_epoch(self.epoch.next());
    }

    /// Takes groups in, about `budget` entries at a time, and moves `cursor`, which begins at its default; tells each
    /// key, if `entered` is there. Calls for other groups, with their own cursors, may come between two of these.
    pub fn install(
        &mut self,
        groups: &KeyGroupSet,
        cursor: &mut InstallCursor,
        budget: usize,
        mut entered: Option<&mut dyn FnMut(&K)>,
    ) -> Progress {
        let Some(mut arrivals) = self.arrivals.take() else { return Progress::Done };
        let mut left = budget;
        while cursor.segment < self.slots.len() && left > 0 {
            let segment = cursor.segment;
            cursor.segment += 1;
            left -= self.install_segment(segment, groups, &mut arrivals, &mut entered).min(left).max(1);
        }
        let done = cursor.segment == self.slots.len();
        if !done || !arrivals.is_empty() {
            self.arrivals = Some(arrivals);
        }
        if done { Progress::Done } else { Progress::More }
    }

    /// Takes in what a segment has of `groups`; returns how many entries were looked at.
    fn install_segment(
        &mut self,
        segment: usize,
        groups: &KeyGroupSet,
        arrivals: &mut Arrivals<K, V>,
        entered: &mut Option<&mut dyn FnMut(&K)>,
    ) -> usize {
        let max = self.layout.max_parallelism();
        let (first, last) = self.layout.groups(segment as u16);
        let (theirs, from) = (&mut arrivals.table.slots[segment], &mut arrivals.table.segments[segment]);
        if !groups.intersects(first, last) || (theirs.len() == 0 && from.tombstones.is_empty()) {
            return 0;
        }
        let owner = &mut self.segments[segment];
        let comes = |key: &K| groups.contains(key.state_hash().group(max));
        for (epoch, key) in from.tombstones.extract_if(.., |(_, key)| comes(key)) {
            let at = owner.tombstones.partition_point(|(other, _)| *other <= epoch);
            owner.tombstones.insert(at, (epoch, key));
        }
        let before = theirs.len();
        let whole = groups.contains_range(first, last) && self.slots[segment].len() == 0;
        let (taken, looked_at) = if whole {
            let taken = std::mem::take(theirs);
            let looked_at = if let Some(entered) = entered {
                taken.iter().for_each(|entry| entered(&entry.key));
                taken.len()
            } else {
                1
            };
            let count = taken.len();
            self.slots[segment] = taken;
            (count, looked_at)
        } else {
            let (mut count, own) = (0, &mut self.slots[segment]);
            let taken = |entry: Entry<K, V>| {
                if let Some(entered) = entered {
                    entered(&entry.key);
                }
                own.insert(entry);
                count += 1;
            };
            theirs.extract_if(|entry| comes(&entry.key), taken);
            (count, before)
        };
        owner.account.absorb(&mut from.account, taken, before);
        self.len += taken;
        arrivals.table.len -= taken;
        looked_at
    }

    /// The groups are another's now.
    ///
    /// # Panics
    /// While a snapshot is written: it may still need them.
    pub fn release(&mut self, groups: &KeyGroupSet) {
        assert!(
            self.walk.is_none(),
            "table '{}': groups cannot leave while a snapshot is written",
            self.name
        );
        for segment in 0..self.slots.len() {
            let (first, last) = self.layout.groups(segment as u16);
            if groups.contains_range(first, last) {
                let gone = std::mem::take(&mut self.slots[segment]);
                self.len -= gone.len();
                self.segments[segment].tombstones = Vec::new();
                self.segments[segment].account.kept(0, gone.len());
                self.discarded.push(gone.into_slots());
            } else if groups.intersects(first, last) {
                self.clear_segment(segment, groups);
            }
        }
    }

    /// Frees about `budget` slots of what has been let go of; says whether some are left.
    pub fn discard(&mut self, budget: usize) -> bool {
        let mut left = budget;
        while let Some(slots) = self.discarded.last_mut() {
            while left > 0 && slots.next().is_some() {
                left -= 1;
            }
            if left == 0 {
                return true;
            }
            self.discarded.pop();
        }
        false
    }

    /// Removes what a segment has of `groups`.
    fn clear_segment(&mut self, number: usize, groups: &KeyGroupSet) {
        let max = self.layout.max_parallelism();
        let (slots, segment) = (&mut self.slots[number], &mut self.segments[number]);
        let before = slots.len();
        let leaves = |key: &K| groups.contains(key.state_hash().group(max));
        slots.extract_if(|entry| leaves(&entry.key), drop);
        segment.tombstones.retain(|(_, key)| !leaves(key));
        segment.account.kept(slots.len(), before);
        self.len -= before - slots.len();
    }
}
