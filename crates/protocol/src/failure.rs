//! Why a task failed.

use serde::{Deserialize, Serialize};

/// Why a task failed.
///
/// ```
/// # mod reflow { pub mod testing { pub use reflow_protocol::failure::*; } }
/// use reflow::testing::Failure;
///
/// /// Whether it is the failure that a test expects.
/// fn is_expected(failure: &Failure) -> bool {
///     failure.operator.starts_with("Parse") && failure.message.contains("invalid digit")
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The origin of the failure.
    pub fault: Fault,
    /// The operator's name and uid, or the vertex's name.
    pub operator: String,
    /// The error's text with its sources. For a panic it includes the location, and ends with the backtrace.
    pub message: String,
}

/// Stands between a panic's message and its backtrace.
const BACKTRACE: &str = "\nstack backtrace:\n";

impl Failure {
    /// Appends the backtrace of a panic.
    #[doc(hidden)]
    #[must_use]
    pub fn with_backtrace(mut self, backtrace: &str) -> Self {
        self.message.push_str(BACKTRACE);
        self.message.push_str(backtrace);
        self
    }

    /// Adds to the message, before the backtrace.
    #[doc(hidden)]
    pub fn add_note(&mut self, note: &str) {
        self.message.insert_str(without_backtrace(&self.message).len(), note);
    }
}

/// A failure's message without the backtrace, where only the reason is shown.
#[must_use]
pub fn without_backtrace(message: &str) -> &str {
    message.split_once(BACKTRACE).map_or(message, |(reason, _)| reason)
}

/// The origin of a failure, which determines the reaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The user's code panicked or returned an error. The restart strategy decides.
    User,
    /// An external system failed. The restart strategy decides.
    External,
    /// The executor has reached its memory limit and exits. The restart strategy decides. If this happens
    /// repeatedly on one TaskManager, its slots are used again only after a delay.
    Memory,
    /// A connection to another executor broke. The restart strategy decides.
    Connection,
    /// An invariant of Reflow is violated. The restart strategy decides.
    Engine,
    /// A restart cannot help, for example because a savepoint does not fit the job. The job fails.
    Permanent,
    /// State in storage is damaged or missing, also when it was read a second time. The job resumes from an older
    /// checkpoint, or fails and asks the user first.
    Damage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stands_before_the_backtrace() {
        let (fault, operator) = (Fault::User, "Map".to_owned());
        let mut failure = Failure { fault, operator, message: "no twos".to_owned() };
        assert_eq!(without_backtrace(&failure.message), "no twos");
        failure = failure.with_backtrace("at main");
        failure.add_note(" (record 1)");
        assert_eq!(failure.message, "no twos (record 1)\nstack backtrace:\nat main");
        assert_eq!(without_backtrace(&failure.message), "no twos (record 1)");
    }
}
