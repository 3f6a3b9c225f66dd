//! Process functions without a key, which have a life cycle, but neither keyed state nor timers.

use crate::operator_state::{OperatorList, RestoredLists, SnapshotLists};
use crate::{Input, LateTimestamp, OutputTag, RuntimeContext, UserError};
use reflow_types::{Data, Timestamp};

/// A function for the records of a stream that is not keyed, which emits any number of records for each.
///
/// Its life cycle is that of a [`ProcessFunction`](crate::ProcessFunction). Its fields are not part of the state:
/// in the next attempt they have the values of the clone again.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{RuntimeContext, UnkeyedContext, UnkeyedProcessFunction, UserError};
/// use std::collections::HashMap;
/// use std::path::PathBuf;
///
/// /// Adds the name of a flight's airport, which a file has.
/// #[derive(Clone)]
/// struct AddAirport {
///     file: PathBuf,
///     names: HashMap<String, String>,
/// }
///
/// impl UnkeyedProcessFunction for AddAirport {
///     type In = String;
///     type Out = (String, String);
///
///     fn open(&mut self, _: &RuntimeContext) -> Result<(), UserError> {
///         for line in std::fs::read_to_string(&self.file)?.lines() {
///             let (code, name) = line.split_once(' ').ok_or("a line is a code and a name")?;
///             self.names.insert(code.to_owned(), name.to_owned());
///         }
///         Ok(())
///     }
///
///     fn process(
///         &mut self,
///         context: &mut impl UnkeyedContext<(String, String)>,
///         code: String,
///     ) -> Result<(), UserError> {
///         let name = self.names.get(&code).ok_or_else(|| format!("there is no airport {code}"))?;
///         context.emit((code, name.clone()));
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process function for a stream without a key",
    label = "expected an `UnkeyedProcessFunction`",
    note = "a `ProcessFunction` has state and timers by key: call `key_by` before `process`"
)]
pub trait UnkeyedProcessFunction: Clone + Send + 'static {
    /// The type of its input records.
    type In;
    /// The type of the records that it emits.
    type Out;

    /// Declares the lists that belong to each subtask and are part of checkpoints. [`operator_state`](crate::operator_state)
    /// has an example.
    fn operator_lists(&self) -> Vec<OperatorList> {
        Vec::new()
    }

    /// Called once before [`open`](Self::open), with the items of the declared lists, if there are any lists.
    fn restore(&mut self, _lists: &mut RestoredLists) -> Result<(), UserError> {
        Ok(())
    }

    /// Called between two records for each checkpoint and savepoint, to add the items of the declared lists, if there are
    /// any lists.
    fn snapshot(&mut self, _lists: &mut SnapshotLists) -> Result<(), UserError> {
        Ok(())
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

    /// Takes a record.
    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Self::Out>,
        value: Self::In,
    ) -> Result<(), UserError>;

    /// Passed to the function with two inputs behind this one.
    #[doc(hidden)]
    fn input_ended(&mut self, _input: Input, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }
}

/// The context of a call of an [`UnkeyedProcessFunction`], whose example uses it.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::{OutputTag, UnkeyedContext, UserError};
///
/// const LATE: OutputTag<u64> = OutputTag::new("late");
///
/// /// Emits a record at the next full second, and those without a time or behind the watermark to a side output.
/// fn at_the_second(context: &mut impl UnkeyedContext<u64>, record: u64) -> Result<(), UserError> {
///     if context.timestamp() <= context.watermark() {
///         context.emit_to(&LATE, record);
///     } else if context.timestamp() > context.processing_time() {
///         return Err(format!("subtask {}: a time in the future", context.runtime().subtask_index()).into());
///     } else if context.output_watermark() < 0 {
///         context.emit_late_at(0, record);
///     } else {
///         context.emit_at(context.timestamp() / 1_000 * 1_000 + 1_000, record)?;
///     }
///     Ok(())
/// }
/// ```
pub trait UnkeyedContext<Out> {
    /// The current context of the function.
    fn runtime(&self) -> &RuntimeContext;
    /// The record's event time; [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP) if none was assigned.
    fn timestamp(&self) -> Timestamp;
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// The wall clock, in milliseconds since the Unix epoch, read once for each step.
    fn processing_time(&self) -> Timestamp;
    /// Emits a record, with the current timestamp.
    fn emit(&mut self, value: Out);
    /// The watermark that has been passed on to what follows. It is lower than [`watermark`](Self::watermark) while that makes
    /// timers or windows fire.
    fn output_watermark(&self) -> Timestamp;
    /// Emits a record with another timestamp. It must be after the [`output_watermark`](Self::output_watermark), so that the
    /// record is not late for what follows; otherwise nothing is emitted, and the error says so.
    fn emit_at(&mut self, time: Timestamp, value: Out) -> Result<(), LateTimestamp> {
        LateTimestamp::check(time, self.output_watermark())?;
        self.emit_late_at(time, value);
        Ok(())
    }
    /// Emits a record with any timestamp. If it is late, windows that follow drop it or send it to their side output of late
    /// records, and event-time timers for it fire at once.
    fn emit_late_at(&mut self, time: Timestamp, value: Out);
    /// See [`Context::emit_to`](crate::Context::emit_to).
    fn emit_to<T: Data>(&mut self, tag: &OutputTag<T>, value: T);
}
