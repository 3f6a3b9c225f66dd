//! The rolling aggregation (`reduce`, `aggregate`), which emits the aggregate of a key after each of its records.

use super::Head;
use crate::error_handler::ErrorHandler;
use crate::stage::{Control, Stage};
use reflow_api::TryAggregate;
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_protocol::control::SubtaskMetrics;
use reflow_state::{KeyedTable, SnapshotTable, TableId};
use reflow_types::{Instant, KeyHash, MaxParallelism};
use std::marker::PhantomData;

/// What a rolling aggregation emits.
pub trait RollingOutput<K, R>: Send + 'static {
    /// The type of the records.
    type Out;
    /// The record for a key and its result.
    fn output(key: K, result: R) -> Self::Out;
}

/// The result alone.
pub struct ResultAlone;

impl<K, R> RollingOutput<K, R> for ResultAlone {
    type Out = R;
    #[inline]
    fn output(_: K, result: R) -> R {
        result
    }
}

/// Key and result.
pub struct WithKey;

impl<K, R> RollingOutput<K, R> for WithKey {
    type Out = (K, R);
    #[inline]
    fn output(key: K, result: R) -> (K, R) {
        (key, result)
    }
}

/// A rolling aggregation.
pub struct Rolling<T, F: KeySelector<T>, A: TryAggregate, O, D> {
    errors: ErrorHandler,
    key: F,
    aggregate: A,
    table: KeyedTable<F::Key, A::Acc>,
    next: D,
    output: PhantomData<fn(O)>,
}

impl<T, F: KeySelector<T>, A: TryAggregate<In = T>, O, D> Rolling<T, F, A, O, D> {
    /// Aggregates by `key`.
    pub fn new(errors: ErrorHandler, key: F, aggregate: A, max: MaxParallelism, next: D) -> Self {
        let table = KeyedTable::new(TableId(0), "aggregate", max);
        Self { errors, key, aggregate, table, next, output: PhantomData }
    }

    /// The first record of a key could not be added.
    #[cold]
    fn forget(&mut self, hash: KeyHash, key: &F::Key) {
        self.table.remove(hash, key);
    }
}

impl<T: Send + 'static, F, A, O, D> Head<T> for Rolling<T, F, A, O, D>
where
    F: KeySelector<T>,
    A: TryAggregate<In = T>,
    O: RollingOutput<F::Key, A::Out>,
    D: Stage<O::Out>,
{
    #[inline]
    fn row(&mut self, row: Row<T>) {
        let key = self.key.key(&row.value);
        let mut is_new = false;
        let acc = self.table.upsert(row.hash, &key, || {
            is_new = true;
            self.aggregate.create()
        });
        if let Err(error) = self.aggregate.try_add(acc, row.value) {
            if is_new {
                self.forget(row.hash, &key);
            }
            return self.errors.on_error(&error);
        }
        match self.aggregate.try_result(acc) {
            Ok(result) => self.next.push(O::output(key, result), row.time),
            Err(error) => self.errors.on_error(&error),
        }
    }

    #[inline]
    fn expect(&self, row: &Row<T>) {
        self.table.prefetch(row.hash);
    }
}

impl<T: Send + 'static, F, A, O: 'static, D> Control for Rolling<T, F, A, O, D>
where
    F: KeySelector<T>,
    A: TryAggregate<In = T>,
    D: Control,
{
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn tick(&mut self, now: Instant) {
        self.errors.tick(now);
        self.next.tick(now);
    }

    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
        self.next.tables(visit);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.count(metrics);
        metrics.state_bytes += self.table.memory_bytes() as u64;
        self.next.count(metrics);
    }
}
