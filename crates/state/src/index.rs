//! Tables with an index beside them, which is not persistent: what is due when.
//!
//! The index is told of each key that comes with a restore or with groups that are taken in; what its operator adds
//! itself, the operator enters. It may name keys that are gone, as those of groups that have left: the table
//! decides. Leaving groups would have to be searched for otherwise, for longer than records may wait.

use crate::error::StateError;
use crate::handover::InstallCursor;
use crate::load::Restore;
use crate::snapshot::{Progress, SnapshotKind};
use crate::table::StateValue;
use crate::writer::RunWriter;
use crate::{KeyedTable, SnapshotTable, StateKey, TableId};
use reflow_types::{Bounds, CheckpointId, KeyGroupSet, injected_fault};
use std::any::Any;

/// Finds keys by something else than their hash.
pub trait Index<K>: Default + Send {
    /// A key that the table has got from elsewhere.
    fn enter(&mut self, key: &K);
    /// The table is empty.
    fn clear(&mut self);
    /// Whether it would find the key.
    fn knows(&self, key: &K) -> bool;
    /// What it takes for each.
    fn bytes_per_key() -> usize;
}

/// A table and its index. Both are open: an operator changes one while it holds on to the other. Timers add their methods
/// in their own file, because a type around them would have to repeat all of [`SnapshotTable`].
pub struct Indexed<K, V, I> {
    /// The table.
    pub table: KeyedTable<K, V>,
    /// The index. It may name keys that are gone.
    pub index: I,
}

impl<K: StateKey, V: StateValue, I: Index<K>> Indexed<K, V, I> {
    /// With an empty index.
    pub fn over(table: KeyedTable<K, V>) -> Self {
        Self { table, index: I::default() }
    }
}

impl<K: StateKey, V: StateValue, I: Index<K>> SnapshotTable for Indexed<K, V, I> {
    fn id(&self) -> TableId {
        self.table.id()
    }
    fn name(&self) -> &str {
        self.table.name()
    }
    fn type_name(&self) -> String {
        SnapshotTable::type_name(&self.table)
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
        self.table.load_each(bytes, restore, |key| index.enter(key))
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
    }
    fn discard(&mut self, budget: usize) -> bool {
        self.table.discard(budget)
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
        self.table.memory_bytes() + self.table.len() * I::bytes_per_key()
    }
    fn check_invariants(&self) {
        self.table.check_invariants();
        assert!(self.table.iter().all(|(key, _)| self.index.knows(key)), "a key is missing from the index");
    }
}
