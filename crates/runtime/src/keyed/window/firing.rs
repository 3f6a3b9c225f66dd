//! What has become due fires, a bounded number in each step: timers, the ends of windows, and the removal of windows
//! whose allowed lateness is over, in the order of their times.

use super::context::{OfContents, OfTrigger, PaneOf};
use super::due::Batch;
use super::panes::Panes;
use super::{Contents, Merging, WindowOperator, timers};
use crate::stage::Stage;
use reflow_api::window::{Trigger, Window, WindowAssigner};
use reflow_api::{TimeDomain, UserError};
use reflow_network::output::KeySelector;
use reflow_types::{Key, KeyHash, MAX_WATERMARK, Timestamp};

/// A watermark that is passed on when all that it makes due has fired.
pub(super) struct Firing {
    pub(super) watermark: Timestamp,
    /// Whether the input has ended, so that the end follows the watermark.
    pub(super) then_end: bool,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A timer of a trigger.
    Timer,
    /// The end of a window.
    End,
    /// The removal of a window.
    Removal,
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
    /// Fires what the watermark makes due, at most `left`, and passes it on when nothing is left.
    pub(super) fn continue_firing(&mut self, left: &mut usize) {
        let Some(Firing { watermark, then_end }) = self.firing else { return };
        if self.panes.fire_due(TimeDomain::Event, watermark, left) {
            return;
        }
        self.firing = None;
        self.panes.clocks.output_watermark = watermark;
        self.panes.next.watermark(watermark);
        if then_end {
            self.ended = true;
            self.panes.next.end();
        }
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
    /// The next event of a domain and its time, which may be early.
    fn next_event(&self, domain: TimeDomain) -> Option<(Timestamp, Event)> {
        let timer = timers::next_time(&self.timers, domain).map(|time| (time, Event::Timer));
        if domain != W::DOMAIN {
            return timer;
        }
        let end = self.table.index.next_time().map(|time| (time, Event::End));
        let removal = self.marks.index.next_time();
        let removal = removal.map(|time| (time.saturating_add(self.allowed_lateness_ms), Event::Removal));
        timer.into_iter().chain(end).chain(removal).min()
    }

    /// The time at which something is due next. It may be early.
    pub(super) fn next_time(&self, domain: TimeDomain) -> Option<Timestamp> {
        if domain == W::DOMAIN && self.batch.is_some() {
            return Some(Timestamp::MIN);
        }
        self.next_event(domain).map(|(time, _)| time)
    }

    /// Whether anything may be due.
    pub(super) fn has_due(&self, domain: TimeDomain, until: Timestamp) -> bool {
        let ends_all = domain == TimeDomain::Event && until == MAX_WATERMARK && self.has_panes();
        ends_all || self.next_time(domain).is_some_and(|time| time <= until)
    }

    /// Fires at most `left` of what is due, and subtracts them from `left`. Returns whether more may be due.
    pub(super) fn fire_due(&mut self, domain: TimeDomain, until: Timestamp, left: &mut usize) -> bool {
        loop {
            if *left == 0 || self.next.has_rest() || self.next.is_full() {
                return true;
            }
            if domain == W::DOMAIN
                && let Some((event, batch)) = &mut self.batch
            {
                let (event, window, last) = (*event, batch.window, batch.last);
                match batch.keys.next() {
                    None => self.batch = None,
                    Some((hash, key)) => {
                        *left -= 1;
                        self.visit(event, hash, key, window, last);
                    }
                }
                continue;
            }
            match self.next_event(domain).filter(|(time, _)| *time <= until) {
                Some((_, Event::Timer)) => {
                    *left -= 1;
                    self.fire_timer(domain, until);
                }
                Some((_, Event::End)) => {
                    self.batch = self.table.index.pop(until).map(|batch| (Event::End, batch));
                }
                Some((_, Event::Removal)) => {
                    let until = if until == MAX_WATERMARK {
                        until
                    } else {
                        until.saturating_sub(self.allowed_lateness_ms)
                    };
                    self.batch = self.marks.index.pop(until).map(|batch| (Event::Removal, batch));
                }
                None if domain == TimeDomain::Event && until == MAX_WATERMARK => {
                    // All panes that are left belong to windows without end.
                    if !self.end_endless() {
                        return false;
                    }
                }
                None => return false,
            }
        }
    }

    /// Makes the panes of windows without end due. Returns whether there are any.
    fn end_endless(&mut self) -> bool {
        if W::DOMAIN != TimeDomain::Event {
            return false;
        }
        let keys: Vec<_> =
            self.table.table.iter().map(|(at, _)| (at.key.key_hash(), at.key.clone(), at.scope)).collect();
        keys.into_iter().for_each(|(hash, key, window)| self.table.index.add(window, hash, key));
        self.table.index.next_time().is_some()
    }

    /// A pane of the current batch. If its session was extended, it comes again later, in order with all else.
    fn visit(&mut self, event: Event, hash: KeyHash, key: K, pane: Window, last: Timestamp) {
        let Some(window) = self.window_of(hash, &key, pane) else { return };
        if window.max_timestamp() > last {
            let index = match event {
                Event::Removal => &mut self.marks.index,
                _ => &mut self.table.index,
            };
            index.postpone(window.max_timestamp(), pane, hash, key);
            return;
        }
        let at = self.pane_of(hash, &key, pane, window);
        let result = match event {
            Event::Removal if !self.is_marked(at) => Ok(()),
            Event::Removal => self.remove(at, None),
            _ => self.end_window(at),
        };
        if let Err(error) = result {
            self.errors.on_error(&error);
        }
    }

    /// The window of a pane has ended.
    fn end_window(&mut self, at: PaneOf<'_, K>) -> Result<(), UserError> {
        let time = at.window.max_timestamp();
        if W::DOMAIN == TimeDomain::Event && self.allowed_lateness_ms > 0 && at.window.end != MAX_WATERMARK {
            // Even if the lateness is over already: all happens in the order of time.
            return self.end_and_keep(at, time);
        }
        // Removed first, so that one look-up suffices.
        let Some(mut pane) = self.table.table.remove(at.pane_hash, &at.scoped()) else { return Ok(()) };
        let has_ended = self.has_ended(at);
        let fired = if has_ended { Ok(()) } else { self.end_pane(at, time, pane.acc, &mut pane.trigger) };
        let removed = self.remove(at, Some(pane.trigger));
        fired.and(removed)
    }

    fn end_pane(
        &mut self,
        at: PaneOf<'_, K>,
        time: Timestamp,
        acc: C::Acc,
        state: &mut G::State,
    ) -> Result<(), UserError> {
        let Self { trigger, timers, clocks, contents, functions, lifecycle, next, .. } = self;
        let clocks = *clocks;
        let mut of_trigger = OfTrigger { at, state, timers, clocks, time, has_ended: false };
        if trigger.on_end_with(&mut of_trigger)?.fires() {
            let mut of_contents = OfContents { at, time, clocks, state: functions, lifecycle, next };
            contents.fire_last(acc, &mut of_contents)?;
        }
        Ok(())
    }

    /// The window of a pane has ended and takes late records.
    fn end_and_keep(&mut self, at: PaneOf<'_, K>, time: Timestamp) -> Result<(), UserError> {
        if self.table.table.get(at.pane_hash, &at.scoped()).is_none() || self.has_ended(at) {
            return Ok(());
        }
        self.mark_ended(at);
        self.call_trigger(at, time, |trigger, context| trigger.on_end_with(context))
    }

    fn fire_timer(&mut self, domain: TimeDomain, until: Timestamp) {
        let Some(timers::Timer { hash, key, pane, time }) = timers::pop_due(&mut self.timers, domain, until)
        else {
            return;
        };
        let Some(window) = self.window_of(hash, &key, pane) else { return };
        let at = self.pane_of(hash, &key, pane, window);
        let fired = self.call_trigger(at, time, |trigger, context| match domain {
            TimeDomain::Event => trigger.on_event_time(time, context),
            TimeDomain::Processing => trigger.on_processing_time(time, context),
        });
        if let Err(error) = fired {
            self.errors.on_error(&error);
        }
    }
}

/// The panes that fire now, and what happens to them.
pub(super) type CurrentBatch<K> = Option<(Event, Batch<K>)>;
