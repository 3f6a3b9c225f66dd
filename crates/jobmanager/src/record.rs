//! Records in storage in a readable form: JSON with a checksum.
//!
//! ```json
//! {"crc32":3421780262,"record":{"job":"ea844a69701e495ebec4079baba1de06","fresh":true}}
//! ```
//!
//! A job id with a flipped bit is still a valid id, under which another job would start. So a checksum of the
//! record's text precedes it. Records of earlier releases have none.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checked {
    crc32: u32,
    record: Box<RawValue>,
}

/// Encodes a record.
pub(crate) fn encode(record: &impl Serialize) -> Bytes {
    let record = serde_json::value::to_raw_value(record).expect("a record is plain data");
    let crc32 = crc32fast::hash(record.get().as_bytes());
    serde_json::to_vec(&Checked { crc32, record }).expect("a record is plain data").into()
}

/// Decodes a record.
///
/// # Errors
/// A description of the damage.
pub(crate) fn decode<T: DeserializeOwned>(object: &[u8]) -> Result<T, String> {
    let text = match serde_json::from_slice::<Checked>(object) {
        Ok(Checked { crc32, record }) if crc32fast::hash(record.get().as_bytes()) == crc32 => record,
        Ok(_) => return Err("its checksum is wrong".to_owned()),
        Err(_) => return serde_json::from_slice(object).map_err(|error| error.to_string()),
    };
    serde_json::from_str(text.get()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leadership::EpochRecord;
    use reflow_types::JobId;

    fn epoch() -> EpochRecord {
        EpochRecord {
            job: JobId(0xea844a69),
            fresh: true,
            started_at: 1_700_000_000_000,
            leader: JobId(7),
            history: vec![],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        assert_eq!(decode(&encode(&epoch())), Ok(epoch()));
    }

    #[test]
    fn a_record_without_a_checksum_is_of_an_earlier_release() {
        let object = serde_json::to_vec(&epoch()).unwrap();
        assert_eq!(decode(&object), Ok(epoch()));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let object = encode(&epoch());
        for bit in 0..object.len() * 8 {
            let mut flipped = object.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let read = decode::<EpochRecord>(&flipped);
            assert!(read.is_err(), "bit {bit}: {}", String::from_utf8_lossy(&flipped));
        }
    }
}
