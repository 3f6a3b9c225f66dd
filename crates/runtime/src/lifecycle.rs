//! The life cycle of a user function. It is opened when its task runs, notified of rescales, and closed once.

use crate::failure::{OperatorName, catch};
use crate::stage::OpenContext;
use crate::wiring::Place;
use reflow_api::{RuntimeContext, UserError};
use reflow_protocol::failure::{Failure, Fault};

/// The state of a function's life cycle, and its context.
pub struct Lifecycle {
    operator: OperatorName,
    context: RuntimeContext,
    is_open: bool,
}

impl Lifecycle {
    /// The life cycle of a function that is not open yet.
    pub fn new(operator: OperatorName) -> Self {
        let context = RuntimeContext::new(&operator.name, &operator.uid);
        Self { operator, context, is_open: false }
    }

    /// The context that the function gets.
    #[inline]
    pub fn context(&self) -> &RuntimeContext {
        &self.context
    }

    /// Sets the context, in [`Control::open`](crate::Control::open).
    pub fn set(&mut self, context: &OpenContext<'_>) {
        let Place { index, parallelism } = context.place;
        self.context = RuntimeContext::new(&self.operator.name, &self.operator.uid)
            .with_place(index.0, parallelism)
            .with_max_parallelism(context.max_parallelism.get())
            .with_attempt_number(context.attempt.number.0);
    }

    /// Opens the function, in [`Control::start`](crate::Control::start).
    pub fn open(&mut self, open: impl FnOnce(&RuntimeContext) -> Result<(), UserError>) {
        self.is_open = true;
        self.check(open);
    }

    /// Calls the function if the context has changed, in [`Control::rescaled`](crate::Control::rescaled).
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

    /// Closes the function if it is open, in [`Control::close`](crate::Control::close).
    pub fn close(&mut self, failures: &mut Vec<Failure>, close: impl FnOnce() -> Result<(), UserError>) {
        if std::mem::take(&mut self.is_open) {
            let operator = self.operator.to_string();
            failures.extend(catch(&operator, || self.check(|_| close())).err());
        }
    }

    fn check(&self, call: impl FnOnce(&RuntimeContext) -> Result<(), UserError>) {
        if let Err(error) = call(&self.context) {
            self.operator.fail(Fault::User, &*error);
        }
    }
}
