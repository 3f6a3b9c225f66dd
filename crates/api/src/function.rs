//! Functions with keyed state: aggregates, and process functions with timers.

use crate::states::{Access, PlainState, States};
use crate::{Input, LateTimestamp, OutputTag, RuntimeContext, UserError};
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

/// As [`Aggregate`], with functions that can fail: for records that cannot be added, and results that cannot be computed.
/// Every `Aggregate` is one whose functions do not fail.
///
/// An error fails the attempt, or with [`OnError::Skip`] the record is skipped; what `add` had changed then stays.
///
/// ```
/// use reflow_api::{TryAggregate, UserError};
///
/// /// Sums of prices that are texts.
/// #[derive(Clone)]
/// struct Sum;
///
/// impl TryAggregate for Sum {
///     type In = String;
///     type Acc = u64;
///     type Out = u64;
///
///     fn create(&self) -> u64 {
///         0
///     }
///     fn try_add(&self, sum: &mut u64, price: String) -> Result<(), UserError> {
///         *sum = sum.checked_add(price.parse()?).ok_or("the sum is above 2^64")?;
///         Ok(())
///     }
///     fn try_result(&self, sum: &u64) -> Result<u64, UserError> {
///         Ok(*sum)
///     }
/// }
/// ```
pub trait TryAggregate: Clone + Send + 'static {
    /// The type of its input records.
    type In;
    /// The accumulator of a key (and window).
    type Acc: Data;
    /// The type of its results.
    type Out;

    /// The accumulator before any record.
    fn create(&self) -> Self::Acc;
    /// Adds a record.
    fn try_add(&self, acc: &mut Self::Acc, value: Self::In) -> Result<(), UserError>;
    /// The result so far.
    fn try_result(&self, acc: &Self::Acc) -> Result<Self::Out, UserError>;
}

impl<A: Aggregate> TryAggregate for A {
    type In = A::In;
    type Acc = A::Acc;
    type Out = A::Out;

    #[inline]
    fn create(&self) -> A::Acc {
        Aggregate::create(self)
    }

    #[inline]
    fn try_add(&self, acc: &mut A::Acc, value: A::In) -> Result<(), UserError> {
        self.add(acc, value);
        Ok(())
    }

    #[inline]
    fn try_result(&self, acc: &A::Acc) -> Result<A::Out, UserError> {
        Ok(self.result(acc))
    }
}

/// An aggregate whose accumulators can be merged, as windows that merge need it.
///
/// ```
/// use reflow_api::{Aggregate, MergeableAggregate, UserError};
///
/// #[derive(Clone)]
/// struct Longest;
///
/// impl Aggregate for Longest {
///     type In = String;
///     type Acc = u64;
///     type Out = u64;
///     fn create(&self) -> u64 {
///         0
///     }
///     fn add(&self, longest: &mut u64, text: String) {
///         *longest = (*longest).max(text.len() as u64);
///     }
///     fn result(&self, longest: &u64) -> u64 {
///         *longest
///     }
/// }
///
/// impl MergeableAggregate for Longest {
///     fn merge(&self, longest: &mut u64, other: u64) -> Result<(), UserError> {
///         *longest = (*longest).max(other);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the aggregate `{Self}` cannot be merged",
    label = "session windows and `window_all` merge, and need an aggregate with `merge`",
    note = "implement `MergeableAggregate` for it"
)]
pub trait MergeableAggregate: TryAggregate {
    /// Adds the records of `other` to those of `acc`. An error fails the attempt, also with [`OnError::Skip`].
    fn merge(&self, acc: &mut Self::Acc, other: Self::Acc) -> Result<(), UserError>;
}

/// How a record is handled for which an operator's function returns an error. A panic always fails the attempt.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::OnError;
///
/// let policy = OnError::Skip; // stream.try_map(…).on_error(policy)
/// assert_eq!(OnError::default(), OnError::Fail);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The attempt fails, and the restart strategy decides.
    #[default]
    Fail,
    /// The record is skipped and counted as `numRecordsInErrors` of the vertex, and skipped records are logged at
    /// most every 10 seconds. The effects of the function before the error remain: changed state, timers and
    /// emitted records.
    Skip,
}

/// A record for which an operator's function has returned an error.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::Failed;
///
/// fn line(Failed { record, error }: Failed<String>) -> String {
///     format!("{record}: {error}")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct Failed<T> {
    /// The record.
    pub record: T,
    /// The error's text, with those of its sources.
    pub error: String,
}

/// The kind of time that a timer waits for.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Context, TimeDomain};
///
/// /// Registers a timer a minute from now.
/// fn in_a_minute(context: &mut impl Context<u64, u64, String>) {
///     context.register_timer(TimeDomain::Processing, context.processing_time() + 60_000);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Data)]
pub enum TimeDomain {
    /// Fires when the watermark reaches its time.
    Event,
    /// Fires when the wall clock reaches its time.
    Processing,
}

