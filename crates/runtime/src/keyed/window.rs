//! The window operator, with one pane for each key and window that has records.
//!
//! Panes are in one table, by key and window. An index from windows, ordered by their end, to keys finds the
//! panes that are due, so that a watermark visits only those: a waiting pane costs nothing. If many panes are due
//! at once, they fire in several steps; meanwhile no record is taken and the watermark is not passed on.
//!
//! The window's start is part of a pane's key, because windows with different starts may have the same end:
//! windows of several sizes, or windows that an assigner ends at a bound.

use super::Head;
use crate::failure::OperatorName;
use crate::stage::{Control, OpenContext, Stage};
use crate::stages::TIME_RANGE;
use reflow_api::Aggregate;
use reflow_api::window::{Assigner, Elements, Evictor, Trigger, Window, Windowed};
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::Fault;
use reflow_state::{Index, Indexed, KeyedTable, Scoped, SnapshotTable, TableId};
use reflow_types::{
    Bounds, Data, Key, KeyHash, MAX_WATERMARK, MIN_WATERMARK, MaxParallelism, NO_TIMESTAMP, Timestamp,
    injected_fault,
};
use std::collections::BTreeMap;

/// The contents of a window: what it keeps of its records, and how it computes its result.
pub trait Contents<K, T>: Clone + Send + 'static {
    /// The accumulator, one for each key and window.
    type Acc: Data;
    /// The result.
    type Out;
    /// The accumulator before the first record.
    fn create(&self) -> Self::Acc;
    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp);
    /// Computes the result. May drop records that are no longer needed.
    fn fire(&self, key: &K, window: Window, acc: &mut Self::Acc) -> Option<Self::Out>;
}

/// Keeps an aggregate.
#[derive(Clone)]
pub struct Aggregated<A>(pub A);

impl<K: Clone, T, A: Aggregate<In = T>> Contents<K, T> for Aggregated<A> {
    type Acc = A::Acc;
    type Out = Windowed<K, A::Out>;

    #[inline]
    fn create(&self) -> A::Acc {
        self.0.create()
    }

    #[inline]
    fn add(&self, acc: &mut A::Acc, value: T, _: Timestamp) {
        self.0.add(acc, value);
    }

    fn fire(&self, key: &K, window: Window, acc: &mut A::Acc) -> Option<Self::Out> {
        Some(Windowed { key: key.clone(), window, value: self.0.result(acc) })
    }
}

/// Keeps the records; when it fires, it evicts some and applies a function to the rest.
#[derive(Clone)]
pub struct Buffered<E, F> {
    /// Chooses the records to drop.
    pub evictor: E,
    /// Computes the result.
    pub function: F,
}

impl<K, T, U, E, F> Contents<K, T> for Buffered<E, F>
where
    T: Data,
    E: Evictor<T>,
    F: Fn(&K, Window, &Elements<T>) -> Option<U> + Clone + Send + 'static,
{
    type Acc = Elements<T>;
    type Out = U;

    fn create(&self) -> Self::Acc {
        Elements::default()
    }

    #[inline]
    fn add(&self, acc: &mut Self::Acc, value: T, time: Timestamp) {
        acc.push(time, value);
    }

    fn fire(&self, key: &K, window: Window, acc: &mut Self::Acc) -> Option<U> {
        self.evictor.evict(acc);
        (self.function)(key, window, acc)
    }
}

/// The state of one key in one window.
#[derive(Data)]
struct Pane<A, S> {
    acc: A,
    trigger: S,
}

/// The panes by key and window.
type Panes<K, A, S> = Indexed<Scoped<K, Window>, Pane<A, S>, Due<K>>;

/// The keys of the panes, by end and start of their window. Windows without end are added at the last watermark.
struct Due<K> {
    by_end: BTreeMap<(Timestamp, Timestamp), Vec<(KeyHash, K)>>,
}

impl<K> Default for Due<K> {
    fn default() -> Self {
        Self { by_end: BTreeMap::new() }
    }
}

impl<K: Key> Due<K> {
    fn add(&mut self, window: Window, hash: KeyHash, key: K) {
        self.by_end.entry((window.end, window.start)).or_default().push((hash, key));
    }

    /// The injected fault: returns the first window with the same end.
    fn known(&self, window: Window) -> Window {
        let mut same_end = self.by_end.range((window.end, MIN_WATERMARK)..=(window.end, MAX_WATERMARK));
        same_end.next().map_or(window, |((end, start), _)| Window { start: *start, end: *end })
    }

