//! Lists by key: elements that are marked and written one by one, with an index of the positions of each key.

use crate::index::{Index, Indexed};
use crate::layout::SegmentLayout;
use crate::per_key::PerKey;
use crate::table::Found;
use crate::{KeyedTable, Scoped, TableId};
use reflow_types::{Data, Key, KeyGroupSet, KeyHash, MaxParallelism};
use std::ops::Range;

/// A list of `V` for each `K`. The scope of an element is its position.
///
/// ```
/// use reflow_state::{ListTable, TableId};
/// use reflow_types::{Key, MaxParallelism};
/// let mut clicks = ListTable::<u64, String>::new(TableId(1), "clicks", MaxParallelism::DEFAULT);
/// let (user, hash) = (7u64, 7u64.key_hash());
/// ["a", "b", "c"].map(|page| clicks.push(hash, &user, page.to_owned()));
/// assert_eq!(clicks.pop_front(hash, &user).as_deref(), Some("a"));
/// assert!(clicks.iter(hash, &user).eq(["b", "c"]));
/// clicks.clear(hash, &user);
/// assert_eq!(clicks.table.len(), 0);
/// ```
///
/// Appending to a list writes one element, whatever the length of the list. Clearing a list removes each of its
/// elements at once.
pub type ListTable<K, V> = Indexed<Scoped<K, u64>, V, Spans<K>>;

/// The index of a list table: the positions of the elements of each key.
pub struct Spans<K> {
    by_key: PerKey<K, Span>,
}

/// The positions of a list.
///
/// # Invariants
/// - `len` positions of `first..end` have elements, at least one. The others are holes, where elements expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: u64,
    end: u64,
    len: u64,
}

impl<K> Default for Spans<K> {
    fn default() -> Self {
        Self { by_key: PerKey::default() }
    }
}

impl<K: Key> Spans<K> {
    fn add(&mut self, hash: KeyHash, key: &K, position: u64) {
        let span = self.by_key.upsert(hash, key, || Span { first: position, end: position, len: 0 });
        span.first = span.first.min(position);
        span.end = span.end.max(position + 1);
        span.len += 1;
    }

    fn remove(&mut self, hash: KeyHash, key: &K, position: u64) {
        let Some(span) = self.by_key.get_mut(hash, key) else { return };
        span.len -= 1;
        if position == span.first {
            span.first += 1;
        } else if position + 1 == span.end {
            span.end -= 1;
        }
        if span.len == 0 {
            self.by_key.remove(hash, key);
        }
    }

    fn positions(&self, hash: KeyHash, key: &K) -> Range<u64> {
        self.by_key.get(hash, key).map_or(0..0, |span| span.first..span.end)
    }
}

impl<K: Key, V: Data> ListTable<K, V> {
    /// An empty table. `id` and `name` must each be unique within the operator.
    pub fn new(id: TableId, name: &str, max: MaxParallelism) -> Self {
        Self::over(KeyedTable::new(id, name, max))
    }

    /// The element at a position.
    #[inline]
    pub fn find(&self, hash: KeyHash, key: &K, position: u64) -> Option<Found> {
        let entry = Scoped::<K, u64>::hash(hash, &position);
        self.table.find(entry, |other| other.scope == position && other.key == *key)
    }

    /// Appends an element. `hash` is the hash of the key.
    pub fn push(&mut self, hash: KeyHash, key: &K, value: V) {
        let position = self.positions(hash, key).end;
        self.index.add(hash, key, position);
        let entry = Scoped::<K, u64>::hash(hash, &position);
        self.table.insert_absent(entry, Scoped { key: key.clone(), scope: position }, value);
    }

    /// The positions of a key's list. Some may have no element.
    pub fn positions(&self, hash: KeyHash, key: &K) -> Range<u64> {
        self.index.positions(hash, key)
    }

    /// The elements of a key's list, in order.
    pub fn iter(&self, hash: KeyHash, key: &K) -> impl Iterator<Item = &V> {
        let element = move |position| self.find(hash, key, position).map(|found| self.table.at(found));
        self.positions(hash, key).filter_map(element)
    }

    /// The number of elements of a key's list.
    pub fn len_of(&self, hash: KeyHash, key: &K) -> usize {
        self.index.by_key.get(hash, key).map_or(0, |span| span.len as usize)
    }

    /// Removes the element that was found at a position.
    pub fn remove_at(&mut self, hash: KeyHash, key: &K, position: u64, found: Found) -> V {
        let value = self.table.remove_at(found);
        self.index.remove(hash, key, position);
        self.skip_holes(hash, key);
        value
    }

    /// Removes the first element and returns it.
    pub fn pop_front(&mut self, hash: KeyHash, key: &K) -> Option<V> {
        self.skip_holes(hash, key);
        let first = self.positions(hash, key).start;
        let found = self.find(hash, key, first)?;
        Some(self.remove_at(hash, key, first, found))
    }

    /// Removes all elements of a key's list.
    pub fn clear(&mut self, hash: KeyHash, key: &K) {
        let Some(span) = self.index.by_key.remove(hash, key) else { return };
        for position in span.first..span.end {
            if let Some(found) = self.find(hash, key, position) {
                self.table.remove_at(found);
            }
        }
    }

    /// Lets the list begin with an element. Each hole is skipped once.
    fn skip_holes(&mut self, hash: KeyHash, key: &K) {
        let positions = self.positions(hash, key);
        let first = positions.clone().find(|position| self.find(hash, key, *position).is_some());
        if let Some(span) = self.index.by_key.get_mut(hash, key) {
            span.first = first.unwrap_or(positions.end);
        }
    }
}

impl<K: Key> Index<Scoped<K, u64>> for Spans<K> {
    fn set_layout(&mut self, layout: SegmentLayout) {
        self.by_key.set_layout(layout);
    }

    fn enter(&mut self, element: &Scoped<K, u64>) {
        self.add(element.key.key_hash(), &element.key, element.scope);
    }

    fn leave(&mut self, element: &Scoped<K, u64>) {
        self.remove(element.key.key_hash(), &element.key, element.scope);
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

    fn knows(&self, element: &Scoped<K, u64>) -> bool {
        self.positions(element.key.key_hash(), &element.key).contains(&element.scope)
    }

    fn exact_len(&self) -> Option<usize> {
        Some(self.by_key.iter().map(|span| span.len as usize).sum())
    }

    fn bytes_per_key() -> usize {
        0
    }

    fn memory_bytes(&self, _: usize) -> usize {
        self.by_key.memory_bytes()
    }
}
