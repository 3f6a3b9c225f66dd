//! Maps by key: entries that are marked and written one by one, with an index of the user keys of each key.

use crate::index::{Index, Indexed};
use crate::layout::SegmentLayout;
use crate::members::{MemberSet, Members, SortedMembers};
use crate::per_key::PerKey;
use crate::table::Found;
use crate::{KeyedTable, Scoped, TableId};
use reflow_types::{Data, Key, KeyGroupSet, KeyHash, MaxParallelism};
use std::ops::RangeBounds;

/// A map from `S` to `V` for each `K`.
///
/// ```
/// use reflow_state::{MapTable, TableId};
/// use reflow_types::{Key, MaxParallelism};
/// let mut carts = MapTable::<u64, String, u32>::new(TableId(1), "carts", MaxParallelism::DEFAULT);
/// let (user, hash) = (7u64, 7u64.key_hash());
/// carts.insert(hash, &user, "apple".to_owned(), 2);
/// carts.insert(hash, &user, "pear".to_owned(), 1);
/// assert_eq!(carts.insert(hash, &user, "apple".to_owned(), 3), Some(2));
/// assert_eq!(carts.iter(hash, &user).map(|(_, count)| count).sum::<u32>(), 4);
/// assert_eq!(carts.iter(8u64.key_hash(), &8).count(), 0);
/// carts.clear(hash, &user);
/// assert_eq!(carts.table.len(), 0);
/// ```
///
/// Look-ups and changes of an entry cost what they cost in a [`KeyedTable`]. Adding and removing one also changes
/// the index. Clearing a map removes each of its entries at once.
///
/// In the order [`Sorted`], user keys are also found by [range](MapTable::range). Orders are in memory only, so one may be
/// replaced by the other.
pub type MapTable<K, S, V, O = Hashed> = Indexed<Scoped<K, S>, V, UserKeys<K, S, O>>;

/// The index of a map table: the user keys of each key.
pub struct UserKeys<K, S, O: Order<S> = Hashed> {
    by_key: PerKey<K, O::Members>,
}

/// The order of the user keys of a key.
pub trait Order<S>: Send + 'static {
    /// A set of user keys.
    type Members: MemberSet<S>;
}

/// User keys are in the order of their hashes.
#[derive(Clone, Copy, Debug)]
pub struct Hashed;

impl<S: Key> Order<S> for Hashed {
    type Members = Members<S>;
}

/// User keys are in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Sorted;

impl<S: Key + Ord> Order<S> for Sorted {
    type Members = SortedMembers<S>;
}

impl<K, S, O: Order<S>> Default for UserKeys<K, S, O> {
    fn default() -> Self {
        Self { by_key: PerKey::default() }
    }
}

impl<K: Key, S: Key, O: Order<S>> UserKeys<K, S, O> {
    fn add(&mut self, hash: KeyHash, key: &K, scope: S) {
        self.by_key.upsert(hash, key, O::Members::none).insert(scope);
    }

    fn remove(&mut self, hash: KeyHash, key: &K, scope: &S) {
        let Some(members) = self.by_key.get_mut(hash, key) else { return };
        members.remove(scope);
        if members.is_empty() {
            self.by_key.remove(hash, key);
        }
    }
}

impl<K: Key, S: Key, V: Data, O: Order<S>> MapTable<K, S, V, O> {
    /// An empty table. `id` and `name` must each be unique within the operator.
    pub fn new(id: TableId, name: &str, max: MaxParallelism) -> Self {
        Self::over(KeyedTable::new(id, name, max))
    }

