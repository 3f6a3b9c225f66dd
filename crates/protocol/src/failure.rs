//! Why a task failed.

use serde::{Deserialize, Serialize};

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The origin of the failure.
    pub fault: Fault,
    /// The operator's name.
    pub operator: String,
    /// The error's text. For a panic it has several lines and includes the location.
    pub message: String,
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
