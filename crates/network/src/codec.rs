//! The encoding of batches between processes. It contains no schema, because all processes of a job are of one
//! build.
//!
//! A batch is a byte of flags, then for each row its hash and time (8 bytes each, little-endian, present only if
//! the flags are set) and the record as [`Data`] encodes it.

use crate::batch::{Batch, Row};
use reflow_types::data::{self, EncodeError};
use reflow_types::{Data, KeyHash, NO_TIMESTAMP};

const HASHED: u8 = 1;
const TIMED: u8 = 2;

/// A batch from another task that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of {count} from another task cannot be decoded: {reason}")]
pub struct CodecError {
    /// The index of the first record that cannot be decoded.
    pub index: u32,
    /// The number of records that the frame announced.
    pub count: u32,
    /// The decoder's message.
    pub reason: String,
}

/// A record that cannot be sent to another process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// It is longer than [`Bounds::record_bytes`](reflow_types::Bounds::record_bytes).
    #[error(
        "a record takes {bytes} bytes encoded, the limit is {limit}: split it, or keep the payload elsewhere and send its name"
    )]
    TooLong {
        /// Its encoded length.
        bytes: u64,
        limit: u64,
    },
    /// It cannot be encoded.
    #[error("a record of type {type_name} cannot be encoded: {reason}")]
    Encode { type_name: &'static str, reason: EncodeError },
}

/// A piece of an encoded batch.
pub struct Encoded {
    /// The number of records.
    pub count: u32,
    /// The encoded records.
    pub bytes: Vec<u8>,
}

/// Encodes a batch in pieces of at most `most` bytes each; a longer record is a piece of its own. `expected` is
/// the estimated length of the batch.
///
/// # Errors
/// If a record is longer than `longest`, or cannot be encoded.
pub fn encode<T: Data>(
    batch: &Batch<T>,
    expected: u64,
    most: u64,
    longest: u64,
) -> Result<Vec<Encoded>, SendError> {
    let hashed = batch.iter().any(|row| row.hash.0 != 0);
    let timed = batch.iter().any(|row| row.time != NO_TIMESTAMP);
    let flags = if hashed { HASHED } else { 0 } | if timed { TIMED } else { 0 };
    let expected = expected.min(most) as usize + 16 * batch.len() + 1;
    let mut pieces = Vec::with_capacity(1);
    let (mut out, mut count) = (Vec::with_capacity(expected), 0);
    out.push(flags);
    for row in batch {
        let before = out.len();
        if hashed {
            out.extend_from_slice(&row.hash.0.to_le_bytes());
        }
        if timed {
            out.extend_from_slice(&row.time.to_le_bytes());
        }
        data::encode(&row.value, &mut out)
            .map_err(|reason| SendError::Encode { type_name: std::any::type_name::<T>(), reason })?;
        let bytes = (out.len() - before) as u64;
        if bytes > longest {
            return Err(SendError::TooLong { bytes, limit: longest });
        }
        if count > 0 && out.len() as u64 > most {
            let row = out.split_off(before);
            pieces.push(Encoded { count, bytes: std::mem::replace(&mut out, Vec::with_capacity(expected)) });
            out.push(flags);
            out.extend_from_slice(&row);
            count = 0;
        }
        count += 1;
    }
    pieces.push(Encoded { count, bytes: out });
    Ok(pieces)
}

/// Decodes a batch of `count` records.
///
/// # Errors
/// If the bytes are not exactly `count` records.
pub fn decode<T: Data>(count: u32, bytes: &[u8]) -> Result<Batch<T>, CodecError> {
    let error = |index: u32, reason: &dyn ToString| CodecError { index, count, reason: reason.to_string() };
    let (&flags, mut rest) = bytes.split_first().ok_or_else(|| error(0, &"the batch is empty"))?;
    let number = |index, rest: &mut &[u8]| match rest.split_first_chunk::<8>() {
        Some((chunk, after)) => {
            *rest = after;
            Ok(u64::from_le_bytes(*chunk))
        }
        None => Err(error(index, &"the batch ends too early")),
    };
    let mut batch = Vec::with_capacity((count as usize).min(bytes.len()));
    for index in 0..count {
        let hash = if flags & HASHED != 0 { KeyHash(number(index, &mut rest)?) } else { KeyHash(0) };
        let time = if flags & TIMED != 0 { number(index, &mut rest)? as i64 } else { NO_TIMESTAMP };
        let value = data::decode_prefix(&mut rest).map_err(|e| error(index, &e))?;
        batch.push(Row { hash, time, value });
    }
    if rest.is_empty() { Ok(batch) } else { Err(error(count, &"bytes follow the last record")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_survive_the_wire_and_garbage_is_an_error() {
        let row = |hash, time, value: &str| Row { hash: KeyHash(hash), time, value: value.to_owned() };
        for batch in [
            vec![row(0, NO_TIMESTAMP, "a")],
            vec![row(7, NO_TIMESTAMP, "a"), row(0, NO_TIMESTAMP, "")],
            vec![row(7, 5, "a"), row(u64::MAX, -5, "long enough")],
            vec![row(0, 5, "a")],
        ] {
            let [Encoded { count, bytes }] = &encode(&batch, 0, 1 << 20, 1 << 20).unwrap()[..] else {
                panic!("one piece")
            };
            let (count, bytes) = (*count, bytes.clone());
            assert_eq!(decode::<String>(count, &bytes), Ok(batch));
            for cut in 0..bytes.len() {
                assert!(decode::<String>(count, &bytes[..cut]).is_err());
            }
            assert!(decode::<String>(count + 1, &bytes).is_err());
            assert!(decode::<String>(count - 1, &bytes).is_err());
        }
        assert!(decode::<String>(u32::MAX, &[0, 1]).is_err());
    }

    #[test]
    fn a_batch_is_cut_by_its_bytes_and_no_record_is_longer_than_it_may_be() {
        let row = |bytes: usize| Row { hash: KeyHash(7), time: NO_TIMESTAMP, value: "x".repeat(bytes) };
        let batch: Batch<String> = [10, 50, 1, 1, 200, 3].map(row).into();
        let pieces = encode(&batch, 0, 100, 300).unwrap();
        let counts: Vec<u32> = pieces.iter().map(|piece| piece.count).collect();
        assert_eq!(counts, [4, 1, 1], "up to 100 bytes, or one record");
        let decoded = pieces.iter().flat_map(|piece| decode::<String>(piece.count, &piece.bytes).unwrap());
        assert_eq!(decoded.collect::<Vec<_>>(), batch);
        assert_eq!(encode(&batch, 0, 100, 100).err(), Some(SendError::TooLong { bytes: 209, limit: 100 }));
    }
}
