//! The stages of `try_map` and `try_filter`, whose functions may return an error.

use crate::error_handler::ErrorHandler;
use crate::stage::{Control, Stage};
use reflow_api::UserError;
use reflow_protocol::control::SubtaskMetrics;
use reflow_types::{Instant, Timestamp};
use std::marker::PhantomData;

/// Converts each record, or passes an error to the handler.
pub struct TryMap<F, U, D> {
    function: F,
    errors: ErrorHandler,
    next: D,
    makes: PhantomData<fn() -> U>,
}

impl<F, U, D> TryMap<F, U, D> {
    /// A stage that passes the results of `function` to `next`.
    pub fn new(function: F, errors: ErrorHandler, next: D) -> Self {
        Self { function, errors, next, makes: PhantomData }
    }
}

impl<T, U, F, D> Stage<T> for TryMap<F, U, D>
where
    F: FnMut(T) -> Result<U, UserError> + Send,
    D: Stage<U>,
{
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        match (self.function)(value) {
            Ok(value) => self.next.push(value, time),
            Err(error) => self.errors.on_error(&error),
        }
    }
}

impl<F: Send, U, D: Control> Control for TryMap<F, U, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn tick(&mut self, now: Instant) {
        self.errors.tick(now);
        self.next.tick(now);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.count(metrics);
        self.next.count(metrics);
    }
}

/// Keeps the records that satisfy a condition, or passes an error to the handler.
pub struct TryFilter<F, D> {
    condition: F,
    errors: ErrorHandler,
    next: D,
}

impl<F, D> TryFilter<F, D> {
    /// A stage that passes on the records for which `condition` is true.
    pub fn new(condition: F, errors: ErrorHandler, next: D) -> Self {
        Self { condition, errors, next }
    }
}

impl<T, F, D> Stage<T> for TryFilter<F, D>
where
    F: FnMut(&T) -> Result<bool, UserError> + Send,
    D: Stage<T>,
{
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        match (self.condition)(&value) {
            Ok(true) => self.next.push(value, time),
            Ok(false) => {}
            Err(error) => self.errors.on_error(&error),
        }
    }
}

impl<F: Send, D: Control> Control for TryFilter<F, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn tick(&mut self, now: Instant) {
        self.errors.tick(now);
        self.next.tick(now);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.count(metrics);
        self.next.count(metrics);
    }
}
