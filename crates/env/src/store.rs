//! Requests to object storage, and their answers.
//!
//! ```
//! # extern crate reflow_env as reflow;
//! use bytes::Bytes;
//! use reflow::store::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
//!
//! let directory = Location("s3://shop/orders".to_owned());
//! let put = StoreOp::Put {
//!     at: directory.join("2026-03-29.csv"),
//!     body: Bytes::from("tea,3\n"),
//!     mode: PutMode::Create, // only one of several writers succeeds
//! };
//! let list = StoreOp::List { below: directory };
//!
//! fn bytes_of(listing: StoreResult) -> Result<u64, StoreError> {
//!     let StoreReply::Objects(objects) = listing? else { unreachable!("the reply to a listing") };
//!     Ok(objects.iter().map(|ObjectMeta { len, .. }| len).sum())
//! }
//!
//! /// `Io::submit` returns the ticket, by which the reply is taken.
//! struct Listing {
//!     ticket: Ticket,
//! }
//! ```

use bytes::Bytes;
use reflow_types::Data;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Identifies a request of one process, to storage or to another system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// The location of an object: a URL such as `file:///var/reflow/chk-7/_metadata` or `s3://bucket/key`. A text
/// without a scheme is a path in the file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Data)]
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

/// Whether a put may replace an existing object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Fails with [`StoreError::AlreadyExists`] if the object exists, so that only one of several concurrent
    /// writers succeeds.
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
        body: Bytes,
        mode: PutMode,
    },
    /// Write a large object in parts. Each part is answered, so that the writer can bound the parts in progress.
    /// The object exists once the last part is answered.
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
    /// Drop an upload in progress. The object will not exist.
    CancelUpload {
        /// As in its parts.
        upload: u64,
    },
    /// Read an object, or a range of its bytes.
    Get {
        /// Its name.
        at: Location,
        /// The bytes to read; all if `None`. A range past the end is an error.
        range: Option<Range<u64>>,
    },
    /// List all objects below a prefix in ascending order of their names. The list is empty if there are none.
    /// The name of an object gives that object.
    List {
        /// A directory or an object, not a partial name.
        below: Location,
    },
    /// Remove an object. Succeeds if it does not exist.
    Delete {
        /// Its name.
        at: Location,
    },
    /// Move an object, replacing the target. Fails with [`StoreError::NotFound`] if the source does not exist.
    Rename {
        /// The source.
        from: Location,
        /// The target.
        to: Location,
    },
    /// Write an object that has the bytes of others, one after the other, and then some more. It is written whole or not at
    /// all, and replaces what is there. Fails with [`StoreError::NotFound`] if one of them does not exist, and with
    /// [`StoreError::OutOfRange`] if one has another length.
    Concat {
        /// The new object.
        at: Location,
        /// The objects, which stay, with their lengths.
        pieces: Vec<(Location, u64)>,
        /// The bytes behind those of the objects.
        tail: Bytes,
    },
    /// Make a file executable (mode 0755). Only for files of the local file system. Fails with
    /// [`StoreError::NotFound`] if it does not exist.
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

/// The result of a successful storage request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// The reply to all requests but reads and listings.
    Done,
    /// The bytes that were read.
    Bytes(Bytes),
    /// The objects that were listed.
    Objects(Vec<ObjectMeta>),
}

/// The error of a storage request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The object does not exist.
    #[error("{0} does not exist")]
    NotFound(Location),
    /// A create-only put found an object.
    #[error("{0} exists already")]
    AlreadyExists(Location),
    /// The range exceeds the object, which is shorter than the caller expects. A retry does not help.
    #[error("{at}: bytes {} to {} are not within its {len} bytes", .range.start, .range.end)]
    OutOfRange {
        /// The object.
        at: Location,
        /// The requested range.
        range: Range<u64>,
        /// The object's length.
        len: u64,
    },
    /// Any other error: no space, no permission, no connection. A later retry may succeed.
    #[error("{at}: {reason}")]
    Failed {
        /// The object.
        at: Location,
        /// The store's error.
        reason: String,
    },
}

/// The answer to a storage request.
pub type StoreResult = Result<StoreReply, StoreError>;
