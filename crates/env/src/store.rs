//! Requests to object storage, and their answers.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Names a storage request of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where an object is: a URL such as `file:///var/reflow/chk-7/_metadata` or `s3://bucket/key`. A text without
/// a scheme is a path in the file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Location(pub String);

impl Location {
    /// The object `name` below this one.
    #[must_use]
    pub fn join(&self, name: &str) -> Location {
        Location(format!("{}/{}", self.0.trim_end_matches('/'), name.trim_start_matches('/')))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a put may replace what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Fails with [`StoreError::AlreadyExists`] if the object exists: of many who try, one wins.
    Create,
    /// Replaces the object, atomically.
    Overwrite,
}

/// A storage request. A reader sees an object whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// Write a small object.
    Put {
        /// Its name.
        at: Location,
        /// What it holds.
        body: Bytes,
        /// What if it exists.
        mode: PutMode,
    },
    /// Write a large object part by part. Each part is answered, so that the writer can bound what is under
    /// way; the object appears with the answer to the last part.
    Upload {
        /// The same for all parts of one object; unique in the process.
        upload: u64,
        /// The object's name.
        at: Location,
        /// Its next bytes, at least 5 MiB except for the last part.
        part: Bytes,
        /// Whether this is the last part.
        last: bool,
    },
    /// Drop an upload under way. Nothing of it appears.
    CancelUpload {
        /// As in its parts.
        upload: u64,
    },
    /// Read an object, or a range of its bytes.
    Get {
        /// Its name.
        at: Location,
        /// Which bytes; all if `None`. A range past the end is an error.
        range: Option<Range<u64>>,
    },
    /// All objects below a prefix, by name in ascending order. A prefix without objects gives an empty list; the
    /// name of an object gives that object.
    List {
        /// A directory or an object, not a partial name.
        below: Location,
    },
    /// Remove an object. Removing what is not there succeeds.
    Delete {
        /// Its name.
        at: Location,
    },
    /// Move an object, replacing the target. Fails with [`StoreError::NotFound`] if the source is not there.
    Rename {
        /// The source.
        from: Location,
        /// The target.
        to: Location,
    },
    /// Let a file be run as a program (mode 0755). Only for files of the local file system; fails with
    /// [`StoreError::NotFound`] if it is not there.
    MakeExecutable {
        /// The file.
        at: Location,
    },
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// Its full name.
    pub at: Location,
    /// Its length in bytes.
    pub len: u64,
}

/// What a storage request brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// It is done.
    Done,
    /// What was read.
    Bytes(Bytes),
    /// What is there.
    Objects(Vec<ObjectMeta>),
}

/// Why a storage request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object is not there.
    #[error("{0} does not exist")]
    NotFound(Location),
    /// A create-only put lost.
    #[error("{0} exists already")]
    AlreadyExists(Location),
    /// A range that the object does not have: it is shorter than whoever asks believes. Trying again does not help.
    #[error("{at}: bytes {} to {} are not within its {len} bytes", .range.start, .range.end)]
    OutOfRange {
        /// The object.
        at: Location,
        /// What was asked for.
        range: Range<u64>,
        /// The object's length.
        len: u64,
    },
    /// Anything else: no space, no permission, no connection. Trying again later may help.
    #[error("{at}: {reason}")]
    Failed {
        /// The object.
        at: Location,
        /// The store's words.
        reason: String,
    },
}

/// The answer to a storage request.
pub type StoreResult = Result<StoreReply, StoreError>;
