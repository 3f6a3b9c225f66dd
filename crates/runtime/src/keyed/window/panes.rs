//! The state of windows: panes and what belongs to them, and what a record does to it.

use super::context::{Clocks, FunctionState, OfContents, OfTrigger, PaneOf};
use super::due::Due;
use super::firing::CurrentBatch;
use super::merge::{Placement, Session, Sessions};
use super::timers::{self, TriggerTimers};
use super::{Contents, Lateness, Merging};
use crate::error_handler::ErrorHandler;
use crate::lifecycle::Lifecycle;
use crate::stage::Stage;
use reflow_api::window::{Trigger, TriggerResult, Window, WindowAssigner};
use reflow_api::{OutputTag, TimeDomain, UserError};
use reflow_protocol::control::SubtaskMetrics;
use reflow_state::{Indexed, KeyedTable, Scoped, SnapshotTable, TableId};
use reflow_types::{Data, Key, KeyHash, MAX_WATERMARK, MaxParallelism, Timestamp, data, injected_fault};
use std::marker::PhantomData;

/// The records of one key in one window.
#[derive(Data)]
pub(super) struct Pane<A, S> {
    pub(super) acc: A,
    pub(super) trigger: S,
}

/// What is to be remembered of a pane beside its records. Its index is by the end of the window, and removes the pane when
/// its allowed lateness is over.
#[derive(Data)]
pub(super) struct Mark<S> {
    /// Whether the window has ended, so that it fires only for late records. The watermark does not tell, because it
    /// may be lower after a rescale than it was.
    pub(super) has_ended: bool,
    /// The trigger's state, if the pane was purged.
    pub(super) purged: Option<S>,
}

type Table<K, A, S> = Indexed<Scoped<K, Window>, Pane<A, S>, Due<K>>;
type Marks<K, S> = Indexed<Scoped<K, Window>, Mark<S>, Due<K>>;

/// The mark of a pane, which has none so far if it is not there.
fn mark<'m, K: Key, S: Data>(marks: &'m mut Marks<K, S>, at: PaneOf<'_, K>) -> &'m mut Mark<S> {
    let Indexed { table, index } = marks;
    table.upsert(at.pane_hash, &at.scoped(), || {
        index.add_ending(at.pane, at.hash, at.key);
        Mark { has_ended: false, purged: None }
    })
}

/// Whether a window has ended when a record is added.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Ended,
}

