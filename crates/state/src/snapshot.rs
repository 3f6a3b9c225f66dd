//! Snapshots of a table, which are frozen at a barrier and written in bounded steps between batches of records.
//!
//! [`KeyedTable::freeze`](crate::KeyedTable::freeze) only ends the epoch and chooses an increment or a full run
//! for each segment; the marks of the entries then show what belongs to the snapshot.
//! [`KeyedTable::snapshot_step`](crate::KeyedTable::snapshot_step) walks through the segments and writes these
//! entries. If an entry is about to change before the walk has reached it, its old value is encoded first
//! (`before_change` in `table`), so the snapshot has the table as it was at the barrier. Within a run, tombstones
//! come before puts, so a key that was removed and inserted again exists after a restore.
//!
//! ```
//! use reflow_state::{KeyedTable, Origin, Progress, Restore, SnapshotKind, SnapshotWriter, TableId};
//! use reflow_types::{CheckpointId, Key, KeyGroupSet, MaxParallelism};
//!
//! let (key, hash, max) = (7u64, 7u64.key_hash(), MaxParallelism::DEFAULT);
//! let table = || KeyedTable::<u64, u64>::new(TableId(0), "counts", max);
//! let mut counts = table();
//! *counts.upsert(hash, &key, || 0) = 1;
//!
//! // A record behind the barrier changes the entry before the walk has reached it.
//! counts.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
//! *counts.upsert(hash, &key, || 0) = 2;
//! let mut writer = SnapshotWriter::new(Vec::new());
//! while counts.snapshot_step(1 << 20, &mut writer)? == Progress::More {}
//! counts.complete(CheckpointId(1));
//!
//! // A restore has the table as it was at the barrier.
//! let (bytes, _runs) = writer.finish();
//! let mut restored = table();
//! restored.load(&bytes, Restore { table: TableId(0), owned: &KeyGroupSet::all(max), origin: Origin::Own })?;
//! assert_eq!((restored.get(hash, &key), counts.get(hash, &key)), (Some(&1), Some(&2)));
//! # Ok::<(), reflow_state::StateError>(())
//! ```

mod walk;

use self::walk::Walk;
use crate::StateKey;
use crate::account::Written;
use crate::entries::Entries;
use crate::epochs::Epochs;
use crate::error::StateError;
use crate::mark::{Epoch, Mark};
use crate::writer::RunWriter;
use reflow_types::{Bounds, CheckpointId, Data};

/// The purpose of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// A checkpoint: increments over the last complete one.
    Checkpoint,
    /// A self-contained checkpoint, because objects of earlier ones are lost.
    Full,
    /// The checkpoint of a cut. It has only increments, because the new owners wait for the changes.
    Cut,
    /// A savepoint: self-contained, with its schema. Checkpoints do not build on it.
    Savepoint,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    More,
    /// All is done. A snapshot now awaits [`KeyedTable::complete`](crate::KeyedTable::complete) or
    /// [`KeyedTable::abort`](crate::KeyedTable::abort).
    Done,
}

/// A snapshot that is written and whose checkpoint is not decided yet.
pub(crate) struct Awaiting {
    checkpoint: CheckpointId,
    kind: SnapshotKind,
    epoch: Epoch,
    written: Vec<Written>,
}

/// The snapshots of one table.
pub(crate) struct Snapshots {
    walk: Option<Walk>,
    awaiting: Vec<Awaiting>,
    /// The error of an entry that could not be encoded before it changed. The next step of the snapshot returns
    /// it.
    failed: Option<StateError>,
}

