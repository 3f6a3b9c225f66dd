//! The split of a file source: a part of a file with a position.

use reflow_env::Location;
use reflow_types::Data;

/// A range of a file's bytes and the position in it. The records that begin in the range belong to the split.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct FileSplit {
    /// A number that never changes and differs from those of other splits.
    pub(super) number: u64,
    pub(super) file: Location,
    /// The file's length when it was found. Data behind it is not read.
    pub(super) len: u64,
    /// One past the last byte at which a record of this split may begin.
    pub(super) end: u64,
    /// The byte at which the next record begins, or from which the search for it starts.
    pub(super) next: u64,
    /// The line on which it begins, counted from 1, if known.
    pub(super) line: Option<u64>,
    /// Whether a record of the previous split ends behind `next`.
    pub(super) seeking: bool,
}

impl FileSplit {
    /// The records of a file that begin in `start..end`.
    pub(super) fn new(number: u64, file: Location, len: u64, start: u64, end: u64) -> Self {
        // The search starts at the byte before `start`: if that ends a line, a record begins at `start`.
        let (next, line) = if start == 0 { (0, Some(1)) } else { (start - 1, None) };
        Self { number, file, len, end, next, line, seeking: start > 0 }
    }

    /// The byte at which a split begins of which nothing is read.
    pub(super) fn start(&self) -> u64 {
        self.next + u64::from(self.seeking)
    }

    /// Whether all its records are read.
    pub(super) fn is_finished(&self) -> bool {
        self.next >= self.end
    }
}
