//! The window operator, with one pane for each key and window that has records.
//!
//! Panes are in one table, by key and window. An index from windows, ordered by their end, to keys finds the
//! panes that are due, so that a watermark visits only those: a waiting pane costs nothing. If many panes are due
//! at once, they fire in several steps; meanwhile no record is taken and the watermark is not passed on.
//!
//! The window's start is part of a pane's key, because windows with different starts may have the same end:
//! windows of several sizes, or windows that an assigner ends at a bound.
//!
//! What few panes have is in tables of its own, so that it costs the others nothing: timers of triggers (`timers`), the
//! panes that have ended and wait for late records, or that were purged (`marks` in `panes`), and the sessions
//! of windows that merge (`merge`).
//!
//! Reading order: this file (a record), `panes` (the state), `firing` (what is due), `contents` and `context` (what user
//! functions get), `due` and `timers` (the indexes), `merge`, `join`.

mod contents;
mod context;
mod due;
mod firing;
mod join;
mod merge;
mod panes;
mod timers;

pub use contents::{
    Aggregated, AggregatedThenProcessed, Apply, Buffered, Contents, EvictedThenAggregated, MergingContents,
    Processed,
};
pub use join::{CoGrouped, CoGroupedThenProcessed, Joined, Pairs};
pub use merge::Merging;

use super::Head;
use crate::error_handler::ErrorHandler;
use crate::failure::OperatorName;
use crate::lifecycle::Lifecycle;
use crate::stage::{Control, OpenContext, Stage};
use crate::stages::TIME_RANGE;
use crate::wiring::Place;
use firing::Firing;
use panes::Panes;
use reflow_api::window::{Trigger, WindowAssigner};
use reflow_api::{OnError, OutputTag, TimeDomain};
use reflow_network::Row;
use reflow_network::output::KeySelector;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::{Failure, Fault};
use reflow_state::SnapshotTable;
use reflow_types::{Bounds, Instant, MaxParallelism, NO_TIMESTAMP, Timestamp, injected_fault};
use std::time::Duration;

/// The parts of a window operator that the user chooses.
pub struct Windowing<T, W, G, C> {
    /// Assigns records to windows.
    pub assigner: W,
    /// Decides when a window fires.
    pub trigger: G,
    /// Keeps the records and computes the result.
    pub contents: C,
    /// What happens to late records.
    pub lateness: Lateness<T>,
    /// How records are handled for which a function returns an error.
    pub on_error: OnError,
}

impl<T, W, G, C> Windowing<T, W, G, C> {
    /// Windows that take no late records and fail with any error.
    pub fn new(assigner: W, trigger: G, contents: C) -> Self {
        Self { assigner, trigger, contents, lateness: Lateness::default(), on_error: OnError::default() }
    }
}

impl<T, W: Clone, G: Clone, C: Clone> Clone for Windowing<T, W, G, C> {
    fn clone(&self) -> Self {
        let Self { assigner, trigger, contents, lateness, on_error } = self;
        let (assigner, trigger, contents) = (assigner.clone(), trigger.clone(), contents.clone());
        Self { assigner, trigger, contents, lateness: *lateness, on_error: *on_error }
    }
}

/// What happens to late records of type `T`.
pub struct Lateness<T> {
    /// How long a window takes records after its end.
    pub allowed: Duration,
    /// The side output of records that come even later. Without one they are dropped and counted.
    pub output: Option<OutputTag<T>>,
}

impl<T> Default for Lateness<T> {
    fn default() -> Self {
        Self { allowed: Duration::ZERO, output: None }
    }
}

impl<T> Clone for Lateness<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Lateness<T> {}

/// The window operator.
pub struct WindowOperator<T, F, W, G, C, D>
where
    F: KeySelector<T>,
    W: WindowAssigner<T>,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
{
    operator: OperatorName,
    key: F,
    assigner: W,
    panes: Panes<T, F::Key, W, G, C, D>,
    bounds: Bounds,
    /// The watermark that is passed on once all that it makes due has fired.
    firing: Option<Firing>,
    /// Whether nothing fires by the wall clock, because the state of key groups is incomplete while they are installed.
    holds_timers: bool,
    /// Whether the end has been passed on. Then nothing more may be emitted.
    ended: bool,
}

impl<T, F, W, G, C, D> WindowOperator<T, F, W, G, C, D>
where
    T: Clone + Send + 'static,
    F: KeySelector<T>,
    W: WindowAssigner<T>,
    W::Merging: Merging<F::Key, T, G, C>,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    D: Stage<C::Out>,
{
    /// An operator with empty windows.
    pub fn new(
        operator: OperatorName,
        key: F,
        windowing: Windowing<T, W, G, C>,
        max: MaxParallelism,
        next: D,
    ) -> Self {
        let Windowing { assigner, trigger, contents, lateness, on_error } = windowing;
        let lifecycle = Lifecycle::new(operator.clone());
        let errors = ErrorHandler::new(operator.clone(), on_error);
        let panes = Panes::new(trigger, contents, lateness, (lifecycle, errors), max, next);
        Self {
            operator,
            key,
            assigner,
            panes,
            bounds: Bounds::default(),
            firing: None,
            holds_timers: false,
            ended: false,
        }
    }
}

