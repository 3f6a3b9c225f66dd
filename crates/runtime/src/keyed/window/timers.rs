//! The timers that triggers register, each of one pane.
//!
//! As the [timers of process functions](reflow_state::TimerTable), they are a table, which is part of snapshots and
//! migrates, and an index, which is not. This index also finds the timers of a pane, which are deleted with it.

use reflow_api::TimeDomain;
use reflow_api::window::Window;
use reflow_state::{Index, Indexed, KeyedTable, Scoped, TableId};
use reflow_types::{Key, KeyHash, MaxParallelism, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The pane's window, the domain and the time.
type Scope = (Window, u32, Timestamp);

pub(super) type TriggerTimers<K> = Indexed<Scoped<K, Scope>, (), Schedule<K>>;

/// A timer that has become due.
pub(super) struct Timer<K> {
    pub(super) hash: KeyHash,
    pub(super) key: K,
    /// The window by which its pane is kept.
    pub(super) pane: Window,
    pub(super) time: Timestamp,
}

/// The pane of a timer.
type Owner<K> = (KeyHash, K, Window);

/// The timers by time and by pane. Timers of a key group that has left stay in it until they are due.
pub(super) struct Schedule<K> {
    by_time: BTreeSet<(u32, Timestamp, u64)>,
    /// By the hash of the pane. Several panes may have one.
    by_pane: BTreeMap<(u64, u32, Timestamp), Vec<Owner<K>>>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { by_time: BTreeSet::new(), by_pane: BTreeMap::new() }
    }
}

fn domain_number(domain: TimeDomain) -> u32 {
    match domain {
        TimeDomain::Event => 0,
        TimeDomain::Processing => 1,
    }
}

impl<K: Key> Schedule<K> {
    fn pane_hash(hash: KeyHash, pane: &Window) -> u64 {
        Scoped::<K, Window>::hash(hash, pane).0
    }

    fn add(&mut self, hash: KeyHash, timer: &Scoped<K, Scope>) {
        let (pane, domain, time) = timer.scope;
        let of_pane = Self::pane_hash(hash, &pane);
        self.by_time.insert((domain, time, of_pane));
        let timers = self.by_pane.entry((of_pane, domain, time)).or_default();
        // A group that left and came back brings its timers again.
        if !timers.iter().any(|(_, key, of)| *key == timer.key && *of == pane) {
            timers.push((hash, timer.key.clone(), pane));
        }
    }

    fn remove(&mut self, hash: KeyHash, key: &K, (pane, domain, time): Scope) {
        let of_pane = Self::pane_hash(hash, &pane);
        if let Some(timers) = self.by_pane.get_mut(&(of_pane, domain, time)) {
            timers.retain(|(_, of, window)| of != key || *window != pane);
            if timers.is_empty() {
                self.by_pane.remove(&(of_pane, domain, time));
                self.by_time.remove(&(domain, time, of_pane));
            }
        }
    }

    fn first(&self, domain: u32) -> Option<(Timestamp, u64)> {
        let lowest = (domain, Timestamp::MIN, 0);
        let first = self.by_time.range(lowest..).next().filter(|(of, ..)| *of == domain)?;
        Some((first.1, first.2))
    }
}

/// A table of timers without any.
pub(super) fn empty<K: Key>(id: TableId, max: MaxParallelism) -> TriggerTimers<K> {
    Indexed::over(KeyedTable::new(id, "trigger timers", max))
}

/// Registers a timer of a pane, unless there is one.
pub(super) fn register<K: Key>(
    timers: &mut TriggerTimers<K>,
    (hash, key, pane): (KeyHash, &K, Window),
    domain: TimeDomain,
    time: Timestamp,
) {
    let timer = Scoped { key: key.clone(), scope: (pane, domain_number(domain), time) };
    let mut is_new = false;
    timers.table.upsert(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer, || is_new = true);
    if is_new {
        timers.index.add(hash, &timer);
    }
}

/// Deletes a timer of a pane, if there is one.
pub(super) fn delete<K: Key>(
    timers: &mut TriggerTimers<K>,
    (hash, key, pane): (KeyHash, &K, Window),
    domain: TimeDomain,
    time: Timestamp,
) {
    let timer = Scoped { key: key.clone(), scope: (pane, domain_number(domain), time) };
    timers.index.remove(hash, key, timer.scope);
    timers.table.remove(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer);
}

/// Deletes all timers of a pane.
#[inline]
pub(super) fn delete_all<K: Key>(timers: &mut TriggerTimers<K>, (hash, key, pane): (KeyHash, &K, Window)) {
    if !timers.index.by_time.is_empty() {
        delete_each(timers, (hash, key, pane));
    }
}

fn delete_each<K: Key>(timers: &mut TriggerTimers<K>, (hash, key, pane): (KeyHash, &K, Window)) {
    let of_pane = Schedule::<K>::pane_hash(hash, &pane);
    let all = (of_pane, 0, Timestamp::MIN)..=(of_pane, u32::MAX, Timestamp::MAX);
    let scopes: Vec<Scope> =
        timers.index.by_pane.range(all).map(|((_, domain, time), _)| (pane, *domain, *time)).collect();
    for scope in scopes {
        timers.index.remove(hash, key, scope);
        let timer = Scoped { key: key.clone(), scope };
        timers.table.remove(Scoped::<K, Scope>::hash(hash, &scope), &timer);
    }
}

/// A lower bound of the time of the next timer.
pub(super) fn next_time<K: Key>(timers: &TriggerTimers<K>, domain: TimeDomain) -> Option<Timestamp> {
    timers.index.first(domain_number(domain)).map(|(time, _)| time)
}

/// Takes the earliest timer whose time is at or before `until`.
pub(super) fn pop_due<K: Key>(
    timers: &mut TriggerTimers<K>,
    domain: TimeDomain,
    until: Timestamp,
) -> Option<Timer<K>> {
    let domain = domain_number(domain);
    while let Some((time, of_pane)) = timers.index.first(domain).filter(|(time, _)| *time <= until) {
        let due = timers.index.by_pane.get(&(of_pane, domain, time)).and_then(|of| of.first().cloned());
        let Some((hash, key, pane)) = due else {
            timers.index.by_time.remove(&(domain, time, of_pane));
            continue;
        };
        let timer = Scoped { key, scope: (pane, domain, time) };
        timers.index.remove(hash, &timer.key, timer.scope);
        if timers.table.remove(Scoped::<K, Scope>::hash(hash, &timer.scope), &timer).is_some() {
            return Some(Timer { hash, key: timer.key, pane, time });
        }
    }
    None
}

impl<K: Key> Index<Scoped<K, Scope>> for Schedule<K> {
    fn enter(&mut self, timer: &Scoped<K, Scope>) {
        self.add(timer.key.key_hash(), timer);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn knows(&self, timer: &Scoped<K, Scope>) -> bool {
        let (pane, domain, time) = timer.scope;
        let of_pane = Self::pane_hash(timer.key.key_hash(), &pane);
        let timers = self.by_pane.get(&(of_pane, domain, time));
        self.by_time.contains(&(domain, time, of_pane))
            && timers.is_some_and(|of| of.iter().any(|(_, key, window)| *key == timer.key && *window == pane))
    }

    fn bytes_per_key() -> usize {
        3 * size_of::<(u32, Timestamp, u64)>() + size_of::<(KeyHash, K, Window)>()
    }
}
