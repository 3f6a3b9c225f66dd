//! Process functions with two inputs.

use crate::states::States;
use crate::{Context, RuntimeContext, TimeDomain, UnkeyedContext, UserError};
use reflow_types::{Data, Key, Timestamp};

/// A record of the first or of the second of two connected streams.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::Either;
///
/// let record: Either<String, u64> = Either::Second(7);
/// let text = match record {
///     Either::First(word) => word,
///     Either::Second(number) => number.to_string(),
/// };
/// assert_eq!(text, "7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub enum Either<A, B> {
    /// A record of the first stream.
    First(A),
    /// A record of the second stream.
    Second(B),
}

/// One of two connected streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// The first stream.
    First,
    /// The second stream.
    Second,
}

/// A function with state by key and timers, for two streams with the same keys.
///
/// State and timers are those of the key, whichever stream a record comes from. Records of one stream keep their
/// order; records of different streams come in any order. Otherwise it is as a
/// [`ProcessFunction`](crate::ProcessFunction), which also says when `open`, `rescaled` and `close` are called.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{CoProcessFunction, Context, UserError};
///
/// /// Passes on the readings of the sensors that are switched on.
/// #[derive(Clone)]
/// struct WhileOn;
///
/// impl CoProcessFunction for WhileOn {
///     type Key = u64;
///     type First = (u64, f64);
///     type Second = (u64, bool);
///     type Out = (u64, f64);
///     type State = bool;
///
///     fn process_first(
///         &mut self,
///         context: &mut impl Context<u64, bool, (u64, f64)>,
///         reading: (u64, f64),
///     ) -> Result<(), UserError> {
///         if context.state() == Some(&true) {
///             context.emit(reading);
///         }
///         Ok(())
///     }
///
///     fn process_second(
///         &mut self,
///         context: &mut impl Context<u64, bool, (u64, f64)>,
///         (_, on): (u64, bool),
///     ) -> Result<(), UserError> {
///         *context.state_mut() = on;
///         Ok(())
///     }
/// }
/// ```
pub trait CoProcessFunction: Clone + Send + 'static {
    /// The type of both streams' keys.
    type Key: Key;
    /// The type of the first stream's records.
    type First;
    /// The type of the second stream's records.
    type Second;
    /// The type of the records that it emits.
    type Out;
    /// The state of a key.
    type State: States<Self::Key>;

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

    /// Takes a record of the first stream.
    fn process_first(
        &mut self,
        context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        value: Self::First,
    ) -> Result<(), UserError>;

    /// Takes a record of the second stream.
    fn process_second(
        &mut self,
        context: &mut impl Context<Self::Key, Self::State, Self::Out>,
        value: Self::Second,
    ) -> Result<(), UserError>;

    /// Called when a stream has ended and no more of its records follow. It is called once in each attempt: after a
    /// restart again, perhaps behind records of the other stream, because the function's fields are not part of the
    /// state. So it sets fields and emits nothing; timers in event time fire when both streams have ended.
    fn input_ended(&mut self, _input: Input, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

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

/// A function for the records of two streams that are not keyed. Otherwise as
/// [`UnkeyedProcessFunction`](crate::UnkeyedProcessFunction).
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Input, RuntimeContext, UnkeyedCoProcessFunction, UnkeyedContext, UserError};
///
/// /// Puts the words and numbers of two streams into one.
/// #[derive(Clone)]
/// struct Mixed;
///
/// impl UnkeyedCoProcessFunction for Mixed {
///     type First = String;
///     type Second = u64;
///     type Out = String;
///
///     fn process_first(&mut self, context: &mut impl UnkeyedContext<String>, word: String) -> Result<(), UserError> {
///         context.emit(word);
///         Ok(())
///     }
///
///     fn process_second(&mut self, context: &mut impl UnkeyedContext<String>, number: u64) -> Result<(), UserError> {
///         context.emit(number.to_string());
///         Ok(())
///     }
///
///     fn input_ended(&mut self, input: Input, _: &RuntimeContext) -> Result<(), UserError> {
///         println!("there are no more {}", if input == Input::First { "words" } else { "numbers" });
///         Ok(())
///     }
/// }
/// ```
pub trait UnkeyedCoProcessFunction: Clone + Send + 'static {
    /// The type of the first stream's records.
    type First;
    /// The type of the second stream's records.
    type Second;
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

    /// Takes a record of the first stream.
    fn process_first(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        value: Self::First,
    ) -> Result<(), UserError>;

    /// Takes a record of the second stream.
    fn process_second(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        value: Self::Second,
    ) -> Result<(), UserError>;

    /// See [`CoProcessFunction::input_ended`]. Subtasks read different parts of the streams, which end at different
    /// times.
    fn input_ended(&mut self, _input: Input, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }
}