/// All panes of an operator, with the functions that fill and fire them.
pub(super) struct Panes<T, K, W, G, C, D>
where
    K: Key,
    G: Trigger<T>,
    C: Contents<K, T>,
{
    pub(super) trigger: G,
    pub(super) contents: C,
    /// The panes that have records.
    pub(super) table: Table<K, C::Acc, G::State>,
    pub(super) marks: Marks<K, G::State>,
    pub(super) timers: TriggerTimers<K>,
    pub(super) functions: FunctionState<K, C::WindowState, C::KeyState>,
    /// `None` if windows do not merge.
    sessions: Option<KeyedTable<K, Sessions>>,
    pub(super) batch: CurrentBatch<K>,
    scope: Scope,
    pub(super) allowed_lateness_ms: i64,
    pub(super) clocks: Clocks,
    late_output: Option<OutputTag<T>>,
    late: u64,
    /// The first error of a function for the current record.
    pub(super) failed: Option<UserError>,
    pub(super) lifecycle: Lifecycle,
    pub(super) errors: ErrorHandler,
    pub(super) next: D,
    assigner: PhantomData<fn(W)>,
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

impl<T, K, W, G, C, D> Panes<T, K, W, G, C, D>
where
    T: Clone + Send + 'static,
    K: Key,
    W: WindowAssigner<T>,
    W::Merging: Merging<K, T, G, C>,
    G: Trigger<T>,
    C: Contents<K, T>,
    D: Stage<C::Out>,
{
    pub(super) fn new(
        trigger: G,
        contents: C,
        lateness: Lateness<T>,
        (lifecycle, errors): (Lifecycle, ErrorHandler),
        max: MaxParallelism,
        next: D,
    ) -> Self {
        let merges = W::Merging::MERGES;
        Self {
            trigger,
            contents,
            table: Indexed::over(KeyedTable::new(TableId(0), "panes", max)),
            marks: Indexed::over(KeyedTable::new(TableId(1), "ended and purged panes", max)),
            timers: timers::empty(TableId(2), max),
            functions: FunctionState::new(TableId(3), TableId(4), max),
            sessions: merges.then(|| KeyedTable::new(TableId(5), "sessions", max)),
            batch: None,
            scope: Scope::of::<K>(Window::GLOBAL),
            allowed_lateness_ms: i64::try_from(lateness.allowed.as_millis()).unwrap_or(i64::MAX),
            clocks: Clocks::new(),
            late_output: lateness.output,
            late: 0,
            failed: None,
            lifecycle,
            errors,
            next,
            assigner: PhantomData,
        }
    }

    #[inline]
    pub(super) fn prefetch(&self, hash: KeyHash) {
        self.table.table.prefetch(KeyHash(hash.0 ^ self.scope.bits));
    }

    /// Whether a record of this window comes too late.
    #[inline]
    pub(super) fn is_over(&self, window: Window) -> bool {
        W::DOMAIN == TimeDomain::Event
            && self.clocks.have_ended(window)
            && window.max_timestamp().saturating_add(self.allowed_lateness_ms) <= self.clocks.watermark()
    }

    #[inline]
    pub(super) fn pane_of<'a>(
        &mut self,
        hash: KeyHash,
        key: &'a K,
        pane: Window,
        window: Window,
    ) -> PaneOf<'a, K> {
        PaneOf { hash, key, pane, window, pane_hash: self.scope.hash::<K>(hash, pane) }
    }

    /// A function has returned an error for the current record.
    #[cold]
    pub(super) fn on_failed(&mut self) {
        self.failed.take().iter().for_each(|error| self.errors.on_error(error));
    }

    /// A record that belongs to no window that is left: it goes to the side output, or is dropped and counted.
    #[cold]
    pub(super) fn on_late(&mut self, value: T, time: Timestamp) {
        let sent = self.late_output.map(|tag| self.next.emit_to(&tag, value, time));
        if !matches!(sent, Some(Ok(()))) {
            self.late += 1;
        }
    }

    /// Adds a record to the window that it was assigned to. Returns whether it was in time.
    #[inline]
    pub(super) fn add(&mut self, key: &K, hash: KeyHash, window: Window, value: &T, time: Timestamp) -> bool {
        let (window, pane) = if W::Merging::MERGES {
            match self.place(key, hash, window, time) {
                Some(session) => (session.window, session.pane),
                None => return false,
            }
        } else if injected_fault::is_active("windows_told_apart_by_their_end") {
            let known = self.table.index.known(window);
            (known, known)
        } else {
            (window, window)
        };
        let at = self.pane_of(hash, key, pane, window);
        let added = if W::DOMAIN == TimeDomain::Processing || !self.clocks.have_ended(window) {
            self.add_to(at, value, time, Progress::Open)
        } else if !W::Merging::MERGES && self.is_over(window) {
            return false;
        } else {
            self.add_to(at, value, time, Progress::Ended)
        };
        if let Err(error) = added {
            self.failed.get_or_insert(error);
        }
        true
    }

    /// Adds a record to a pane. It is late if the window has ended.
    #[inline]
    fn add_to(
        &mut self,
        at: PaneOf<'_, K>,
        value: &T,
        time: Timestamp,
        progress: Progress,
    ) -> Result<(), UserError> {
        let has_ended = progress == Progress::Ended;
        if self.marks.index.is_used()
            && !has_ended
            && (W::Merging::MERGES || self.marks.index.reaches_beyond(self.clocks.watermark()))
        {
            self.end_again(at);
        }
        let hash = at.pane_hash;
        let Self { trigger, contents, table, marks, timers, functions, clocks, lifecycle, next, .. } = self;
        let Indexed { table: panes, index } = table;
        let (scoped, mut is_new) = (at.scoped(), false);
        let pane = panes.upsert(hash, &scoped, || {
            is_new = true;
            index.add_ending(at.pane, at.hash, at.key);
            if has_ended {
                mark(marks, at).has_ended = true;
            }
            let purged = if marks.index.is_used() { marks.table.get_mut(hash, &scoped) } else { None };
            let trigger = purged.and_then(|mark| mark.purged.take()).unwrap_or_default();
            Pane { acc: contents.create(), trigger }
        });
        if let Err(error) = contents.add(&mut pane.acc, value.clone(), time) {
            if is_new {
                self.give_up(at);
            }
            return Err(error);
        }
        let clocks = *clocks;
        let state = &mut pane.trigger;
        let mut of_trigger = OfTrigger { at, state, timers, clocks, time, has_ended };
        let result = trigger.on_element_with(value, &mut of_trigger)?;
        if result.fires() {
            let time = if at.window.end == MAX_WATERMARK { time } else { at.window.max_timestamp() };
            let mut of_contents = OfContents { at, time, clocks, state: functions, lifecycle, next };
            contents.fire(&mut pane.acc, &mut of_contents)?;
        }
        if result.purges() {
            self.purge(at);
        }
        Ok(())
    }

    /// The first record of a pane could not be added.
    #[cold]
    fn give_up(&mut self, at: PaneOf<'_, K>) {
        self.table.table.remove(at.pane_hash, &at.scoped());
        if !self.is_marked(at) {
            self.retire(at);
        }
    }

    /// Calls the trigger of a pane without a record, and does what it decides.
    pub(super) fn call_trigger(
        &mut self,
        at: PaneOf<'_, K>,
        time: Timestamp,
        call: impl FnOnce(&G, &mut OfTrigger<'_, K, G::State>) -> Result<TriggerResult, UserError>,
    ) -> Result<(), UserError> {
        let has_ended = self.has_ended(at);
        let Self { trigger, contents, table, marks, timers, functions, clocks, lifecycle, next, .. } = self;
        let (hash, scoped, clocks) = (at.pane_hash, at.scoped(), *clocks);
        let Some(pane) = table.table.get_mut(hash, &scoped) else {
            // Nothing can be emitted, and nothing can be purged.
            let mark = marks.table.get_mut(hash, &scoped);
            let mut state = mark.and_then(|mark| mark.purged.take()).unwrap_or_default();
            let state_mut = &mut state;
            call(trigger, &mut OfTrigger { at, state: state_mut, timers, clocks, time, has_ended })?;
            self.mark_purged(at, state);
            return Ok(());
        };
        let state = &mut pane.trigger;
        let result = call(trigger, &mut OfTrigger { at, state, timers, clocks, time, has_ended })?;
        if result.fires() {
            let time = if at.window.end == MAX_WATERMARK { time } else { at.window.max_timestamp() };
            let mut of_contents = OfContents { at, time, clocks, state: functions, lifecycle, next };
            contents.fire(&mut pane.acc, &mut of_contents)?;
        }
        if result.purges() {
            self.purge(at);
        }
        Ok(())
    }

    /// Removes the records of a pane, and keeps its trigger's state.
    fn purge(&mut self, at: PaneOf<'_, K>) {
        let purged = self.table.table.remove(at.pane_hash, &at.scoped());
        if let Some(Pane { trigger, .. }) = purged {
            self.mark_purged(at, trigger);
        }
    }

    /// Remembers the trigger's state of a pane without records. A pane whose window has no end is forgotten if it has
    /// no state, because nothing would remove it.
    fn mark_purged(&mut self, at: PaneOf<'_, K>, state: G::State) {
        if at.window.end != MAX_WATERMARK || !is_default(&state) {
            mark(&mut self.marks, at).purged = Some(state);
        }
    }

    pub(super) fn mark_ended(&mut self, at: PaneOf<'_, K>) {
        mark(&mut self.marks, at).has_ended = true;
    }

    pub(super) fn is_marked(&self, at: PaneOf<'_, K>) -> bool {
        self.marks.index.is_used() && self.marks.table.get(at.pane_hash, &at.scoped()).is_some()
    }

    /// Whether the window of a pane has ended, and waits for late records.
    pub(super) fn has_ended(&self, at: PaneOf<'_, K>) -> bool {
        self.marks.index.is_used()
            && self.marks.table.get(at.pane_hash, &at.scoped()).is_some_and(|mark| mark.has_ended)
    }

    /// The window of a record ends in the future. If it has ended before, because a session was extended or because the
    /// watermark was reset, it will end again.
    fn end_again(&mut self, at: PaneOf<'_, K>) {
        if self.has_ended(at) {
            mark(&mut self.marks, at).has_ended = false;
            self.table.index.add_ending(at.pane, at.hash, at.key);
        }
    }

    pub(super) fn has_panes(&self) -> bool {
        !self.table.table.is_empty()
    }

    /// Removes a pane and all that belongs to it. `trigger` is the trigger's state, if the pane was taken out already.
    pub(super) fn remove(&mut self, at: PaneOf<'_, K>, trigger: Option<G::State>) -> Result<(), UserError> {
        let hash = at.pane_hash;
        let remove = || self.table.table.remove(hash, &at.scoped()).map(|pane| pane.trigger);
        let state = trigger.or_else(remove);
        let mark =
            if self.marks.index.is_used() { self.marks.table.remove(hash, &at.scoped()) } else { None };
        let state = state.or_else(|| mark?.purged);
        let Self { trigger, contents, timers, functions, clocks, lifecycle, next, .. } = self;
        let (clocks, time) = (*clocks, at.window.max_timestamp());
        let state = &mut state.unwrap_or_default();
        let cleared = trigger.clear(&mut OfTrigger { at, state, timers, clocks, time, has_ended: true });
        let mut of_contents = OfContents { at, time, clocks, state: functions, lifecycle, next };
        let cleared = cleared.and(contents.clear(&mut of_contents));
        timers::delete_all(&mut self.timers, at.timer_owner());
        self.functions.remove_window(at);
        self.retire(at);
        cleared
    }
}