    /// Takes the keys of the window that ends first, if `watermark` has passed it.
    fn pop(&mut self, watermark: Timestamp) -> Option<(Window, Vec<(KeyHash, K)>)> {
        let first = self.by_end.first_entry()?;
        let (end, start) = *first.key();
        let window = Window { start, end };
        (window.max_timestamp() <= watermark).then(|| (window, first.remove()))
    }
}

impl<K: Key> Index<Scoped<K, Window>> for Due<K> {
    fn enter(&mut self, at: &Scoped<K, Window>) {
        if at.scope.end != MAX_WATERMARK {
            self.add(at.scope, at.key.key_hash(), at.key.clone());
        }
    }

    fn clear(&mut self) {
        self.by_end.clear();
    }

    fn knows(&self, at: &Scoped<K, Window>) -> bool {
        let due = self.by_end.get(&(at.scope.end, at.scope.start));
        at.scope.end == MAX_WATERMARK || due.is_some_and(|keys| keys.iter().any(|(_, key)| *key == at.key))
    }

    fn bytes_per_key() -> usize {
        size_of::<(KeyHash, K)>()
    }
}

/// The parts of a window operator that the user chooses.
#[derive(Clone)]
pub struct Windowing<W, G, C> {
    /// Assigns records to windows.
    pub assigner: W,
    /// Decides when a window fires.
    pub trigger: G,
    /// Keeps the records and computes the result.
    pub contents: C,
}

/// The window operator.
pub struct WindowOperator<T, F: KeySelector<T>, W, G: Trigger<T>, C: Contents<F::Key, T>, D> {
    operator: OperatorName,
    key: F,
    windowing: Windowing<W, G, C>,
    panes: Panes<F::Key, C::Acc, G::State>,
    scope: Scope,
    bounds: Bounds,
    firing: Option<Firing<F::Key>>,
    watermark: Timestamp,
    late: u64,
    next: D,
}

/// The bits of a hash that depend on the window, cached for the last window, because the next record usually has
/// the same one.
struct Scope {
    window: Window,
    bits: u64,
}

impl Scope {
    fn of<K: Key>(window: Window) -> Self {
        Self { window, bits: Scoped::<K, Window>::hash(KeyHash(0), &window).0 }
    }

    /// The hash of a key's pane.
    #[inline]
    fn hash<K: Key>(&mut self, hash: KeyHash, window: Window) -> KeyHash {
        if self.window != window {
            *self = Self::of::<K>(window);
        }
        KeyHash(hash.0 ^ self.bits)
    }
}

/// Panes that are due and have not fired yet.
struct Firing<K> {
    watermark: Timestamp,
    window: Window,
    keys: std::vec::IntoIter<(KeyHash, K)>,
    /// Whether the input has ended, so that the end follows the watermark.
    then_end: bool,
}

impl<T, F, W, G, C, D> WindowOperator<T, F, W, G, C, D>
where
    F: KeySelector<T>,
    W: Assigner,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    D: Stage<C::Out>,
{
    /// An operator with empty windows.
    pub fn new(
        operator: OperatorName,
        key: F,
        windowing: Windowing<W, G, C>,
        max: MaxParallelism,
        next: D,
    ) -> Self {
        Self {
            operator,
            key,
            windowing,
            panes: Indexed::over(KeyedTable::new(TableId(0), "panes", max)),
            scope: Scope::of::<F::Key>(Window::GLOBAL),
            bounds: Bounds::default(),
            firing: None,
            watermark: MIN_WATERMARK,
            late: 0,
            next,
        }
    }

    /// Begins to fire the window that is due next. Returns whether there is one.
    fn begin_firing(&mut self, watermark: Timestamp) -> bool {
        let Indexed { table, index } = &mut self.panes;
        if watermark == MAX_WATERMARK && index.by_end.is_empty() {
            // All panes that are left belong to windows without end.
            table.iter().for_each(|(at, _)| index.add(at.scope, at.key.key_hash(), at.key.clone()));
        }
        let Some((window, keys)) = index.pop(watermark) else { return false };
        self.firing = Some(Firing { watermark, window, keys: keys.into_iter(), then_end: false });
        true
    }

    fn fire(&mut self, hash: KeyHash, key: F::Key, window: Window) {
        let scoped = Scoped { key, scope: window };
        let hash = Scoped::<F::Key, Window>::hash(hash, &window);
        let Some(mut pane) = self.panes.table.remove(hash, &scoped) else { return };
        if self.windowing.trigger.on_end(&window, &mut pane.trigger).fires()
            && let Some(out) = self.windowing.contents.fire(&scoped.key, window, &mut pane.acc)
        {
            self.next.push(out, window.max_timestamp());
        }
    }

    /// Fires at most `most` due panes, and passes the watermark on when none is left. Returns the number of panes
    /// fired.
    fn continue_firing(&mut self, most: usize) -> usize {
        let mut left = most;
        while let Some(mut firing) = self.firing.take() {
            while left > 0
                && !self.next.has_rest()
                && !self.next.is_full()
                && let Some((hash, key)) = firing.keys.next()
            {
                self.fire(hash, key, firing.window);
                left -= 1;
            }
            if left == 0 || self.next.has_rest() || self.next.is_full() {
                self.firing = Some(firing);
                break;
            }
            let then_end = firing.then_end;
            if self.begin_firing(firing.watermark) {
                self.firing.as_mut().expect("it has just begun").then_end = then_end;
            } else {
                self.next.watermark(firing.watermark);
                if then_end {
                    self.next.end();
                }
            }
        }
        most - left
    }
}

