//! The keyed table: values by key, with one look-up per record and a mark on each changed entry.
//!
//! Reading ([`KeyedTable::get`]) and changing ([`KeyedTable::upsert`], [`KeyedTable::get_mut`],
//! [`KeyedTable::remove`]) are different calls, because only a change costs a checkpoint anything. A change first
//! compares the entry's mark; usually the entry has already changed in this epoch, and nothing else is needed.
//!
//! [`KeyedTable`] owns the parts and is the interface for operators and the runtime: `entries` has the content,
//! `epochs` determines what has changed since a checkpoint, `snapshot` writes it, `undo` rolls it back,
//! `handover` migrates key groups. No part knows the table; each call passes the other parts that it needs.
//!
//! A table runs on its slot's thread.

use crate::entries::Entries;
use crate::epochs::Epochs;
use crate::error::StateError;
use crate::handover::{Arrivals, Discarded, InstallCursor};
use crate::layout::{Place, SegmentLayout};
use crate::load::{Loader, Origin, Presence, Restore};
use crate::mark::Mark;
use crate::schema::{EntryMigration, EntrySchema};
use crate::slots::Entry;
use crate::snapshot::{Progress, SnapshotKind, Snapshots};
use crate::undo::Undo;
use crate::writer::RunWriter;
use crate::{StateKey, TableId};
use reflow_types::data::Schema;
use reflow_types::{Bounds, CheckpointId, Data, KeyGroupSet, KeyHash, MaxParallelism};
use std::any::Any;
use std::sync::Arc;

/// The number of records ahead to [prefetch](KeyedTable::prefetch): enough to hide a cache miss, few enough that
/// nothing is evicted before it is used.
pub const PREFETCH_DISTANCE: usize = 16;

/// Values by key, partitioned by key group, with incremental snapshots.
///
/// ```
/// use reflow_state::{KeyedTable, TableId};
/// use reflow_types::{Key, MaxParallelism};
/// let mut counts = KeyedTable::<u64, u64>::new(TableId(0), "counts", MaxParallelism::DEFAULT);
/// for key in [1u64, 2, 1] {
///     *counts.upsert(key.key_hash(), &key, || 0) += 1;
/// }
/// assert_eq!(counts.get(1u64.key_hash(), &1), Some(&2));
/// ```
///
/// Each call takes the key's [`StateKey::state_hash`], which comes with the record.
///
/// # Invariants
/// - While a snapshot is written, each entry that it must still write has the value that it had when the snapshot
///   began.
pub struct KeyedTable<K, V> {
    entries: Entries<K, V>,
    epochs: Epochs,
    snapshots: Snapshots,
    /// The undo log, if the table keeps one.
    undo: Option<Undo>,
    arrivals: Arrivals<K, V>,
    discarded: Discarded<K, V>,
    heap_bytes: fn(&K, &V) -> usize,
    bounds: Bounds,
    /// The translation of restored entries that another build wrote with other types.
    migration: Option<Arc<EntryMigration>>,
}

/// An entry of a table that a look-up has found. It is valid until an entry is added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub(crate) segment: usize,
    pub(crate) position: usize,
}

impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// An empty table. `id` and `name` must each be unique within the operator.
    pub fn new(id: TableId, name: &str, max: MaxParallelism) -> Self {
        Self::of(Entries::new(id, name, max, EntrySchema::of::<K, V>()))
    }

    fn of(entries: Entries<K, V>) -> Self {
        Self {
            entries,
            epochs: Epochs::new(),
            snapshots: Snapshots::new(),
            undo: None,
            arrivals: Arrivals::new(),
            discarded: Discarded::new(),
            heap_bytes: |key, _| key.heap_bytes(),
            bounds: Bounds::default(),
            migration: None,
        }
    }

    /// Sets the function that estimates the memory that an entry owns outside the table (strings, boxes).
    #[must_use]
    pub fn with_heap_bytes(mut self, heap_bytes: fn(&K, &V) -> usize) -> Self {
        self.heap_bytes = heap_bytes;
        self
    }

    /// Sets the sizes of blocks, runs and the undo log.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Tells the table that another build wrote what is loaded next, with entries of the `stored` schema.
    ///
    /// # Errors
    /// If the bytes are not the schema of a table, or some entries could not be translated.
    pub fn expect_schema(&mut self, stored: &[u8]) -> Result<(), String> {
        self.migration = self.entries.schema().migrate_from(stored)?.map(Arc::new);
        Ok(())
    }

    /// Removes everything: entries, snapshots, prefetched state.
    pub fn reset(&mut self) {
        self.entries = self.entries.new_like();
        self.epochs = Epochs::new();
        self.snapshots.reset();
        self.undo = None;
        self.arrivals = Arrivals::new();
        self.discarded = Discarded::new();
    }
}

