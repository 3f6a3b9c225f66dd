//! Process functions with a broadcast input, such as rules that apply to all keys.

use crate::states::States;
use crate::{Context, Input, RuntimeContext, TimeDomain, UnkeyedContext, UserError};
use reflow_types::{Data, Key, Timestamp};

/// A function with state by key and timers, for a keyed stream and a broadcast stream.
///
/// Each record of the broadcast stream goes to every subtask, where it changes the *broadcast state*. Records of the keyed
/// stream and timers read that state, whatever their key. Otherwise the function is as a
/// [`ProcessFunction`](crate::ProcessFunction), which also says when `open`, `rescaled` and `close` are called.
///
/// The broadcast state must become the same in every subtask, so it must depend only on the broadcast records, and not on
/// their order unless they come from one subtask. A checkpoint takes that of the first subtask, whole; keep it small. A
/// restart and a live rescale give it to every subtask.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{BroadcastProcessFunction, Context, UnkeyedContext, UserError};
///
/// /// Passes on the payments above a limit, which another stream sets.
/// #[derive(Clone)]
/// struct AboveLimit;
///
/// impl BroadcastProcessFunction for AboveLimit {
///     type Key = String;
///     type In = (String, u64);
///     type Broadcast = u64;
///     type Out = (String, u64);
///     type State = ();
///     type BroadcastState = Option<u64>;
///
///     fn process(
///         &mut self,
///         context: &mut impl Context<String, (), (String, u64)>,
///         limit: &Option<u64>,
///         payment: (String, u64),
///     ) -> Result<(), UserError> {
///         if limit.is_some_and(|limit| payment.1 > limit) {
///             context.emit(payment);
///         }
///         Ok(())
///     }
///
///     fn process_broadcast(
///         &mut self,
///         _: &mut impl UnkeyedContext<(String, u64)>,
///         limit: &mut Option<u64>,
///         changed: u64,
///     ) -> Result<(), UserError> {
///         *limit = Some(changed);
///         Ok(())
///     }
/// }
/// ```
pub trait BroadcastProcessFunction: Clone + Send + 'static {
    /// The type of the keyed stream's keys.
    type Key: Key;
    /// The type of the keyed stream's records.
    type In;
    /// The type of the broadcast stream's records.
    type Broadcast;
    /// The type of the records that it emits.
    type Out;
    /// The state of a key.
    type State: States<Self::Key>;
    /// The broadcast state. Before the first broadcast record it is the default.
    type BroadcastState: Default + Data;

    /// See [`ProcessFunction::states`](crate::ProcessFunction::states).
    fn states(&self) -> Self::State {
        Self::State::undeclared()
    }

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

    /// Takes a record of the keyed stream.
    fn process(
        &mut self,
        context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        broadcast: &Self::BroadcastState,
        value: Self::In,
    ) -> Result<(), UserError>;

    /// Takes a record of the broadcast stream, in each subtask. What it emits, each subtask emits.
    fn process_broadcast(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        broadcast: &mut Self::BroadcastState,
        value: Self::Broadcast,
    ) -> Result<(), UserError>;

    /// Called when a timer of the context's key fires.
    fn on_timer(
        &mut self,
        _context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        _broadcast: &Self::BroadcastState,
        _time: Timestamp,
        _domain: TimeDomain,
    ) -> Result<(), UserError> {
        Ok(())
    }

    /// See [`CoProcessFunction::input_ended`](crate::CoProcessFunction::input_ended). The broadcast stream is the second.
    fn input_ended(&mut self, _input: Input, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }
}
