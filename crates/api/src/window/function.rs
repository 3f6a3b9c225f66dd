//! Functions of windows.

use super::Window;
use crate::{LateTimestamp, OutputTag, RuntimeContext, UserError};
use reflow_types::{Data, Key, Timestamp};

/// A function that is called each time a window fires, with its records or the result of an aggregate over them.
///
/// Its life cycle is that of a [`ProcessFunction`](crate::ProcessFunction). An error fails the attempt, or with
/// [`OnError::Skip`](crate::OnError::Skip) is counted, and the window continues.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::UserError;
/// use reflow::window::{Elements, WindowContext, WindowFunction};
///
/// /// Emits the readings of a window that are above its mean, each time that it fires, and how often it has fired.
/// #[derive(Clone)]
/// struct AboveMean;
///
/// impl WindowFunction for AboveMean {
///     type Key = u64;
///     type In = Elements<f64>;
///     type Out = (u64, u64, f64);
///     type State = u64;
///     type KeyState = ();
///
///     fn process(
///         &mut self,
///         context: &mut impl WindowContext<Self>,
///         readings: &Elements<f64>,
///     ) -> Result<(), UserError> {
///         *context.state_mut() += 1;
///         let (key, firing) = (*context.key(), *context.state_mut());
///         let mean = readings.iter().map(|(_, reading)| reading).sum::<f64>() / readings.len() as f64;
///         for (_, reading) in readings.iter().filter(|(_, reading)| *reading > mean) {
///             context.emit((key, firing, *reading));
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait WindowFunction: Clone + Send + 'static {
    /// The type of the stream's keys.
    type Key: Key;
    /// What the window has: [`Elements`](super::Elements) of records, or the result of an aggregate.
    type In;
    /// The type of the records that it emits.
    type Out;
    /// The state of a key and window, removed with the window; `()` for windows that merge.
    type State: Default + Data;
    /// The state of a key, which all of its windows have in common. It stays until the function clears it.
    type KeyState: Default + Data;

    /// Called once in each attempt, when the state is restored and before the first record.
    fn open(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Called between two records when a live rescale has changed the index or the parallelism in the context.
    fn rescaled(&mut self, _context: &RuntimeContext) -> Result<(), UserError> {
        Ok(())
    }

    /// Called once when the task ends, if `open` was called, whatever `open` has returned.
    fn close(&mut self) -> Result<(), UserError> {
        Ok(())
    }

    /// Called when a window fires.
    fn process(&mut self, context: &mut impl WindowContext<Self>, input: &Self::In) -> Result<(), UserError>;

    /// Called before a window and its state are removed.
    fn clear(&mut self, _context: &mut impl WindowContext<Self>) -> Result<(), UserError> {
        Ok(())
    }
}

/// The context of a call of a window function.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::OutputTag;
/// use reflow::window::{WindowContext, WindowFunction};
///
/// const FIRST: OutputTag<u64> = OutputTag::new("first");
///
/// /// Numbers the windows of each key, and how often each of them has fired.
/// fn number<F>(context: &mut impl WindowContext<F>)
/// where
///     F: WindowFunction<Key = u64, Out = String, State = u64, KeyState = u64>,
/// {
///     if context.state().is_none() {
///         *context.key_state_mut() += 1;
///     }
///     *context.state_mut() += 1;
///     let (window, windows, firings) = (context.window(), *context.key_state_mut(), *context.state_mut());
///     context.emit(format!("window {windows} of {}, {window:?}, fires the {firings}. time", context.key()));
///     if windows == 1 {
///         context.emit_to(&FIRST, *context.key());
///     }
///     if context.key_state().is_some_and(|windows| *windows >= 100) {
///         context.clear_key_state();
///     }
///     if context.watermark() >= context.timestamp() && context.output_watermark() < window.start {
///         context.emit_late_at(window.start, format!("at {}", context.processing_time()));
///     }
///     println!("subtask {}", context.runtime().subtask_index());
/// }
/// ```
pub trait WindowContext<F: WindowFunction> {
    /// The current context of the function.
    fn runtime(&self) -> &RuntimeContext;
    /// The key.
    fn key(&self) -> &F::Key;
    /// The window.
    fn window(&self) -> Window;
    /// The state of key and window, if it has any.
    fn state(&self) -> Option<&F::State>;
    /// The state of key and window for changes, created by `Default` if there is none.
    fn state_mut(&mut self) -> &mut F::State;
    /// The state of the key, if it has any.
    fn key_state(&self) -> Option<&F::KeyState>;
    /// The state of the key for changes, created by `Default` if there is none.
    fn key_state_mut(&mut self) -> &mut F::KeyState;
    /// Removes the state of the key.
    fn clear_key_state(&mut self);
    /// The event time that emitted records get: the last timestamp of the window.
    fn timestamp(&self) -> Timestamp;
    /// The current watermark.
    fn watermark(&self) -> Timestamp;
    /// The wall clock, in milliseconds since the Unix epoch, read once for each step.
    fn processing_time(&self) -> Timestamp;
    /// Emits a record.
    fn emit(&mut self, value: F::Out);
    /// The watermark that has been passed on to what follows. It is lower than [`watermark`](Self::watermark) while that makes
    /// timers or windows fire.
    fn output_watermark(&self) -> Timestamp;
    /// Emits a record with another timestamp. It must be after the [`output_watermark`](Self::output_watermark), so that the
    /// record is not late for what follows; otherwise nothing is emitted, and the error says so.
    fn emit_at(&mut self, time: Timestamp, value: F::Out) -> Result<(), LateTimestamp> {
        LateTimestamp::check(time, self.output_watermark())?;
        self.emit_late_at(time, value);
        Ok(())
    }
    /// Emits a record with any timestamp. If it is late, windows that follow drop it or send it to their side output of late
    /// records, and event-time timers for it fire at once.
    fn emit_late_at(&mut self, time: Timestamp, value: F::Out);
    /// Emits a record to a side output, as [`Context::emit_to`](crate::Context::emit_to) does.
    fn emit_to<T: 'static>(&mut self, tag: &OutputTag<T>, value: T);
}
