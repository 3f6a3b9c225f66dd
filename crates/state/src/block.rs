//! Blocks: what a snapshot's stream of bytes consists of.
//!
//! ```text
//! kind u8 | table u16 | max parallelism − 1 u16 | first group u16 | last group u16
//!         | entries u32 | bytes u32 | crc32 u32 | entries …            all little-endian
//! ```
//!
//! The checksum covers header and entries. `kind` says puts or tombstones, and the codec. A block holds entries
//! of one segment, so of the groups `first … last`; which group an entry is in follows from its key.

use crate::TableId;
use crate::codec::Codec;
use crate::error::{Site, StateError};
use reflow_types::{KeyGroup, MaxParallelism};

/// Bytes of a block before its entries.
pub(crate) const HEADER: usize = 21;

const CRC_AT: usize = 17;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Puts,
    Tombstones,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) codec: Codec,
    pub(crate) table: TableId,
    pub(crate) max: MaxParallelism,
    pub(crate) groups: (KeyGroup, KeyGroup),
    pub(crate) entries: u32,
}

impl Header {
    /// The header's bytes for these entries.
    pub(crate) fn encode(&self, entries: &[u8]) -> [u8; HEADER] {
        let kind = match (self.kind, self.codec) {
            (Kind::Puts, Codec::Exchange) => 1u8,
            (Kind::Tombstones, Codec::Exchange) => 2,
            (Kind::Puts, Codec::Savepoint) => 3,
            (Kind::Tombstones, Codec::Savepoint) => 4,
        };
        let bytes = u32::try_from(entries.len()).expect("a run, and so a block, is refused above 4 GiB");
        let mut header = [0; HEADER];
        header[0] = kind;
        header[1..3].copy_from_slice(&self.table.0.to_le_bytes());
        header[3..5].copy_from_slice(&((self.max.get() - 1) as u16).to_le_bytes());
        header[5..7].copy_from_slice(&self.groups.0.0.to_le_bytes());
        header[7..9].copy_from_slice(&self.groups.1.0.to_le_bytes());
        header[9..13].copy_from_slice(&self.entries.to_le_bytes());
        header[13..17].copy_from_slice(&bytes.to_le_bytes());
        let checksum = checksum(&header, entries);
        header[CRC_AT..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Takes a block from the front of `bytes`: its header and its entries, checked. `table` names the table in
    /// errors.
    pub(crate) fn take<'a>(table: &str, bytes: &mut &'a [u8]) -> Result<(Header, &'a [u8]), StateError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(StateError::TruncatedHeader { table: table.to_owned(), bytes: bytes.len() });
        };
        let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let long =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let groups = (KeyGroup(short(5)), KeyGroup(short(7)));
        let site = || Site { table: table.to_owned(), first: groups.0, last: groups.1 };
        let Some((entries, rest)) = rest.split_at_checked(long(13) as usize) else {
            return Err(StateError::Truncated { site: site(), expected: long(13), found: rest.len() });
        };
        let (expected, found) = (long(CRC_AT), checksum(header, entries));
        if expected != found {
            return Err(StateError::Checksum { site: site(), expected, found });
        }
        let (kind, codec) = match header[0] {
            1 => (Kind::Puts, Codec::Exchange),
            2 => (Kind::Tombstones, Codec::Exchange),
            3 => (Kind::Puts, Codec::Savepoint),
            4 => (Kind::Tombstones, Codec::Savepoint),
            kind => return Err(StateError::UnknownBlock { site: site(), kind }),
        };
        let max = MaxParallelism::new(u32::from(short(3)) + 1)
            .map_err(|_| StateError::UnknownBlock { site: site(), kind: header[0] })?;
        *bytes = rest;
        Ok((Header { kind, codec, table: TableId(short(1)), max, groups, entries: long(9) }, entries))
    }
}

fn checksum(header: &[u8; HEADER], entries: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..CRC_AT]);
    crc.update(entries);
    crc.finalize()
}
