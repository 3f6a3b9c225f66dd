//! The operator of process functions, with state by key and timers in event and processing time.

use super::Head;
use crate::error_handler::{ErrorHandler, OnFailure};
use crate::failure::OperatorName;
use crate::lifecycle::Lifecycle;
use crate::stage::{Control, OpenContext, Stage};
use crate::stages::WithoutKey;
use crate::wiring::Place;
use reflow_api::states::{Access, Current, PlainState, StateTables, States};
use reflow_api::{
    Context, Input, OnError, OutputTag, Outputs, ProcessFunction, RuntimeContext, TimeDomain, UserError,
};
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::{Failure, Fault};
use reflow_state::{SnapshotTable, TableId, TimerTable};
use reflow_types::{
    Bounds, Data, Instant, Key, KeyHash, MAX_WATERMARK, MIN_WATERMARK, MaxParallelism, Timestamp,
};
use std::time::Duration;

/// With the last watermark, this number of timers may fire for each one that is registered by then, and for as many
/// more.
const LAST_TIMERS: u64 = 1_000;

/// Runs a process function.
pub struct Process<T, F: KeySelector<T>, P: ProcessFunction<Key = F::Key, In = T>, D, E = ErrorHandler> {
    lifecycle: Lifecycle,
    errors: E,
    key: F,
    function: P,
    keyed: Keyed<F::Key, P::State>,
    bounds: Bounds,
    /// The watermark that is passed on once all timers that it makes due have fired.
    firing: Option<Timestamp>,
    /// The number of timers that may still fire with the last watermark.
    last_timers: u64,
    /// Whether the input has ended, which is passed on after the last watermark.
    then_end: bool,
    /// Whether the end has been passed on. Then the remaining processing-time timers never fire, because nothing
    /// may be emitted.
    ended: bool,
    next: D,
}

/// The state and timers of all keys, and the current times.
struct Keyed<K: Key, S: States<K>> {
    states: S::Tables,
    event_timers: TimerTable<K>,
    processing_timers: TimerTable<K>,
    watermark: Timestamp,
    /// The watermark that has been passed on.
    output_watermark: Timestamp,
    /// Never goes back, also not after a restore.
    processing_time: Timestamp,
    /// The number of records that were dropped because they were late.
    late: u64,
}

