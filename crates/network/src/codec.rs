//! The exchange codec: fast, and private to one build.
//!
//! A batch is a flag byte, then for each row its hash and time (8 bytes each, little-endian, only where the
//! flags say so) and the record in postcard.

use crate::batch::{Batch, Row};
use reflow_types::{KeyHash, NO_TIMESTAMP};
use serde::{Serialize, de::DeserializeOwned};

const HASHED: u8 = 1;
const TIMED: u8 = 2;

/// Records that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of {count} from another task cannot be decoded: {reason}")]
pub struct CodecError {
    /// Which record of the batch.
    pub index: u32,
    /// How many there should be.
    pub count: u32,
    /// The decoder's words.
    pub reason: String,
}

/// Encodes a batch.
pub fn encode<T: Serialize>(batch: &Batch<T>) -> Vec<u8> {
    let hashed = batch.iter().any(|row| row.hash.0 != 0);
    let timed = batch.iter().any(|row| row.time != NO_TIMESTAMP);
    let mut out = Vec::with_capacity(1 + batch.len() * (16 + std::mem::size_of::<T>()));
    out.push(if hashed { HASHED } else { 0 } | if timed { TIMED } else { 0 });
    for row in batch {
        if hashed {
            out.extend_from_slice(&row.hash.0.to_le_bytes());
        }
        if timed {
            out.extend_from_slice(&row.time.to_le_bytes());
        }
        out =
            postcard::to_extend(&row.value, out).expect("records are plain data, which postcard can encode");
    }
    out
}

/// Decodes a batch of `count` records.
pub fn decode<T: DeserializeOwned>(count: u32, bytes: &[u8]) -> Result<Batch<T>, CodecError> {
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
        let (value, after) = postcard::take_from_bytes(rest).map_err(|e| error(index, &e))?;
        rest = after;
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
            let bytes = encode(&batch);
            let count = batch.len() as u32;
            assert_eq!(decode::<String>(count, &bytes), Ok(batch));
            for cut in 0..bytes.len() {
                assert!(decode::<String>(count, &bytes[..cut]).is_err());
            }
            assert!(decode::<String>(count + 1, &bytes).is_err());
            assert!(decode::<String>(count - 1, &bytes).is_err());
        }
        assert!(decode::<String>(u32::MAX, &[0, 1]).is_err());
    }
}
