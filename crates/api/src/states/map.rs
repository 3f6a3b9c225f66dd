//! A map for each key.

use super::retention::sealed::Retains;
use super::{Current, Declaration, Expiring, Forever, Retention, State, StateTables, TimeToLive};
use reflow_graph::StateKind;
use reflow_state::{Found, Hashed, MapTable, Order, SnapshotTable, Sorted, TableId};
use reflow_types::{Data, Key, MaxParallelism, Timestamp};
use std::marker::PhantomData;
use std::ops::RangeBounds;

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
pub struct MapState<U, V, R = Forever, O = Hashed> {
    name: String,
    retention: R,
    holds: PhantomData<fn(U, V, O)>,
}

/// Declares a state with a map for each key whose entries are in the order of their user keys, so that
/// [`range`](Map::range) finds those between two user keys. Otherwise it is a [`MapState`], whose checkpoints it reads, and
/// the other way round.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, SortedMapState, States};
///
/// /// The prices of an item, by the time from which they are valid.
/// #[derive(States)]
/// struct Prices {
///     prices: SortedMapState<i64, u32>,
/// }
///
/// fn price_at(states: &Access<'_, String, Prices>, time: i64) -> Option<u32> {
///     states.prices.range(..=time).next_back().map(|(_, price)| *price)
/// }
/// ```
pub type SortedMapState<U, V, R = Forever> = MapState<U, V, R, Sorted>;

impl<U, V, O> MapState<U, V, Forever, O> {
    /// A state of this name, which is unique within the function.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), retention: Forever, holds: PhantomData }
    }

    /// Lets entries expire, each by itself.
    pub fn time_to_live(self, time_to_live: TimeToLive) -> MapState<U, V, Expiring, O> {
        MapState { name: self.name, retention: time_to_live.into(), holds: PhantomData }
    }
}

/// The table of a [`MapState`].
#[doc(hidden)]
pub struct MapStateTable<K: Key, U: Key, V: Data, R: Retention, O: Order<U>> {
    table: MapTable<K, U, R::Entry<V>, O>,
    retention: R,
}

impl<K: Key, U: Key, V: Data, R: Retention, O: Order<U>> State<K> for MapState<U, V, R, O> {
    type Table = MapStateTable<K, U, V, R, O>;
    type Access<'a> = Map<'a, K, U, V, R, O>;

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), retention: R::unset::<V>(), holds: PhantomData }
    }

    fn declaration(&self) -> Declaration<'_> {
        let (table, time_to_live) = (TableId::of_name(&self.name), self.retention.time_to_live());
        Declaration { table, name: &self.name, kind: StateKind::Map, time_to_live }
    }

    fn table(self, max: MaxParallelism) -> Self::Table {
        let table = MapTable::new(TableId::of_name(&self.name), &self.name, max);
        MapStateTable { table, retention: self.retention }
    }

    #[inline]
    fn access<'a>(table: &'a mut Self::Table, current: Current<'a, K>) -> Self::Access<'a> {
        Map { of: table, current }
    }
}

impl<K: Key, U: Key, V: Data, R: Retention, O: Order<U>> StateTables for MapStateTable<K, U, V, R, O> {
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
/// Iterators return entries in the order of the hashes of their user keys, which is the same after a restore; those of a
/// [`SortedMapState`] in the order of the user keys.
///
/// ```standalone_crate
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
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, Expiring, MapState, SortedMapState, States, TimeToLive};
/// use std::time::Duration;
///
/// #[derive(States)]
/// struct Cart {
///     items: MapState<String, u32>,
///     seen: MapState<u64, (), Expiring>,
///     prices: SortedMapState<i64, u32>,
/// }
///
/// fn declare() -> Cart {
///     let seen = MapState::new("seen").time_to_live(TimeToLive::since_access(Duration::from_secs(60)));
///     Cart { items: MapState::new("items"), seen, prices: SortedMapState::new("prices") }
/// }
///
/// fn change(cart: &mut Access<'_, u64, Cart>) {
///     cart.items.insert("tea".to_owned(), 1);
///     *cart.items.or_default("milk".to_owned()) += 1;
///     *cart.items.or_insert_with("cups".to_owned(), || 2) += 1;
///     if let Some(number) = cart.items.get_mut(&"tea".to_owned()) {
///         *number += 1;
///     }
///     cart.items.remove(&"milk".to_owned());
/// }
///
/// fn read(cart: &Access<'_, u64, Cart>) -> u32 {
///     assert!(cart.items.contains_key(&"tea".to_owned()) || cart.items.is_empty());
///     assert_eq!(cart.items.keys().count(), cart.items.len());
///     let cheapest = cart.prices.first().map_or(0, |(_, price)| *price);
///     let dearest = cart.prices.last().map_or(0, |(_, price)| *price);
///     let teas = cart.items.get(&"tea".to_owned()).copied().unwrap_or(0);
///     cheapest + dearest + teas + cart.items.iter().map(|(_, number)| number).sum::<u32>()
/// }
///
/// fn empty(cart: &mut Access<'_, u64, Cart>) {
///     cart.items.clear();
/// }
/// ```
pub struct Map<'a, K: Key, U: Key, V: Data, R: Retention = Forever, O: Order<U> = Hashed> {
    of: &'a mut MapStateTable<K, U, V, R, O>,
    current: Current<'a, K>,
}

impl<K: Key, U: Key, V: Data, O: Order<U>> Map<'_, K, U, V, Forever, O> {
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
impl<K: Key, U: Key, V: Data, O: Order<U>> Map<'_, K, U, V, Expiring, O> {
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
        let Current { hash, key, .. } = self.current;
        self.read(self.of.table.keys(hash, key).cloned().collect());
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
    fn read(&mut self, keys: Vec<U>) {
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

/// Maps in the order of their user keys.
impl<K: Key, U: Key + Ord, V: Data> Map<'_, K, U, V, Forever, Sorted> {
    /// The entries whose user keys are in a range, in ascending order. It costs what it returns, whatever the size of the
    /// map.
    pub fn range(&self, range: impl RangeBounds<U>) -> impl DoubleEndedIterator<Item = (&U, &V)> {
        let Current { hash, key, .. } = self.current;
        self.of.table.range(hash, key, range).map(|(key, entry)| (key, Forever::value(entry)))
    }

    /// The entry with the lowest user key.
    pub fn first(&self) -> Option<(&U, &V)> {
        self.range(..).next()
    }

    /// The entry with the highest user key.
    pub fn last(&self) -> Option<(&U, &V)> {
        self.range(..).next_back()
    }
}

/// Maps in the order of their user keys, whose entries expire.
impl<K: Key, U: Key + Ord, V: Data> Map<'_, K, U, V, Expiring, Sorted> {
    /// The entries whose user keys are in a range, in ascending order. It visits those of the range twice, and no others.
    pub fn range(&mut self, range: impl RangeBounds<U> + Clone) -> impl DoubleEndedIterator<Item = (&U, &V)> {
        let Current { hash, key, .. } = self.current;
        let in_range = self.of.table.range(hash, key, range.clone());
        self.read(in_range.map(|(key, _)| key.clone()).collect());
        self.of.table.range(hash, key, range).map(|(key, entry)| (key, Expiring::value(entry)))
    }
}

impl<K: Key, U: Key, V: Data, R: Retention, O: Order<U>> Map<'_, K, U, V, R, O> {
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