/// The calls that records make.
impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// The value of `key`, to read.
    #[inline]
    pub fn get(&self, hash: KeyHash, key: &K) -> Option<&V> {
        let place = self.entries.place(hash);
        let slots = self.entries.slots(place.segment);
        let position = slots.find(place.tag, key)?;
        slots.at(position).map(|entry| &entry.value)
    }

    /// The value of `key`, to change. The entry counts as changed even if the caller does not change it.
    #[inline]
    pub fn get_mut(&mut self, hash: KeyHash, key: &K) -> Option<&mut V> {
        let place = self.entries.place(hash);
        let position = self.entries.slots(place.segment).find(place.tag, key)?;
        Some(self.change(place.segment, position))
    }

    /// The value of `key`, to change. `init` creates it if there is none.
    #[inline]
    pub fn upsert(&mut self, hash: KeyHash, key: &K, init: impl FnOnce() -> V) -> &mut V {
        let place = self.entries.place(hash);
        match self.entries.slots(place.segment).find(place.tag, key) {
            Some(position) => self.change(place.segment, position),
            None => {
                let position = self.insert(place, key.clone(), init());
                &mut self.entries.entry_mut(place.segment, position).value
            }
        }
    }

    /// Finds the entry of whose key `is` is true, with one look-up for all that is done with the entry. `hash` is the
    /// key's hash. A key of parts need not be put together for it.
    #[inline]
    pub fn find(&self, hash: KeyHash, is: impl Fn(&K) -> bool) -> Option<Found> {
        let place = self.entries.place(hash);
        let position = self.entries.slots(place.segment).find_by(place.tag, is)?;
        Some(Found { segment: place.segment, position })
    }

    /// The value of an entry, to read.
    #[inline]
    pub fn at(&self, found: Found) -> &V {
        &self.entries.entry(found.segment, found.position).value
    }

    /// The value of an entry, to change.
    #[inline]
    pub fn at_mut(&mut self, found: Found) -> &mut V {
        self.change(found.segment, found.position)
    }

    /// Adds an entry for a key that has none.
    pub fn insert_absent(&mut self, hash: KeyHash, key: K, value: V) -> &mut V {
        let place = self.entries.place(hash);
        debug_assert_eq!(
            self.entries.slots(place.segment).find(place.tag, &key),
            None,
            "the key has an entry"
        );
        let position = self.insert(place, key, value);
        &mut self.entries.entry_mut(place.segment, position).value
    }

    /// Prefetches the memory that a look-up will read, without waiting for it. Called for the record about
    /// [`PREFETCH_DISTANCE`] later, it reduces the cost of a look-up by a third in a table larger than the
    /// caches.
    #[inline]
    pub fn prefetch(&self, hash: KeyHash) {
        let place = self.entries.place(hash);
        self.entries.slots(place.segment).prefetch(place.tag);
    }

    /// Sets the value of `key` and returns the previous one.
    pub fn insert_or_replace(&mut self, hash: KeyHash, key: &K, value: V) -> Option<V> {
        let place = self.entries.place(hash);
        match self.entries.slots(place.segment).find(place.tag, key) {
            Some(position) => Some(std::mem::replace(self.change(place.segment, position), value)),
            None => {
                self.insert(place, key.clone(), value);
                None
            }
        }
    }

    /// Removes `key` and returns its value. Leaves a tombstone for the next snapshot, unless no snapshot can
    /// contain the key.
    pub fn remove(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        let found = self.find(hash, |other| other == key)?;
        Some(self.remove_at(found))
    }

    /// As [`remove`](Self::remove), of an entry that was found.
    pub fn remove_at(&mut self, Found { segment: number, position }: Found) -> V {
        let mark = self.entries.entry(number, position).mark;
        if mark < self.epochs.current() {
            self.before_change(number, position);
        }
        let entry = self.entries.remove(number, position);
        let (segment, epoch) = (self.entries.segment_mut(number), self.epochs.epoch());
        if mark == Mark::fresh(epoch) {
            segment.account.forgot_fresh();
        } else {
            segment.tombstones.push(epoch, entry.key);
        }
        entry.value
    }

    #[inline]
    fn change(&mut self, segment: usize, position: usize) -> &mut V {
        if self.entries.entry(segment, position).mark < self.epochs.current() {
            self.before_change(segment, position);
        }
        &mut self.entries.entry_mut(segment, position).value
    }

    #[inline(never)]
    fn insert(&mut self, place: Place, key: K, value: V) -> usize {
        self.entries.segment_mut(place.segment).account.count_change();
        let entry = Entry { mark: Mark::fresh(self.epochs.epoch()), tag: place.tag, key, value };
        self.entries.insert(place.segment, entry)
    }

    /// Called before the first change of an entry in this epoch: the undo log and the snapshot under way save its
    /// old value if they need it.
    #[inline(never)]
    fn before_change(&mut self, segment: usize, position: usize) {
        if let Some(undo) = &mut self.undo {
            undo.log_before_change(self.epochs.epoch(), &self.entries, segment, position, &self.bounds);
        }
        // Log and snapshot decide by the old mark, so both see the entry before the new mark is set.
        let entry = self.entries.entry_mut(segment, position);
        let wanted = self.snapshots.wants(segment, entry.mark);
        entry.mark = self.epochs.current();
        self.entries.segment_mut(segment).account.count_change();
        if wanted {
            let block_bytes = self.bounds.block_bytes;
            self.snapshots.encode_early(&mut self.entries, segment, position, block_bytes);
        }
    }
}

