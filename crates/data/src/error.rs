//! Why a value cannot be encoded or decoded.

use crate::MAX_DEPTH;
use std::fmt;

/// A value that cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It nests too deep to be decoded again.
    #[error(
        "the value nests more than {MAX_DEPTH} boxes and collections: use a list with indices instead of nesting"
    )]
    TooDeep,
    /// An adapter or another implementation refused it.
    #[error("{0}")]
    Refused(String),
}

/// Bytes that are not a value of the expected type.
///
/// One pointer, so that results of decoding stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Content>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    /// The type that was asked for, where known.
    type_name: Option<&'static str>,
    /// From the innermost field to the outermost one.
    path: Vec<Segment>,
    reason: Reason,
}

/// A step from a value to one that it contains.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Field(&'static str),
    Index(usize),
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// They end too early.
    #[error("the bytes end where {expected} is expected")]
    Truncated {
        /// What should follow.
        expected: &'static str,
    },
    /// They go on behind the value.
    #[error("{bytes} bytes follow the value")]
    Excess {
        /// How many.
        bytes: usize,
    },
    /// A number is too large for its type.
    #[error("{value} is no {expected}")]
    OutOfRange {
        /// The type.
        expected: &'static str,
        /// The number.
        value: i128,
    },
    /// A collection would need more bytes than there are.
    #[error("a length of {length}, but only {left} bytes follow")]
    Length {
        /// How many elements or bytes are announced.
        length: u64,
        /// How many bytes follow.
        left: usize,
    },
    /// An enum does not have so many variants.
    #[error("`{name}` has no variant number {tag}")]
    Variant {
        /// The enum.
        name: String,
        /// The number.
        tag: u64,
    },
    /// The text is not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// More nesting than any encoder writes.
    #[error("the value nests more than {MAX_DEPTH} boxes and collections")]
    TooDeep,
    /// An adapter or another implementation refused it.
    #[error("{0}")]
    Refused(String),
}

impl DecodeError {
    /// An error at the current place.
    #[cold]
    pub fn new(reason: Reason) -> Self {
        Self(Box::new(Content { type_name: None, path: Vec::new(), reason }))
    }

    /// An adapter's or another implementation's refusal, in its own words.
    #[cold]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::new(Reason::Refused(reason.into()))
    }

    /// The error, seen from the value that has the field.
    #[cold]
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.0.path.push(Segment::Field(name));
        self
    }

    /// The error, seen from the collection that has the element.
    #[cold]
    #[must_use]
    pub fn in_element(mut self, index: usize) -> Self {
        self.0.path.push(Segment::Index(index));
        self
    }

    #[cold]
    pub(crate) fn of_type(mut self, name: &'static str) -> Self {
        self.0.type_name = Some(name);
        self
    }

    /// What is wrong.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The field, as `cars[3].speed`; empty if it is the value itself.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            match segment {
                Segment::Field(name) if path.is_empty() => path.push_str(name),
                Segment::Field(name) => path.extend([".", name]),
                Segment::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path();
        match (self.0.type_name, path.as_str()) {
            (None, "") => {}
            (None, path) => write!(f, "field `{path}`: ")?,
            (Some(name), "") => write!(f, "{name}: ")?,
            (Some(name), path) => write!(f, "field `{path}` of {name}: ")?,
        }
        write!(f, "{}", self.0.reason)
    }
}

impl std::error::Error for DecodeError {}
