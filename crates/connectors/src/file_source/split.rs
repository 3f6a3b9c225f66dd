//! A part of a file, and how far it was read.

use reflow_env::Location;
use serde::{Deserialize, Serialize};

/// A range of a file's bytes, and the position in it. Holds the records that begin in the range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSplit {
    /// The same for all time, and different from those of other splits.
    pub(super) number: u64,
    pub(super) file: Location,
    /// The file's length when it was found; nothing behind it is read.
    pub(super) len: u64,
    /// One past the last byte at which a record of this split may begin.
    pub(super) end: u64,
    /// The byte at which the next record begins, or from which it is looked for.
    pub(super) next: u64,
    /// The line on which it begins, from 1 on, if that is known.
    pub(super) line: Option<u64>,
    /// Whether a record ends behind `next` that belongs to the split before.
    pub(super) seeking: bool,
}

impl FileSplit {
    /// The records of a file that begin in `start..end`.
    pub(super) fn new(number: u64, file: Location, len: u64, start: u64, end: u64) -> Self {
        // From the byte before: if that ends a line, a record begins at `start`.
        let (next, line) = if start == 0 { (0, Some(1)) } else { (start - 1, None) };
        Self { number, file, len, end, next, line, seeking: start > 0 }
    }

    /// Whether all its records are read.
    pub(super) fn is_finished(&self) -> bool {
        self.next >= self.end
    }
}
