//! The index of panes by the end of their window, which finds those that are due.
//!
//! A waiting pane costs an entry here and nothing else, and a watermark visits only due panes. The window of a session
//! grows after its pane was added, so an entry may be early: the operator looks at the session and
//! [postpones](Due::postpone) it. A record that extends a session therefore does not change the index.

use reflow_api::window::Window;
use reflow_state::{Index, Scoped};
use reflow_types::{Key, KeyHash, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::collections::BTreeMap;

/// The keys of the panes, by end and start of their window. Windows without end are added at the last watermark.
pub(super) struct Due<K> {
    by_end: BTreeMap<(Timestamp, Timestamp), Vec<(KeyHash, K)>>,
    /// By the last timestamp of the session that a pane has become part of.
    postponed: BTreeMap<Timestamp, Vec<(Window, KeyHash, K)>>,
    /// Whether a window without end was ever entered.
    has_endless: bool,
    /// Whether any window was ever entered.
    is_used: bool,
}

/// Panes of one window that are due.
pub(super) struct Batch<K> {
    pub(super) window: Window,
    /// The last timestamp at which they are due. It is early if their sessions were extended.
    pub(super) last: Timestamp,
    pub(super) keys: std::vec::IntoIter<(KeyHash, K)>,
}

impl<K> Default for Due<K> {
    fn default() -> Self {
        Self { by_end: BTreeMap::new(), postponed: BTreeMap::new(), has_endless: false, is_used: false }
    }
}

impl<K: Key> Due<K> {
    pub(super) fn add(&mut self, window: Window, hash: KeyHash, key: K) {
        self.by_end.entry((window.end, window.start)).or_default().push((hash, key));
    }

    /// Adds a pane, unless its window has no end.
    pub(super) fn add_ending(&mut self, window: Window, hash: KeyHash, key: &K) {
        self.is_used = true;
        if window.end == MAX_WATERMARK {
            self.has_endless = true;
        } else {
            self.add(window, hash, key.clone());
        }
    }

    /// Adds a pane whose session ends at `last`.
    pub(super) fn postpone(&mut self, last: Timestamp, window: Window, hash: KeyHash, key: K) {
        self.postponed.entry(last).or_default().push((window, hash, key));
    }

    /// Whether there may be any pane.
    #[inline]
    pub(super) fn is_used(&self) -> bool {
        self.is_used
    }

    /// Whether there may be a pane whose window ends after `watermark`.
    pub(super) fn reaches_beyond(&self, watermark: Timestamp) -> bool {
        let last =
            self.by_end.last_key_value().is_some_and(|((end, _), _)| *end > watermark.saturating_add(1));
        last || self.has_endless || self.postponed.last_key_value().is_some_and(|(last, _)| *last > watermark)
    }

    /// The injected fault: returns the first window with the same end.
    pub(super) fn known(&self, window: Window) -> Window {
        let mut same_end = self.by_end.range((window.end, MIN_WATERMARK)..=(window.end, MAX_WATERMARK));
        same_end.next().map_or(window, |((end, start), _)| Window { start: *start, end: *end })
    }

    /// The last timestamp of the window that ends first. It may be early.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        let by_end = self
            .by_end
            .first_key_value()
            .map(|((end, start), _)| Window { start: *start, end: *end }.max_timestamp());
        by_end.into_iter().chain(self.postponed.first_key_value().map(|(last, _)| *last)).min()
    }

    /// Takes panes of the window that ends first, if that is at or before `until`.
    pub(super) fn pop(&mut self, until: Timestamp) -> Option<Batch<K>> {
        let next = self.next_time().filter(|next| *next <= until)?;
        if let Some(mut first) = self.postponed.first_entry().filter(|first| *first.key() == next) {
            let due = first.get_mut().pop();
            if first.get().is_empty() {
                first.remove();
            }
            let (window, hash, key) = due?;
            return Some(Batch { window, last: next, keys: vec![(hash, key)].into_iter() });
        }
        let ((end, start), keys) = self.by_end.pop_first()?;
        Some(Batch { window: Window { start, end }, last: next, keys: keys.into_iter() })
    }
}

impl<K: Key> Index<Scoped<K, Window>> for Due<K> {
    fn enter(&mut self, at: &Scoped<K, Window>) {
        self.add_ending(at.scope, at.key.key_hash(), &at.key);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    fn knows(&self, at: &Scoped<K, Window>) -> bool {
        let due = self.by_end.get(&(at.scope.end, at.scope.start));
        at.scope.end == MAX_WATERMARK
            || due.is_some_and(|keys| keys.iter().any(|(_, key)| *key == at.key))
            || self.postponed.values().flatten().any(|(of, _, key)| *of == at.scope && *key == at.key)
    }

    fn bytes_per_key() -> usize {
        size_of::<(KeyHash, K)>()
    }
}
