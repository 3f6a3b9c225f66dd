//! A list for each key.

use super::retention::sealed::Retains;
use super::{Current, Declaration, Expiring, Forever, Retention, State, StateTables, TimeToLive};
use reflow_graph::StateKind;
use reflow_state::{Found, ListTable, SnapshotTable, TableId};
use reflow_types::{Data, Key, MaxParallelism, Timestamp};
use std::marker::PhantomData;

/// Declares a state with a list for each key, which [`List`] accesses.
///
/// Each element is kept, and written to checkpoints, by itself. So appending costs the same, whatever the length of
/// the list.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::states::ListState;
/// let clicks: ListState<String> = ListState::new("clicks");
/// # let _ = clicks;
/// ```
#[derive(Clone, Debug)]
pub struct ListState<T, R = Forever> {
    name: String,
    retention: R,
    holds: PhantomData<fn() -> T>,
}

impl<T> ListState<T> {
    /// A state of this name, which is unique within the function.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), retention: Forever, holds: PhantomData }
    }

    /// Lets elements expire, each by itself.
    pub fn time_to_live(self, time_to_live: TimeToLive) -> ListState<T, Expiring> {
        ListState { name: self.name, retention: time_to_live.into(), holds: PhantomData }
    }
}

/// The table of a [`ListState`].
#[doc(hidden)]
pub struct ListStateTable<K: Key, T: Data, R: Retention> {
    table: ListTable<K, R::Entry<T>>,
    retention: R,
}

impl<K: Key, T: Data, R: Retention> State<K> for ListState<T, R> {
    type Table = ListStateTable<K, T, R>;
    type Access<'a> = List<'a, K, T, R>;

    fn named(name: &str) -> Self {
        Self { name: name.to_owned(), retention: R::unset::<T>(), holds: PhantomData }
    }

    fn declaration(&self) -> Declaration<'_> {
        let (table, time_to_live) = (TableId::of_name(&self.name), self.retention.time_to_live());
        Declaration { table, name: &self.name, kind: StateKind::List, time_to_live }
    }

    fn table(self, max: MaxParallelism) -> ListStateTable<K, T, R> {
        let table = ListTable::new(TableId::of_name(&self.name), &self.name, max);
        ListStateTable { table, retention: self.retention }
    }

    #[inline]
    fn access<'a>(table: &'a mut ListStateTable<K, T, R>, current: Current<'a, K>) -> List<'a, K, T, R> {
        List { of: table, current }
    }
}

impl<K: Key, T: Data, R: Retention> StateTables for ListStateTable<K, T, R> {
    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
    }

    fn sweep(&mut self, now: Timestamp, budget: usize) {
        if !self.table.table.is_empty() {
            self.retention.walk::<T>(now, |cursor, judge| self.table.sweep(cursor, budget, judge));
        }
    }

    fn next_sweep(&self) -> Option<Timestamp> {
        self.retention.next_walk().filter(|_| !self.table.table.is_empty())
    }

    fn memory_bytes(&self) -> usize {
        SnapshotTable::memory_bytes(&self.table)
    }
}

/// The list of the current key.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, ListState, States};
///
/// #[derive(States)]
/// struct Visit {
///     pages: ListState<String>,
/// }
///
/// /// Keeps the last three pages.
/// fn record(states: &mut Access<'_, u64, Visit>, page: String) -> String {
///     states.pages.push(page);
///     if states.pages.len() > 3 {
///         states.pages.pop_front();
///     }
///     states.pages.iter().cloned().collect::<Vec<_>>().join(" > ")
/// }
/// ```
///
/// # Costs
/// Appending, and each element that an iterator returns, is one look-up in the table. [`clear`](Self::clear) removes
/// the elements one by one before it returns: about 0.4 s for a million of them, in which no barrier passes.
///
/// ```standalone_crate
/// # extern crate reflow_api as reflow;
/// use reflow::states::{Access, Expiring, ListState, States, TimeToLive};
/// use std::time::Duration;
///
/// #[derive(States)]
/// struct Clicks {
///     clicks: ListState<String, Expiring>,
/// }
///
/// fn declare() -> Clicks {
///     let day = TimeToLive::since_write(Duration::from_secs(24 * 3600));
///     Clicks { clicks: ListState::new("clicks").time_to_live(day) }
/// }
///
/// fn add(states: &mut Access<'_, u64, Clicks>, page: String) {
///     states.clicks.push(page);
///     states.clicks.extend(["/a".to_owned(), "/b".to_owned()]);
///     while states.clicks.len() > 100 {
///         states.clicks.pop_front();
///     }
///     if states.clicks.iter().any(|page| page == "/logout") {
///         states.clicks.clear();
///     }
///     assert!(states.clicks.is_empty() || states.clicks.len() > 0);
/// }
/// ```
pub struct List<'a, K: Key, T: Data, R: Retention = Forever> {
    of: &'a mut ListStateTable<K, T, R>,
    current: Current<'a, K>,
}

impl<K: Key, T: Data> List<'_, K, T, Forever> {
    /// The elements, in the order in which they were appended.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let Current { hash, key, .. } = self.current;
        self.of.table.iter(hash, key).map(Forever::value)
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        let Current { hash, key, .. } = self.current;
        self.of.table.len_of(hash, key)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads of elements that expire remove those that are expired, so they need `&mut self` and visit all elements.
impl<K: Key, T: Data> List<'_, K, T, Expiring> {
    /// The elements that are not expired, in the order in which they were appended.
    pub fn iter(&mut self) -> impl Iterator<Item = &T> {
        let Current { hash, key, now } = self.current;
        for position in self.of.table.positions(hash, key) {
            if let Some(found) = self.find_live(position) {
                let ListStateTable { table, retention } = &mut *self.of;
                if retention.counts_read(table.table.at(found), now) {
                    Expiring::value_mut(table.table.at_mut(found), now);
                }
            }
        }
        self.of.table.iter(hash, key).map(Expiring::value)
    }

    /// The number of elements.
    pub fn len(&mut self) -> usize {
        self.iter().count()
    }

    /// Whether there are no elements.
    pub fn is_empty(&mut self) -> bool {
        self.len() == 0
    }
}

impl<K: Key, T: Data, R: Retention> List<'_, K, T, R> {
    /// Appends an element.
    pub fn push(&mut self, element: T) {
        let Current { hash, key, now } = self.current;
        let entry = self.of.retention.entry(element, now);
        self.of.table.push(hash, key, entry);
    }

    /// Appends elements.
    pub fn extend(&mut self, elements: impl IntoIterator<Item = T>) {
        elements.into_iter().for_each(|element| self.push(element));
    }

    /// Removes the first element and returns it.
    pub fn pop_front(&mut self) -> Option<T> {
        let Current { hash, key, now } = self.current;
        loop {
            let entry = self.of.table.pop_front(hash, key)?;
            if self.of.retention.is_live(&entry, now) {
                return Some(R::into_value(entry));
            }
        }
    }

    /// Removes all elements. See [the costs](List#costs).
    pub fn clear(&mut self) {
        let Current { hash, key, .. } = self.current;
        self.of.table.clear(hash, key);
    }
}

impl<K: Key, T: Data> List<'_, K, T, Expiring> {
    /// Finds an element. Removes an expired one.
    fn find_live(&mut self, position: u64) -> Option<Found> {
        let Current { hash, key, now } = self.current;
        let ListStateTable { table, retention } = &mut *self.of;
        let found = table.find(hash, key, position)?;
        if retention.is_live(table.table.at(found), now) {
            return Some(found);
        }
        table.remove_at(hash, key, position, found);
        None
    }
}