impl<T, F, P, D, E> Process<T, F, P, D, E>
where
    F: KeySelector<T>,
    P: ProcessFunction<Key = F::Key, In = T>,
    D: Stage<P::Out>,
    E: OnFailure<T>,
{
    /// An operator that runs `function`, keyed by `key`.
    pub fn new(
        operator: OperatorName,
        key: F,
        (function, on_error): (P, OnError),
        max: MaxParallelism,
        next: D,
    ) -> Self {
        let keyed = Keyed {
            states: function.states().tables(max),
            event_timers: TimerTable::new(TableId(1), "event-time timers", max),
            processing_timers: TimerTable::new(TableId(2), "processing-time timers", max),
            watermark: MIN_WATERMARK,
            output_watermark: MIN_WATERMARK,
            processing_time: MIN_WATERMARK,
            late: 0,
        };
        Self {
            lifecycle: Lifecycle::new(operator.clone()),
            errors: ErrorHandler::new(operator, on_error).into(),
            key,
            function,
            keyed,
            bounds: Bounds::default(),
            firing: None,
            last_timers: 0,
            then_end: false,
            ended: false,
            next,
        }
    }

    pub(super) fn function_mut(&mut self) -> &mut P {
        &mut self.function
    }

    /// Calls the function for a record that belongs to no key.
    #[inline]
    pub(super) fn without_key(
        &mut self,
        time: Timestamp,
        call: impl FnOnce(&mut P, &mut WithoutKey<'_, D>) -> Result<(), UserError>,
    ) {
        let Self { function, keyed, next, lifecycle, errors, .. } = self;
        let Keyed { watermark, output_watermark, processing_time, .. } = *keyed;
        let mut at = WithoutKey { time, watermark, output_watermark, processing_time, lifecycle, next };
        if let Err(error) = call(function, &mut at) {
            errors.as_mut().on_error(&error);
        }
    }

    /// Prefetches the state of a key.
    #[inline]
    pub(super) fn prefetch(&self, hash: KeyHash) {
        self.keyed.states.prefetch(hash);
    }

    /// Fires at most `left` due timers of one domain and subtracts them from `left`. Returns whether more may be
    /// due.
    fn fire(&mut self, domain: TimeDomain, until: Timestamp, left: &mut usize) -> bool {
        while *left > 0 {
            if self.next.has_rest() || self.next.is_full() {
                return true;
            }
            let timers = self.keyed.timers(domain);
            let Some(timer) = timers.pop_due(until) else { return false };
            *left -= 1;
            if domain == TimeDomain::Event && until == MAX_WATERMARK {
                self.count_last_timer();
            }
            let Self { function, keyed, next, lifecycle, errors, .. } = self;
            let mut at = At { key: &timer.key, hash: timer.hash, time: timer.time, keyed, next, lifecycle };
            if let Err(error) = function.on_timer(&mut at, timer.time, domain) {
                errors.as_mut().on_error(&error);
            }
        }
        true
    }

    /// Fails if more timers fire with the last watermark than a function that ends would register. A timer that registers
    /// the next one is due at once then, so the job would never end.
    fn count_last_timer(&mut self) {
        match self.last_timers.checked_sub(1) {
            Some(left) => self.last_timers = left,
            None => self.lifecycle.fail(
                Fault::Permanent,
                "its timers go on and on after the end of the input, because they register others: register none once \
                 `context.watermark()` is `MAX_WATERMARK`",
            ),
        }
    }

    /// Fires timers that the watermark makes due, at most `left`, and passes it on when none is left.
    fn continue_firing(&mut self, left: &mut usize) {
        let Some(watermark) = self.firing else { return };
        if self.fire(TimeDomain::Event, watermark, left) {
            return;
        }
        self.firing = None;
        self.keyed.output_watermark = watermark;
        self.next.watermark(watermark);
        if std::mem::take(&mut self.then_end) {
            self.ended = true;
            self.next.end();
        }
    }
}

impl<K: Key, S: States<K>> Keyed<K, S> {
    fn timers(&mut self, domain: TimeDomain) -> &mut TimerTable<K> {
        match domain {
            TimeDomain::Event => &mut self.event_timers,
            TimeDomain::Processing => &mut self.processing_timers,
        }
    }
}

/// The context of a call of the function.
struct At<'a, K: Key, S: States<K>, D> {
    key: &'a K,
    hash: KeyHash,
    time: Timestamp,
    keyed: &'a mut Keyed<K, S>,
    next: &'a mut D,
    lifecycle: &'a mut Lifecycle,
}

impl<'a, K: Key, S: States<K>, D> At<'a, K, S, D> {
    #[inline]
    fn current(&self) -> Current<'a, K> {
        Current { hash: self.hash, key: self.key, now: self.keyed.processing_time }
    }
}