    /// Finds the entry of a user key. `hash` is the hash of the key.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &K, scope: &S) -> Option<Found> {
        let entry = Scoped::<K, S>::hash(hash, scope);
        self.table.find(entry, |other| other.scope == *scope && other.key == *key)
    }

    /// Sets the value of a user key and returns the previous one.
    pub fn insert(&mut self, hash: KeyHash, key: &K, scope: S, value: V) -> Option<V> {
        match self.find(hash, key, &scope) {
            Some(found) => Some(std::mem::replace(self.table.at_mut(found), value)),
            None => {
                self.insert_absent(hash, key, scope, value);
                None
            }
        }
    }

    /// Adds an entry for a user key that has none.
    pub fn insert_absent(&mut self, hash: KeyHash, key: &K, scope: S, value: V) -> &mut V {
        self.index.add(hash, key, scope.clone());
        let entry = Scoped::<K, S>::hash(hash, &scope);
        self.table.insert_absent(entry, Scoped { key: key.clone(), scope }, value)
    }

    /// Removes the entry that was found for a user key.
    pub fn remove_at(&mut self, hash: KeyHash, key: &K, scope: &S, found: Found) -> V {
        self.index.remove(hash, key, scope);
        self.table.remove_at(found)
    }

    /// Removes a user key and returns its value.
    pub fn remove(&mut self, hash: KeyHash, key: &K, scope: &S) -> Option<V> {
        let found = self.find(hash, key, scope)?;
        Some(self.remove_at(hash, key, scope, found))
    }

    /// The user keys of a key, in order.
    pub fn keys(&self, hash: KeyHash, key: &K) -> impl Iterator<Item = &S> {
        self.index.by_key.get(hash, key).map(MemberSet::iter).into_iter().flatten()
    }

    /// The entries of a key, in the order of the user keys.
    pub fn iter(&self, hash: KeyHash, key: &K) -> impl Iterator<Item = (&S, &V)> {
        self.keys(hash, key).filter_map(move |scope| {
            let found = self.find(hash, key, scope)?;
            Some((scope, self.table.at(found)))
        })
    }

    /// The number of user keys of a key.
    pub fn len_of(&self, hash: KeyHash, key: &K) -> usize {
        self.index.by_key.get(hash, key).map_or(0, MemberSet::len)
    }

    /// Removes all entries of a key.
    pub fn clear(&mut self, hash: KeyHash, key: &K) {
        let Some(members) = self.index.by_key.remove(hash, key) else { return };
        for scope in members.iter() {
            if let Some(found) = self.find(hash, key, scope) {
                self.table.remove_at(found);
            }
        }
    }
}

impl<K: Key, S: Key + Ord, V: Data> MapTable<K, S, V, Sorted> {
    /// The entries of a key whose user keys are in a range, in ascending order. It costs what it returns.
    ///
    /// ```
    /// use reflow_state::{MapTable, Sorted, TableId};
    /// use reflow_types::{Key, MaxParallelism};
    /// let mut prices = MapTable::<u64, i64, u32, Sorted>::new(TableId(1), "prices", MaxParallelism::DEFAULT);
    /// let (item, hash) = (7u64, 7u64.key_hash());
    /// for day in [30, 10, 20] {
    ///     prices.insert(hash, &item, day, day as u32 * 100);
    /// }
    /// assert_eq!(prices.range(hash, &item, ..25).next_back(), Some((&20, &2_000)));
    /// ```
    pub fn range(
        &self,
        hash: KeyHash,
        key: &K,
        range: impl RangeBounds<S>,
    ) -> impl DoubleEndedIterator<Item = (&S, &V)> {
        let members = self.index.by_key.get(hash, key).map(|members| members.range(&range));
        members.into_iter().flatten().filter_map(move |scope| {
            let found = self.find(hash, key, scope)?;
            Some((scope, self.table.at(found)))
        })
    }
}

impl<K: Key, S: Key, O: Order<S>> Index<Scoped<K, S>> for UserKeys<K, S, O> {
    fn set_layout(&mut self, layout: SegmentLayout) {
        self.by_key.set_layout(layout);
    }

    fn enter(&mut self, entry: &Scoped<K, S>) {
        self.add(entry.key.key_hash(), &entry.key, entry.scope.clone());
    }

    fn leave(&mut self, entry: &Scoped<K, S>) {
        self.remove(entry.key.key_hash(), &entry.key, &entry.scope);
    }

    fn release(&mut self, groups: &KeyGroupSet) {
        self.by_key.release(groups);
    }

    fn discard(&mut self, budget: usize) -> bool {
        self.by_key.discard(budget)
    }

    fn clear(&mut self) {
        self.by_key.clear();
    }

    fn knows(&self, entry: &Scoped<K, S>) -> bool {
        let members = self.by_key.get(entry.key.key_hash(), &entry.key);
        members.is_some_and(|members| members.contains(&entry.scope))
    }

    fn exact_len(&self) -> Option<usize> {
        Some(self.by_key.iter().map(MemberSet::len).sum())
    }

    fn bytes_per_key() -> usize {
        size_of::<(KeyHash, S)>()
    }

    fn memory_bytes(&self, keys: usize) -> usize {
        self.by_key.memory_bytes() + keys * Self::bytes_per_key()
    }
}
