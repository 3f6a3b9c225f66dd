//! What can go wrong with state.

use crate::TableId;
use reflow_types::KeyGroup;
use std::fmt;

/// A part of a table, for errors.
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

/// Why a snapshot or a restore failed.
///
/// `Encode`, `Incompatible`, `OtherSchema`, `TooLarge`, `Undecodable` and `HashChanged` are the job's: its types or sizes do not fit. All others are damage in
/// storage: another copy or an older checkpoint may be whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A key or value cannot be encoded.
    #[error("{site}: an entry cannot be encoded: {reason}")]
    Encode {
        /// Where.
        site: Site,
        /// Its type, and why.
        reason: String,
    },
    /// A savepoint has types that cannot become those of this build.
    #[error("{site}: the state was written by another build, whose types this one cannot read: {reason}")]
    Incompatible {
        /// Where.
        site: Site,
        /// The field, and both types.
        reason: String,
    },
    /// A checkpoint has other types. It has no schema by which they could be read.
    #[error(
        "{site}: the state was written with other types of key and value: only a savepoint can be read by a build whose types have changed"
    )]
    OtherSchema {
        /// Where.
        site: Site,
    },
    /// A segment holds more than a run can: an entry, or few entries, of gigabytes.
    #[error(
        "{site}: {bytes} bytes of state are above the limit of {limit}: split large values over several keys"
    )]
    TooLarge {
        /// Where.
        site: Site,
        /// Encoded, as far as was written.
        bytes: u64,
        /// What a run may have.
        limit: u64,
    },
    /// Bytes end within a block's header.
    #[error("table '{table}': the state is truncated: {bytes} bytes are too few for a block's header")]
    TruncatedHeader {
        /// The table that was being restored.
        table: String,
        /// What is left.
        bytes: usize,
    },
    /// Bytes end within a block's entries.
    #[error("{site}: the state is truncated: a block of {expected} bytes has only {found}")]
    Truncated {
        /// Where.
        site: Site,
        /// Bytes that the header announces.
        expected: u32,
        /// Bytes that are there.
        found: usize,
    },
    /// A block's checksum is wrong.
    #[error("{site}: the state is damaged: checksum {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Where, if the header can be believed.
        site: Site,
        /// As stored.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// A block of a kind that this release does not know.
    #[error("{site}: a block of unknown kind {kind}: the state was written by another release")]
    UnknownBlock {
        /// Where.
        site: Site,
        /// The kind's number.
        kind: u8,
    },
    /// A block of another table.
    #[error("{site}: the block belongs to table number {}, not {}", found.0, expected.0)]
    WrongTable {
        /// Where.
        site: Site,
        /// The table that was asked for.
        expected: TableId,
        /// The table in the block.
        found: TableId,
    },
    /// An entry does not decode to the table's types.
    #[error("{site}: entry {entry} does not fit '{field}': {reason}")]
    Undecodable {
        /// Where.
        site: Site,
        /// Its place in the block, from 0.
        entry: u32,
        /// `key` or `value`, with the field within it if known.
        field: String,
        /// The codec's words.
        reason: String,
    },
    /// A block holds more bytes than its entries take.
    #[error("{site}: {bytes} bytes follow the last entry of a block: the types have changed")]
    Excess {
        /// Where.
        site: Site,
        /// How many.
        bytes: usize,
    },
    /// A key hashes to another group than when it was written.
    #[error("{site}: the key of entry {entry} now hashes to key group {group}: its encoding has changed")]
    HashChanged {
        /// Where.
        site: Site,
        /// Its place in the block, from 0.
        entry: u32,
        /// The group that it hashes to now.
        group: KeyGroup,
    },
}
