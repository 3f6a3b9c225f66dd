//! Functions with keyed state: aggregates, and process functions with timers.

use crate::UserError;
use reflow_types::{Data, Key, Timestamp};

/// Folds records into an accumulator.
pub trait Aggregate: Clone + Send + 'static {
    /// The type of its input records.
    type In;
    /// The accumulator of a key (and window).
    type Acc: Data;
    /// The type of its results.
    type Out;

    /// The accumulator before any record.
    fn create(&self) -> Self::Acc;
    /// Adds a record.
    fn add(&self, acc: &mut Self::Acc, value: Self::In);
    /// The result so far.
    fn result(&self, acc: &Self::Acc) -> Self::Out;
}

/// Which time a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Data)]
pub enum TimeDomain {
    /// Fires when the watermark reaches its time.
    Event,
    /// Fires when the wall clock reaches its time.
    Processing,
}

/// A function with one state value per key, and timers.
pub trait ProcessFunction: Clone + Send + 'static {
    /// The type of the stream's keys.
    type Key: Key;
    /// The type of its input records.
    type In;
    /// The type of the records that it emits.
    type Out;
    /// The state of a key.
    type State: Default + Data;

    /// Adds a record.
    fn process(
        &mut self,
        context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        value: Self::In,
    ) -> Result<(), UserError>;

    /// Called when a timer of the context's key fires.
    fn on_timer(
        &mut self,
        _context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        _time: Timestamp,
        _domain: TimeDomain,
    ) -> Result<(), UserError> {
        Ok(())
    }
}

/// The context of a call of a process function. State and timers are those of the key of the current record or
/// timer.
pub trait Context<K, S, Out> {
    /// The key.
    fn key(&self) -> &K;
    /// The key's state, if it has any. Each call looks the key up.
    fn state(&self) -> Option<&S>;
    /// The key's state for changes, created by `Default` if there is none. Each call looks the key up and marks the
    /// state as changed.
    fn state_mut(&mut self) -> &mut S;
    /// Removes the key's state.
    fn clear_state(&mut self);
    /// The record's event time, or the timer's time; [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP) if none was
    /// assigned.
    fn timestamp(&self) -> Timestamp;
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// The wall clock, in milliseconds since the Unix epoch, read once for each step.
    fn processing_time(&self) -> Timestamp;
    /// Registers a timer, which calls [`ProcessFunction::on_timer`]. Registering the same time again has no effect.
    fn register_timer(&mut self, domain: TimeDomain, time: Timestamp);
    /// Removes a timer.
    fn delete_timer(&mut self, domain: TimeDomain, time: Timestamp);
    /// Emits a record, with the current timestamp.
    fn emit(&mut self, value: Out);
}
