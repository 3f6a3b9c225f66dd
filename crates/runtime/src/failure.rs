//! Failures of a task: unwinding from the place where they occur, and catching at the edge of the task.
//!
//! Passing a record on returns no result, so that success costs nothing. A stage that fails unwinds, as a panic
//! in user code does, and the edge of the task catches both. The task takes no snapshot in between, so nothing
//! that the failed step did becomes visible.

use reflow_protocol::failure::{Failure, Fault};
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Ends the step with a failure of this operator, or of the whole task if `operator` is empty.
#[cold]
pub fn fail(fault: Fault, operator: &str, error: impl Display) -> ! {
    resume_unwind(Box::new(Failure { fault, operator: operator.to_owned(), message: error.to_string() }))
}

/// Runs a step of the task named `task`, and returns a failure or panic in it as an error.
pub fn catch<R>(task: &str, step: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|payload| match payload.downcast::<Failure>() {
        Ok(failure) if failure.operator.is_empty() => Failure { operator: task.to_owned(), ..*failure },
        Ok(failure) => *failure,
        Err(panic) => {
            let message = format!("panicked: {}", panic_text(&*panic));
            Failure { fault: Fault::User, operator: task.to_owned(), message }
        }
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not a text")
}
