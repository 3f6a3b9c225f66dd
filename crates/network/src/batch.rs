//! What a channel carries.

use bytes::Bytes;
use reflow_types::{CheckpointId, KeyHash, Timestamp};

/// How many records a batch holds at most.
pub const BATCH_ROWS: usize = 1024;

/// A record on its way: its key's hash (zero where there is no key), its time and itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<T> {
    /// Made once, by the sender of a keyed exchange.
    pub hash: KeyHash,
    /// Event time, or [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP).
    pub time: Timestamp,
    /// The record.
    pub value: T,
}

/// Records that travel together: 1 … [`BATCH_ROWS`].
pub type Batch<T> = Vec<Row<T>>;

/// What stands in a channel's queue.
#[derive(Debug)]
pub enum Element<T> {
    /// Records from this process.
    Batch {
        /// The records.
        rows: Batch<T>,
        /// About how many bytes they would take encoded, as the sender counted them against its credit.
        bytes: u64,
    },
    /// Records from another process, still encoded: the receiver's slot decodes them.
    Encoded {
        /// How many.
        count: u32,
        /// Written by [`codec::encode`](crate::codec::encode).
        bytes: Bytes,
    },
    /// No record with a lower timestamp follows, but for late ones.
    Watermark(Timestamp),
    /// Whether the sender is idle.
    Idle(bool),
    /// What follows belongs to the next checkpoint.
    Barrier {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// Behind it the sender says anew what its watermark is, and whether it is idle.
        resets: bool,
    },
    /// Nothing follows.
    End,
}

impl<T> Element<T> {
    /// How many records it holds.
    pub fn records(&self) -> u64 {
        match self {
            Self::Batch { rows, .. } => rows.len() as u64,
            Self::Encoded { count, .. } => u64::from(*count),
            Self::Watermark(_) | Self::Idle(_) | Self::Barrier { .. } | Self::End => 0,
        }
    }
}
