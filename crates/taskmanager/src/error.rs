//! Reasons for which a TaskManager exits.

use std::time::Duration;

/// The reason for which a TaskManager exits with code 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TaskManagerError {
    /// No JobManager has registered it.
    #[error(
        "no JobManager at {address} for {} s (last: {last}): check that it runs, jobmanager.rpc.address and \
         jobmanager.rpc.port here, and jobmanager.bind-host there", timeout.as_secs_f64()
    )]
    Unreachable {
        /// The address of the JobManager.
        address: String,
        /// `taskmanager.registration.timeout`.
        timeout: Duration,
        /// The outcome of the last attempt.
        last: String,
    },
    /// The JobManager refuses it.
    #[error("the JobManager at {address} refuses this TaskManager: {reason}")]
    Refused {
        /// The address of the JobManager.
        address: String,
        /// The reason that the JobManager gives.
        reason: String,
    },
    /// It cannot use the checkpoint storage.
    #[error("this machine does not see the storage of the job's checkpoints: {reason}")]
    StorageUnseen {
        /// The reason, and what to do.
        reason: String,
    },
}
