//! Timers, which are part of the keyed state and are found by time.
//!
//! The timers are a [`KeyedTable`] of their own, so they are written to snapshots and migrate like any state; a
//! timer that is registered and fires within one epoch leaves nothing behind. An index by time finds those that
//! are due. It is not part of snapshots: a restore fills it again. It may name timers that were deleted, so the
//! table decides.

use crate::index::{Index, Indexed};
use crate::{KeyedTable, Scoped, TableId};
use reflow_types::{Key, KeyHash, MaxParallelism, Timestamp};
use std::collections::BTreeMap;

/// The time of a timer, and a tag by which the operator distinguishes several timers of a key at the same time.
pub type Scope = (i64, u32);

/// A timer that has become due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer<K> {
    pub hash: KeyHash,
    /// The key that registered it.
    pub key: K,
    /// The time that it was registered for.
    pub time: Timestamp,
    /// The operator's tag, from the registration.
    pub tag: u32,
}

/// The timers of one operator, either in event time or in processing time.
///
/// ```
/// use reflow_state::{TableId, TimerTable};
/// use reflow_types::{Key, MaxParallelism};
/// let mut timers = TimerTable::<u64>::new(TableId(1), "event-time timers", MaxParallelism::DEFAULT);
/// timers.register(7u64.key_hash(), &7, 1_000, 0);
/// timers.register(7u64.key_hash(), &7, 1_000, 0); // the same again: nothing happens
/// assert_eq!(timers.pop_due(999), None);
/// assert_eq!(timers.pop_due(1_000).map(|timer| timer.key), Some(7));
/// assert_eq!(timers.pop_due(1_000), None);
/// ```
pub type TimerTable<K> = Indexed<Scoped<K, Scope>, (), Moments<K>>;

/// The index of timers by time.
pub struct Moments<K> {
    by_time: BTreeMap<i64, Moment<K>>,
}

impl<K> Default for Moments<K> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new() }
    }
}

impl<K> Moments<K> {
    fn add(&mut self, hash: KeyHash, timer: Scoped<K, Scope>) {
        let (time, tag) = timer.scope;
        let moment = self.by_time.entry(time).or_insert_with(|| Moment { timers: Vec::new(), deleted: 0 });
        moment.timers.push((hash, timer.key, tag));
    }
}

/// The timers that are due at the same time.
struct Moment<K> {
    timers: Vec<(KeyHash, K, u32)>,
    /// How many of them were deleted from the table but are still in the list.
    deleted: usize,
}

impl<K: Key> TimerTable<K> {
    /// An empty table. `id` and `name` must each be unique within the operator.
    pub fn new(id: TableId, name: &str, max: MaxParallelism) -> Self {
        Self::over(KeyedTable::new(id, name, max))
    }

    /// Registers a timer. Returns whether it was new. `hash` is the hash of the key.
    pub fn register(&mut self, hash: KeyHash, key: &K, time: Timestamp, tag: u32) -> bool {
        let timer = Scoped { key: key.clone(), scope: (time, tag) };
        let before = self.table.len();
        self.table.upsert(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer, || ());
        let new = self.table.len() > before;
        if new {
            self.index.add(hash, timer);
        }
        new
    }

    /// Deletes a timer. Returns whether it existed.
    pub fn delete(&mut self, hash: KeyHash, key: &K, time: Timestamp, tag: u32) -> bool {
        let timer = Scoped { key: key.clone(), scope: (time, tag) };
        let found = self.table.remove(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer).is_some();
        if found && let Some(moment) = self.index.by_time.get_mut(&time) {
            moment.deleted += 1;
            if moment.deleted >= moment.timers.len() {
                self.index.by_time.remove(&time);
            } else if moment.deleted > 32 && moment.deleted > moment.timers.len() / 2 {
                let table = &self.table;
                moment.timers.retain(|(hash, key, tag)| is_registered(table, *hash, key, time, *tag));
                moment.deleted = 0;
            }
        }
        found
    }

    /// Removes and returns the earliest timer whose time is at or before `until`; timers of the same time are in
    /// no particular order. Between two calls, timers may be registered and deleted.
    pub fn pop_due(&mut self, until: Timestamp) -> Option<Timer<K>> {
        while let Some(mut first) = self.index.by_time.first_entry().filter(|first| *first.key() <= until) {
            let time = *first.key();
            let Some((hash, key, tag)) = first.get_mut().timers.pop() else {
                first.remove();
                continue;
            };
            let timer = Scoped { key, scope: (time, tag) };
            if self.table.remove(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer).is_some() {
                return Some(Timer { hash, key: timer.key, time, tag });
            }
            first.get_mut().deleted = first.get().deleted.saturating_sub(1);
        }
        None
    }

