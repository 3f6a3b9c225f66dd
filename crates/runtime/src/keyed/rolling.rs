//! The rolling aggregation (`reduce`, `aggregate`), which emits the aggregate of a key after each of its records.

use super::Head;
use crate::stage::{Control, Stage};
use reflow_api::Aggregate;
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_protocol::control::SubtaskMetrics;
use reflow_state::{KeyedTable, SnapshotTable, TableId};
use reflow_types::MaxParallelism;

/// A rolling aggregation.
pub struct Rolling<T, F: KeySelector<T>, A: Aggregate, D> {
    key: F,
    aggregate: A,
    table: KeyedTable<F::Key, A::Acc>,
    next: D,
}

impl<T, F: KeySelector<T>, A: Aggregate<In = T>, D> Rolling<T, F, A, D> {
    /// Aggregates by `key`.
    pub fn new(key: F, aggregate: A, max: MaxParallelism, next: D) -> Self {
        Self { key, aggregate, table: KeyedTable::new(TableId(0), "aggregate", max), next }
    }
}

impl<T: Send + 'static, F, A, D> Head<T> for Rolling<T, F, A, D>
where
    F: KeySelector<T>,
    A: Aggregate<In = T>,
    D: Stage<A::Out>,
{
    #[inline]
    fn row(&mut self, row: Row<T>) {
        let key = self.key.key(&row.value);
        let acc = self.table.upsert(row.hash, &key, || self.aggregate.create());
        self.aggregate.add(acc, row.value);
        self.next.push(self.aggregate.result(acc), row.time);
    }

    #[inline]
    fn expect(&self, row: &Row<T>) {
        self.table.prefetch(row.hash);
    }
}

impl<T: Send + 'static, F: KeySelector<T>, A: Aggregate<In = T>, D: Control> Control for Rolling<T, F, A, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
        self.next.tables(visit);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        metrics.state_bytes += self.table.memory_bytes() as u64;
        self.next.count(metrics);
    }
}