impl Awaiting {
    /// The epoch that the snapshot ended.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What was written of each segment.
    pub(crate) fn written(&self) -> &[Written] {
        &self.written
    }
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        Self { walk: None, awaiting: Vec::new(), failed: None }
    }

    /// Drops all snapshots, those under way and those that are not decided.
    pub(crate) fn reset(&mut self) {
        self.walk = None;
        self.failed = None;
        self.awaiting.clear();
    }

    /// Whether a snapshot is being written.
    pub(crate) fn is_writing(&self) -> bool {
        self.walk.is_some()
    }

    /// Whether a checkpoint is written but not decided.
    pub(crate) fn awaits_checkpoint(&self) -> bool {
        self.awaiting.iter().any(|awaiting| awaiting.kind != SnapshotKind::Savepoint)
    }

    /// Begins a snapshot of everything up to the current epoch.
    pub(crate) fn freeze<K: StateKey, V: Data>(
        &mut self,
        checkpoint: CheckpointId,
        kind: SnapshotKind,
        entries: &Entries<K, V>,
        epochs: &Epochs,
    ) {
        assert!(self.walk.is_none(), "table '{}': one snapshot is written at a time", entries.name());
        self.walk = Some(Walk::new(checkpoint, kind, entries, epochs));
    }

    /// Registers a checkpoint without a snapshot, because the table was empty when `epoch` ended.
    pub(crate) fn skip(&mut self, checkpoint: CheckpointId, epoch: Epoch) {
        self.awaiting.push(Awaiting {
            checkpoint,
            kind: SnapshotKind::Checkpoint,
            epoch,
            written: Vec::new(),
        });
    }

    /// Writes about `budget_bytes` of the snapshot under way. `base` is the last complete epoch.
    pub(crate) fn step<K: StateKey, V: Data>(
        &mut self,
        entries: &mut Entries<K, V>,
        base: Epoch,
        bounds: &Bounds,
        budget_bytes: usize,
        out: &mut dyn RunWriter,
    ) -> Result<Progress, StateError> {
        let Some(walk) = &mut self.walk else { return Ok(Progress::Done) };
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut step =
            walk::Step { entries, base, bounds, out, left: i64::try_from(budget_bytes).unwrap_or(i64::MAX) };
        let progress = step.run(walk)?;
        if progress == Progress::Done {
            self.awaiting.extend(self.walk.take().map(Walk::into_awaiting));
        }
        Ok(progress)
    }

    /// Whether the snapshot under way must still write an entry of `segment` with this mark.
    pub(crate) fn wants(&self, segment: usize, mark: Mark) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.wants(segment, mark))
    }

    /// Encodes an entry that belongs to the snapshot under way and is about to change.
    pub(crate) fn encode_early<K: StateKey, V: Data>(
        &mut self,
        entries: &mut Entries<K, V>,
        segment: usize,
        position: usize,
        block_bytes: usize,
    ) {
        let (entry, pending) = entries.entry_and_pending(segment, position);
        if let Err(reason) = pending.push(block_bytes, &entry.key, &entry.value) {
            self.failed.get_or_insert(StateError::Encode { site: entries.site(segment), reason });
        }
    }

    /// A checkpoint is complete. Returns its snapshot if later checkpoints build on it.
    pub(crate) fn complete(&mut self, checkpoint: CheckpointId) -> Option<Awaiting> {
        let index = self.awaiting.iter().position(|awaiting| awaiting.checkpoint == checkpoint)?;
        let complete = self.awaiting.swap_remove(index);
        if complete.kind == SnapshotKind::Savepoint {
            return None;
        }
        self.awaiting.retain(|other| other.epoch > complete.epoch);
        Some(complete)
    }

    /// A checkpoint has failed.
    pub(crate) fn abort<K: StateKey, V: Data>(
        &mut self,
        checkpoint: CheckpointId,
        entries: &mut Entries<K, V>,
    ) {
        self.awaiting.retain(|awaiting| awaiting.checkpoint != checkpoint);
        if self.walk.as_ref().is_some_and(|walk| walk.checkpoint() == checkpoint) {
            self.walk = None;
            self.failed = None;
            entries.segments_mut().for_each(|(_, segment)| segment.pending.clear());
        }
    }
}
