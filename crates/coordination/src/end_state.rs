//! The terminal states of a job.

use serde::{Deserialize, Serialize};

/// The terminal state of a job, with Flink's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndState {
    /// All inputs have ended and all output is committed, or it was stopped with a savepoint.
    Finished,
    /// A user has cancelled it.
    Canceled,
    /// The restart strategy has failed it, or a restart could not help.
    Failed,
    /// The JobManager was stopped; the next one resumes the job.
    Suspended,
}

impl EndState {
    /// Its name in Flink.
    pub fn as_str(self) -> &'static str {
        match self {
            EndState::Finished => "FINISHED",
            EndState::Canceled => "CANCELED",
            EndState::Failed => "FAILED",
            EndState::Suspended => "SUSPENDED",
        }
    }

    /// Whether the next JobManager starts another job. A failed job is resumed, because its state is kept.
    pub fn is_final(self) -> bool {
        matches!(self, EndState::Finished | EndState::Canceled)
    }
}