#[cold]
fn out_of_range(operator: &OperatorName, time: Timestamp) -> ! {
    let message = if time == NO_TIMESTAMP {
        "a record has no timestamp: give the stream event time by .assign_event_time(…)".to_owned()
    } else {
        format!("a record's timestamp {time} is out of range: it is in milliseconds since the Unix epoch")
    };
    crate::fail(Fault::User, &operator.to_string(), message)
}

impl<T, F, W, G, C, D> Head<T> for WindowOperator<T, F, W, G, C, D>
where
    T: Clone + Send + 'static,
    F: KeySelector<T>,
    W: Assigner,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    D: Stage<C::Out>,
{
    #[inline]
    fn row(&mut self, row: Row<T>) {
        if W::NEEDS_TIME && !TIME_RANGE.contains(&row.time) {
            out_of_range(&self.operator, row.time);
        }
        let key = self.key.key(&row.value);
        let Self {
            windowing: Windowing { assigner, trigger, contents },
            panes,
            scope,
            next,
            late,
            watermark,
            ..
        } = self;
        let Indexed { table: panes, index: due } = panes;
        // A record is late if the watermark has passed all of its windows.
        let (mut over, mut open) = (false, false);
        assigner.assign(row.time, |window| {
            let window = if injected_fault::is_active("windows_told_apart_by_their_end") {
                due.known(window)
            } else {
                window
            };
            if window.max_timestamp() <= *watermark {
                over = true;
                return;
            }
            open = true;
            let scoped = Scoped { key: key.clone(), scope: window };
            let hash = scope.hash::<F::Key>(row.hash, window);
            let pane = panes.upsert(hash, &scoped, || {
                if window.end != MAX_WATERMARK {
                    due.add(window, row.hash, key.clone());
                }
                Pane { acc: contents.create(), trigger: G::State::default() }
            });
            let result = trigger.on_element(&row.value, row.time, &window, &mut pane.trigger);
            contents.add(&mut pane.acc, row.value.clone(), row.time);
            if result.fires()
                && let Some(out) = contents.fire(&key, window, &mut pane.acc)
            {
                let time = if window.end == MAX_WATERMARK { row.time } else { window.max_timestamp() };
                next.push(out, time);
            }
            if result.purges() {
                pane.acc = contents.create();
            }
        });
        *late += u64::from(over && !open);
    }

    #[inline]
    fn expect(&self, row: &Row<T>) {
        self.panes.table.prefetch(KeyHash(row.hash.0 ^ self.scope.bits));
    }
}

impl<T, F, W, G, C, D> Control for WindowOperator<T, F, W, G, C, D>
where
    T: Send + 'static,
    F: KeySelector<T>,
    W: Assigner,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    D: Stage<C::Out>,
{
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.bounds = context.bounds;
        self.watermark = context.watermark;
        self.next.open(context);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.watermark = time;
        // Panes that are firing come first, then those that this watermark makes due. They fire in later steps,
        // which measure how long a pane takes.
        if let Some(firing) = &mut self.firing {
            firing.watermark = firing.watermark.max(time);
        } else if !self.begin_firing(time) {
            self.next.watermark(time);
        }
    }

    fn resume(&mut self, most: usize) -> Option<usize> {
        if let Some(passed) = self.next.resume(most) {
            return Some(passed);
        }
        self.firing.is_some().then(|| self.continue_firing(most.min(self.bounds.fired_panes)))
    }

    fn has_rest(&self) -> bool {
        self.firing.is_some() || self.next.has_rest()
    }

    fn end(&mut self) {
        match &mut self.firing {
            Some(firing) if !injected_fault::is_active("input_ends_while_windows_fire") => {
                firing.then_end = true;
            }
            _ => self.next.end(),
        }
    }

    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.panes);
        self.next.tables(visit);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        metrics.late_records += self.late;
        metrics.state_bytes += self.panes.memory_bytes() as u64;
        self.next.count(metrics);
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