/// Windows that merge.
impl<T, K, W, G, C, D> Panes<T, K, W, G, C, D>
where
    T: Clone + Send + 'static,
    K: Key,
    W: WindowAssigner<T>,
    W::Merging: Merging<K, T, G, C>,
    G: Trigger<T>,
    C: Contents<K, T>,
    D: Stage<C::Out>,
{
    /// The window that a pane stands for; `None` if there is no such session any more.
    #[inline]
    pub(super) fn window_of(&self, hash: KeyHash, key: &K, pane: Window) -> Option<Window> {
        match &self.sessions {
            Some(sessions) => sessions.get(hash, key)?.window_of(pane),
            None => Some(pane),
        }
    }

    /// Removes a session from the list of its key.
    #[inline]
    fn retire(&mut self, at: PaneOf<'_, K>) {
        if let Some(sessions) = &mut self.sessions
            && let Some(of_key) = sessions.get_mut(at.hash, at.key)
            && of_key.remove(at.pane)
        {
            sessions.remove(at.hash, at.key);
        }
    }

    /// The session of a record, extended and merged with others if need be; `None` if the record is late.
    fn place(&mut self, key: &K, hash: KeyHash, window: Window, time: Timestamp) -> Option<Session> {
        let placement = match self.sessions.as_ref()?.get(hash, key) {
            Some(sessions) => sessions.place(window),
            None => Placement::New(0),
        };
        match placement {
            Placement::Within(session) => Some(session),
            Placement::New(_) if self.is_over(window) => None,
            Placement::New(position) => {
                let sessions = self.sessions.as_mut()?.upsert(hash, key, Sessions::default);
                Some(sessions.insert(position, window))
            }
            Placement::Extends(position, absorbed) => {
                let sessions = self.sessions.as_mut()?.upsert(hash, key, Sessions::default);
                let (session, absorbed) = sessions.extend(position, absorbed, window);
                let at = self.pane_of(hash, key, session.pane, session.window);
                if let Err(error) = self.merge(at, absorbed, time) {
                    // The records of a session cannot be skipped.
                    self.errors.fail(&error);
                }
                Some(session)
            }
        }
    }

    /// A session was extended: merges panes into its own.
    fn merge(&mut self, at: PaneOf<'_, K>, absorbed: Vec<Window>, time: Timestamp) -> Result<(), UserError> {
        timers::delete_all(&mut self.timers, at.timer_owner());
        let (hash, scoped) = (at.pane_hash, at.scoped());
        let mut merged = Vec::new();
        for pane in absorbed {
            let of = self.pane_of(at.hash, at.key, pane, at.window);
            timers::delete_all(&mut self.timers, of.timer_owner());
            let mark = self.marks.table.remove(of.pane_hash, &of.scoped());
            let Some(pane) = self.table.table.remove(of.pane_hash, &of.scoped()) else {
                merged.extend(mark.and_then(|mark| mark.purged));
                continue;
            };
            merged.push(pane.trigger);
            let Self { table: Indexed { table, index }, marks, contents, .. } = self;
            match table.get_mut(hash, &scoped) {
                Some(own) => W::Merging::merge(contents, &mut own.acc, pane.acc)?,
                None => {
                    let mark = marks.table.get_mut(hash, &scoped);
                    let trigger = mark.and_then(|mark| mark.purged.take()).unwrap_or_default();
                    index.add_ending(at.pane, at.hash, at.key);
                    table.insert_or_replace(hash, &scoped, Pane { acc: pane.acc, trigger });
                }
            }
        }
        self.call_trigger(at, time, |trigger, context| {
            W::Merging::on_merge(trigger, merged, context)?;
            Ok(TriggerResult::Continue)
        })
    }
}

/// The calls that the operator passes on.
impl<T, K, W, G, C, D> Panes<T, K, W, G, C, D>
where
    K: Key,
    G: Trigger<T>,
    C: Contents<K, T>,
{
    pub(super) fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        visit(&mut self.table);
        visit(&mut self.marks);
        visit(&mut self.timers);
        self.functions.tables(visit);
        self.sessions.iter_mut().for_each(|table| visit(table));
    }

    pub(super) fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.count(metrics);
        metrics.late_records += self.late;
        let sessions = self.sessions.as_ref().map_or(0, KeyedTable::memory_bytes);
        let indexed = self.table.memory_bytes() + self.marks.memory_bytes() + self.timers.memory_bytes();
        metrics.state_bytes += (indexed + self.functions.memory_bytes() + sessions) as u64;
    }
}

/// Whether a value is encoded as the default is.
fn is_default<S: Default + Data>(value: &S) -> bool {
    let encoded = |value: &S| data::to_vec(value).ok();
    size_of::<S>() == 0 || encoded(value) == encoded(&S::default())
}
