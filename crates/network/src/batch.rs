//! The elements of a channel: batches of records, and the watermarks, idleness signals, barriers and end between
//! them.

use bytes::Bytes;
use reflow_protocol::data::LatencyMarker;
use reflow_types::{CheckpointId, KeyHash, Timestamp};

/// The most records of a batch of a task's input or output.
pub const BATCH_ROWS: usize = 1024;

/// A record of a batch, with its timestamp and the hash of its key; the hash is zero on edges without a key.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// Computed once, by the sender of a keyed exchange. The receiver uses it for its table look-up.
    pub hash: KeyHash,
    /// Event time, or [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP).
    pub time: Timestamp,
    /// The record.
    pub value: T,
}

/// Records that travel together: at least one, at most [`BATCH_ROWS`].
pub type Batch<T> = Vec<Row<T>>;

/// An element of a channel's queue.
#[derive(Debug)]
pub enum Element<T> {
    /// Records from a sender in this process.
    Batch {
        /// The records.
        rows: Batch<T>,
        /// About how many bytes they would take encoded, as the sender counted them against its credit.
        bytes: u64,
    },
    /// Records from another process, still encoded. The receiver's slot decodes them, not the thread of the
    /// connection.
    Encoded {
        /// The number of records.
        count: u32,
        /// Written by [`codec::encode`](crate::codec::encode).
        bytes: Bytes,
    },
    /// No record with a lower timestamp follows, except late ones.
    Watermark(Timestamp),
    /// Whether the sender is idle.
    Idle(bool),
    /// The elements before it belong to this checkpoint, those behind it to the next.
    Barrier {
        checkpoint: CheckpointId,
        /// Whether the sender's watermark and idleness end here: behind the barrier it sends new ones, which may
        /// be lower.
        resets: bool,
    },
    /// The sender has ended; nothing follows.
    End,
    /// Is as late as the records around it.
    LatencyMarker(LatencyMarker),
}

impl<T> Element<T> {
    /// The number of records in it.
    pub fn records(&self) -> u64 {
        match self {
            Self::Batch { rows, .. } => rows.len() as u64,
            Self::Encoded { count, .. } => u64::from(*count),
            Self::Watermark(_)
            | Self::Idle(_)
            | Self::Barrier { .. }
            | Self::End
            | Self::LatencyMarker(_) => 0,
        }
    }
}
