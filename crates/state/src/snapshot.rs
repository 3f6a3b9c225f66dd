//! Snapshots: frozen at a barrier, written by bounded steps between batches of records.
//!
//! [`KeyedTable::freeze`] only ends the epoch and decides per segment between an increment and a rewrite; what
//! belongs to the snapshot is then told by the marks. [`KeyedTable::snapshot_step`] walks the segments and writes
//! what has such a mark. An entry that changes before the walk has come by is encoded first (`before_change` in
//! `table`), so that the snapshot has the table as it was at the barrier, whatever happens meanwhile. Within a
//! run tombstones come before puts, so that a key that was removed and put again is there after a restore.
//!
//! Between two steps the walk rests at a *tag*, not at a position: all entries with lower tags are written. Tags
//! survive the growth of the segment. The tag is the lowest that can lie behind the last empty slot, as only an
//! empty slot separates lower tags from higher ones; what is looked at again within a run of occupied slots
//! carries a mark that says it is written.

use crate::account::{Mode, Written};
use crate::block::{HEADER, Header, Kind};
use crate::codec::Codec;
use crate::error::StateError;
use crate::mark::{Epoch, Mark};
use crate::pending::Batch;
use crate::slots::{Entry, TAGS};
use crate::table::StateValue;
use crate::writer::{RunKind, RunWriter};
use crate::{KeyedTable, StateKey};
use reflow_types::CheckpointId;

/// What a snapshot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotKind {
    /// The engine's: increments on the last complete checkpoint, exchange codec.
    Checkpoint,
    /// A checkpoint that is complete in itself, because objects of earlier ones are gone.
    Full,
    /// A checkpoint with which groups leave: nothing is rewritten, as their new owners wait for what has changed.
    Cut,
    /// The user's: complete in itself, savepoint codec. Checkpoints do not build on it.
    Savepoint,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to write.
    More,
    /// The table is written; it awaits [`KeyedTable::complete`] or [`KeyedTable::abort`].
    Done,
}

/// A snapshot that is being written.
pub(crate) struct Walk {
    checkpoint: CheckpointId,
    kind: SnapshotKind,
    pub(crate) codec: Codec,
    epoch: Epoch,
    /// The last complete epoch when it was frozen. An earlier checkpoint may be found complete while this one is being
    /// written: were the tombstones before that and the puts after it told by different bases, a key that was removed
    /// and put again would be removed for good.
    base: Epoch,
    plans: Vec<Plan>,
    segment: usize,
    stage: Stage,
    block: Batch,
    /// Bytes of the segment's run so far.
    bytes: u64,
    /// Entries in it, and their bytes, without tombstones and headers.
    puts: u64,
    put_bytes: u64,
}

#[derive(Clone, Copy)]
struct Plan {
    mode: Mode,
    /// The account's count of changes at the barrier.
    changes: u64,
    /// What has been written of the segment, once it is.
    bytes: u64,
    written: Mode,
}

/// Where in its segment a walk is.
enum Stage {
    Begin,
    Tombstones {
        next: usize,
    },
    Puts {
        /// Entries with tags below are written.
        tag: u64,
    },
    Pending,
}

/// A snapshot that is written, but whose checkpoint may still fail.
pub(crate) struct Awaiting {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) kind: SnapshotKind,
    pub(crate) epoch: Epoch,
    pub(crate) written: Vec<Written>,
}

impl Walk {
    /// Whether the snapshot must still write an entry of `segment` that has this mark.
    pub(crate) fn wants(&self, segment: usize, mark: Mark) -> bool {
        match self.plans[segment].mode {
            Mode::Skip => false,
            Mode::Increment => Mark::written(self.base) < mark && !mark.is_written_in(self.epoch),
            Mode::Full => !mark.is_written_in(self.epoch) && mark != Mark::clean(self.epoch),
        }
    }
}

