//! A subtask's snapshot as the control plane sees it: handles to state objects, not their contents.

use bytes::Bytes;
use reflow_types::{KeyGroupSet, Timestamp};
use serde::{Deserialize, Serialize};

/// Which codec a snapshot's values are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// Fast, private to one build: checkpoints.
    Exchange,
    /// Self-describing, stable over releases: savepoints.
    Savepoint,
}

/// A subtask's part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskState {
    /// Keyed state, if the subtask has any.
    pub keyed: Option<KeyedState>,
    /// Operator state: small, so it travels in the message.
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
    /// What stands where in the object, in ascending order of offset.
    pub runs: Vec<Run>,
    /// The object's length.
    pub bytes: u64,
}

/// A stretch of a data object: the blocks of one table's segment of adjacent key groups
/// ([`reflow_types::key_group::segment_groups`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which of the subtask's tables (windows, timers, values are tables of their own).
    pub table: u16,
    /// Which segment of the table.
    pub segment: u16,
    /// Whether it holds all of the segment (of the groups owned): earlier runs of it are then not needed.
    pub full: bool,
    /// Where it begins in the object.
    pub offset: u64,
    /// Its length in bytes. A full run of an empty segment has none.
    pub len: u32,
}

/// How list-shaped operator state is shared out over another number of subtasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redistribution {
    /// Each item goes to one subtask.
    Split,
    /// Each item goes to every subtask.
    Union,
    /// Every subtask holds the same items and gets one copy.
    Broadcast,
}

/// A list of items that an operator keeps outside any key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorState {
    /// The operator's uid.
    pub operator: String,
    /// The state's name within the operator.
    pub name: String,
    /// What happens to it at another parallelism.
    pub redistribution: Redistribution,
    /// Its items, encoded.
    pub items: Vec<Bytes>,
}

/// What a subtask gets back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Keyed state. The parts' groups are disjoint: parts may be read in any order.
    pub keyed: Vec<RestorePart>,
    /// Operator state after redistribution.
    pub operator: Vec<OperatorState>,
    /// The lowest watermark of the vertex's subtasks at the barrier.
    pub watermark: Option<Timestamp>,
}

/// Runs that are to be read for some groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePart {
    /// Only what is in these groups counts: owned now by the subtask, and then by each run's writer.
    pub groups: KeyGroupSet,
    /// In the order in which they are applied, oldest first.
    pub runs: Vec<RunRef>,
}

/// A run in its object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The object's name: absolute, or below the directory of the savepoint that it belongs to.
    pub object: String,
    /// Which table's blocks it holds.
    pub table: u16,
    /// Of which segment.
    pub segment: u16,
    /// Where it begins.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u32,
}

/// What sources do after a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterBarrier {
    /// They go on.
    Continue,
    /// They emit nothing until the checkpoint is aborted: the attempt ends with it, and nothing is
    /// processed twice.
    Pause,
    /// As `Pause`; once the checkpoint is complete and everything that it contains is committed, every subtask
    /// reports that it has finished: the end of a bounded job, stop with a savepoint, suspension.
    Finish,
    /// They end their output after it (stop with `--drain`): windows and timers fire.
    Drain,
}
