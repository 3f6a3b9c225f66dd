//! Windows that merge: sessions.
//!
//! The sessions of a key are one list. Each has its window and the window by which its pane is kept, which is that of one
//! of its records: so a record that extends a session changes the list and not the place of the pane, as in Flink's
//! `MergingWindowSet`. A record between two sessions merges their panes into the earlier one's.

use super::contents::{Contents, MergingContents};
use super::context::OfTrigger;
use reflow_api::UserError;
use reflow_api::window::{Merges, MergingTrigger, NeverMerges, Trigger, Window};
use reflow_types::{Data, Key};

/// Whether and how the windows of an operator merge.
#[diagnostic::on_unimplemented(
    message = "session windows merge, and this trigger, aggregate or window function cannot",
    note = "the aggregate must implement `MergeableAggregate`, the trigger `MergingTrigger`, and a window function must have the state `()`"
)]
pub trait Merging<K: Key, T, G: Trigger<T>, C: Contents<K, T>> {
    /// Whether windows merge. If not, nothing else here is called.
    const MERGES: bool;

    /// See [`MergingContents::merge`].
    fn merge(contents: &C, acc: &mut C::Acc, other: C::Acc) -> Result<(), UserError>;

    /// See [`MergingTrigger::on_merge`].
    #[expect(private_interfaces, reason = "only the operator calls it")]
    fn on_merge(
        trigger: &G,
        merged: Vec<G::State>,
        context: &mut OfTrigger<'_, K, G::State>,
    ) -> Result<(), UserError>;
}

impl<K: Key, T, G: Trigger<T>, C: Contents<K, T>> Merging<K, T, G, C> for NeverMerges {
    const MERGES: bool = false;

    fn merge(_: &C, _: &mut C::Acc, _: C::Acc) -> Result<(), UserError> {
        Ok(())
    }

    #[expect(private_interfaces, reason = "only the operator calls it")]
    fn on_merge(_: &G, _: Vec<G::State>, _: &mut OfTrigger<'_, K, G::State>) -> Result<(), UserError> {
        Ok(())
    }
}

impl<K: Key, T, G: MergingTrigger<T>, C: MergingContents<K, T>> Merging<K, T, G, C> for Merges {
    const MERGES: bool = true;

    fn merge(contents: &C, acc: &mut C::Acc, other: C::Acc) -> Result<(), UserError> {
        contents.merge(acc, other)
    }

    #[expect(private_interfaces, reason = "only the operator calls it")]
    fn on_merge(
        trigger: &G,
        merged: Vec<G::State>,
        context: &mut OfTrigger<'_, K, G::State>,
    ) -> Result<(), UserError> {
        trigger.on_merge(merged, context)
    }
}

/// A session of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub(super) struct Session {
    pub(super) window: Window,
    /// The window by which its pane is kept, a part of `window`.
    pub(super) pane: Window,
}

/// The sessions of a key, in order. No two of them touch.
#[derive(Clone, Debug, Default, Data)]
pub(super) struct Sessions(Vec<Session>);

/// What a record's window does to the sessions of its key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// It touches none: a session of its own, at this position of the list.
    New(usize),
    /// It is within a session.
    Within(Session),
    /// It extends the session at this position, and merges that many that follow into it.
    Extends(usize, usize),
}

impl Sessions {
    /// Where `window` belongs. As in Flink, windows that only touch are one session.
    pub(super) fn place(&self, window: Window) -> Placement {
        let first = self.0.partition_point(|session| session.window.end < window.start);
        let touched = self.0[first..].iter().take_while(|session| session.window.start <= window.end).count();
        match touched {
            0 => Placement::New(first),
            1 if self.0[first].covers(window) => Placement::Within(self.0[first]),
            _ => Placement::Extends(first, touched - 1),
        }
    }

    /// Adds the session of one record.
    pub(super) fn insert(&mut self, position: usize, window: Window) -> Session {
        let session = Session { window, pane: window };
        self.0.insert(position, session);
        session
    }

    /// Extends the session at `position` by `window` and by the `absorbed` that follow it. Returns it, and the panes of
    /// those.
    pub(super) fn extend(
        &mut self,
        position: usize,
        absorbed: usize,
        window: Window,
    ) -> (Session, Vec<Window>) {
        let behind = position + 1..position + 1 + absorbed;
        let end = self.0[position..behind.end].iter().map(|session| session.window.end).max();
        let absorbed = self.0.drain(behind).map(|session| session.pane).collect();
        let session = &mut self.0[position];
        session.window.start = session.window.start.min(window.start);
        session.window.end = window.end.max(end.unwrap_or(window.end));
        (*session, absorbed)
    }

    /// The window of the session with this pane.
    pub(super) fn window_of(&self, pane: Window) -> Option<Window> {
        self.0.iter().find(|session| session.pane == pane).map(|session| session.window)
    }

    /// Removes the session with this pane. Returns whether none is left.
    pub(super) fn remove(&mut self, pane: Window) -> bool {
        self.0.retain(|session| session.pane != pane);
        self.0.is_empty()
    }
}

impl Session {
    fn covers(&self, window: Window) -> bool {
        self.window.start <= window.start && window.end <= self.window.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: i64, end: i64) -> Window {
        Window { start, end }
    }

    #[test]
    fn a_window_finds_its_sessions() {
        let mut sessions = Sessions::default();
        for (position, (start, end)) in [(0, 10), (20, 30), (40, 50)].into_iter().enumerate() {
            assert_eq!(sessions.place(window(start, end)), Placement::New(position));
            sessions.insert(position, window(start, end));
        }
        let within = Session { window: window(20, 30), pane: window(20, 30) };
        for ((start, end), placement) in [
            ((11, 19), Placement::New(1)),
            ((51, 60), Placement::New(3)),
            ((22, 30), Placement::Within(within)),
            ((10, 12), Placement::Extends(0, 0)),
            ((12, 20), Placement::Extends(1, 0)),
            ((10, 20), Placement::Extends(0, 1)),
            ((-5, 60), Placement::Extends(0, 2)),
        ] {
            assert_eq!(sessions.place(window(start, end)), placement, "{start}..{end}");
        }
        let (merged, absorbed) = sessions.extend(0, 1, window(9, 21));
        assert_eq!((merged.window, merged.pane), (window(0, 30), window(0, 10)));
        assert_eq!(absorbed, [window(20, 30)]);
        assert_eq!(sessions.window_of(window(0, 10)), Some(window(0, 30)));
        assert_eq!(sessions.window_of(window(20, 30)), None);
        assert!(!sessions.remove(window(0, 10)));
        assert!(sessions.remove(window(40, 50)));
    }
}