    /// A lower bound of the time of the next timer; `None` if there are no timers.
    pub fn next_time(&self) -> Option<Timestamp> {
        self.index.by_time.iter().find(|(_, moment)| !moment.timers.is_empty()).map(|(time, _)| *time)
    }
}

fn is_registered<K: Key>(
    table: &KeyedTable<Scoped<K, Scope>, ()>,
    hash: KeyHash,
    key: &K,
    time: i64,
    tag: u32,
) -> bool {
    let timer = Scoped { key: key.clone(), scope: (time, tag) };
    table.get(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer).is_some()
}

impl<K: Key> Index<Scoped<K, Scope>> for Moments<K> {
    fn enter(&mut self, timer: &Scoped<K, Scope>) {
        self.add(timer.key.key_hash(), timer.clone());
    }

    fn clear(&mut self) {
        self.by_time.clear();
    }

    fn knows(&self, timer: &Scoped<K, Scope>) -> bool {
        let moment = self.by_time.get(&timer.scope.0);
        let is_it = |(_, key, tag): &(KeyHash, K, u32)| (key, *tag) == (&timer.key, timer.scope.1);
        moment.is_some_and(|moment| moment.timers.iter().any(is_it))
    }

    fn bytes_per_key() -> usize {
        size_of::<(KeyHash, K, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Progress, Restore, SnapshotKind, SnapshotTable};
    use reflow_types::{CheckpointId, KeyGroupSet};

    fn timers() -> TimerTable<u64> {
        TimerTable::new(TableId(0), "timers", MaxParallelism::DEFAULT)
    }

    fn fired(timers: &mut TimerTable<u64>, until: i64) -> Vec<(i64, u64)> {
        let mut fired: Vec<_> =
            std::iter::from_fn(|| timers.pop_due(until)).map(|t| (t.time, t.key)).collect();
        assert!(fired.is_sorted_by_key(|(time, _)| *time));
        fired.sort_unstable();
        fired
    }

    #[test]
    fn timers_fire_once_in_order_of_time() {
        let mut timers = timers();
        for key in 0..100u64 {
            assert!(timers.register(key.key_hash(), &key, 50 - (key as i64 % 10), 0));
            assert!(!timers.register(key.key_hash(), &key, 50 - (key as i64 % 10), 0));
        }
        timers.check_invariants();
        assert_eq!(timers.next_time(), Some(41));
        assert_eq!(fired(&mut timers, 42).len(), 20);
        assert_eq!(fired(&mut timers, i64::MAX).len(), 80);
        assert!(timers.is_empty());
        assert_eq!(timers.next_time(), None);
    }

    #[test]
    fn deleted_timers_do_not_fire_and_may_be_registered_again() {
        let mut timers = timers();
        for key in 0..100u64 {
            timers.register(key.key_hash(), &key, 5, 1);
        }
        for key in 0..90u64 {
            assert!(timers.delete(key.key_hash(), &key, 5, 1));
            assert!(!timers.delete(key.key_hash(), &key, 5, 1));
        }
        timers.register(3u64.key_hash(), &3, 5, 1);
        timers.check_invariants();
        let keys: Vec<u64> = fired(&mut timers, 5).into_iter().map(|(_, key)| key).collect();
        assert_eq!(keys, std::iter::once(3).chain(90..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_timer_that_fires_within_its_epoch_leaves_nothing_to_write() {
        let mut timers = timers();
        for key in 0..100u64 {
            timers.register(key.key_hash(), &key, 5, 0);
        }
        fired(&mut timers, 5);
        timers.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
        let mut writer = crate::SnapshotWriter::new(Vec::new());
        assert_eq!(timers.snapshot_step(1 << 20, &mut writer), Ok(Progress::Done));
        let (_, runs) = writer.finish();
        assert_eq!(runs, []);
    }

    #[test]
    fn timers_come_back_to_whoever_owns_their_key() {
        let max = MaxParallelism::DEFAULT;
        let mut before = timers();
        for key in 0..100u64 {
            before.register(key.key_hash(), &key, key as i64 % 7, key as u32);
        }
        before.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
        fired(&mut before, 3);
        let mut writer = crate::SnapshotWriter::new(Vec::new());
        while before.snapshot_step(10, &mut writer) == Ok(Progress::More) {}
        let bytes = writer.finish().0;
        let (low, high) = KeyGroupSet::all(max).iter().partition::<Vec<_>, _>(|group| group.0 < 1000);
        let mut keys = Vec::new();
        for owned in [low, high] {
            let owned: KeyGroupSet = owned.into_iter().collect();
            let mut after = timers();
            let restore = Restore { table: TableId(0), owned: &owned, origin: crate::Origin::Own };
            after.load(&bytes, restore).unwrap();
            after.check_invariants();
            keys.extend(fired(&mut after, i64::MAX).into_iter().map(|(_, key)| key));
        }
        keys.sort_unstable();
        assert_eq!(keys, (0..100).collect::<Vec<_>>());
    }
}
