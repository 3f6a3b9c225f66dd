//! The errors of encoding and decoding.

use crate::MAX_DEPTH;
use std::fmt;

/// The error of a value that cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// It nests too deeply to be decoded.
    #[error(
        "the value nests more than {MAX_DEPTH} boxes and collections: use a list with indices instead of nesting"
    )]
    TooDeep,
    /// An adapter or another implementation refused it.
    #[error("{0}")]
    Refused(String),
}

/// The error of bytes that are not a value of the expected type.
///
/// It is one pointer, so that results of decoding stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Content>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    /// The expected type, if known.
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
    /// They end before the value does.
    #[error("the bytes end where {expected} is expected")]
    Truncated {
        /// What should follow.
        expected: &'static str,
    },
    /// Bytes follow the value.
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
        /// The announced number of elements or bytes.
        length: u64,
        /// The number of bytes that follow.
        left: usize,
    },
    /// An enum has no variant of this number.
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
    /// An error at the current position.
    #[cold]
    pub fn new(reason: Reason) -> Self {
        Self(Box::new(Content { type_name: None, path: Vec::new(), reason }))
    }

    /// The error of an adapter or another implementation that refuses a value.
    #[cold]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::new(Reason::Refused(reason.into()))
    }

    /// Adds the field in which the error occurred.
    #[cold]
    #[must_use]
    pub fn in_field(mut self, name: &'static str) -> Self {
        self.0.path.push(Segment::Field(name));
        self
    }

    /// Adds the index of the element in which the error occurred.
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

    /// The path of the field, such as `cars[3].speed`; empty for the value itself.
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