/// A function with state by key, and timers.
///
/// # State
/// The state of a key is one plain value, as in the example below, or [several states](crate::states) that have names.
///
/// # Life cycle
/// Each subtask has a clone of the function for each attempt. Calls come in this order, on one thread:
///
/// 1. [`open`](Self::open), when the state is restored and before the first record.
/// 2. [`process`](Self::process) and [`on_timer`](Self::on_timer), and after a live rescale
///    [`rescaled`](Self::rescaled).
/// 3. [`close`](Self::close), when the task ends, also if it failed or is cancelled. A process that is killed, or that
///    its memory limit ends, calls nothing any more.
///
/// An error or a panic of any of them is a failure of the task, and the restart strategy decides. There is one
/// exception: the task of `close` may be ending for another reason, and then the error of `close` is only logged.
///
/// Fields of the function are not part of the state. In the next attempt they have the values of the clone again. What
/// `open` makes and cannot be cloned, such as a connection, goes into an [`Opened`](crate::Opened).
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Context, ProcessFunction, RuntimeContext, UserError};
/// use std::collections::HashMap;
/// use std::path::PathBuf;
///
/// /// Passes the first record of each user on, with the name that a file has for the user.
/// #[derive(Clone, Default)]
/// struct FirstSeen {
///     file: PathBuf,
///     names: HashMap<u64, String>,
/// }
///
/// impl ProcessFunction for FirstSeen {
///     type Key = u64;
///     type In = u64;
///     type Out = String;
///     type State = bool;
///
///     fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
///         for line in std::fs::read_to_string(&self.file)?.lines() {
///             let (id, name) = line.split_once(' ').ok_or("a line is an id and a name")?;
///             self.names.insert(id.parse()?, name.to_owned());
///         }
///         println!("subtask {} of {} is ready", context.subtask_index(), context.parallelism());
///         Ok(())
///     }
///
///     fn process(&mut self, context: &mut impl Context<u64, bool, String>, user: u64) -> Result<(), UserError> {
///         if !std::mem::replace(context.state_mut(), true) {
///             let name = self.names.get(&user).ok_or_else(|| format!("user {user} has no name"))?.clone();
///             context.emit(name);
///         }
///         Ok(())
///     }
///
///     fn close(&mut self) -> Result<(), UserError> {
///         self.names.clear();
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process function for a stream with a key",
    label = "expected a `ProcessFunction`",
    note = "an `UnkeyedProcessFunction` runs on a stream without a key: call `process` before `key_by`, or `partitioned` behind it"
)]
pub trait ProcessFunction: Clone + Send + 'static {
    /// The type of the stream's keys.
    type Key: Key;
    /// The type of its input records.
    type In;
    /// The type of the records that it emits.
    type Out;
    /// The state of a key: a plain value, or a struct that derives [`States`].
    type State: States<Self::Key>;

    /// Declares the states, if [`State`](Self::State) derives [`States`]. Names and times to live may depend on the
    /// function's fields, which are the same in all clones. By default, each state has the name of its field.
    fn states(&self) -> Self::State {
        Self::State::undeclared()
    }

    /// Called once in each attempt, when the state is restored and before the first record. It has no current
    /// key, so it cannot access state.
    fn open(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Called between two records when a live rescale has changed the index or the parallelism in the context. A
    /// function that has derived anything from them must derive it again here.
    fn rescaled(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Called once when the task ends, if `open` was called, whatever `open` has returned. After a panic, the
    /// fields may be in any state. The end of the attempt waits for this call, so it must return soon: an
    /// executor that takes too long to end its tasks is killed.
    fn close(&mut self) -> Result<(), UserError> {
        Ok(())
    }

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

    /// Passed to the function with two inputs behind this one.
    #[doc(hidden)]
    fn input_ended(&mut self, _input: Input, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }
}

/// The context of a call of a process function. State and timers are those of the key of the current record or
/// timer.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{Context, OutputTag, TimeDomain, UserError};
///
/// const LARGE: OutputTag<u64> = OutputTag::new("large");
///
/// /// Adds a payment to the sum of its account, and sends large ones to a side output, too.
/// fn add(context: &mut impl Context<u64, u64, String>, cents: u64) -> Result<(), UserError> {
///     *context.state_mut() += cents;
///     if cents > 50_000 {
///         context.emit_to(&LARGE, cents);
///     }
///     context.delete_timer(TimeDomain::Processing, 0);
///     context.register_timer(TimeDomain::Event, context.timestamp().max(context.watermark()) + 60_000);
///     Ok(())
/// }
///
/// /// Emits the sum a minute later.
/// fn on_timer(context: &mut impl Context<u64, u64, String>) {
///     let sum = context.state().copied().unwrap_or(0);
///     let (account, subtask) = (*context.key(), context.runtime().subtask_index());
///     context.emit(format!("{account}: {sum} at {}, by subtask {subtask}", context.processing_time()));
///     context.clear_state();
///     if context.output_watermark() > 0 {
///         context.emit_late_at(0, "late for windows that follow".to_owned());
///     }
/// }
/// ```
pub trait Context<K, S, Out> {
    /// The current context of the function.
    fn runtime(&self) -> &RuntimeContext;
    /// The key.
    fn key(&self) -> &K;
    /// The key's plain value, if it has one. Each call looks the key up.
    fn state(&self) -> Option<&S>
    where
        K: Key,
        S: PlainState<K>;
    /// The key's state for changes, created by `Default` if there is none. Each call looks the key up and marks the
    /// state as changed. The state is borrowed from the context: to emit meanwhile, use
    /// [`state_and_emit`](Self::state_and_emit).
    fn state_mut(&mut self) -> &mut S
    where
        K: Key,
        S: PlainState<K>;
    /// The key's state as [`state_mut`](Self::state_mut) returns it, with a function that emits: for records that are made
    /// from the state while it is borrowed.
    ///
    /// ```
    /// # use reflow_api::{Context, UserError};
    /// fn replay(context: &mut impl Context<u64, Vec<String>, String>, name: String) -> Result<(), UserError> {
    ///     let (names, mut emit) = context.state_and_emit();
    ///     names.push(name);
    ///     names.iter().for_each(|name| emit(name.clone()));
    ///     Ok(())
    /// }
    /// ```
    fn state_and_emit(&mut self) -> (&mut S, impl FnMut(Out))
    where
        K: Key,
        S: PlainState<K>;
    /// Removes the key's state.
    fn clear_state(&mut self)
    where
        K: Key,
        S: PlainState<K>;
    /// The key's states, by the names of the fields that declare them.
    ///
    /// ```standalone_crate
    /// # extern crate reflow_api as reflow;
    /// # use reflow::{Context, states::{States, ValueState}};
    /// #[derive(States)]
    /// struct Account {
    ///     balance: ValueState<i64>,
    /// }
    ///
    /// fn pay(context: &mut impl Context<u64, Account, i64>, cents: i64) {
    ///     *context.states().balance.or_default() -= cents;
    /// }
    /// ```
    fn states(&mut self) -> Access<'_, K, S>
    where
        K: Key,
        S: States<K>;
    /// The key's states as [`states`](Self::states) returns them, with a function that emits: for records that are made
    /// from state while it is borrowed.
    ///
    /// ```standalone_crate
    /// # extern crate reflow_api as reflow;
    /// # use reflow::{Context, UserError, states::{MapState, States}};
    /// #[derive(States)]
    /// struct Cart {
    ///     items: MapState<String, u32>,
    /// }
    ///
    /// fn list(context: &mut impl Context<u64, Cart, String>) -> Result<(), UserError> {
    ///     let (cart, mut emit) = context.states_and_emit();
    ///     cart.items.keys().for_each(|item| emit(item.clone()));
    ///     Ok(())
    /// }
    /// ```
    fn states_and_emit(&mut self) -> (Access<'_, K, S>, impl FnMut(Out))
    where
        K: Key,
        S: States<K>;
    /// The key's states, apart from what the function emits to, for records with timestamps of their own.
    #[doc(hidden)]
    fn states_and_outputs(&mut self) -> (Access<'_, K, S>, impl Outputs<K, Out>)
    where
        K: Key,
        S: States<K>;
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
    /// The watermark that has been passed on to what follows. It is lower than [`watermark`](Self::watermark) while that makes
    /// timers or windows fire.
    fn output_watermark(&self) -> Timestamp;
    /// Emits a record with another timestamp. It must be after the [`output_watermark`](Self::output_watermark), so that the
    /// record is not late for what follows; otherwise nothing is emitted, and the error says so.
    ///
    /// ```
    /// # use reflow_api::{Context, UserError};
    /// /// Emits a reminder for each order, a minute after its event time.
    /// fn remind(context: &mut impl Context<u64, (), String>, order: String) -> Result<(), UserError> {
    ///     context.emit_at(context.timestamp() + 60_000, order)?;
    ///     Ok(())
    /// }
    /// ```
    fn emit_at(&mut self, time: Timestamp, value: Out) -> Result<(), LateTimestamp> {
        LateTimestamp::check(time, self.output_watermark())?;
        self.emit_late_at(time, value);
        Ok(())
    }
    /// Emits a record with any timestamp. If it is late, windows that follow drop it or send it to their side output of late
    /// records, and event-time timers for it fire at once.
    fn emit_late_at(&mut self, time: Timestamp, value: Out);
    /// Sends a record to the side output of this tag, with the current timestamp. If the job does not take that output,
    /// the record is dropped, and a warning is logged once.
    fn emit_to<T: Data>(&mut self, tag: &OutputTag<T>, value: T);
}

/// What a function of the engine emits to, apart from its states.
#[doc(hidden)]
pub trait Outputs<K, Out> {
    /// See [`Context::runtime`].
    fn runtime(&self) -> &RuntimeContext;
    /// See [`Context::key`].
    fn key(&self) -> &K;
    /// See [`Context::watermark`].
    fn watermark(&self) -> Timestamp;
    /// Emits a record with this timestamp.
    fn emit_at(&mut self, time: Timestamp, value: Out);
    /// Sends a record with this timestamp to a side output.
    fn emit_to_at<T: Data>(&mut self, time: Timestamp, tag: &OutputTag<T>, value: T);
    /// Sends a late record to its side output, or drops and counts it.
    fn late<T: Data>(&mut self, tag: Option<OutputTag<T>>, value: T, time: Timestamp);
}
