//! A few entries are decoded again when a snapshot encodes them.
//!
//! State is encoded by the serde mapping of the user's types, and nobody reads it before something has failed: a type
//! that does not read what it writes would let checkpoints complete from which nothing can be restored. So the first
//! entries of a table are tried in both codecs, and a few more with each snapshot, in its own. Otherwise an entry costs
//! one look at a counter, beside its encoding.

use crate::codec::Codec;
use crate::{StateKey, StateValue};
use reflow_types::roundtrip::{self, ADVICE, RoundTripError};
use serde::{Serialize, de::DeserializeOwned};

/// How many entries are tried at first, and in each savepoint.
const ENTRIES: usize = 64;
/// How many in each later checkpoint.
const ENTRIES_PER_CHECKPOINT: usize = 4;
/// Fewer are tried when these have so many bytes.
const BYTES: usize = 1 << 20;

/// What is left to try.
pub(crate) struct Sample {
    /// Bytes, in shares of an entry's.
    left: usize,
    /// The first ones are tried in both codecs.
    first: bool,
}

impl Default for Sample {
    fn default() -> Self {
        Self { left: BYTES, first: true }
    }
}

impl Sample {
    /// A snapshot begins.
    pub(crate) fn begin(&mut self, codec: Codec) {
        let entries = match codec {
            Codec::Exchange => ENTRIES_PER_CHECKPOINT,
            Codec::Savepoint => ENTRIES,
        };
        self.left = self.left.max(entries * (BYTES / ENTRIES));
    }

    /// Looks at an entry that is about to be encoded. The error says what would be lost.
    #[inline]
    pub(crate) fn look_at<K: StateKey, V: StateValue>(
        &mut self,
        codec: Codec,
        key: &K,
        value: &V,
    ) -> Result<(), String> {
        if self.left == 0 { Ok(()) } else { self.try_entry(codec, key, value) }
    }

    #[cold]
    fn try_entry<K: StateKey, V: StateValue>(
        &mut self,
        codec: Codec,
        key: &K,
        value: &V,
    ) -> Result<(), String> {
        let other = match codec {
            Codec::Exchange => Codec::Savepoint,
            Codec::Savepoint => Codec::Exchange,
        };
        let mut bytes = 0;
        for codec in [Some(codec), self.first.then_some(other)].into_iter().flatten() {
            let (key_back, key_bytes) = round_trip(codec, "key", key)?;
            if key_back != *key || key_back.state_hash() != key.state_hash() {
                let why = "it is another key when it is read back; are fields skipped?";
                return Err(lost::<K>(codec, "key", &why));
            }
            bytes = key_bytes + round_trip(codec, "value", value)?.1;
        }
        self.left = self.left.saturating_sub(bytes.max(BYTES / ENTRIES));
        self.first &= self.left > 0;
        Ok(())
    }
}

fn round_trip<T: Serialize + DeserializeOwned>(
    codec: Codec,
    part: &str,
    value: &T,
) -> Result<(T, usize), String> {
    let encode = |value: &T| {
        let mut bytes = Vec::new();
        codec.encode(value, &mut bytes).map(|()| bytes)
    };
    let decode = |bytes: &[u8]| match codec {
        Codec::Exchange => {
            let mut reader = postcard::Deserializer::from_bytes(bytes);
            let value = serde_path_to_error::deserialize(&mut reader).map_err(undecodable)?;
            let rest = reader.finalize().map_err(|error| RoundTripError::Decode {
                field: String::new(),
                reason: error.to_string(),
            })?;
            Ok((value, rest.len()))
        }
        Codec::Savepoint => {
            let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(bytes));
            let value = serde_path_to_error::deserialize(&mut reader).map_err(undecodable)?;
            Ok((value, bytes.len() - reader.position() as usize))
        }
    };
    roundtrip::check(value, encode, decode).map_err(|error| lost::<T>(codec, part, &error))
}

fn undecodable<E: std::fmt::Display>(error: serde_path_to_error::Error<E>) -> RoundTripError {
    RoundTripError::Decode { field: error.path().to_string(), reason: error.into_inner().to_string() }
}

fn lost<T>(codec: Codec, part: &str, why: &dyn std::fmt::Display) -> String {
    let snapshot = match codec {
        Codec::Exchange => "checkpoint",
        Codec::Savepoint => "savepoint",
    };
    let name = std::any::type_name::<T>();
    format!("a {part} of type {name} cannot be restored from a {snapshot}: {why}; {ADVICE}")
}
