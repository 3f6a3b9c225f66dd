//! Handles to the state objects of a subtask's snapshot. The control plane never sees their contents.

use bytes::Bytes;
use reflow_types::{KeyGroupSet, KeyHash, Timestamp};
use serde::{Deserialize, Serialize};

/// How the keyed state of a snapshot is written. Keys and values are encoded alike in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateFormat {
    /// What has changed since earlier checkpoints.
    Checkpoint,
    /// Everything, with the schema beside it.
    Savepoint,
}

/// What the first checkpoint of an attempt contains that restores state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FirstCheckpoint {
    /// What has changed since the restored checkpoint.
    Changes,
    /// Everything: a savepoint or another job's checkpoint was restored, or one whose state has other types now.
    Everything,
}

/// A subtask's part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskState {
    /// Keyed state, if the subtask has any.
    pub keyed: Option<KeyedState>,
    /// Operator state. It is small, so the message contains it.
    pub operator: Vec<OperatorState>,
    /// The subtask's watermark at the barrier.
    pub watermark: Timestamp,
}

/// The keyed state that a subtask wrote for one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedState {
    /// The groups that the subtask owns.
    pub groups: KeyGroupSet,
    /// The object's name: absolute, or below the directory of the checkpoint's
    /// [`SnapshotKind`](crate::command::SnapshotKind). No object if nothing changed.
    pub object: Option<String>,
    /// The runs in the object, in ascending order of offset.
    pub runs: Vec<Run>,
    /// The object's length.
    pub bytes: u64,
}

/// A range of a data object: the blocks of one table's segment of adjacent key groups
/// ([`reflow_types::key_group::segment_groups`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The number of the subtask's table (windows, timers, values are tables of their own).
    pub table: u16,
    pub segment: u16,
    /// Whether it contains the whole segment (of the groups owned), so that earlier runs of the segment are not
    /// needed.
    pub full: bool,
    /// Its offset in the object.
    pub offset: u64,
    /// Its length in bytes. A full run of an empty segment has length 0.
    pub len: u32,
}

/// How operator state is redistributed to another number of subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redistribution {
    /// Each item goes to one subtask.
    Split,
    /// Each item goes to every subtask.
    Union,
    /// Every subtask holds the same items and gets one copy.
    Broadcast,
    /// Each item goes to the owner of its key group. It begins with the key's hash ([`OperatorState::key_of_item`]).
    ByKey,
}

impl Redistribution {
    /// Whether each item belongs to one subtask.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Split | Self::ByKey)
    }
}

/// A list of items of an operator that belong to no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    /// The operator's uid.
    pub operator: String,
    /// The state's name within the operator.
    pub name: String,
    pub redistribution: Redistribution,
    /// Its items, encoded.
    pub items: Vec<Bytes>,
}

impl OperatorState {
    /// The hash of the key of an item that is redistributed by key: the first eight bytes, in little-endian order. `None` if
    /// it is too short.
    pub fn key_of_item(item: &[u8]) -> Option<KeyHash> {
        item.first_chunk().map(|hash| KeyHash(u64::from_le_bytes(*hash)))
    }
}

/// The state that a subtask restores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Keyed state. The parts' groups are disjoint, so parts may be read in any order.
    pub keyed: Vec<RestorePart>,
    /// The schemas of tables whose entries were written with other types than this build has.
    pub schemas: Vec<WriterSchema>,
    /// Operator state after redistribution.
    pub operator: Vec<OperatorState>,
    /// The lowest watermark of the vertex's subtasks at the barrier.
    pub watermark: Option<Timestamp>,
}

/// The schema with which the entries of a table were written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterSchema {
    pub table: u16,
    /// The schema, encoded as in savepoints.
    pub schema: Bytes,
}

/// The runs that are read for some key groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePart {
    /// Entries of other groups are ignored. The subtask owns these groups now, as the writer of each run did
    /// then.
    pub groups: KeyGroupSet,
    /// The runs in the order in which they are applied, oldest first.
    pub runs: Vec<RunRef>,
}

/// A run in its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The object's name: absolute, or below the directory of the savepoint that it belongs to.
    pub object: String,
    pub table: u16,
    pub segment: u16,
    /// Its offset in the object.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
}

/// What sources do after a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterBarrier {
    /// They continue.
    Continue,
    /// They emit nothing until the checkpoint is aborted. The attempt ends with it, so no record is processed
    /// twice.
    Pause,
    /// As `Pause`, and every subtask finishes once the checkpoint is complete and its transactions are committed:
    /// the end of a bounded job, stop with a savepoint, suspension.
    Finish,
    /// They end their output after it, so that windows and timers fire (stop with `--drain`).
    Drain,
}
