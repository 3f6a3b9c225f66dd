//! Failures of a task: unwinding from the place where they occur, and catching at the edge of the task.
//!
//! Passing a record on returns no result, so that success costs nothing. A stage that fails unwinds, as a panic
//! in user code does, and the edge of the task catches both. The task takes no snapshot in between, so nothing
//! that the failed step did becomes visible.

mod panic;

use reflow_protocol::failure::{Failure, Fault};
use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The longest text of an error, because it may contain a record of any length.
const MAX_TEXT: usize = 16 << 10;

/// An operator, as errors name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorName {
    /// The name that users see.
    pub name: String,
    /// Identifies its state in savepoints.
    pub uid: String,
}

impl OperatorName {
    /// Ends the step with a failure of this operator, whose text is that of the error and its sources.
    #[cold]
    pub fn fail(&self, fault: Fault, error: &(dyn Error + 'static)) -> ! {
        fail(fault, &self.to_string(), with_sources(error))
    }
}

impl Display for OperatorName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (uid {})", self.name, self.uid)
    }
}

/// Ends the step with a failure of this operator, or of the whole task if `operator` is empty.
#[cold]
pub fn fail(fault: Fault, operator: &str, error: impl Display) -> ! {
    let message = bounded(error.to_string());
    resume_unwind(Box::new(Failure { fault, operator: operator.to_owned(), message }))
}

/// Runs a step of the task named `task`, and returns a failure or panic in it as an error.
pub fn catch<R>(task: &str, step: impl FnOnce() -> R) -> Result<R, Failure> {
    let watched = panic::watch();
    catch_unwind(AssertUnwindSafe(step)).map_err(|payload| match payload.downcast::<Failure>() {
        Ok(failure) if failure.operator.is_empty() => Failure { operator: task.to_owned(), ..*failure },
        Ok(failure) => *failure,
        Err(payload) => watched.failure(task, &*payload),
    })
}

/// Logs a failure that is not reported, because the task ends for another reason.
pub(crate) fn log_unreported(failure: &Failure) {
    let Failure { operator, message, .. } = failure;
    tracing::warn!(operator, "failed while its task ended: {message}");
}

/// The text of an error and its sources, in one line. A source whose text is part of the error's is not repeated.
pub fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_TEXT {
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(&'static str, Option<Box<Wrapped>>);

    impl Display for Wrapped {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    #[test]
    fn sources_are_named_once() {
        let root = Wrapped("connection refused", None);
        let middle = Wrapped("GET /users/7: connection refused", Some(Box::new(root)));
        let outer = Wrapped("cannot enrich user 7", Some(Box::new(middle)));
        assert_eq!(with_sources(&outer), "cannot enrich user 7: GET /users/7: connection refused");
    }

    #[test]
    fn an_operator_is_named_with_its_uid_and_a_long_error_is_cut() {
        let operator = OperatorName { name: "Enrich".into(), uid: "enrich-1".into() };
        let long: Box<dyn Error> = "ä".repeat(MAX_TEXT).into();
        let failure = catch("task", || operator.fail(Fault::User, &*long)).unwrap_err();
        assert_eq!(failure.operator, "Enrich (uid enrich-1)");
        assert!(failure.message.len() <= MAX_TEXT + "…".len() && failure.message.ends_with("ä…"));
    }

    #[test]
    fn a_panic_names_its_place_and_the_callers_up_to_the_task() {
        #[inline(never)]
        fn faulty_user_function(index: usize) -> u8 {
            [1, 2, 3][std::hint::black_box(index)]
        }
        let failure = catch("task", || faulty_user_function(5)).unwrap_err();
        let (first, backtrace) = failure.message.split_once("\nstack backtrace:\n").unwrap();
        assert!(first.starts_with("panicked at crates/runtime/src/failure.rs:"), "{first}");
        assert!(first.ends_with("the len is 3 but the index is 5"), "{first}");
        assert!(backtrace.contains("faulty_user_function"), "{backtrace}");
        assert!(backtrace.lines().count() < 8, "{backtrace}");
        assert!(!backtrace.contains("panic_bounds_check") && !backtrace.contains("catch"), "{backtrace}");
        assert_eq!((failure.fault, failure.operator.as_str()), (Fault::User, "task"));
    }

    #[test]
    fn an_inner_panic_that_was_caught_is_not_taken_for_a_later_one() {
        let failed: Result<(), Failure> = catch("task", || {
            catch_unwind(|| panic!("caught by the user")).unwrap_err();
            resume_unwind(Box::new("without a place"))
        });
        assert_eq!(failed.unwrap_err().message, "panicked: without a place");
    }
}
