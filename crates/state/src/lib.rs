//! Keyed state: tables by key, timers, incremental snapshots that do not stop the slot, restore.
//!
//! Reading order: [`layout`](SegmentLayout) (where a key lives), `slots` (one segment's entries), `entries` (all of them),
//! `mark` (when an entry changed), `epochs` (what that is compared with), `table` (the table, and the calls that records
//! make), `snapshot`, `account` (when a segment is rewritten), `load`, `undo` (a roll-back in place), `handover` (groups
//! that change their owner), `index`, `timer`. Why it is as it is: docs/design/state.md.
//!
//! Everything here runs on the slot's thread, which owns the tables, and does no I/O: snapshots leave through a
//! [`SnapshotSink`], and a restore is given bytes.

extern crate reflow_types as reflow; // what the derived code names

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
