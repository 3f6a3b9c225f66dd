//! Checks that a value is the same after it was encoded and decoded.
//!
//! Records and state are encoded by the serde implementation of their type, which users define: an attribute for an
//! external format (`deserialize_with`, `untagged`, `skip_serializing_if` …) may make deserializing differ from the
//! reverse of serializing. Within a process nothing is encoded, so such a type works until its records go to
//! another process, or until its state is restored after the first failure. Therefore a few values are checked
//! early.
//!
//! Values need not be comparable. Two values are the same if they serialize to the same tree, in which maps and
//! sequences have no order (a decoded `HashMap` or `HashSet` has another one) and all NaNs are one.

mod tree;

use serde::Serialize;
use std::fmt;
use tree::Tree;

/// Longer values are only decoded and not compared, so that a check does not take a multiple of their memory.
const MAX_TREE_BYTES: usize = 1 << 20;

/// What a user can do about a type that fails the check.
pub const ADVICE: &str = "records and state are encoded by the serde implementation of their type, so deserializing \
    must be the reverse of serializing: do not use `deserialize_with`, `skip_serializing_if`, `skip_deserializing`, \
    `flatten`, `tag` or `untagged` there; use a separate type for the external format, and convert it in the source or \
    in a map";

/// How a value fails the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoundTripError {
    /// It cannot be encoded.
    Encode {
        /// The codec's message.
        reason: String,
    },
    /// It cannot be decoded.
    Decode {
        /// The field, if known.
        field: String,
        /// The codec's message.
        reason: String,
    },
    /// Decoding left bytes over.
    Excess {
        /// How many.
        bytes: usize,
    },
    /// The encoding omits a field, which the decoder cannot know.
    LeftOut {
        /// The field.
        field: String,
    },
    /// Decoding returned another value.
    Changed {
        /// The field.
        field: String,
        /// The encoded value.
        was: String,
        /// The decoded value.
        is: String,
    },
}

impl fmt::Display for RoundTripError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |field: &str| match field {
            "" | "." => "the value".to_owned(),
            field => format!("field `{field}`"),
        };
        match self {
            Self::Encode { reason } => write!(f, "it cannot be encoded: {reason}"),
            Self::Decode { field: at, reason } => write!(f, "{} cannot be read back: {reason}", field(at)),
            Self::Excess { bytes } => write!(f, "reading it back leaves {bytes} of its bytes"),
            Self::LeftOut { field: at } => {
                write!(f, "{} is left out here, but reading expects it", field(at))
            }
            Self::Changed { field: at, was, is } => {
                write!(f, "{} was {was} and is {is} when it is read back", field(at))
            }
        }
    }
}

impl std::error::Error for RoundTripError {}

/// Encodes and decodes `value` and compares the results. Returns the decoded value and the length of the encoding.
/// `decode` returns how many bytes it has left over.
///
/// # Errors
/// If the two are not the same.
pub fn check<T: Serialize>(
    value: &T,
    encode: impl Fn(&T) -> Result<Vec<u8>, String>,
    decode: impl FnOnce(&[u8]) -> Result<(T, usize), RoundTripError>,
) -> Result<(T, usize), RoundTripError> {
    let encode = |value| encode(value).map_err(|reason| RoundTripError::Encode { reason });
    let bytes = encode(value)?;
    let small = bytes.len() <= MAX_TREE_BYTES;
    let excess = |left| if left == 0 { Ok(()) } else { Err(RoundTripError::Excess { bytes: left }) };
    let decoded = decode(&bytes).and_then(|(decoded, left)| excess(left).map(|()| decoded));
    let decoded = decoded.map_err(|error| match Tree::of(value) {
        Ok(tree) if small => explain(error, &tree),
        _ => error,
    })?;
    // Equal bytes are not enough: a codec may write two values in one way, as MessagePack does `None` and `Some(None)`.
    if small
        && let (Ok(was), Ok(is)) = (Tree::of(value), Tree::of(&decoded))
        && let Some((field, was, is)) = was.without_order().difference(&is.without_order())
    {
        return Err(RoundTripError::Changed { field, was, is });
    }
    Ok((decoded, bytes.len()))
}

/// Replaces the position in the error by the name of the field.
fn explain(error: RoundTripError, written: &Tree) -> RoundTripError {
    match (written.left_out(), error) {
        (Some(field), _) => RoundTripError::LeftOut { field },
        (None, RoundTripError::Decode { field, reason }) => {
            RoundTripError::Decode { field: written.named(&field), reason }
        }
        (None, error) => error,
    }
}