impl<K: StateKey, V: StateValue> KeyedTable<K, V> {
    /// The barrier of a checkpoint: fixes what its snapshot contains. Costs nothing per entry.
    ///
    /// # Panics
    /// If the snapshot before is still being written: it must be written or aborted first.
    pub fn freeze(&mut self, checkpoint: CheckpointId, kind: SnapshotKind) {
        assert!(self.walk.is_none(), "table '{}': one snapshot is written at a time", self.name);
        let plan = |(slots, segment): (&_, &crate::table::Segment<K>)| {
            let slots: &crate::slots::Slots<K, V> = slots;
            let mode = match kind {
                SnapshotKind::Checkpoint => segment.account.plan(slots.len(), segment.tombstones.len()),
                // The checkpoint before it is complete, and nothing has failed since.
                SnapshotKind::Cut if segment.account.must_be_rewritten() => {
                    panic!("table '{}': a cut follows a checkpoint that has failed", self.name)
                }
                SnapshotKind::Cut if segment.account.changed() > 0 => Mode::Increment,
                SnapshotKind::Cut => Mode::Skip,
                SnapshotKind::Savepoint | SnapshotKind::Full if slots.len() > 0 => Mode::Full,
                SnapshotKind::Savepoint | SnapshotKind::Full => Mode::Skip,
            };
            Plan { mode, changes: segment.account.changes(), bytes: 0, written: Mode::Skip }
        };
        let codec = match kind {
            SnapshotKind::Checkpoint | SnapshotKind::Full | SnapshotKind::Cut => Codec::Exchange,
            SnapshotKind::Savepoint => Codec::Savepoint,
        };
        self.sample.begin(codec);
        self.walk = Some(Walk {
            checkpoint,
            kind,
            codec,
            epoch: self.epoch,
            base: self.base,
            plans: self.slots.iter().zip(&self.segments).map(plan).collect(),
            segment: 0,
            stage: Stage::Begin,
            block: Batch::default(),
            bytes: 0,
            puts: 0,
            put_bytes: 0,
        });
        // What it writes is marked on the checkpoint before that one.
        if let Some(undo) = &mut self.undo
            && self.awaiting.iter().any(|awaiting| awaiting.kind != SnapshotKind::Savepoint)
        {
            undo.forget_until(self.epoch);
        }
        self.enter_epoch(self.epoch.next());
    }

    /// Writes about `budget_bytes` of the snapshot, at least one entry. A single value may exceed the budget;
    /// passing over what needs no writing counts an eighth of its size.
    pub fn snapshot_step(
        &mut self,
        budget_bytes: usize,
        out: &mut dyn RunWriter,
    ) -> Result<Progress, StateError> {
        let Some(mut walk) = self.walk.take() else { return Ok(Progress::Done) };
        let mut left = i64::try_from(budget_bytes).unwrap_or(i64::MAX);
        let result = match self.failed.take() {
            Some(error) => Err(error),
            None => loop {
                if walk.segment == walk.plans.len() {
                    self.awaiting.push(walk.into_awaiting());
                    return Ok(Progress::Done);
                }
                if left <= 0 {
                    break Ok(Progress::More);
                }
                if let Err(error) = self.step_segment(&mut walk, &mut left, out) {
                    break Err(error);
                }
            },
        };
        self.walk = Some(walk);
        result
    }

    /// The checkpoint is complete: the next one contains only what changed after it. Unknown checkpoints, from
    /// before a restore say, are ignored.
    pub fn complete(&mut self, checkpoint: CheckpointId) {
        let Some(index) = self.awaiting.iter().position(|a| a.checkpoint == checkpoint) else { return };
        if self.awaiting[index].kind == SnapshotKind::Savepoint {
            self.awaiting.remove(index);
            return;
        }
        let complete = self.awaiting.swap_remove(index);
        self.base = self.base.max(complete.epoch);
        self.base_checkpoint = Some(checkpoint);
        if let Some(undo) = &mut self.undo {
            undo.forget_until(self.base);
        }
        if self.handed_over_in.is_some_and(|epoch| epoch <= self.base) {
            self.handed_over_in = None;
            self.segments.iter_mut().for_each(|segment| segment.account.complete_handed_over());
        }
        for written in &complete.written {
            self.segments[usize::from(written.segment)].account.complete(complete.epoch, written);
        }
        self.awaiting.retain(|other| other.epoch > complete.epoch);
    }

    /// The checkpoint has failed: the next one contains its changes again. Unknown checkpoints are ignored.
    pub fn abort(&mut self, checkpoint: CheckpointId) {
        self.awaiting.retain(|awaiting| awaiting.checkpoint != checkpoint);
        if self.walk.as_ref().is_some_and(|walk| walk.checkpoint == checkpoint) {
            self.walk = None;
            self.failed = None;
            self.segments.iter_mut().for_each(|segment| segment.pending.clear());
        }
        self.forget_tombstones();
    }

