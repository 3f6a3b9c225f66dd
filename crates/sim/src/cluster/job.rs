//! The job that a cluster runs.

use crate::check::Checker;
use crate::redone::TransactionText;
use crate::world::{Storage, System, Work};
use reflow_api::UserError;
use reflow_stream::StreamEnv;

/// A job, and what its output has to be.
pub trait SimulatedJob: Send + Sync {
    /// The job function, in a process that uses its time with `work`.
    ///
    /// # Errors
    /// Those of the job function.
    fn build(&self, env: &mut StreamEnv, work: &Work) -> Result<(), UserError>;

    /// Adds a part without input to the job, so that its graph is different.
    fn extend(&self, _env: &mut StreamEnv) {}

    /// The system outside the cluster that the job needs, with the name by which clients reach it.
    fn system(&self) -> Option<(&'static str, Box<dyn System>)> {
        None
    }

    /// How a checkpoint's transaction of a sink is shown as text, which contains the name of its file.
    fn transaction_text(&self) -> TransactionText {
        TransactionText::default()
    }

    /// Whether the output does not depend on event time, so that a job that was stopped with the last watermark can
    /// continue unchanged.
    fn is_timeless(&self) -> bool {
        false
    }

    /// Whether all records have been read but those that are held back ([`Probe::hold_end`](crate::Probe::hold_end)).
    fn is_at_its_end(&self) -> bool {
        false
    }

    /// Checks the output when the job has ended. With `or_less`, as for a cancelled job, some of it may be missing.
    fn judge(&self, checker: &mut Checker, storage: &Storage, or_less: bool);
}
