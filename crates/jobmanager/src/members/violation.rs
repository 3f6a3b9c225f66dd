//! Reasons for which a member's connection is closed.

use reflow_protocol::ProtocolError;
use reflow_types::ExecutorId;

/// The reason for which a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProtocolViolation {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("{0}")]
    Refused(String),
    #[error("it registered under another id than its hello had")]
    Inconsistent,
    /// Its TaskManager has not registered yet, or it belongs to another leader. It tries again.
    #[error("task executor {0} is not known")]
    UnknownExecutor(ExecutorId),
    #[error("it registered twice")]
    RegisteredTwice,
    #[error(
        "it is a task executor that requests records: those come from executors, not from the JobManager"
    )]
    Receiver,
}
