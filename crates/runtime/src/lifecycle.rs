//! The life cycle of a user function. It is opened when its task runs, notified of rescales, and closed once.
//! Between, it may emit records to side outputs.

use crate::failure::{OperatorName, catch};
use crate::stage::{Control, OpenContext, Refused};
use crate::wiring::Place;
use reflow_api::{OutputTag, RuntimeContext, UserError};
use reflow_protocol::failure::{Failure, Fault};
use reflow_types::Timestamp;

/// The state of a function's life cycle, and its context.
pub struct Lifecycle {
    operator: OperatorName,
    context: RuntimeContext,
    is_open: bool,
    /// The tags that the job does not take, each of which was logged.
    untaken: Vec<&'static str>,
}

impl Lifecycle {
    /// The life cycle of a function that is not open yet.
    pub fn new(operator: OperatorName) -> Self {
        let context = RuntimeContext::new(&operator.name, &operator.uid);
        Self { operator, context, is_open: false, untaken: Vec::new() }
    }

    /// The context that the function gets.
    #[inline]
    pub fn context(&self) -> &RuntimeContext {
        &self.context
    }

    /// Sets the context, in [`Control::open`].
    pub fn set(&mut self, context: &OpenContext<'_>) {
        let Place { index, parallelism } = context.place;
        self.context = RuntimeContext::new(&self.operator.name, &self.operator.uid)
            .with_place(index.0, parallelism)
            .with_max_parallelism(context.max_parallelism.get())
            .with_attempt_number(context.attempt.number.0)
            .with_job_parameters(context.parameters.clone())
            .with_metrics(context.metrics);
    }

    /// Fails in the name of the operator.
    #[cold]
    pub fn fail(&self, fault: Fault, message: &str) -> ! {
        crate::fail(fault, &self.operator.to_string(), message)
    }

    /// Restores the function, in [`Control::start`] before it is opened, or takes its snapshot.
    pub fn keep(&self, call: impl FnOnce() -> Result<(), UserError>) {
        self.check(|_| call());
    }

    /// The operator's uid.
    pub fn uid(&self) -> &str {
        &self.operator.uid
    }

    /// Opens the function, in [`Control::start`].
    pub fn open(&mut self, open: impl FnOnce(&RuntimeContext) -> Result<(), UserError>) {
        self.is_open = true;
        self.check(open);
    }

    /// Calls the function if the context has changed, in [`Control::rescaled`].
    pub fn rescaled(
        &mut self,
        place: Place,
        rescaled: impl FnOnce(&RuntimeContext) -> Result<(), UserError>,
    ) {
        let next = self.context.clone().with_place(place.index.0, place.parallelism);
        if next != self.context {
            self.context = next;
            self.check(rescaled);
        }
    }

    /// Calls the function because one of its inputs has ended, in [`Control::input_ended`].
    pub fn input_ended(&mut self, call: impl FnOnce(&RuntimeContext) -> Result<(), UserError>) {
        self.check(call);
    }

    /// Closes the function if it is open, in [`Control::close`].
    pub fn close(&mut self, failures: &mut Vec<Failure>, close: impl FnOnce() -> Result<(), UserError>) {
        if std::mem::take(&mut self.is_open) {
            let operator = self.operator.to_string();
            failures.extend(catch(&operator, || self.check(|_| close())).err());
        }
    }

    /// Sends a record of the function to a side output. If the job does not take it, logs that, once.
    #[inline]
    pub fn emit_to<T: 'static>(
        &mut self,
        next: &mut impl Control,
        tag: &OutputTag<T>,
        value: T,
        time: Timestamp,
    ) {
        if let Err(refused) = next.emit_to(tag, value, time) {
            self.refused(tag.name(), refused, std::any::type_name::<T>());
        }
    }

    #[cold]
    fn refused(&mut self, tag: &'static str, refused: Refused, emitted: &str) {
        match refused {
            Refused::NotTaken if self.untaken.contains(&tag) => {}
            Refused::NotTaken => {
                self.untaken.push(tag);
                tracing::warn!(
                    operator = %self.operator, subtask = self.context.subtask_index(),
                    "drops the records of its side output '{tag}': the job does not take it by `side_output`"
                );
            }
            Refused::TakenAs(taken) => self.operator.fail(
                Fault::Permanent,
                &*UserError::from(format!(
                    "it emits records of type {emitted} to its side output '{tag}', which the job takes as records \
                     of type {taken}"
                )),
            ),
        }
    }

    fn check(&self, call: impl FnOnce(&RuntimeContext) -> Result<(), UserError>) {
        if let Err(error) = call(&self.context) {
            self.operator.fail(Fault::User, &*error);
        }
    }
}
