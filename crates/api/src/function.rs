//! Functions with keyed state: aggregates, and process functions with timers.

use crate::UserError;
use reflow_types::{Key, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// Folds records into an accumulator.
pub trait Aggregate: Clone + Send + 'static {
    /// What it takes.
    type In;
    /// What is kept per key (and window).
    type Acc: Serialize + DeserializeOwned + Send + 'static;
    /// What comes out.
    type Out;

    /// The accumulator before any record.
    fn create(&self) -> Self::Acc;
    /// Takes a record.
    fn add(&self, acc: &mut Self::Acc, value: Self::In);
    /// The result so far.
    fn result(&self, acc: &Self::Acc) -> Self::Out;
}

/// Which time a timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
pub enum TimeDomain {
    /// Fires when the watermark reaches its time.
    Event,
    /// Fires when the wall clock reaches its time.
    Processing,
}

/// A function with one state value per key, and timers.
pub trait ProcessFunction: Clone + Send + 'static {
    /// By what the stream is keyed.
    type Key: Key;
    /// What it takes.
    type In;
    /// What it emits.
    type Out;
    /// What is kept per key.
    type State: Default + Serialize + DeserializeOwned + Send + 'static;

    /// Takes a record.
    fn process(
        &mut self,
        context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        value: Self::In,
    ) -> Result<(), UserError>;

    /// A timer of the context's key has come.
    fn on_timer(
        &mut self,
        _context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        _time: Timestamp,
        _domain: TimeDomain,
    ) -> Result<(), UserError> {
        Ok(())
    }
}

/// What a process function can reach. Everything concerns the current record's (or timer's) key.
pub trait Context<K, S, Out> {
    /// The key.
    fn key(&self) -> &K;
    /// The key's state, if it has any. A look-up.
    fn state(&self) -> Option<&S>;
    /// The key's state, to be changed; made by `Default` if there is none. A look-up, and the state counts as
    /// changed.
    fn state_mut(&mut self) -> &mut S;
    /// Forgets the key's state.
    fn clear_state(&mut self);
    /// The record's event time, or the timer's time; [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP) if none was
    /// assigned.
    fn timestamp(&self) -> Timestamp;
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// The wall clock, in milliseconds since the Unix epoch; taken once a step.
    fn processing_time(&self) -> Timestamp;
    /// Asks for [`ProcessFunction::on_timer`]. Asking twice for the same time counts once.
    fn register_timer(&mut self, domain: TimeDomain, time: Timestamp);
    /// Takes back a timer.
    fn delete_timer(&mut self, domain: TimeDomain, time: Timestamp);
    /// Emits a record, with the current timestamp.
    fn emit(&mut self, value: Out);
}
