//! The contexts that triggers and window functions get.

use super::timers::{self, TriggerTimers};
use crate::lifecycle::Lifecycle;
use crate::stage::Stage;
use reflow_api::window::{TriggerContext, Window, WindowContext, WindowFunction};
use reflow_api::{OutputTag, RuntimeContext, TimeDomain};
use reflow_state::{KeyedTable, Scoped, SnapshotTable, TableId};
use reflow_types::{Data, Key, KeyHash, MAX_WATERMARK, MIN_WATERMARK, MaxParallelism, Timestamp};

/// The current times.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    watermark: Timestamp,
    /// The watermark that has been passed on.
    pub(super) output_watermark: Timestamp,
    /// Windows that end here or before have ended.
    ended_until: Timestamp,
    /// Never goes back, also not after a restore.
    pub(super) processing_time: Timestamp,
}

impl Clocks {
    pub(super) fn new() -> Self {
        let mut clocks = Self {
            watermark: 0,
            output_watermark: MIN_WATERMARK,
            ended_until: 0,
            processing_time: MIN_WATERMARK,
        };
        clocks.set_watermark(MIN_WATERMARK);
        clocks
    }

    pub(super) fn set_watermark(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
        self.ended_until = match watermark {
            MAX_WATERMARK => MAX_WATERMARK,
            // A window without end ends with the last watermark only.
            _ => (watermark + 1).min(MAX_WATERMARK - 1),
        };
    }

    pub(super) fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Whether the watermark has reached the window's last timestamp.
    #[inline]
    pub(super) fn have_ended(&self, window: Window) -> bool {
        window.end <= self.ended_until
    }
}

/// A pane: a key, and the window by which its state is kept, with the window that it stands for. They differ only for
/// windows that have merged.
pub(super) struct PaneOf<'a, K> {
    pub(super) hash: KeyHash,
    pub(super) key: &'a K,
    pub(super) pane: Window,
    pub(super) window: Window,
    /// The hash by which tables place the pane.
    pub(super) pane_hash: KeyHash,
}

impl<K> Clone for PaneOf<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for PaneOf<'_, K> {}

impl<'a, K: Key> PaneOf<'a, K> {
    #[inline]
    pub(super) fn scoped(&self) -> Scoped<K, Window> {
        Scoped { key: self.key.clone(), scope: self.pane }
    }

    pub(super) fn timer_owner(&self) -> (KeyHash, &'a K, Window) {
        (self.hash, self.key, self.pane)
    }
}

/// The context of a call of a trigger.
pub(super) struct OfTrigger<'a, K: Key, S> {
    pub(super) at: PaneOf<'a, K>,
    pub(super) state: &'a mut S,
    pub(super) timers: &'a mut TriggerTimers<K>,
    pub(super) clocks: Clocks,
    pub(super) time: Timestamp,
    pub(super) has_ended: bool,
}

impl<K: Key, S> TriggerContext<S> for OfTrigger<'_, K, S> {
    #[inline]
    fn window(&self) -> Window {
        self.at.window
    }
    #[inline]
    fn state(&mut self) -> &mut S {
        self.state
    }
    #[inline]
    fn timestamp(&self) -> Timestamp {
        self.time
    }
    #[inline]
    fn watermark(&self) -> Timestamp {
        self.clocks.watermark()
    }
    #[inline]
    fn processing_time(&self) -> Timestamp {
        self.clocks.processing_time
    }
    #[inline]
    fn has_ended(&self) -> bool {
        self.has_ended
    }
    fn register_timer(&mut self, domain: TimeDomain, time: Timestamp) {
        timers::register(self.timers, self.at.timer_owner(), domain, time);
    }
    fn delete_timer(&mut self, domain: TimeDomain, time: Timestamp) {
        timers::delete(self.timers, self.at.timer_owner(), domain, time);
    }
}

/// The state of window functions. There is no table for a state without content, such as `()`.
pub(super) struct FunctionState<K: Key, S, KS> {
    of_windows: Option<KeyedTable<Scoped<K, Window>, S>>,
    of_keys: Option<KeyedTable<K, KS>>,
    empty: (S, KS),
}

