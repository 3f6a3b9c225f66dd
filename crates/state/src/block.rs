//! Blocks, of which the byte stream of a snapshot consists.
//!
//! ```text
//! kind u8 | table u16 | max parallelism − 1 u16 | first group u16 | last group u16 | fingerprint u64
//!         | entries u32 | bytes u32 | crc32 u32 | entries …            all little-endian
//! ```
//!
//! The checksum covers header and entries. `kind` is puts, tombstones, or the schema of the blocks that follow.
//! The fingerprint is that of the schema. A block contains entries of one segment, that is of the groups `first …
//! last`. The group of an entry is computed from its key.

use crate::TableId;
use crate::error::{Site, StateError};
use reflow_types::data::Fingerprint;
use reflow_types::{KeyGroup, MaxParallelism};

/// The length of a block's header.
pub(crate) const HEADER: usize = 29;

const CRC_AT: usize = 25;

/// What a block contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys with their values.
    Puts,
    /// Keys that were removed.
    Tombstones,
    /// The schema of the entries in later blocks, without entries.
    Schema,
}

/// The numbers of the kinds. Earlier releases used 1 to 4.
const KINDS: [(u8, Kind); 3] = [(5, Kind::Puts), (6, Kind::Tombstones), (7, Kind::Schema)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) table: TableId,
    pub(crate) max: MaxParallelism,
    pub(crate) groups: (KeyGroup, KeyGroup),
    /// The fingerprint of the entries' schema.
    pub(crate) fingerprint: Fingerprint,
    pub(crate) entries: u32,
}

impl Header {
    /// Encodes the header of a block with these entries.
    pub(crate) fn encode(&self, entries: &[u8]) -> [u8; HEADER] {
        let number = KINDS.iter().find(|(_, kind)| *kind == self.kind).map(|(number, _)| *number);
        let bytes = u32::try_from(entries.len()).expect("a run, and so a block, is refused above 4 GiB");
        let mut header = [0; HEADER];
        header[0] = number.expect("every kind has a number");
        header[1..3].copy_from_slice(&self.table.0.to_le_bytes());
        header[3..5].copy_from_slice(&((self.max.get() - 1) as u16).to_le_bytes());
        header[5..7].copy_from_slice(&self.groups.0.0.to_le_bytes());
        header[7..9].copy_from_slice(&self.groups.1.0.to_le_bytes());
        header[9..17].copy_from_slice(&self.fingerprint.0.to_le_bytes());
        header[17..21].copy_from_slice(&self.entries.to_le_bytes());
        header[21..25].copy_from_slice(&bytes.to_le_bytes());
        let checksum = checksum(&header, entries);
        header[CRC_AT..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Takes a block from the front of `bytes` and checks it. Returns its header and its entries. `table` names
    /// the table in errors.
    pub(crate) fn take<'a>(table: &str, bytes: &mut &'a [u8]) -> Result<(Header, &'a [u8]), StateError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(StateError::TruncatedHeader { table: table.to_owned(), bytes: bytes.len() });
        };
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let groups = (KeyGroup(short(5)), KeyGroup(short(7)));
        let site = || Site { table: table.to_owned(), first: groups.0, last: groups.1 };
        let Some((entries, rest)) = rest.split_at_checked(long(21) as usize) else {
            return Err(StateError::Truncated { site: site(), expected: long(21), found: rest.len() });
        };
        let (expected, found) = (long(CRC_AT), checksum(header, entries));
        if expected != found {
            return Err(StateError::Checksum { site: site(), expected, found });
        }
        let Some((_, kind)) = KINDS.iter().find(|(number, _)| *number == header[0]) else {
            return Err(StateError::UnknownBlock { site: site(), kind: header[0] });
        };
        let max = MaxParallelism::new(u32::from(short(3)) + 1)
            .map_err(|_| StateError::UnknownBlock { site: site(), kind: header[0] })?;
        *bytes = rest;
        let fingerprint = Fingerprint(u64::from(long(9)) | u64::from(long(13)) << 32);
        let (kind, table, entries_len) = (*kind, TableId(short(1)), long(17));
        Ok((Header { kind, table, max, groups, fingerprint, entries: entries_len }, entries))
    }
}

fn checksum(header: &[u8; HEADER], entries: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..CRC_AT]);
    crc.update(entries);
    crc.finalize()
}

/// A block of a run, for readers and writers that do not know the types of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub kind: Kind,
    pub table: TableId,
    /// The number of key groups.
    pub max: MaxParallelism,
    /// The first and the last key group of its segment.
    pub groups: (KeyGroup, KeyGroup),
    /// The fingerprint of the entries' schema.
    pub fingerprint: Fingerprint,
    /// The number of entries.
    pub entries: u32,
    /// The entries, or the schema.
    pub bytes: &'a [u8],
}

impl<'a> Block<'a> {
    /// The length of the block at the front of `bytes`, as its header says, which is not verified yet. `None` if `bytes` ends
    /// within the header.
    pub fn len(bytes: &[u8]) -> Option<usize> {
        let header = bytes.first_chunk::<HEADER>()?;
        let entries = u32::from_le_bytes([header[21], header[22], header[23], header[24]]);
        Some(HEADER + entries as usize)
    }

    /// Takes a block from the front of `bytes` and checks it. `table` names the table in errors.
    ///
    /// # Errors
    /// If the block is damaged or truncated.
    pub fn take(table: &str, bytes: &mut &'a [u8]) -> Result<Self, StateError> {
        let (Header { kind, table, max, groups, fingerprint, entries }, content) =
            Header::take(table, bytes)?;
        Ok(Self { kind, table, max, groups, fingerprint, entries, bytes: content })
    }

    /// The encoded block.
    pub fn encode(&self) -> Vec<u8> {
        let Self { kind, table, max, groups, fingerprint, entries, bytes } = *self;
        let header = Header { kind, table, max, groups, fingerprint, entries };
        [&header.encode(bytes), bytes].concat()
    }
}
