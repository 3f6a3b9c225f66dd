//! A map for each key.

use super::retention::sealed::Retains;
use super::{Current, Declaration, Expiring, Forever, Retention, State, StateTables, TimeToLive};
use reflow_graph::StateKind;
use reflow_state::{Found, MapTable, SnapshotTable, TableId};
use reflow_types::{Data, Key, MaxParallelism, Timestamp};
use std::marker::PhantomData;

/// Declares a state with a map for each key, which [`Map`] accesses. The keys of the maps, the *user keys*, implement
/// [`Key`].
///
/// Each entry is kept, and written to checkpoints, by itself. So a map may be large: a change costs the same, whatever
/// the number of its entries.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::MapState;
/// let items: MapState<String, u32> = MapState::new("items");
/// # let _ = items;
/// ```
#[derive(Clone, Debug)]
pub struct MapState<U, V, R = Forever> {
    name: String,
    retention: R,
    holds: PhantomData<fn() -> (U, V)>,
}

impl<U, V> MapState<U, V> {
    /// A state of this name, which is unique within the function.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), retention: Forever, holds: PhantomData }
    }

    /// Lets entries expire, each by itself.
    pub fn time_to_live(self, time_to_live: TimeToLive) -> MapState<U, V, Expiring> {
        MapState { name: self.name, retention: time_to_live.into(), holds: PhantomData }
    }
}

/// The table of a [`MapState`].
#[doc(hidden)]
pub struct MapStateTable<K: Key, U: Key, V: Data, R: Retention> {
    table: MapTable<K, U, R::Entry<V>>,
    retention: R,
}

impl<K: Key, U: Key, V: Data, R: Retention> State<K> for MapState<U, V, R> {
    type Table = MapStateTable<K, U, V, R>;
    type Access<'a> = Map<'a, K, U, V, R>;

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), retention: R::unset::<V>(), holds: PhantomData }
    }

    fn declaration(&self) -> Declaration<'_> {
        let (table, time_to_live) = (TableId::of_name(&self.name), self.retention.time_to_live());
        Declaration { table, name: &self.name, kind: StateKind::Map, time_to_live }
    }

    fn table(self, max: MaxParallelism) -> MapStateTable<K, U, V, R> {
        let table = MapTable::new(TableId::of_name(&self.name), &self.name, max);
        MapStateTable { table, retention: self.retention }
    }

    #[inline]
    fn access<'a>(table: &'a mut MapStateTable<K, U, V, R>, current: Current<'a, K>) -> Map<'a, K, U, V, R> {
        Map { of: table, current }
    }
}

impl<K: Key, U: Key, V: Data, R: Retention> StateTables for MapStateTable<K, U, V, R> {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
    }

    fn sweep(&mut self, now: Timestamp, budget: usize) {
        if !self.table.table.is_empty() {
            self.retention.walk::<V>(now, |cursor, judge| self.table.sweep(cursor, budget, judge));
        }
    }

    fn next_sweep(&self) -> Option<Timestamp> {
        self.retention.next_walk().filter(|_| !self.table.table.is_empty())
    }

    fn memory_bytes(&self) -> usize {
        SnapshotTable::memory_bytes(&self.table)
    }
}

/// The map of the current key.
///
/// Iterators return entries in the order of the hashes of their user keys, which is the same after a restore.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, MapState, States};
///
/// #[derive(States)]
/// struct Cart {
///     items: MapState<String, u32>,
/// }
///
/// fn add(states: &mut Access<'_, u64, Cart>, item: String) -> u32 {
///     *states.items.or_default(item) += 1;
///     states.items.values().sum()
/// }
/// ```
///
/// # Costs
/// A look-up or a change of an entry is one look-up in the table. An entry that is added or removed also changes the
/// index of the user keys, which is in memory only. [`clear`](Self::clear) removes the entries one by one before it returns:
/// about 0.4 s for a million of them, in which no barrier passes. Let large maps expire, or remove a part of them at a
/// time.
pub struct Map<'a, K: Key, U: Key, V: Data, R: Retention = Forever> {
    of: &'a mut MapStateTable<K, U, V, R>,
    current: Current<'a, K>,
}

