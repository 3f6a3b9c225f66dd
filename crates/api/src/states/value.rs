//! One value for each key.

use super::retention::sealed::Retains;
use super::{Current, Declaration, Expiring, Forever, Retention, State, StateTables, TimeToLive};
use reflow_graph::StateKind;
use reflow_state::{Found, KeyedTable, SnapshotTable, TableId};
use reflow_types::{Data, Key, KeyHash, MaxParallelism, Timestamp};
use std::marker::PhantomData;

/// Declares a state with one value for each key, which [`Value`] accesses.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Expiring, TimeToLive, ValueState};
/// use std::time::Duration;
/// let total: ValueState<u64> = ValueState::new("total");
/// let day = Duration::from_secs(24 * 3600);
/// let last: ValueState<String, Expiring> = ValueState::new("last").time_to_live(TimeToLive::since_access(day));
/// # let _ = (total, last);
/// ```
#[derive(Clone, Debug)]
pub struct ValueState<T, R = Forever> {
    name: String,
    retention: R,
    holds: PhantomData<fn() -> T>,
}

impl<T> ValueState<T> {
    /// A state of this name, which is unique within the function.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), retention: Forever, holds: PhantomData }
    }

    /// Lets values expire.
    pub fn time_to_live(self, time_to_live: TimeToLive) -> ValueState<T, Expiring> {
        ValueState { name: self.name, retention: time_to_live.into(), holds: PhantomData }
    }
}

/// The table of a [`ValueState`].
#[doc(hidden)]
pub struct ValueTable<K, T: Data, R: Retention> {
    table: KeyedTable<K, R::Entry<T>>,
    retention: R,
}

impl<K: Key, T: Data, R: Retention> State<K> for ValueState<T, R> {
    type Table = ValueTable<K, T, R>;
    type Access<'a> = Value<'a, K, T, R>;

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), retention: R::unset::<T>(), holds: PhantomData }
    }

    fn declaration(&self) -> Declaration<'_> {
        let (table, time_to_live) = (TableId::of_name(&self.name), self.retention.time_to_live());
        Declaration { table, name: &self.name, kind: StateKind::Value, time_to_live }
    }

    fn table(self, max: MaxParallelism) -> ValueTable<K, T, R> {
        let table = KeyedTable::new(TableId::of_name(&self.name), &self.name, max);
        ValueTable { table, retention: self.retention }
    }

    #[inline]
    fn access<'a>(table: &'a mut ValueTable<K, T, R>, current: Current<'a, K>) -> Value<'a, K, T, R> {
        Value { of: table, current }
    }
}

impl<K: Key, T: Data, R: Retention> StateTables for ValueTable<K, T, R> {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
    }

    #[inline]
    fn prefetch(&self, hash: KeyHash) {
        self.table.prefetch(hash);
    }

    fn sweep(&mut self, now: Timestamp, budget: usize) {
        if !self.table.is_empty() {
            self.retention.walk::<T>(now, |cursor, judge| self.table.sweep(cursor, budget, judge));
        }
    }

    fn next_sweep(&self) -> Option<Timestamp> {
        self.retention.next_walk().filter(|_| !self.table.is_empty())
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes()
    }
}

/// The value of the current key.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, States, ValueState};
///
/// #[derive(States)]
/// struct Highest {
///     bid: ValueState<u64>,
/// }
///
/// /// Whether the bid is the highest so far.
/// fn raise(states: &mut Access<'_, u64, Highest>, bid: u64) -> bool {
///     let is_higher = states.bid.get().is_none_or(|highest| bid > *highest);
///     if is_higher {
///         states.bid.set(bid);
///     }
///     is_higher
/// }
/// ```
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, States, ValueState};
///
/// #[derive(States)]
/// struct Account {
///     balance: ValueState<i64>,
///     owner: ValueState<String>,
/// }
///
/// fn pay(account: &mut Access<'_, u64, Account>, cents: i64) -> Option<String> {
///     *account.balance.or_default() += cents;
///     account.owner.or_insert_with(|| "unknown".to_owned()).push('!');
///     if let Some(balance) = account.balance.get_mut() {
///         *balance -= 1; // a fee
///     }
///     if account.balance.get() == Some(&0) {
///         account.balance.clear();
///     }
///     account.owner.set("nobody".to_owned());
///     account.owner.take()
/// }
/// ```
pub struct Value<'a, K, T: Data, R: Retention = Forever> {
    of: &'a mut ValueTable<K, T, R>,
    current: Current<'a, K>,
}

impl<K: Key, T: Data> Value<'_, K, T, Forever> {
    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        let found = self.find()?;
        Some(Forever::value(self.of.table.at(found)))
    }
}

impl<K: Key, T: Data> Value<'_, K, T, Expiring> {
    /// The value, if there is one that is not expired. Removes an expired one.
    pub fn get(&mut self) -> Option<&T> {
        let found = self.find_live()?;
        let ValueTable { table, retention } = &mut *self.of;
        if retention.counts_read(table.at(found), self.current.now) {
            return Some(Expiring::value_mut(table.at_mut(found), self.current.now));
        }
        Some(Expiring::value(table.at(found)))
    }
}

impl<K: Key, T: Data, R: Retention> Value<'_, K, T, R> {
    /// The value for changes, if there is one.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        let found = self.find_live()?;
        Some(R::value_mut(self.of.table.at_mut(found), self.current.now))
    }

    /// Sets the value.
    pub fn set(&mut self, value: T) {
        let Current { hash, key, now } = self.current;
        let entry = self.of.retention.entry(value, now);
        match self.find() {
            Some(found) => *self.of.table.at_mut(found) = entry,
            None => drop(self.of.table.insert_absent(hash, key.clone(), entry)),
        }
    }

    /// The value for changes, made by `init` if there is none.
    #[inline]
    pub fn or_insert_with(&mut self, init: impl FnOnce() -> T) -> &mut T {
        let Current { hash, key, now } = self.current;
        let found = self.find();
        let ValueTable { table, retention } = &mut *self.of;
        let entry = match found {
            Some(found) if retention.is_live(table.at(found), now) => table.at_mut(found),
            Some(found) => {
                let entry = table.at_mut(found);
                *entry = retention.entry(init(), now);
                entry
            }
            None => table.insert_absent(hash, key.clone(), retention.entry(init(), now)),
        };
        R::value_mut(entry, now)
    }

    /// The value for changes, its default if there is none.
    #[inline]
    pub fn or_default(&mut self) -> &mut T
    where
        T: Default,
    {
        self.or_insert_with(T::default)
    }

    /// Removes the value and returns it.
    pub fn take(&mut self) -> Option<T> {
        let found = self.find_live()?;
        Some(R::into_value(self.of.table.remove_at(found)))
    }

    /// Removes the value.
    pub fn clear(&mut self) {
        if let Some(found) = self.find() {
            self.of.table.remove_at(found);
        }
    }

    #[inline]
    fn find(&self) -> Option<Found> {
        let Current { hash, key, .. } = self.current;
        self.of.table.find(hash, |other| other == key)
    }

    /// Finds the value. Removes an expired one.
    #[inline]
    fn find_live(&mut self) -> Option<Found> {
        let found = self.find()?;
        if self.of.retention.is_live(self.of.table.at(found), self.current.now) {
            return Some(found);
        }
        self.of.table.remove_at(found);
        None
    }
}