    /// Forgets removed keys where they take more memory than the live entries: while checkpoints fail, they would pile up
    /// without end. Such a segment is next written in full, which says as much. Not while a snapshot is undecided: if it
    /// is complete after all, increments build on it.
    fn forget_tombstones(&mut self) {
        let decides = |awaiting: &Awaiting| awaiting.kind != SnapshotKind::Savepoint;
        if self.walk.is_some() || self.awaiting.iter().any(decides) {
            return;
        }
        for (slots, segment) in self.slots.iter().zip(&mut self.segments) {
            let live = segment.account.live_bytes(slots.len()) as usize;
            if segment.tombstone_bytes() > live + self.bounds.tombstone_bytes {
                segment.tombstones = Vec::new();
                segment.account.rewrite_from(self.epoch);
            }
        }
    }

    /// Takes the walk one stage further within its segment, or to the next segment.
    fn step_segment(
        &mut self,
        walk: &mut Walk,
        left: &mut i64,
        out: &mut dyn RunWriter,
    ) -> Result<(), StateError> {
        let mode = walk.plans[walk.segment].mode;
        walk.stage = match walk.stage {
            Stage::Begin => match mode {
                Mode::Skip => {
                    self.leave_segment(walk);
                    Stage::Begin
                }
                Mode::Increment => {
                    out.begin_run(self.id, walk.segment as u16, RunKind::Increment);
                    Stage::Tombstones { next: 0 }
                }
                Mode::Full => {
                    out.begin_run(self.id, walk.segment as u16, RunKind::Full);
                    Stage::Puts { tag: 0 }
                }
            },
            Stage::Tombstones { next } => self.step_tombstones(walk, next, left, out)?,
            Stage::Puts { tag } => self.step_puts(walk, tag, left, out)?,
            Stage::Pending => match self.segments[walk.segment].pending.pop() {
                Some(batch) => {
                    *left -= batch.bytes.len() as i64 / 4;
                    self.write_block(walk, Kind::Puts, &batch, out)?;
                    Stage::Pending
                }
                None => {
                    out.end_run();
                    walk.plans[walk.segment] = Plan {
                        mode: Mode::Skip,
                        written: mode,
                        bytes: walk.bytes,
                        ..walk.plans[walk.segment]
                    };
                    if walk.codec == Codec::Exchange {
                        self.segments[walk.segment].account.measured(walk.puts, walk.put_bytes);
                    }
                    self.leave_segment(walk);
                    Stage::Begin
                }
            },
        };
        Ok(())
    }

    fn step_tombstones(
        &mut self,
        walk: &mut Walk,
        start: usize,
        left: &mut i64,
        out: &mut dyn RunWriter,
    ) -> Result<Stage, StateError> {
        let frozen =
            self.segments[walk.segment].tombstones.partition_point(|(epoch, _)| *epoch <= walk.epoch);
        for next in start..frozen {
            if *left <= 0 {
                return Ok(Stage::Tombstones { next });
            }
            let (epoch, key) = &self.segments[walk.segment].tombstones[next];
            if *epoch > walk.base {
                let before = walk.block.bytes.len();
                if let Err(reason) = walk.codec.encode(key, &mut walk.block.bytes) {
                    return Err(StateError::Encode { site: self.site(walk.segment), reason });
                }
                walk.block.entries += 1;
                *left -= (walk.block.bytes.len() - before) as i64;
                self.write_full_block(walk, Kind::Tombstones, out)?;
            }
        }
        self.write_rest(walk, Kind::Tombstones, out)?;
        Ok(Stage::Puts { tag: 0 })
    }

