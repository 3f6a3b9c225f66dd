//! The errors of snapshots and restores.

use crate::TableId;
use reflow_types::KeyGroup;
use std::fmt;

/// A part of a table, which errors name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The table's name.
    pub table: String,
    /// The first key group concerned.
    pub first: KeyGroup,
    /// The last one.
    pub last: KeyGroup,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, first, last } = self;
        if first == last {
            write!(f, "table '{table}', key group {first}")
        } else {
            write!(f, "table '{table}', key groups {first} to {last}")
        }
    }
}

/// The error of a snapshot or a restore.
///
/// `Encode`, `Incompatible`, `OtherSchema`, `TooLarge`, `Undecodable` and `HashChanged` are faults of the job,
/// whose types or sizes do not fit. All other errors are damage in storage, so another copy or an older
/// checkpoint may be intact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A key or value cannot be encoded.
    #[error("{site}: an entry cannot be encoded: {reason}")]
    Encode {
        site: Site,
        /// The type, and the error.
        reason: String,
    },
    /// The types of a savepoint cannot be translated into those of this build.
    #[error("{site}: the state was written by another build, whose types this one cannot read: {reason}")]
    Incompatible {
        site: Site,
        /// The field, and both types.
        reason: String,
    },
    /// A checkpoint has other types, and contains no schema from which they could be translated.
    #[error(
        "{site}: the state was written with other types of key and value: only a savepoint can be read by a build whose types have changed"
    )]
    OtherSchema { site: Site },
    /// A segment exceeds the maximum length of a run, because some entries are gigabytes long.
    #[error(
        "{site}: {bytes} bytes of state are above the limit of {limit}: split large values over several keys"
    )]
    TooLarge {
        site: Site,
        /// The number of encoded bytes so far.
        bytes: u64,
        /// The maximum length of a run in bytes.
        limit: u64,
    },
    /// The bytes end within a block's header.
    #[error("table '{table}': the state is truncated: {bytes} bytes are too few for a block's header")]
    TruncatedHeader {
        /// The table that was being restored.
        table: String,
        /// The bytes that are left.
        bytes: usize,
    },
    /// The bytes end within a block's entries.
    #[error("{site}: the state is truncated: a block of {expected} bytes has only {found}")]
    Truncated {
        site: Site,
        /// The bytes that the header announces.
        expected: u32,
        /// The bytes that are left.
        found: usize,
    },
    /// A block's checksum is wrong.
    #[error("{site}: the state is damaged: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// As the header names it, which may be damaged.
        site: Site,
        /// The stored checksum.
        expected: u32,
        /// The checksum of the stored bytes.
        found: u32,
    },
    /// A block of a kind that this release does not know.
    #[error("{site}: a block of unknown kind {kind}: the state was written by another release")]
    UnknownBlock { site: Site, kind: u8 },
    /// A block of another table.
    #[error("{site}: the block belongs to table number {}, not {}", found.0, expected.0)]
    WrongTable {
        site: Site,
        /// The table that is being restored.
        expected: TableId,
        /// The table in the block.
        found: TableId,
    },
    /// An entry does not decode to the table's types.
    #[error("{site}: '{field}' of entry {entry} cannot be decoded: {reason}")]
    Undecodable {
        site: Site,
        /// The index of the entry in the block, from 0.
        entry: u32,
        /// `key` or `value`, with the field within it if known.
        field: String,
        /// The codec's message.
        reason: String,
    },
    /// A block has bytes behind its last entry.
    #[error("{site}: {bytes} bytes follow the last entry of a block: the types have changed")]
    Excess { site: Site, bytes: usize },
    /// A key hashes to another group than when it was written.
    #[error("{site}: the key of entry {entry} now hashes to key group {group}: its encoding has changed")]
    HashChanged {
        site: Site,
        /// The index of the entry in the block, from 0.
        entry: u32,
        /// The group that it hashes to now.
        group: KeyGroup,
    },
}