impl<K: Key, U: Key, V: Data> Map<'_, K, U, V, Forever> {
    /// The value of a user key.
    #[inline]
    pub fn get(&self, key: &U) -> Option<&V> {
        let found = self.find(key)?;
        Some(Forever::value(self.of.table.table.at(found)))
    }

    /// Whether there is an entry for a user key.
    pub fn contains_key(&self, key: &U) -> bool {
        self.find(key).is_some()
    }

    /// The user keys.
    pub fn keys(&self) -> impl Iterator<Item = &U> {
        let Current { hash, key, .. } = self.current;
        self.of.table.keys(hash, key)
    }

    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = (&U, &V)> {
        let Current { hash, key, .. } = self.current;
        self.of.table.iter(hash, key).map(|(key, entry)| (key, Forever::value(entry)))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        let Current { hash, key, .. } = self.current;
        self.of.table.len_of(hash, key)
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads of entries that expire remove those that are expired, so they need `&mut self`. The iterators visit all
/// entries of the map first.
impl<K: Key, U: Key, V: Data> Map<'_, K, U, V, Expiring> {
    /// The value of a user key, unless it is expired.
    pub fn get(&mut self, key: &U) -> Option<&V> {
        let found = self.find_live(key)?;
        self.count_read(found);
        Some(Expiring::value(self.of.table.table.at(found)))
    }

    /// Whether there is an entry for a user key, which counts as a read.
    pub fn contains_key(&mut self, key: &U) -> bool {
        self.get(key).is_some()
    }

    /// The user keys.
    pub fn keys(&mut self) -> impl Iterator<Item = &U> {
        self.iter().map(|(key, _)| key)
    }

    /// The values.
    pub fn values(&mut self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// The entries.
    pub fn iter(&mut self) -> impl Iterator<Item = (&U, &V)> {
        self.read_all();
        let Current { hash, key, .. } = self.current;
        self.of.table.iter(hash, key).map(|(key, entry)| (key, Expiring::value(entry)))
    }

    /// The number of entries.
    pub fn len(&mut self) -> usize {
        self.iter().count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }

    /// Removes what is expired, and lets the rest count as read.
    fn read_all(&mut self) {
        let Current { hash, key, .. } = self.current;
        let keys: Vec<U> = self.of.table.keys(hash, key).cloned().collect();
        for key in &keys {
            if let Some(found) = self.find_live(key) {
                self.count_read(found);
            }
        }
    }

    fn count_read(&mut self, found: Found) {
        let MapStateTable { table, retention } = &mut *self.of;
        if retention.counts_read(table.table.at(found), self.current.now) {
            Expiring::value_mut(table.table.at_mut(found), self.current.now);
        }
    }
}

impl<K: Key, U: Key, V: Data, R: Retention> Map<'_, K, U, V, R> {
    /// The value of a user key for changes.
    pub fn get_mut(&mut self, key: &U) -> Option<&mut V> {
        let found = self.find_live(key)?;
        Some(R::value_mut(self.of.table.table.at_mut(found), self.current.now))
    }

    /// Sets the value of a user key and returns the previous one.
    pub fn insert(&mut self, user_key: U, value: V) -> Option<V> {
        let Current { hash, key, now } = self.current;
        let found = self.find(&user_key);
        let MapStateTable { table, retention } = &mut *self.of;
        let entry = retention.entry(value, now);
        match found {
            Some(found) => {
                let former = std::mem::replace(table.table.at_mut(found), entry);
                retention.is_live(&former, now).then(|| R::into_value(former))
            }
            None => {
                table.insert_absent(hash, key, user_key, entry);
                None
            }
        }
    }

    /// The value of a user key for changes, made by `init` if there is none.
    pub fn or_insert_with(&mut self, user_key: U, init: impl FnOnce() -> V) -> &mut V {
        let Current { hash, key, now } = self.current;
        let found = self.find(&user_key);
        let MapStateTable { table, retention } = &mut *self.of;
        let entry = match found {
            Some(found) if retention.is_live(table.table.at(found), now) => table.table.at_mut(found),
            Some(found) => {
                let entry = table.table.at_mut(found);
                *entry = retention.entry(init(), now);
                entry
            }
            None => table.insert_absent(hash, key, user_key, retention.entry(init(), now)),
        };
        R::value_mut(entry, now)
    }

    /// The value of a user key for changes, its default if there is none.
    pub fn or_default(&mut self, key: U) -> &mut V
    where
        V: Default,
    {
        self.or_insert_with(key, V::default)
    }

    /// Removes a user key and returns its value.
    pub fn remove(&mut self, key: &U) -> Option<V> {
        let found = self.find_live(key)?;
        let Current { hash, key: of, .. } = self.current;
        Some(R::into_value(self.of.table.remove_at(hash, of, key, found)))
    }

    /// Removes all entries. See [the costs](Map#costs).
    pub fn clear(&mut self) {
        let Current { hash, key, .. } = self.current;
        self.of.table.clear(hash, key);
    }

    #[inline]
    fn find(&self, user_key: &U) -> Option<Found> {
        let Current { hash, key, .. } = self.current;
        self.of.table.find(hash, key, user_key)
    }

    /// Finds an entry. Removes an expired one.
    #[inline]
    fn find_live(&mut self, user_key: &U) -> Option<Found> {
        let found = self.find(user_key)?;
        let MapStateTable { table, retention } = &mut *self.of;
        if retention.is_live(table.table.at(found), self.current.now) {
            return Some(found);
        }
        let Current { hash, key, .. } = self.current;
        table.remove_at(hash, key, user_key, found);
        None
    }
}