/// Properties.
impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The table's name within its operator.
    pub fn name(&self) -> &str {
        self.entries.name()
    }

    /// The schema of its entries, a pair of key and value.
    pub fn schema(&self) -> &Schema {
        self.entries.schema().schema()
    }

    /// The table's number within its operator.
    pub fn id(&self) -> TableId {
        self.entries.id()
    }

    pub(crate) fn entries(&self) -> &Entries<K, V> {
        &self.entries
    }

    /// How keys map to segments.
    pub fn layout(&self) -> &SegmentLayout {
        self.entries.layout()
    }

    /// The estimated length of the live entries in a snapshot, in bytes.
    pub fn live_bytes(&self) -> u64 {
        self.entries.live_bytes()
    }

    /// The estimated memory of the table, in bytes. Cheap, because memory that entries own outside the table is
    /// extrapolated from a sample.
    pub fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes(self.heap_bytes) + self.undo.as_ref().map_or(0, Undo::bytes)
    }

    /// Panics if the type's invariants are violated. Visits every entry.
    pub fn check_invariants(&self) {
        self.entries.check_invariants(self.epochs.base());
    }
}

/// Snapshots and restore.
impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// Freezes the content of a checkpoint's snapshot, at the barrier. Costs nothing per entry.
    ///
    /// # Panics
    /// If the previous snapshot is still being written: it must be written or aborted first.
    pub fn freeze(&mut self, checkpoint: CheckpointId, kind: SnapshotKind) {
        self.snapshots.freeze(checkpoint, kind, &self.entries, &self.epochs);
        // A snapshot that is written while the previous one is undecided gives entries marks that no longer show
        // what the previous one contains, so the log cannot lead back past this epoch.
        if let Some(undo) = &mut self.undo
            && self.snapshots.awaits_checkpoint()
        {
            undo.forget_until(self.epochs.epoch());
        }
        self.epochs.advance();
    }

    /// Writes about `budget_bytes` of the snapshot, at least one entry. A single value may exceed the budget.
    /// Slots that need no writing count with an eighth of their size.
    pub fn snapshot_step(
        &mut self,
        budget_bytes: usize,
        out: &mut dyn RunWriter,
    ) -> Result<Progress, StateError> {
        self.snapshots.step(&mut self.entries, self.epochs.base(), &self.bounds, budget_bytes, out)
    }

    /// The checkpoint is complete, so the next one contains only later changes. Ignored for unknown checkpoints,
    /// such as those before a restore.
    pub fn complete(&mut self, checkpoint: CheckpointId) {
        let Some(complete) = self.snapshots.complete(checkpoint) else { return };
        let contains_handed_over = self.epochs.complete(checkpoint, complete.epoch());
        if let Some(undo) = &mut self.undo {
            undo.forget_until(self.epochs.base());
        }
        if contains_handed_over {
            self.entries.segments_mut().for_each(|(_, segment)| segment.account.complete_handed_over());
        }
        for written in complete.written() {
            let segment = self.entries.segment_mut(usize::from(written.segment));
            segment.account.complete(complete.epoch(), written);
        }
    }

    /// The checkpoint has failed, so the next one contains its changes again. Ignored for unknown checkpoints.
    pub fn abort(&mut self, checkpoint: CheckpointId) {
        self.snapshots.abort(checkpoint, &mut self.entries);
        // Tombstones must stay while a snapshot is undecided: if it completes after all, increments build on it.
        if !self.snapshots.is_writing() && !self.snapshots.awaits_checkpoint() {
            self.entries.forget_tombstones(self.epochs.epoch(), self.bounds.tombstone_bytes);
        }
    }

    /// Loads the blocks of one or more runs, in order. After an error the table's content is undefined:
    /// [`KeyedTable::reset`] it.
    pub fn load(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        self.load_each(bytes, restore, |_, _| {})
    }

    /// Like [`KeyedTable::load`]. Calls `observe` with each key that is new in the table or no longer in it.
    pub(crate) fn load_each(
        &mut self,
        bytes: &[u8],
        restore: Restore<'_>,
        observe: impl FnMut(&K, Presence),
    ) -> Result<(), StateError> {
        let migration = self.migration.clone();
        Loader::new(&mut self.entries, self.epochs.epoch(), restore, observe).migrated(migration).load(bytes)
    }
}

