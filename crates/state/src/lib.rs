//! Keyed state: tables and timers, incremental snapshots that do not stop the slot, restore and migration.
//!
//! Reading order: [`layout`](SegmentLayout) (the segment of a key), `slots` (the entries of a segment), `entries`
//! (the entries of a table), `mark` (when an entry changed), `epochs` (what marks are compared with), `table`
//! (the table and the calls that records make), `snapshot`, `account` (when a segment is rewritten), `load`,
//! `undo` (roll-back in place), `handover` (key-group migration), `sweep` (removal of dead entries), `index`, `timer`,
//! `per_key` and `members` (the indexes of) `map` and `list`. docs/design/state.md has the
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
mod list;
mod load;
mod map;
mod mark;
mod members;
mod pending;
mod per_key;
mod prefetch;
mod schema;
mod slots;
mod snapshot;
mod sweep;
mod table;
mod timer;
mod tombstones;
mod undo;
mod visit;
mod writer;

use serde::{Deserialize, Serialize};

pub use block::{Block, Kind as BlockKind};
pub use error::{Site, StateError};
pub use handover::InstallCursor;
pub use index::{Index, Indexed};
pub use key::{Scoped, StateKey};
pub use layout::{MAX_SEGMENTS, SegmentLayout};
pub use list::{ListTable, Spans};
pub use load::{Origin, Restore, verify};
pub use map::{Hashed, MapTable, Order, Sorted, UserKeys};
pub use snapshot::{Progress, SnapshotKind};
pub use sweep::{SweepCursor, Verdict};
pub use table::{Found, KeyedTable, PREFETCH_DISTANCE};
pub use timer::{Moments, Scope, Timer, TimerTable};
pub use visit::SnapshotTable;
pub use writer::{Run, RunKind, RunWriter, SnapshotSink, SnapshotWriter};

/// The number of a table within its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TableId(pub u16);

impl TableId {
    /// The number of tables that operators number themselves.
    const NUMBERED: u64 = 16;

    /// The number of a table that is found by its name, whatever other tables the operator has. Names of the same
    /// number cannot be told apart; of ten names, two have the same one in 0.07 % of all cases.
    pub fn of_name(name: &str) -> Self {
        let hash = reflow_types::key::hash_bytes(name.as_bytes()).0;
        let number = Self::NUMBERED + hash % (1 + u64::from(u16::MAX) - Self::NUMBERED);
        Self(number as u16)
    }
}
