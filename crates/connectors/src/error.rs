//! What connectors fail with.

use reflow_env::{Location, StoreError};

/// A connector's failure. The runtime adds the operator and the subtask.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// Output could not be printed.
    #[error("cannot print: {0}")]
    Print(#[source] std::io::Error),
    /// A transaction from a checkpoint is not one that this sink has prepared.
    #[error(
        "cannot read a transaction of the sink from the checkpoint: {0}; was the sink replaced by another under the same uid?"
    )]
    Transaction(String),
    /// A part of an output file could not be stored.
    #[error("cannot write {at}: {source}")]
    Write {
        /// The file.
        at: Location,
        /// Why.
        source: StoreError,
    },
}
