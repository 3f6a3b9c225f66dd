//! Why a task failed.

use serde::{Deserialize, Serialize};

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault it is.
    pub fault: Fault,
    /// The operator's name.
    pub operator: String,
    /// What was said; several lines for a panic with its place.
    pub message: String,
}

/// Whose fault a failure is; decides what happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The user's code panicked or returned an error: the restart strategy decides.
    User,
    /// An outside system failed: the restart strategy decides.
    External,
    /// The executor has reached its memory limit, and ends: the restart strategy decides. Happens it again and again on
    /// one TaskManager, its slots count only after a while.
    Memory,
    /// A connection to another executor broke: the restart strategy decides.
    Connection,
    /// Reflow's own state or protocol is broken: the restart strategy decides.
    Engine,
    /// A restart cannot help (a savepoint that does not fit): the job fails.
    Permanent,
    /// State in storage is damaged or gone, and was read again before this was said: the job goes on from an older
    /// checkpoint, or asks its user first.
    Damage,
}