impl<K, S, Out, D> Context<K, S, Out> for At<'_, K, S, D>
where
    K: Key,
    S: States<K>,
    D: Stage<Out>,
{
    fn runtime(&self) -> &RuntimeContext {
        self.lifecycle.context()
    }

    fn key(&self) -> &K {
        self.key
    }

    #[inline]
    fn state(&self) -> Option<&S>
    where
        S: PlainState<K>,
    {
        self.keyed.states.get(self.hash, self.key)
    }

    #[inline]
    fn state_mut(&mut self) -> &mut S
    where
        S: PlainState<K>,
    {
        self.keyed.states.upsert(self.hash, self.key, S::default)
    }

    #[inline]
    fn state_and_emit(&mut self) -> (&mut S, impl FnMut(Out))
    where
        S: PlainState<K>,
    {
        let (next, time) = (&mut *self.next, self.time);
        (self.keyed.states.upsert(self.hash, self.key, S::default), move |value| next.push(value, time))
    }

    fn clear_state(&mut self)
    where
        S: PlainState<K>,
    {
        self.keyed.states.remove(self.hash, self.key);
    }

    #[inline]
    fn states(&mut self) -> Access<'_, K, S> {
        let current = self.current();
        S::access(&mut self.keyed.states, current)
    }

    #[inline]
    fn states_and_emit(&mut self) -> (Access<'_, K, S>, impl FnMut(Out)) {
        let current = self.current();
        let (next, time) = (&mut *self.next, self.time);
        (S::access(&mut self.keyed.states, current), move |value| next.push(value, time))
    }

    #[inline]
    fn states_and_outputs(&mut self) -> (Access<'_, K, S>, impl Outputs<K, Out>) {
        let current = self.current();
        let Keyed { states, watermark, late, .. } = &mut *self.keyed;
        let (next, lifecycle) = (&mut *self.next, &mut *self.lifecycle);
        (S::access(states, current), Emitting { key: self.key, watermark: *watermark, late, next, lifecycle })
    }

    fn timestamp(&self) -> Timestamp {
        self.time
    }

    fn watermark(&self) -> Timestamp {
        self.keyed.watermark
    }

    fn processing_time(&self) -> Timestamp {
        self.keyed.processing_time
    }

    fn register_timer(&mut self, domain: TimeDomain, time: Timestamp) {
        self.keyed.timers(domain).register(self.hash, self.key, time, 0);
    }

    fn delete_timer(&mut self, domain: TimeDomain, time: Timestamp) {
        self.keyed.timers(domain).delete(self.hash, self.key, time, 0);
    }

    fn output_watermark(&self) -> Timestamp {
        self.keyed.output_watermark
    }

    #[inline]
    fn emit(&mut self, value: Out) {
        self.next.push(value, self.time);
    }

    #[inline]
    fn emit_late_at(&mut self, time: Timestamp, value: Out) {
        self.next.push(value, time);
    }

    #[inline]
    fn emit_to<E: Data>(&mut self, tag: &OutputTag<E>, value: E) {
        self.lifecycle.emit_to(self.next, tag, value, self.time);
    }
}

/// What the function emits to, apart from its states.
struct Emitting<'a, K, D> {
    key: &'a K,
    watermark: Timestamp,
    late: &'a mut u64,
    next: &'a mut D,
    lifecycle: &'a mut Lifecycle,
}

impl<K, Out, D: Stage<Out>> Outputs<K, Out> for Emitting<'_, K, D> {
    fn runtime(&self) -> &RuntimeContext {
        self.lifecycle.context()
    }

    fn key(&self) -> &K {
        self.key
    }

    fn watermark(&self) -> Timestamp {
        self.watermark
    }

    #[inline]
    fn emit_at(&mut self, time: Timestamp, value: Out) {
        self.next.push(value, time);
    }

    fn emit_to_at<E: Data>(&mut self, time: Timestamp, tag: &OutputTag<E>, value: E) {
        self.lifecycle.emit_to(self.next, tag, value, time);
    }

    #[cold]
    fn late<E: Data>(&mut self, tag: Option<OutputTag<E>>, value: E, time: Timestamp) {
        let sent = tag.map(|tag| self.next.emit_to(&tag, value, time));
        *self.late += u64::from(!matches!(sent, Some(Ok(()))));
    }
}

impl<T, F, P, D, E> Head<T> for Process<T, F, P, D, E>
where
    T: Send + 'static,
    F: KeySelector<T>,
    P: ProcessFunction<Key = F::Key, In = T>,
    D: Stage<P::Out>,
    E: OnFailure<T>,
{
    #[inline]
    fn row(&mut self, row: Row<T>) {
        let key = self.key.key(&row.value);
        let Self { function, keyed, next, lifecycle, errors, .. } = self;
        let kept = errors.keep(&row.value);
        let mut at = At { key: &key, hash: row.hash, time: row.time, keyed, next, lifecycle };
        if let Err(error) = function.process(&mut at, row.value) {
            errors.failed(kept, &error, row.time, &mut self.next);
        }
    }

    #[inline]
    fn expect(&self, row: &Row<T>) {
        self.prefetch(row.hash);
    }
}

