//! Keyed state: tables and timers, incremental snapshots that do not stop the slot, restore and migration.
//!
//! Reading order: [`layout`](SegmentLayout) (the segment of a key), `slots` (the entries of a segment), `entries`
//! (the entries of a table), `mark` (when an entry changed), `epochs` (what marks are compared with), `table`
//! (the table and the calls that records make), `snapshot`, `account` (when a segment is rewritten), `load`,
//! `undo` (roll-back in place), `handover` (key-group migration), `index`, `timer`. docs/design/state.md has the
//! decisions.
//!
//! All code here runs on the slot's thread, which owns the tables. It does no I/O: a snapshot is written to a
//! [`SnapshotSink`], and a restore gets bytes.

extern crate reflow_types as reflow; // the name in derived code

mod account;
mod block;
mod codec;
mod entries;
mod epochs;
mod error;
mod handover;
mod index;
mod key;
mod layout;
mod load;
mod mark;
mod pending;
mod prefetch;
mod schema;
mod slots;
mod snapshot;
mod table;
mod timer;
mod tombstones;
mod undo;
mod visit;
mod writer;

use serde::{Deserialize, Serialize};

pub use error::{Site, StateError};
pub use handover::InstallCursor;
pub use index::{Index, Indexed};
pub use key::{Scoped, StateKey};
pub use layout::{MAX_SEGMENTS, SegmentLayout};
pub use load::{Origin, Restore, verify};
pub use snapshot::{Progress, SnapshotKind};
pub use table::{KeyedTable, PREFETCH_DISTANCE};
pub use timer::{Moments, Scope, Timer, TimerTable};
pub use visit::SnapshotTable;
pub use writer::{Run, RunKind, RunWriter, SnapshotSink, SnapshotWriter};

/// The number of a table within its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub u16);