impl<T, F, W, G, C, D> WindowOperator<T, F, W, G, C, D>
where
    F: KeySelector<T>,
    W: WindowAssigner<T>,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
{
    fn fires_by_clock(&self) -> bool {
        !self.ended && !self.holds_timers
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
    W: WindowAssigner<T>,
    W::Merging: Merging<F::Key, T, G, C>,
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
        let Self { assigner, panes, .. } = self;
        let time = match W::DOMAIN {
            TimeDomain::Event => row.time,
            TimeDomain::Processing => panes.clocks.processing_time,
        };
        // A record is late if the watermark has passed all of its windows, and the allowed lateness.
        let (mut over, mut open) = (false, false);
        let assigned = assigner.assign(&row.value, time, |window| {
            if panes.add(&key, row.hash, window, &row.value, row.time) {
                open = true;
            } else {
                over = true;
            }
        });
        if let Err(error) = assigned {
            panes.errors.on_error(&error);
        } else if panes.failed.is_some() {
            panes.on_failed();
        } else if over && !open {
            panes.on_late(row.value, row.time);
        }
    }

    #[inline]
    fn expect(&self, row: &Row<T>) {
        self.panes.prefetch(row.hash);
    }

    fn hold_timers(&mut self) {
        self.holds_timers = true;
    }

    fn release_timers(&mut self) {
        self.holds_timers = false;
    }
}

impl<T, F, W, G, C, D> Control for WindowOperator<T, F, W, G, C, D>
where
    T: Clone + Send + 'static,
    F: KeySelector<T>,
    W: WindowAssigner<T>,
    W::Merging: Merging<F::Key, T, G, C>,
    G: Trigger<T>,
    C: Contents<F::Key, T>,
    D: Stage<C::Out>,
{
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.panes.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.panes.next
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.bounds = context.bounds;
        self.panes.lifecycle.set(context);
        self.panes.clocks.set_watermark(context.watermark);
        self.panes.clocks.output_watermark = context.watermark;
        self.panes.clocks.processing_time = context.now.as_millis();
        self.panes.next.open(context);
    }

    fn start(&mut self) {
        self.panes.next.start();
        let Panes { lifecycle, contents, .. } = &mut self.panes;
        lifecycle.open(|context| contents.open(context));
    }

    fn rescaled(&mut self, place: Place) {
        self.panes.next.rescaled(place);
        let Panes { lifecycle, contents, .. } = &mut self.panes;
        lifecycle.rescaled(place, |context| contents.rescaled(context));
    }

    fn close(&mut self, failures: &mut Vec<Failure>) {
        let Panes { lifecycle, contents, .. } = &mut self.panes;
        lifecycle.close(failures, || contents.close());
        self.panes.next.close(failures);
    }

    fn watermark(&mut self, time: Timestamp) {
        self.panes.clocks.set_watermark(time);
        // Panes that are firing come first, then those that this watermark makes due. They fire in later steps,
        // which measure how long a pane takes.
        if let Some(firing) = &mut self.firing {
            firing.watermark = firing.watermark.max(time);
        } else if self.panes.has_due(TimeDomain::Event, time) {
            self.firing = Some(Firing { watermark: time, then_end: false });
        } else {
            self.panes.clocks.output_watermark = time;
            self.panes.next.watermark(time);
        }
    }

    fn tick(&mut self, now: Instant) {
        let clocks = &mut self.panes.clocks;
        clocks.processing_time = clocks.processing_time.max(now.as_millis());
        self.panes.errors.tick(now);
        self.panes.next.tick(now);
    }

    fn resume(&mut self, most: usize) -> Option<usize> {
        if let Some(passed) = self.panes.next.resume(most) {
            return Some(passed);
        }
        let now = self.panes.clocks.processing_time;
        // Counts as work even if nothing fires, so that emitted records are flushed.
        let due = self.fires_by_clock() && self.panes.has_due(TimeDomain::Processing, now);
        if !due && self.firing.is_none() {
            return None;
        }
        let most = most.min(self.bounds.fired_panes);
        let mut left = most;
        if due {
            self.panes.fire_due(TimeDomain::Processing, now, &mut left);
        }
        self.continue_firing(&mut left);
        Some(most - left)
    }

    fn has_rest(&self) -> bool {
        self.firing.is_some() || self.panes.next.has_rest()
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let own = self.panes.next_time(TimeDomain::Processing).filter(|_| self.fires_by_clock());
        let own =
            own.map(|time| Instant::default() + Duration::from_millis(u64::try_from(time).unwrap_or(0)));
        own.into_iter().chain(self.panes.next.next_wakeup()).min()
    }

    fn end(&mut self) {
        match &mut self.firing {
            Some(firing) if !injected_fault::is_active("input_ends_while_windows_fire") => {
                firing.then_end = true;
            }
            _ => {
                self.ended = true;
                self.panes.next.end();
            }
        }
    }

    fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
        self.panes.tables(visit);
        self.panes.next.tables(visit);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.panes.count(metrics);
        self.panes.next.count(metrics);
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
