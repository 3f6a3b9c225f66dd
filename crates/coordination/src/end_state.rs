//! The terminal states of a job.

use serde::{Deserialize, Serialize};

/// How a job has ended, in Flink's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndState {
    /// All inputs have ended and all output is committed, or it was stopped with a savepoint.
    Finished,
    /// By a user.
    Canceled,
    /// The restart strategy gave up, or a restart could not help.
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

    /// Whether the next JobManager begins another job. A job that failed is resumed, as it lost nothing.
    pub fn is_final(self) -> bool {
        matches!(self, EndState::Finished | EndState::Canceled)
    }
}