    fn step_puts(
        &mut self,
        walk: &mut Walk,
        tag: u64,
        left: &mut i64,
        out: &mut dyn RunWriter,
    ) -> Result<Stage, StateError> {
        let pass_bytes = size_of::<Option<Entry<K, V>>>().div_ceil(8) as i64;
        let start = self.slots[walk.segment].home(tag);
        let (mut behind_empty, mut wrote) = (start, false);
        for position in start..self.slots[walk.segment].positions() {
            // Stopping before anything is gained would only look at the same slots again.
            if *left <= 0 && (wrote || behind_empty > start) {
                match self.slots[walk.segment].lowest_tag(behind_empty) {
                    // Behind an empty spare slot there is nothing.
                    TAGS => break,
                    tag => return Ok(Stage::Puts { tag }),
                }
            }
            *left -= pass_bytes;
            let Some(entry) = self.slots[walk.segment].at_mut(position) else {
                behind_empty = position + 1;
                continue;
            };
            if walk.wants(walk.segment, entry.mark) {
                if let Err(reason) = self.sample.look_at(walk.codec, &entry.key, &entry.value) {
                    return Err(walk.codec.not_restorable(self.site(walk.segment), reason));
                }
                let before = walk.block.bytes.len();
                let encoded = walk.codec.encode_put(&entry.key, &entry.value, &mut walk.block.bytes);
                entry.mark = entry.mark.after_write(walk.epoch, self.base);
                if let Err(reason) = encoded {
                    return Err(StateError::Encode { site: self.site(walk.segment), reason });
                }
                walk.block.entries += 1;
                wrote = true;
                *left -= (walk.block.bytes.len() - before) as i64;
                self.write_full_block(walk, Kind::Puts, out)?;
            }
        }
        self.write_rest(walk, Kind::Puts, out)?;
        Ok(Stage::Pending)
    }

    /// Goes on to the next segment, and frees tombstones that a complete checkpoint has.
    fn leave_segment(&mut self, walk: &mut Walk) {
        let tombstones = &mut self.segments[walk.segment].tombstones;
        let known = tombstones.partition_point(|(epoch, _)| *epoch <= self.base);
        if known > 0 {
            tombstones.drain(..known);
        }
        if tombstones.is_empty() {
            *tombstones = Vec::new();
        }
        walk.segment += 1;
        (walk.bytes, walk.puts, walk.put_bytes) = (0, 0, 0);
    }

    fn write_full_block(
        &self,
        walk: &mut Walk,
        kind: Kind,
        out: &mut dyn RunWriter,
    ) -> Result<(), StateError> {
        match walk.block.bytes.len() >= self.bounds.block_bytes {
            true => self.write_rest(walk, kind, out),
            false => Ok(()),
        }
    }

    fn write_rest(&self, walk: &mut Walk, kind: Kind, out: &mut dyn RunWriter) -> Result<(), StateError> {
        let mut block = std::mem::take(&mut walk.block);
        if block.entries > 0 {
            self.write_block(walk, kind, &block, out)?;
        }
        block.entries = 0;
        block.bytes.clear();
        block.bytes.shrink_to(2 * self.bounds.block_bytes);
        walk.block = block;
        Ok(())
    }

    fn write_block(
        &self,
        walk: &mut Walk,
        kind: Kind,
        batch: &Batch,
        out: &mut dyn RunWriter,
    ) -> Result<(), StateError> {
        let bytes = walk.bytes + (HEADER + batch.bytes.len()) as u64;
        let limit = self.bounds.run_bytes.min(u64::from(u32::MAX));
        if bytes > limit {
            return Err(StateError::TooLarge { site: self.site(walk.segment), bytes, limit });
        }
        let header = Header {
            kind,
            codec: walk.codec,
            table: self.id,
            max: self.layout.max_parallelism(),
            groups: self.layout.groups(walk.segment as u16),
            entries: batch.entries,
        };
        let header = header.encode(&batch.bytes);
        out.write(&header);
        out.write(&batch.bytes);
        walk.bytes = bytes;
        if kind == Kind::Puts {
            walk.puts += u64::from(batch.entries);
            walk.put_bytes += batch.bytes.len() as u64;
        }
        Ok(())
    }
}

impl Walk {
    fn into_awaiting(self) -> Awaiting {
        let written = |(segment, plan): (usize, &Plan)| Written {
            segment: segment as u16,
            mode: plan.written,
            bytes: plan.bytes,
            changes: plan.changes,
        };
        Awaiting {
            checkpoint: self.checkpoint,
            kind: self.kind,
            epoch: self.epoch,
            written: self.plans.iter().enumerate().map(written).collect(),
        }
    }
}
