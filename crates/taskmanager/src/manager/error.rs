//! Reasons for which a TaskManager exits.

use std::time::Duration;

/// Why a TaskManager gives up; its exit code is 1 then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskManagerError {
    /// No JobManager took it in.
    #[error(
        "no JobManager at {address} for {} s (last: {last}): check that it runs, jobmanager.rpc.address and \
         jobmanager.rpc.port here, and jobmanager.bind-host there", timeout.as_secs_f64()
    )]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// `taskmanager.registration.timeout`.
        timeout: Duration,
        /// What came of the last attempt.
        last: String,
    },
    /// The JobManager does not want it.
    #[error("the JobManager at {address} refuses this TaskManager: {reason}")]
    Refused {
        /// Where the JobManager is.
        address: String,
        /// In its words.
        reason: String,
    },
    /// It could not take part in checkpoints.
    #[error("this machine does not see the storage of the job's checkpoints: {reason}")]
    StorageUnseen {
        /// Why, and what to do.
        reason: String,
    },
}