impl<T, F, P, D, E> Control for Process<T, F, P, D, E>
where
    T: Send + 'static,
    F: KeySelector<T>,
    P: ProcessFunction<Key = F::Key, In = T>,
    D: Stage<P::Out>,
    E: OnFailure<T>,
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
        self.lifecycle.set(context);
        (self.keyed.watermark, self.keyed.output_watermark) = (context.watermark, context.watermark);
        self.keyed.processing_time = context.now.as_millis();
        self.next.open(context);
    }

    fn start(&mut self) {
        self.next.start();
        let Self { lifecycle, function, .. } = self;
        lifecycle.open(|context| function.open(context));
    }

    fn rescaled(&mut self, place: Place) {
        self.next.rescaled(place);
        let Self { lifecycle, function, .. } = self;
        lifecycle.rescaled(place, |context| function.rescaled(context));
    }

    fn input_ended(&mut self, input: Input) {
        let Self { lifecycle, function, .. } = self;
        lifecycle.input_ended(|context| function.input_ended(input, context));
        self.next.input_ended(input);
    }

    fn close(&mut self, failures: &mut Vec<Failure>) {
        let Self { lifecycle, function, .. } = self;
        lifecycle.close(failures, || function.close());
        self.next.close(failures);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.keyed.watermark = time;
        self.firing = Some(time);
        if time == MAX_WATERMARK {
            self.last_timers = LAST_TIMERS * (self.keyed.event_timers.len() as u64 + LAST_TIMERS);
        }
        // Due timers fire in later steps, which measure how long a timer takes. Here, only a watermark without
        // due timers is passed on.
        if self.keyed.event_timers.next_time().is_none_or(|due| due > time) {
            self.continue_firing(&mut 1);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.keyed.processing_time = self.keyed.processing_time.max(now.as_millis());
        // A bounded number of slots, whatever is left to do in this step.
        self.keyed.states.sweep(self.keyed.processing_time, self.bounds.swept_slots);
        self.errors.as_mut().tick(now);
        self.next.tick(now);
    }

    fn resume(&mut self, most: usize) -> Option<usize> {
        if let Some(passed) = self.next.resume(most) {
            return Some(passed);
        }
        let until = self.keyed.processing_time;
        // Counts as work even if no timer fires, so that emitted records are flushed.
        let due = !self.ended && self.keyed.processing_timers.next_time().is_some_and(|time| time <= until);
        if !due && self.firing.is_none() {
            return None;
        }
        let most = most.min(self.bounds.fired_timers);
        let mut left = most;
        if due {
            self.fire(TimeDomain::Processing, until, &mut left);
        }
        self.continue_firing(&mut left);
        Some(most - left)
    }

    fn has_rest(&self) -> bool {
        self.firing.is_some() || self.next.has_rest()
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let timer = self.keyed.processing_timers.next_time().filter(|_| !self.ended);
        let own = timer.into_iter().chain(self.keyed.states.next_sweep()).min();
        let own =
            own.map(|time| Instant::default() + Duration::from_millis(u64::try_from(time).unwrap_or(0)));
        own.into_iter().chain(self.next.next_wakeup()).min()
    }

    fn end(&mut self) {
        if self.firing.is_some() {
            self.then_end = true;
        } else {
            self.ended = true;
            self.next.end();
        }
    }

    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.keyed.states.visit(visit);
        visit(&mut self.keyed.event_timers);
        visit(&mut self.keyed.processing_timers);
        self.next.tables(visit);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.as_ref().count(metrics);
        let keyed = &self.keyed;
        metrics.late_records += keyed.late;
        let timers = keyed.event_timers.memory_bytes() + keyed.processing_timers.memory_bytes();
        metrics.state_bytes += (keyed.states.memory_bytes() + timers) as u64;
        self.next.count(metrics);
    }
}
