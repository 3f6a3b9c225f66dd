//! Errors of connectors.

use reflow_env::{CallError, Location, StoreError};

/// A connector's failure. The runtime adds the operator and the subtask.
///
/// ```
/// use reflow_connectors::ConnectorError;
/// use reflow_connectors::error::MalformedRecord;
///
/// /// Whether reading again can help.
/// fn may_pass(error: &(dyn std::error::Error + 'static)) -> bool {
///     match error.downcast_ref::<ConnectorError>() {
///         Some(ConnectorError::Malformed(record)) => {
///             let MalformedRecord { at, offset, reason, .. } = &**record;
///             eprintln!("mend {at} at byte {offset}: {reason}");
///             false
///         }
///         Some(ConnectorError::LongLine { .. }) => false,
///         _ => true,
///     }
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// Output could not be printed.
    #[error("cannot print to {target} of the process that runs this subtask: {source}")]
    Print {
        /// Standard output or standard error.
        target: &'static str,
        /// The reason.
        source: std::io::Error,
    },
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
        /// The reason.
        source: StoreError,
    },
    /// A file source has nothing to read.
    #[error("there is no file {0}, and no directory {0} with files in it")]
    Missing(Location),
    /// A file source has a directory in which it ignores every file.
    #[error("there is nothing to read in {0}: the names of all its files begin with '.' or '_'")]
    AllIgnored(Location),
    /// The files to read could not be listed.
    #[error("cannot list the files in {at}: {source}")]
    List {
        /// The directory.
        at: Location,
        /// The reason.
        source: StoreError,
    },
    /// A file could not be read.
    #[error("cannot read {at} at byte {offset}: {source}")]
    Read {
        /// The file.
        at: Location,
        /// The offset of the read.
        offset: u64,
        /// The reason.
        source: StoreError,
    },
    /// A file was deleted or became shorter after it was found.
    #[error(
        "cannot read {at} at byte {offset}: {source}. The file was deleted or became shorter after it was found: restore it, or use on_malformed(Malformed::Skip) to skip the rest of it"
    )]
    Gone {
        /// The file.
        at: Location,
        /// The offset of the read.
        offset: u64,
        /// The error of the read.
        source: StoreError,
    },
    /// A connection to a socket cannot be opened, or is lost.
    #[error(
        "cannot read from a socket, tried {tries} times: {error}; start what listens there, or use reconnect(times, pause) to wait for it"
    )]
    Socket {
        /// How often it was tried.
        tries: u32,
        /// The last error.
        error: CallError,
    },
    /// A line from a socket is too long.
    #[error("a line from {address} has more than {most} bytes: is it text? If so, set max_line_bytes")]
    LongLine {
        /// The address.
        address: String,
        /// The longest line.
        most: usize,
    },
    /// A record cannot be decoded.
    #[error("{0}")]
    Malformed(Box<MalformedRecord>),
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {reason}", place = place(at, *line, *offset))]
pub struct MalformedRecord {
    /// The file.
    pub at: Location,
    /// The line, from 1 on, on which the record begins; unknown if the file is read in several parts.
    pub line: Option<u64>,
    /// The byte at which the record begins.
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The text for a position in a file.
pub(crate) fn place(at: &Location, line: Option<u64>, offset: u64) -> String {
    let line = line.map(|line| format!("line {line}, ")).unwrap_or_default();
    format!("{at}, {line}byte {offset}")
}