impl<K: Key, S: Default + Data, KS: Default + Data> FunctionState<K, S, KS> {
    pub(super) fn new(of_windows: TableId, of_keys: TableId, max: MaxParallelism) -> Self {
        Self {
            of_windows: (size_of::<S>() > 0).then(|| KeyedTable::new(of_windows, "state of windows", max)),
            of_keys: (size_of::<KS>() > 0).then(|| KeyedTable::new(of_keys, "state of keys", max)),
            empty: Default::default(),
        }
    }

    pub(super) fn remove_window(&mut self, at: PaneOf<'_, K>) {
        if let Some(table) = &mut self.of_windows {
            table.remove(at.pane_hash, &at.scoped());
        }
    }

    pub(super) fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.of_windows.iter_mut().for_each(|table| visit(table));
        self.of_keys.iter_mut().for_each(|table| visit(table));
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let of_windows = self.of_windows.as_ref().map_or(0, KeyedTable::memory_bytes);
        of_windows + self.of_keys.as_ref().map_or(0, KeyedTable::memory_bytes)
    }
}

/// The context of a call of a window's contents.
pub struct OfContents<'a, K: Key, S, KS, D> {
    pub(super) at: PaneOf<'a, K>,
    /// The event time of what is emitted.
    pub(super) time: Timestamp,
    pub(super) clocks: Clocks,
    pub(super) state: &'a mut FunctionState<K, S, KS>,
    pub(super) lifecycle: &'a mut Lifecycle,
    pub(super) next: &'a mut D,
}

impl<K: Key, S, KS, D> OfContents<'_, K, S, KS, D> {
    /// Emits a record.
    #[inline]
    pub(super) fn push<Out>(&mut self, value: Out)
    where
        D: Stage<Out>,
    {
        self.next.push(value, self.time);
    }
}

impl<Q, D> WindowContext<Q> for OfContents<'_, Q::Key, Q::State, Q::KeyState, D>
where
    Q: WindowFunction,
    D: Stage<Q::Out>,
{
    fn runtime(&self) -> &RuntimeContext {
        self.lifecycle.context()
    }
    fn key(&self) -> &Q::Key {
        self.at.key
    }
    fn window(&self) -> Window {
        self.at.window
    }
    fn state(&self) -> Option<&Q::State> {
        self.state.of_windows.as_ref()?.get(self.at.pane_hash, &self.at.scoped())
    }
    fn state_mut(&mut self) -> &mut Q::State {
        match &mut self.state.of_windows {
            Some(table) => table.upsert(self.at.pane_hash, &self.at.scoped(), Default::default),
            None => &mut self.state.empty.0,
        }
    }
    fn key_state(&self) -> Option<&Q::KeyState> {
        self.state.of_keys.as_ref()?.get(self.at.hash, self.at.key)
    }
    fn key_state_mut(&mut self) -> &mut Q::KeyState {
        match &mut self.state.of_keys {
            Some(table) => table.upsert(self.at.hash, self.at.key, Default::default),
            None => &mut self.state.empty.1,
        }
    }
    fn clear_key_state(&mut self) {
        if let Some(table) = &mut self.state.of_keys {
            table.remove(self.at.hash, self.at.key);
        }
    }
    fn timestamp(&self) -> Timestamp {
        self.time
    }
    fn watermark(&self) -> Timestamp {
        self.clocks.watermark()
    }
    fn processing_time(&self) -> Timestamp {
        self.clocks.processing_time
    }
    fn output_watermark(&self) -> Timestamp {
        self.clocks.output_watermark
    }
    fn emit(&mut self, value: Q::Out) {
        self.push(value);
    }
    fn emit_late_at(&mut self, time: Timestamp, value: Q::Out) {
        self.next.push(value, time);
    }
    fn emit_to<T: 'static>(&mut self, tag: &OutputTag<T>, value: T) {
        self.lifecycle.emit_to(self.next, tag, value, self.time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_ended_when_the_watermark_has_reached_its_last_timestamp() {
        let (low, high) = (Timestamp::MIN, Timestamp::MAX);
        let mut clocks = Clocks::new();
        for watermark in [low, low + 1, -1, 0, 9, 10, high - 2, high - 1, high] {
            clocks.set_watermark(watermark);
            for end in [low, low + 1, 0, 1, 9, 10, 11, high - 1, high] {
                let window = Window { start: low, end };
                assert_eq!(
                    clocks.have_ended(window),
                    window.max_timestamp() <= watermark,
                    "{end} at {watermark}"
                );
            }
        }
    }
}
