//! The encoding of entries: the key and then the value, as [`Data`] encodes them.
//!
//! Checkpoints and savepoints have the same encoding. A savepoint also contains the table's schema, so that a
//! build with other types can read it.

use reflow_types::Data;
use reflow_types::data::{self, DecodeError};

/// The error of an entry that cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable {
    /// `key` or `value`, with the path of the field within it.
    pub(crate) field: String,
    pub(crate) reason: String,
}

impl Undecodable {
    pub(crate) fn new(part: &str, error: &DecodeError) -> Self {
        let path = error.path();
        let field = match path.as_str() {
            "" => part.to_owned(),
            path if path.starts_with('[') => format!("{part}{path}"),
            path => format!("{part}.{path}"),
        };
        Self { field, reason: error.reason().to_string() }
    }
}

/// Appends an entry. On an error, `out` is unchanged.
pub(crate) fn encode_put<K: Data, V: Data>(key: &K, value: &V, out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    let result = encode(key, out).and_then(|()| encode(value, out));
    result.inspect_err(|_| out.truncate(start))
}

/// Appends one value. On an error, `out` is unchanged.
pub(crate) fn encode<T: Data>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    data::encode(value, out).map_err(|error| format!("{}: {error}", std::any::type_name::<T>()))
}

/// Takes one value from the front of `bytes`; `part` names it in errors.
pub(crate) fn decode<T: Data>(part: &str, bytes: &mut &[u8]) -> Result<T, Undecodable> {
    data::decode_prefix(bytes).map_err(|error| Undecodable::new(part, &error))
}
