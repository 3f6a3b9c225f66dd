//! The stage of `try_map`, `try_filter` and `try_flat_map`, whose functions may return an error.

use crate::error_handler::{ErrorHandler, OnFailure};
use crate::stage::{Control, Stage};
use reflow_api::UserError;
use reflow_protocol::control::SubtaskMetrics;
use reflow_types::{Instant, Timestamp};
use std::marker::PhantomData;

/// A call for each record, which yields a record, none, or an error.
pub trait TryCall<T>: Send {
    /// The type of the records that it yields.
    type Out;
    /// The call.
    fn call(&mut self, value: T) -> Result<Option<Self::Out>, UserError>;
}

/// Converts each record.
pub struct Convert<F, U>(F, PhantomData<fn() -> U>);

impl<F, U> Convert<F, U> {
    /// The call of `function`.
    pub fn new(function: F) -> Self {
        Self(function, PhantomData)
    }
}

impl<T, U, F: FnMut(T) -> Result<U, UserError> + Send> TryCall<T> for Convert<F, U> {
    type Out = U;
    #[inline]
    fn call(&mut self, value: T) -> Result<Option<U>, UserError> {
        (self.0)(value).map(Some)
    }
}

/// Keeps the records that satisfy a condition.
pub struct Keep<F>(pub F);

impl<T, F: FnMut(&T) -> Result<bool, UserError> + Send> TryCall<T> for Keep<F> {
    type Out = T;
    #[inline]
    fn call(&mut self, value: T) -> Result<Option<T>, UserError> {
        Ok((self.0)(&value)?.then_some(value))
    }
}

/// Passes on what a call yields, and errors to their handler.
pub struct Try<C, E, D> {
    call: C,
    errors: E,
    next: D,
}

impl<C, E, D> Try<C, E, D> {
    /// A stage that passes what `call` yields to `next`.
    pub fn new(call: C, errors: E, next: D) -> Self {
        Self { call, errors, next }
    }
}

impl<T, C, E, D> Stage<T> for Try<C, E, D>
where
    C: TryCall<T>,
    E: OnFailure<T>,
    D: Stage<C::Out>,
{
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        let kept = self.errors.keep(&value);
        match self.call.call(value) {
            Ok(Some(value)) => self.next.push(value, time),
            Ok(None) => {}
            Err(error) => self.errors.failed(kept, &error, time, &mut self.next),
        }
    }
}

impl<C: Send, E: AsRef<ErrorHandler> + AsMut<ErrorHandler> + Send, D: Control> Control for Try<C, E, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }

    fn tick(&mut self, now: Instant) {
        self.errors.as_mut().tick(now);
        self.next.tick(now);
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        self.errors.as_ref().count(metrics);
        self.next.count(metrics);
    }
}