/// Roll-back in place.
impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// Begins the undo log. Everything in the table is in `checkpoint`, or there is no checkpoint yet.
    pub fn remember(&mut self, checkpoint: Option<CheckpointId>) {
        if let Some(checkpoint) = checkpoint {
            self.epochs.loaded_from(checkpoint);
        }
        self.undo = Some(Undo::new(self.epochs.epoch().before()));
    }

    /// Rolls the table back to `checkpoint`, which is complete, and drops snapshots under way. Returns whether
    /// that was possible; if not, the table's content is undefined: [`reset`](Self::reset) it.
    pub fn roll_back(&mut self, checkpoint: CheckpointId) -> bool {
        if self.epochs.base_checkpoint() != Some(checkpoint) {
            self.complete(checkpoint);
        }
        let base = self.epochs.base();
        if self.epochs.base_checkpoint() != Some(checkpoint) || self.epochs.awaits_handed_over() {
            return false;
        }
        let Some(undo) = self.undo.take_if(|undo| undo.leads_to(base)) else { return false };
        self.snapshots.reset();
        self.abandon_arrivals();
        if !undo.roll_back(&mut self.entries, base) {
            return false;
        }
        self.epochs.advance();
        true
    }

    /// Takes the content out of the table, for the same table of the next attempt to [continue
    /// with](Self::go_on_with).
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self::of(self.entries.new_like());
        std::mem::replace(self, empty.with_heap_bytes(self.heap_bytes))
    }

    /// Continues with the content of the same table of an earlier attempt, rolled back to `checkpoint`. Returns
    /// whether that was possible; if not, the table's content is undefined: [`reset`](Self::reset) it.
    pub(crate) fn go_on_with(&mut self, former: Box<dyn Any + Send>, checkpoint: CheckpointId) -> bool {
        let Ok(former) = former.downcast::<Self>() else { return false };
        let same = (former.id(), former.layout()) == (self.id(), self.layout());
        *self = *former;
        same && self.roll_back(checkpoint)
    }
}

/// Key-group migration.
impl<K: StateKey, V: Data> KeyedTable<K, V> {
    /// Loads a run of incoming groups: prefetched state of a checkpoint ([`Origin::Own`]), or the changes up to
    /// the cut ([`Origin::HandedOver`]). The latter must follow the freeze for the cut, or
    /// [`begin_at`](Self::begin_at).
    pub fn arrive(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        if restore.origin == Origin::HandedOver {
            self.epochs.hand_over();
        }
        self.arrivals.load(&self.entries, self.epochs.epoch(), bytes, restore)
    }

    /// Drops the prefetched state of these groups in a segment, because a later checkpoint has a full run of it.
    pub fn forget_arrivals(&mut self, segment: u16, groups: &KeyGroupSet) {
        self.arrivals.forget(segment, groups);
    }

    /// Drops all prefetched state, because the rescale was abandoned.
    pub fn abandon_arrivals(&mut self) {
        self.arrivals.abandon(&mut self.discarded);
    }

    /// Begins the table of an added subtask with a cut, for which it writes no snapshot.
    pub fn begin_at(&mut self, checkpoint: CheckpointId) {
        self.snapshots.skip(checkpoint, self.epochs.epoch());
        self.epochs.advance();
    }

    /// Installs groups, about `budget` entries in a call, and advances `cursor`, which begins as its default.
    /// Calls `entered` with each key, if given. Calls for other groups, with their own cursors, may come in
    /// between.
    pub fn install(
        &mut self,
        groups: &KeyGroupSet,
        cursor: &mut InstallCursor,
        budget: usize,
        entered: Option<&mut dyn FnMut(&K)>,
    ) -> Progress {
        self.arrivals.install(&mut self.entries, groups, cursor, budget, entered)
    }

    /// Removes groups that have another owner now.
    ///
    /// # Panics
    /// If a snapshot is being written, because it may still need them.
    pub fn release(&mut self, groups: &KeyGroupSet) {
        assert!(
            !self.snapshots.is_writing(),
            "table '{}': groups cannot leave while a snapshot is written",
            self.name()
        );
        self.discarded.release(&mut self.entries, groups);
    }

    /// Frees about `budget` slots of released or abandoned entries. Returns whether any are left.
    pub fn discard(&mut self, budget: usize) -> bool {
        self.discarded.free(budget)
    }
}
