//! A table with an index that finds keys by something else than their hash, such as the time at which they are
//! due.
//!
//! The index is not part of snapshots. The table adds each key that a restore or an installed key group brings;
//! the operator adds the keys that it inserts itself. An index may still name keys that were removed or whose
//! group has left, and then a look-up in the table decides. That is so for an index by time, from which removing the
//! keys of a group takes longer than records may wait. An [index by key](crate::per_key::PerKey) is divided like the table and
//! names exactly its keys.

use crate::error::StateError;
use crate::handover::InstallCursor;
use crate::load::{Presence, Restore};
use crate::snapshot::{Progress, SnapshotKind};
use crate::sweep::{SweepCursor, Verdict};
use crate::writer::RunWriter;
use crate::{KeyedTable, SegmentLayout, SnapshotTable, StateKey, TableId};
use reflow_types::data::Schema;
use reflow_types::{Bounds, CheckpointId, Data, KeyGroupSet, injected_fault};
use std::any::Any;

/// An index of the keys of a table.
pub trait Index<K>: Default + Send {
    /// Called once, before any key is added.
    fn set_layout(&mut self, _layout: SegmentLayout) {}
    /// Adds a key that a restore or an installed group has brought.
    fn enter(&mut self, key: &K);
    /// Removes a key that is no longer in the table. An index does nothing if it may name such keys.
    fn leave(&mut self, _key: &K) {}
    /// Removes the keys of groups that have left. An index does nothing if it may name such keys.
    fn release(&mut self, _groups: &KeyGroupSet) {}
    /// Frees a part, of about `budget` slots, of what has left. Returns whether anything remains.
    fn discard(&mut self, _budget: usize) -> bool {
        false
    }
    /// Removes all keys, because the table has become empty.
    fn clear(&mut self);
    /// Whether the index finds the key.
    fn knows(&self, key: &K) -> bool;
    /// The number of keys, if the index names exactly those in the table.
    fn exact_len(&self) -> Option<usize> {
        None
    }
    /// The memory that a key takes in the index, in bytes.
    fn bytes_per_key() -> usize;
    /// The memory of an index of `keys` keys, in bytes.
    fn memory_bytes(&self, keys: usize) -> usize {
        keys * Self::bytes_per_key()
    }
}

/// A table and its index. Both fields are public, because an operator changes one while it borrows the other. The
/// methods of timers are in their own file, because a type around this one would have to repeat all of
/// [`SnapshotTable`].
pub struct Indexed<K, V, I> {
    pub table: KeyedTable<K, V>,
    /// The index. It may name keys that are no longer in the table.
    pub index: I,
}

impl<K: StateKey, V: Data, I: Index<K>> Indexed<K, V, I> {
    /// A table with an empty index.
    pub fn over(table: KeyedTable<K, V>) -> Self {
        let mut index = I::default();
        index.set_layout(*table.layout());
        Self { table, index }
    }

    /// As [`KeyedTable::sweep`], for the table and its index.
    pub fn sweep(
        &mut self,
        cursor: &mut SweepCursor,
        budget: usize,
        judge: impl FnMut(&V) -> Verdict,
    ) -> Progress {
        let index = &mut self.index;
        self.table.sweep_each(cursor, budget, judge, |key| index.leave(key))
    }
}

impl<K: StateKey, V: Data, I: Index<K>> SnapshotTable for Indexed<K, V, I> {
    fn id(&self) -> TableId {
        self.table.id()
    }
    fn name(&self) -> &str {
        self.table.name()
    }
    fn type_name(&self) -> String {
        SnapshotTable::type_name(&self.table)
    }
    fn schema(&self) -> &Schema {
        self.table.schema()
    }
    fn expect_schema(&mut self, stored: &[u8]) -> Result<(), String> {
        self.table.expect_schema(stored)
    }
    fn set_bounds(&mut self, bounds: Bounds) {
        self.table.set_bounds(bounds);
    }
    fn freeze(&mut self, checkpoint: CheckpointId, kind: SnapshotKind) {
        self.table.freeze(checkpoint, kind);
    }
    fn snapshot_step(
        &mut self,
        budget_bytes: usize,
        out: &mut dyn RunWriter,
    ) -> Result<Progress, StateError> {
        self.table.snapshot_step(budget_bytes, out)
    }
    fn complete(&mut self, checkpoint: CheckpointId) {
        self.table.complete(checkpoint);
    }
    fn abort(&mut self, checkpoint: CheckpointId) {
        self.table.abort(checkpoint);
    }
    fn load(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        let index = &mut self.index;
        self.table.load_each(bytes, restore, |key, presence| match presence {
            Presence::Added => index.enter(key),
            Presence::Removed => index.leave(key),
        })
    }
    fn arrive(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        if injected_fault::is_active("timer_lost_with_its_group") {
            return Ok(());
        }
        self.table.arrive(bytes, restore)
    }
    fn forget_arrivals(&mut self, segment: u16, groups: &KeyGroupSet) {
        self.table.forget_arrivals(segment, groups);
    }
    fn abandon_arrivals(&mut self) {
        self.table.abandon_arrivals();
    }
    fn begin_at(&mut self, checkpoint: CheckpointId) {
        self.table.begin_at(checkpoint);
    }
    fn install(&mut self, groups: &KeyGroupSet, cursor: &mut InstallCursor, budget: usize) -> Progress {
        let index = &mut self.index;
        self.table.install(groups, cursor, budget, Some(&mut |key| index.enter(key)))
    }
    fn release(&mut self, groups: &KeyGroupSet) {
        self.table.release(groups);
        self.index.release(groups);
    }
    fn discard(&mut self, budget: usize) -> bool {
        self.table.discard(budget) | self.index.discard(budget)
    }
    fn reset(&mut self) {
        self.table.reset();
        self.index.clear();
    }
    fn remember(&mut self, checkpoint: Option<CheckpointId>) {
        self.table.remember(checkpoint);
    }
    fn take(&mut self) -> Box<dyn Any + Send> {
        self.index.clear();
        Box::new(self.table.take())
    }
    fn go_on_with(&mut self, former: Box<dyn Any + Send>, checkpoint: CheckpointId) -> bool {
        let could = self.table.go_on_with(former, checkpoint);
        self.index.clear();
        self.table.iter().for_each(|(key, _)| self.index.enter(key));
        could
    }
    fn len(&self) -> usize {
        self.table.len()
    }
    fn live_bytes(&self) -> u64 {
        self.table.live_bytes()
    }
    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.index.memory_bytes(self.table.len())
    }
    fn check_invariants(&self) {
        self.table.check_invariants();
        assert!(self.table.iter().all(|(key, _)| self.index.knows(key)), "a key is missing from the index");
        assert!(
            self.index.exact_len().is_none_or(|len| len == self.table.len()),
            "the index has keys of its own"
        );
    }
}
