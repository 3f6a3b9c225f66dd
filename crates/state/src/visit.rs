//! The interface of the runtime to tables of any types: snapshots, restore and migration, but not the calls that
//! records make.

use crate::error::StateError;
use crate::handover::InstallCursor;
use crate::load::Restore;
use crate::snapshot::{Progress, SnapshotKind};
use crate::writer::RunWriter;
use crate::{KeyedTable, StateKey, TableId};
use reflow_types::data::Schema;
use reflow_types::{Bounds, CheckpointId, Data, KeyGroupSet};
use std::any::Any;

/// A table of any types. Operators own their tables; the runtime calls this trait.
///
/// The order of calls is `go_on_with`, `expect_schema`, `load` (any number), `remember`; then for each checkpoint `freeze` at the
/// barrier, `snapshot_step` until it is done, and later `complete` or `abort`. A snapshot may be aborted at any
/// point, and several may await completion.
///
/// For incoming groups the order is `arrive` and `forget_arrivals`, then `freeze` for the cut (or `begin_at`),
/// `arrive` with the handed-over state, `install`. For outgoing groups it is `freeze` for the cut,
/// `snapshot_step` until it is done, `release`.
///
/// A table writes one snapshot at a time. Tables that share a writer write one after the other, each to its end.
pub trait SnapshotTable: Send {
    /// The table's number within its operator.
    fn id(&self) -> TableId;
    /// The table's name within its operator.
    fn name(&self) -> &str;
    /// The types of key and value, for error messages.
    fn type_name(&self) -> String;
    /// The schema of its entries, a pair of key and value.
    fn schema(&self) -> &Schema;
    /// See [`KeyedTable::expect_schema`].
    fn expect_schema(&mut self, stored: &[u8]) -> Result<(), String>;
    /// See [`KeyedTable::set_bounds`].
    fn set_bounds(&mut self, bounds: Bounds);
    /// See [`KeyedTable::freeze`].
    fn freeze(&mut self, checkpoint: CheckpointId, kind: SnapshotKind);
    /// See [`KeyedTable::snapshot_step`].
    fn snapshot_step(&mut self, budget_bytes: usize, out: &mut dyn RunWriter)
    -> Result<Progress, StateError>;
    /// See [`KeyedTable::complete`].
    fn complete(&mut self, checkpoint: CheckpointId);
    /// See [`KeyedTable::abort`].
    fn abort(&mut self, checkpoint: CheckpointId);
    /// See [`KeyedTable::load`].
    fn load(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError>;
    /// See [`KeyedTable::arrive`].
    fn arrive(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError>;
    /// See [`KeyedTable::forget_arrivals`].
    fn forget_arrivals(&mut self, segment: u16, groups: &KeyGroupSet);
    /// See [`KeyedTable::abandon_arrivals`].
    fn abandon_arrivals(&mut self);
    /// See [`KeyedTable::begin_at`].
    fn begin_at(&mut self, checkpoint: CheckpointId);
    /// See [`KeyedTable::install`].
    fn install(&mut self, groups: &KeyGroupSet, cursor: &mut InstallCursor, budget: usize) -> Progress;
    /// See [`KeyedTable::release`].
    fn release(&mut self, groups: &KeyGroupSet);
    /// See [`KeyedTable::discard`].
    fn discard(&mut self, budget: usize) -> bool;
    /// See [`KeyedTable::reset`].
    fn reset(&mut self);
    /// See [`KeyedTable::remember`].
    fn remember(&mut self, checkpoint: Option<CheckpointId>);
    /// Takes the content out of the table, for the table of the next attempt to [continue
    /// with](Self::go_on_with).
    fn take(&mut self) -> Box<dyn Any + Send>;
    /// Continues with the content of the same table of an earlier attempt, rolled back to the complete
    /// `checkpoint`. Returns whether that was possible; if not, `reset` the table.
    fn go_on_with(&mut self, former: Box<dyn Any + Send>, checkpoint: CheckpointId) -> bool;
    /// The number of entries.
    fn len(&self) -> usize;
    /// Whether there are no entries.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// See [`KeyedTable::live_bytes`].
    fn live_bytes(&self) -> u64;
    /// See [`KeyedTable::memory_bytes`].
    fn memory_bytes(&self) -> usize;
    /// Panics if an invariant of the table is broken. Looks at every entry.
    fn check_invariants(&self);
}

impl<K: StateKey, V: Data> SnapshotTable for KeyedTable<K, V> {
    fn id(&self) -> TableId {
        self.id()
    }
    fn name(&self) -> &str {
        self.name()
    }
    fn type_name(&self) -> String {
        format!("{} -> {}", std::any::type_name::<K>(), std::any::type_name::<V>())
    }
    fn schema(&self) -> &Schema {
        self.schema()
    }
    fn expect_schema(&mut self, stored: &[u8]) -> Result<(), String> {
        self.expect_schema(stored)
    }
    fn set_bounds(&mut self, bounds: Bounds) {
        self.set_bounds(bounds);
    }
    fn freeze(&mut self, checkpoint: CheckpointId, kind: SnapshotKind) {
        self.freeze(checkpoint, kind);
    }
    fn snapshot_step(
        &mut self,
        budget_bytes: usize,
        out: &mut dyn RunWriter,
    ) -> Result<Progress, StateError> {
        self.snapshot_step(budget_bytes, out)
    }
    fn complete(&mut self, checkpoint: CheckpointId) {
        self.complete(checkpoint);
    }
    fn abort(&mut self, checkpoint: CheckpointId) {
        self.abort(checkpoint);
    }
    fn load(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        self.load(bytes, restore)
    }
    fn arrive(&mut self, bytes: &[u8], restore: Restore<'_>) -> Result<(), StateError> {
        self.arrive(bytes, restore)
    }
    fn forget_arrivals(&mut self, segment: u16, groups: &KeyGroupSet) {
        self.forget_arrivals(segment, groups);
    }
    fn abandon_arrivals(&mut self) {
        self.abandon_arrivals();
    }
    fn begin_at(&mut self, checkpoint: CheckpointId) {
        self.begin_at(checkpoint);
    }
    fn install(&mut self, groups: &KeyGroupSet, cursor: &mut InstallCursor, budget: usize) -> Progress {
        self.install(groups, cursor, budget, None)
    }
    fn release(&mut self, groups: &KeyGroupSet) {
        self.release(groups);
    }
    fn discard(&mut self, budget: usize) -> bool {
        self.discard(budget)
    }
    fn reset(&mut self) {
        self.reset();
    }
    fn remember(&mut self, checkpoint: Option<CheckpointId>) {
        self.remember(checkpoint);
    }
    fn take(&mut self) -> Box<dyn Any + Send> {
        Box::new(self.take())
    }
    fn go_on_with(&mut self, former: Box<dyn Any + Send>, checkpoint: CheckpointId) -> bool {
        self.go_on_with(former, checkpoint)
    }
    fn len(&self) -> usize {
        self.len()
    }
    fn live_bytes(&self) -> u64 {
        self.live_bytes()
    }
    fn memory_bytes(&self) -> usize {
        self.memory_bytes()
    }
    fn check_invariants(&self) {
        self.check_invariants();
    }
}
