//! `map`, `filter` and `inspect`, which call a function for each record.

use crate::stage::{Control, Stage};
use reflow_types::Timestamp;
use std::marker::PhantomData;

/// Converts each record.
pub struct Map<F, U, D> {
    function: F,
    next: D,
    makes: PhantomData<fn() -> U>,
}

impl<F, U, D> Map<F, U, D> {
    /// A stage that passes the results of `function` to `next`.
    pub fn new(function: F, next: D) -> Self {
        Self { function, next, makes: PhantomData }
    }
}

impl<T, U, F: FnMut(T) -> U + Send, D: Stage<U>> Stage<T> for Map<F, U, D> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        self.next.push((self.function)(value), time);
    }
}

impl<F: Send, U, D: Control> Control for Map<F, U, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }
}

/// Keeps the records that satisfy a condition.
pub struct Filter<F, D> {
    condition: F,
    next: D,
}

impl<F, D> Filter<F, D> {
    /// A stage that passes on the records for which `condition` is true.
    pub fn new(condition: F, next: D) -> Self {
        Self { condition, next }
    }
}

impl<T, F: FnMut(&T) -> bool + Send, D: Stage<T>> Stage<T> for Filter<F, D> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        if (self.condition)(&value) {
            self.next.push(value, time);
        }
    }
}

impl<F: Send, D: Control> Control for Filter<F, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }
}

/// Calls a function with each record.
pub struct Inspect<F, D> {
    function: F,
    next: D,
}

impl<F, D> Inspect<F, D> {
    /// A stage that calls `function` with each record.
    pub fn new(function: F, next: D) -> Self {
        Self { function, next }
    }
}

impl<T, F: FnMut(&T) + Send, D: Stage<T>> Stage<T> for Inspect<F, D> {
    #[inline]
    fn push(&mut self, value: T, time: Timestamp) {
        (self.function)(&value);
        self.next.push(value, time);
    }
}

impl<F: Send, D: Control> Control for Inspect<F, D> {
    type Next = D;

    fn next_stage(&self) -> &D {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut D {
        &mut self.next
    }
}
