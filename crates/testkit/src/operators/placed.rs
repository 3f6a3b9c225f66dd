//! Functions that fail unless they are opened, closed and told each change of their place, as they should be.

use super::{DELETING, Reading, TIMERS_MS};
use reflow_api::{
    Context, ProcessFunction, RuntimeContext, TimeDomain, UnkeyedContext, UnkeyedProcessFunction, UserError,
};
use reflow_types::Timestamp;

/// The last context that a function has got.
#[derive(Clone, Default)]
pub(super) struct Placement(Option<RuntimeContext>);

impl Placement {
    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        match self.0.replace(context.clone()) {
            Some(context) => Err(format!("it was opened before, as {context:?}").into()),
            None => Ok(()),
        }
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.close()?;
        self.open(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.take().map(drop).ok_or_else(|| "it is not open".into())
    }

    /// Fails unless the function was notified of each change.
    fn check(&self, current: &RuntimeContext) -> Result<(), UserError> {
        let is_current = self.0.as_ref() == Some(current);
        if is_current && current.subtask_index() < current.parallelism() {
            return Ok(());
        }
        Err(format!("it was last told {:?}, and is {current:?}", self.0).into())
    }
}

/// Emits each record, but none that is late.
#[derive(Clone, Default)]
pub(super) struct PassOn(Placement);

impl UnkeyedProcessFunction for PassOn {
    type In = Reading;
    type Out = Reading;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.close()
    }

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<Reading>,
        reading: Reading,
    ) -> Result<(), UserError> {
        self.0.check(context.runtime())?;
        if context.timestamp() != reading.time {
            return Err(format!("{reading:?} came with the time {}", context.timestamp()).into());
        }
        if context.watermark() < reading.time {
            context.emit(reading);
        }
        Ok(())
    }
}

/// Sets two timers for each record, deletes the first of some, and forgets everything at every ninth record.
#[derive(Clone, Default)]
pub(super) struct Delayed(Placement);

impl ProcessFunction for Delayed {
    type Key = (u64, u64);
    type In = Reading;
    type Out = String;
    type State = i64;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.open(context)
    }

    fn rescaled(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.0.rescaled(context)
    }

    fn close(&mut self) -> Result<(), UserError> {
        self.0.close()
    }

    fn process(
        &mut self,
        context: &mut impl Context<(u64, u64), i64, String>,
        reading: Reading,
    ) -> Result<(), UserError> {
        self.0.check(context.runtime())?;
        if context.timestamp() != reading.time {
            return Err(format!("{reading:?} came with the time {}", context.timestamp()).into());
        }
        *context.state_mut() += 1;
        for after in TIMERS_MS {
            context.register_timer(TimeDomain::Event, reading.time + after);
        }
        if reading.value % DELETING == 0 {
            context.delete_timer(TimeDomain::Event, reading.time + TIMERS_MS[0]);
        }
        if context.state() == Some(&9) {
            context.clear_state();
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<(u64, u64), i64, String>,
        time: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        self.0.check(context.runtime())?;
        let (split, key) = *context.key();
        context.emit(format!("{key} of {split} at {time}"));
        Ok(())
    }
}
