//! How an entry becomes bytes.

use crate::error::{Site, StateError};
use serde::{Serialize, de::DeserializeOwned};

/// The encodings of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// postcard: fast and small, private to one build. For checkpoints.
    Exchange,
    /// MessagePack with field names: stable and self-describing. Fields may be dropped, and added if they have
    /// a default. For savepoints.
    Savepoint,
}

/// Why an entry could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable {
    /// `key` or `value`, and the field within it where the codec knows it.
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Codec {
    /// The error about a type that does not come back: it ends a job at its checkpoint, but not at a savepoint.
    pub(crate) fn not_restorable(self, site: Site, reason: String) -> StateError {
        match self {
            Codec::Exchange => StateError::NotRestorable { site, reason },
            Codec::Savepoint => StateError::Encode { site, reason },
        }
    }

    /// Appends an entry. On failure `out` is as before.
    pub(crate) fn encode_put<K: Serialize, V: Serialize>(
        self,
        key: &K,
        value: &V,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        let result = self.encode(key, out).and_then(|()| self.encode(value, out));
        result.inspect_err(|_| out.truncate(start))
    }

    /// Appends one value; on failure part of it may remain.
    pub(crate) fn encode<T: Serialize>(self, value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Codec::Exchange => {
                postcard::serialize_with_flavor(value, Append(out)).map_err(|error| error.to_string())
            }
            Codec::Savepoint => {
                let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
                value.serialize(&mut serializer).map_err(|error| error.to_string())
            }
        }
    }

    /// Takes one value from the front of `bytes`; `part` names it in errors.
    pub(crate) fn decode<T: DeserializeOwned>(self, part: &str, bytes: &mut &[u8]) -> Result<T, Undecodable> {
        match self {
            Codec::Exchange => {
                let (value, rest) = postcard::take_from_bytes(bytes)
                    .map_err(|error| Undecodable { field: part.to_owned(), reason: error.to_string() })?;
                *bytes = rest;
                Ok(value)
            }
            Codec::Savepoint => {
                let mut reader = rmp_serde::Deserializer::new(std::io::Cursor::new(*bytes));
                let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| Undecodable {
                    field: match error.path().to_string().as_str() {
                        "." => part.to_owned(),
                        path => format!("{part}.{path}"),
                    },
                    reason: error.into_inner().to_string(),
                })?;
                let read = usize::try_from(reader.position()).expect("a position in a slice");
                *bytes = bytes.get(read..).unwrap_or_default();
                Ok(value)
            }
        }
    }
}

/// Lets postcard append to a vector that is lent.
struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
