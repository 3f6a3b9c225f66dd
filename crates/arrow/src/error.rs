//! Why a type, a row or a column cannot be mapped, and what to do.

use reflow_data::{DecodeError, EncodeError};
use std::fmt;

/// Why a type, a row or a column cannot be mapped.
///
/// It is one pointer, so that results of each value stay small.
#[derive(Debug, thiserror::Error)]
#[error("{}{}", .0.path, .0.cause)]
pub struct ArrowError(Box<Content>);

#[derive(Debug)]
struct Content {
    path: Path,
    cause: Cause,
}

/// The path of a field, as `cars[].speed`; empty for the row itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// From the innermost field to the outermost one.
    steps: Vec<String>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        if text.is_empty() { Ok(()) } else { write!(f, "field `{text}`: ") }
    }
}

impl Path {
    /// The path as text, empty for the row itself.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in self.steps.iter().rev() {
            if !text.is_empty() && !step.starts_with('[') {
                text.push('.');
            }
            text.push_str(step);
        }
        text
    }
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A type contains itself.
    #[error(
        "`{name}` contains itself, and Arrow has no type for that: write lines of JSON, or keep the value as text or bytes by \
         `#[data(with = …)]`"
    )]
    Recursive {
        /// The struct or enum.
        name: String,
    },
    /// An enum has no variants.
    #[error("`{name}` has no variants, so it has no values and no column: remove the field")]
    NoVariants {
        /// The enum.
        name: String,
    },
    /// The type has more columns than any reader could handle.
    #[error("the type has more than {most} columns: write lines of JSON, or fewer fields")]
    TooWide {
        /// The most columns.
        most: usize,
    },
    /// The type nests too deeply.
    #[error("the type nests more than {most} others: write lines of JSON, or nest less")]
    TooDeep {
        /// The deepest nesting.
        most: usize,
    },
    /// The bytes are not a row of the schema.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The value cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A time or a duration is outside of what its column can hold.
    #[error(
        "{value} does not fit into {unit}, which reach {reach} from 1970: use microseconds, or write lines of JSON"
    )]
    Time {
        /// The time.
        value: String,
        /// The unit of the column.
        unit: &'static str,
        /// How far the unit reaches.
        reach: &'static str,
    },
    /// A decimal is outside of what its column can hold.
    #[error(
        "{value} does not fit into decimals of 38 digits, {scale} of them behind the point: set another scale, or write lines \
         of JSON"
    )]
    Decimal {
        /// The number.
        value: String,
        /// The digits behind the point.
        scale: u8,
    },
    /// A column holds more bytes or elements than its offsets can count.
    #[error("a batch has more than 2^31 bytes or elements: write fewer rows in a batch")]
    TooLong,
    /// A column is missing.
    #[error("there is no column `{name}` ({expected}), and the field has no default")]
    NoColumn {
        /// The column.
        name: String,
        /// Its type in Arrow.
        expected: String,
    },
    /// A column has another type.
    #[error("the column is {found}, which cannot be read as {expected}: cast it, or change the field's type")]
    Type {
        /// The column's.
        found: String,
        /// The field's.
        expected: String,
    },
    /// There is no value.
    #[error("row {row}: there is no value (null), and the field is not an `Option`")]
    Null {
        /// The row in its column.
        row: usize,
    },
    /// A value is outside of the field's type.
    #[error("row {row}: {value} is no {expected}")]
    Value {
        /// The row in its column.
        row: usize,
        /// The value.
        value: String,
        /// What the field holds.
        expected: String,
    },
    /// Arrow refuses a column or a batch.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
}

impl<C: Into<Cause>> From<C> for ArrowError {
    #[cold]
    fn from(cause: C) -> Self {
        Self(Box::new(Content { path: Path::default(), cause: cause.into() }))
    }
}

impl ArrowError {
    /// What is wrong.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The field.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Adds the field in which the error occurred.
    #[cold]
    pub(crate) fn within(mut self, field: &str) -> Self {
        self.0.path.steps.push(field.to_owned());
        self
    }

    /// Adds that the error occurred in an element of a list.
    #[cold]
    pub(crate) fn in_element(self) -> Self {
        self.within("[]")
    }
}
