//! Joins of two streams by the times of their records.

use crate::{OutputTag, RuntimeContext, UserError};
use reflow_types::{Data, Key, Timestamp};
use std::time::Duration;

/// One bound of the interval in which records of the right stream match a record of the left stream, relative to the time
/// of that record. It is within the interval, unless it is [`exclusive`](Self::exclusive).
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::TimeBound;
/// use std::time::Duration;
///
/// /// From an hour before the left record, until the moment before it.
/// fn hour_before() -> (TimeBound, TimeBound) {
///     (TimeBound::before(Duration::from_secs(3_600)), TimeBound::after(Duration::ZERO).exclusive())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBound {
    offset_ms: i64,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Inclusive,
    Exclusive,
}

/// About 20,000 years, so that no sum of a time and a bound overflows.
const MAX_MS: i64 = 20_000 * 366 * 24 * 3_600 * 1_000;

impl TimeBound {
    /// The time this long before the left record.
    ///
    /// # Panics
    /// If it is above 20,000 years.
    pub fn before(duration: Duration) -> Self {
        Self { offset_ms: -offset_ms(duration), limit: Limit::Inclusive }
    }

    /// The time this long after the left record.
    ///
    /// # Panics
    /// If it is above 20,000 years.
    pub fn after(duration: Duration) -> Self {
        Self { offset_ms: offset_ms(duration), limit: Limit::Inclusive }
    }

    /// The same bound, which is itself not in the interval.
    #[must_use]
    pub fn exclusive(self) -> Self {
        Self { limit: Limit::Exclusive, ..self }
    }

    /// As a lower bound: the first millisecond in the interval, relative to the left record.
    #[doc(hidden)]
    pub fn first_ms(self) -> i64 {
        self.offset_ms + i64::from(self.limit == Limit::Exclusive)
    }

    /// As an upper bound: the last millisecond in the interval, relative to the left record.
    #[doc(hidden)]
    pub fn last_ms(self) -> i64 {
        self.offset_ms - i64::from(self.limit == Limit::Exclusive)
    }
}

fn offset_ms(duration: Duration) -> i64 {
    match i64::try_from(duration.as_millis()) {
        Ok(ms) if ms <= MAX_MS => ms,
        _ => panic!("a bound of an interval join must be at most 20,000 years"),
    }
}

/// A function that is called for each pair of records that an interval join matches.
///
/// Its life cycle is that of a [`ProcessFunction`](crate::ProcessFunction). It is called when the later record of the pair
/// arrives. An error fails the attempt, or with [`OnError::Skip`](crate::OnError::Skip) that record is skipped: it matches
/// nothing any more.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{JoinContext, ProcessJoinFunction, UserError};
///
/// /// Emits how long after an order its payment came.
/// #[derive(Clone)]
/// struct Delays;
///
/// impl ProcessJoinFunction for Delays {
///     type Key = u64;
///     type Left = String;
///     type Right = f64;
///     type Out = (u64, i64);
///
///     fn process(
///         &mut self,
///         context: &mut impl JoinContext<u64, (u64, i64)>,
///         _order: &String,
///         _payment: &f64,
///     ) -> Result<(), UserError> {
///         let delay_ms = context.right_timestamp() - context.left_timestamp();
///         context.emit((*context.key(), delay_ms));
///         Ok(())
///     }
/// }
/// ```
pub trait ProcessJoinFunction: Clone + Send + 'static {
    /// The type of both streams' keys.
    type Key: Key;
    /// The type of the left stream's records.
    type Left;
    /// The type of the right stream's records.
    type Right;
    /// The type of the records that it emits.
    type Out;

    /// See [`ProcessFunction::open`](crate::ProcessFunction::open).
    fn open(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// See [`ProcessFunction::rescaled`](crate::ProcessFunction::rescaled).
    fn rescaled(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// See [`ProcessFunction::close`](crate::ProcessFunction::close).
    fn close(&mut self) -> Result<(), UserError> {
        Ok(())
    }

    /// Takes a pair.
    fn process(
        &mut self,
        context: &mut impl JoinContext<Self::Key, Self::Out>,
        left: &Self::Left,
        right: &Self::Right,
    ) -> Result<(), UserError>;
}

/// The context of a call of a [`ProcessJoinFunction`].
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{JoinContext, OutputTag};
///
/// const SLOW: OutputTag<u64> = OutputTag::new("slow");
///
/// /// Emits the milliseconds between the two records of a pair, and sends those of slow ones to a side output.
/// fn delay(context: &mut impl JoinContext<String, u64>) {
///     let delay_ms = (context.right_timestamp() - context.left_timestamp()).unsigned_abs();
///     match delay_ms {
///         0..60_000 => context.emit(delay_ms),
///         _ => context.emit_to(&SLOW, delay_ms),
///     }
///     let late = context.watermark() > context.timestamp();
///     println!("subtask {}: {}, late: {late}", context.runtime().subtask_index(), context.key());
/// }
/// ```
pub trait JoinContext<K, Out> {
    /// The current context of the function.
    fn runtime(&self) -> &RuntimeContext;
    /// The key of both records.
    fn key(&self) -> &K;
    /// The event time of the left record.
    fn left_timestamp(&self) -> Timestamp;
    /// The event time of the right record.
    fn right_timestamp(&self) -> Timestamp;
    /// The event time that emitted records get: that of the later record of the pair.
    fn timestamp(&self) -> Timestamp {
        self.left_timestamp().max(self.right_timestamp())
    }
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// Emits a record.
    fn emit(&mut self, value: Out);
    /// Emits a record to a side output, as [`Context::emit_to`](crate::Context::emit_to) does.
    fn emit_to<T: Data>(&mut self, tag: &OutputTag<T>, value: T);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_bounds_are_a_millisecond_within() {
        let bound = TimeBound::before(Duration::from_millis(5));
        assert_eq!((bound.first_ms(), bound.exclusive().first_ms()), (-5, -4));
        let bound = TimeBound::after(Duration::from_millis(5));
        assert_eq!((bound.last_ms(), bound.exclusive().last_ms()), (5, 4));
        assert!(std::panic::catch_unwind(|| TimeBound::after(Duration::MAX)).is_err());
    }
}
