//! The handling of errors that a user function returns for a record.

use crate::failure::{OperatorName, with_sources};
use crate::stage::Control;
use reflow_api::{CallError, Failed, OnError, OutputTag, UserError};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::Fault;
use reflow_types::{Data, Instant, Timestamp};
use std::time::Duration;

/// The least time between two log lines about skipped records of an operator.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Fails the task, or skips and counts records.
pub struct ErrorHandler {
    operator: OperatorName,
    policy: OnError,
    skipped: u64,
    now: Instant,
    last_logged: Option<Instant>,
}

impl ErrorHandler {
    /// The handler of an operator with this policy.
    pub fn new(operator: OperatorName, policy: OnError) -> Self {
        Self { operator, policy, skipped: 0, now: Instant::default(), last_logged: None }
    }

    /// Handles an error that the operator's function has returned for a record or a timer.
    #[cold]
    #[inline(never)]
    pub fn on_error(&mut self, error: &UserError) {
        match self.policy {
            OnError::Fail => self.fail(error),
            OnError::Skip => self.skip(error),
        }
    }

    /// Handles an error that cannot be skipped.
    #[cold]
    pub fn fail(&self, error: &UserError) -> ! {
        let fault = if error.is::<CallError>() { Fault::External } else { Fault::User };
        self.operator.fail(fault, &**error)
    }

    fn skip(&mut self, error: &UserError) {
        self.skipped += 1;
        if self.last_logged.is_none_or(|last| self.now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(self.now);
            let (operator, skipped, error) = (&self.operator, self.skipped, with_sources(&**error));
            tracing::warn!(%operator, skipped, "skipped a record: {error}");
        }
    }

    /// Sets the time of log lines, in [`Control::tick`].
    pub fn tick(&mut self, now: Instant) {
        self.now = now;
    }

    /// Adds the counter of skipped records, in [`Control::count`].
    pub fn count(&self, metrics: &mut SubtaskMetrics) {
        metrics.skipped_records += self.skipped;
    }
}

impl AsRef<Self> for ErrorHandler {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl AsMut<Self> for ErrorHandler {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// What becomes of a record of type `T` for which a function returns an error.
pub trait OnFailure<T>: From<ErrorHandler> + AsRef<ErrorHandler> + AsMut<ErrorHandler> + Send {
    /// What is kept of a record while the function has it.
    type Kept;
    /// Called before the function.
    fn keep(&self, record: &T) -> Self::Kept;
    /// Called if the function has returned an error. `next` is the stage behind the function's.
    fn failed(&mut self, kept: Self::Kept, error: &UserError, time: Timestamp, next: &mut impl Control);
}

/// The record is lost: the attempt fails, or the record is skipped.
impl<T> OnFailure<T> for ErrorHandler {
    type Kept = ();
    #[inline]
    fn keep(&self, _: &T) {}
    #[inline]
    fn failed(&mut self, (): (), error: &UserError, _: Timestamp, _: &mut impl Control) {
        self.on_error(error);
    }
}

/// Sends a copy of the record, with the error, to the side output of [`errors_tag`].
pub struct SendErrors(ErrorHandler);

/// The tag of records for which an operator's function returns an error.
pub const fn errors_tag<T>() -> OutputTag<Failed<T>> {
    OutputTag::new("errors")
}

impl From<ErrorHandler> for SendErrors {
    fn from(handler: ErrorHandler) -> Self {
        Self(handler)
    }
}

impl AsRef<ErrorHandler> for SendErrors {
    fn as_ref(&self) -> &ErrorHandler {
        &self.0
    }
}

impl AsMut<ErrorHandler> for SendErrors {
    fn as_mut(&mut self) -> &mut ErrorHandler {
        &mut self.0
    }
}

impl<T: Data + Clone> OnFailure<T> for SendErrors {
    type Kept = T;
    #[inline]
    fn keep(&self, record: &T) -> T {
        record.clone()
    }
    #[cold]
    fn failed(&mut self, record: T, error: &UserError, time: Timestamp, next: &mut impl Control) {
        self.0.skipped += 1;
        let failed = Failed { record, error: with_sources(&**error) };
        next.emit_to(&errors_tag(), failed, time).expect("who sets this handler takes the output");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skipped_record_counts_and_few_are_logged() {
        let operator = OperatorName { name: "Parse".into(), uid: "parse".into() };
        let mut handler = ErrorHandler::new(operator, OnError::Skip);
        let mut logged = 0;
        for second in 0..25 {
            let before = handler.last_logged;
            handler.tick(Instant::from_millis(second * 1_000));
            handler.on_error(&"not a number".into());
            logged += u32::from(handler.last_logged != before);
        }
        let mut metrics = SubtaskMetrics { skipped_records: 5, ..Default::default() };
        handler.count(&mut metrics);
        assert_eq!((metrics.skipped_records, logged), (30, 3));
    }
}
