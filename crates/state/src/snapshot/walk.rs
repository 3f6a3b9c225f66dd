//! The walk of a snapshot through the segments of its table, in bounded steps.
//!
//! Between two steps the walk remembers a *tag*, not a position, because tags stay valid when the segment grows:
//! all entries with lower tags are written. It is the lowest tag that can be behind the last empty slot, because
//! only an empty slot separates lower tags from higher ones. Entries in a run of occupied slots may be visited
//! twice; their marks show that they are written.

use super::{Awaiting, Progress, SnapshotKind};
use crate::StateKey;
use crate::account::{Mode, Written};
use crate::block::{HEADER, Header, Kind};
use crate::codec;
use crate::entries::{Entries, Segment};
use crate::epochs::Epochs;
use crate::error::StateError;
use crate::mark::{Epoch, Mark};
use crate::pending::Batch;
use crate::slots::{Entry, TAGS};
use crate::writer::{RunKind, RunWriter};
use reflow_types::{Bounds, CheckpointId, Data};

/// A snapshot that is being written.
pub(super) struct Walk {
    checkpoint: CheckpointId,
    kind: SnapshotKind,
    epoch: Epoch,
    /// The last complete epoch when the table was frozen. An earlier checkpoint may complete while this one is
    /// being written. If tombstones and puts were then selected by different epochs, a key that was removed and
    /// inserted again would be lost.
    base: Epoch,
    plans: Vec<Plan>,
    segment: usize,
    stage: Stage,
    block: Batch,
    run: RunSize,
}

/// The size of the run that is being written.
#[derive(Default)]
struct RunSize {
    bytes: u64,
    /// The number of entries, without tombstones.
    puts: u64,
    /// The bytes of these entries, without headers.
    put_bytes: u64,
}

#[derive(Clone, Copy)]
struct Plan {
    mode: Mode,
    /// The account's count of changes at the barrier.
    changes: u64,
    /// The bytes of the segment's run, once it is written.
    bytes: u64,
    written: Mode,
}

/// The position of a walk in its segment.
enum Stage {
    Begin,
    Tombstones {
        next: usize,
    },
    Puts {
        /// All entries with lower tags are written.
        tag: u64,
    },
    Pending,
}

/// One bounded step of a walk.
pub(super) struct Step<'a, K, V> {
    pub(super) entries: &'a mut Entries<K, V>,
    /// The last complete epoch.
    pub(super) base: Epoch,
    pub(super) bounds: &'a Bounds,
    pub(super) out: &'a mut dyn RunWriter,
    /// The bytes that the step may still write.
    pub(super) left: i64,
}

impl Walk {
    pub(super) fn new<K: StateKey, V: Data>(
        checkpoint: CheckpointId,
        kind: SnapshotKind,
        entries: &Entries<K, V>,
        epochs: &Epochs,
    ) -> Self {
        let plan = |live: usize, segment: &Segment<K>| Plan {
            mode: mode(kind, live, segment, entries.name()),
            changes: segment.account.changes(),
            bytes: 0,
            written: Mode::Skip,
        };
        Self {
            checkpoint,
            kind,
            epoch: epochs.epoch(),
            base: epochs.base(),
            plans: entries.segments().map(|(slots, segment)| plan(slots.len(), segment)).collect(),
            segment: 0,
            stage: Stage::Begin,
            block: Batch::default(),
            run: RunSize::default(),
        }
    }

    pub(super) fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }

    /// Whether the snapshot must still write an entry of `segment` that has this mark.
    pub(super) fn wants(&self, segment: usize, mark: Mark) -> bool {
        match self.plans[segment].mode {
            Mode::Skip => false,
            Mode::Increment => Mark::written(self.base) < mark && !mark.is_written_in(self.epoch),
            Mode::Full => !mark.is_written_in(self.epoch) && mark != Mark::clean(self.epoch),
        }
    }

    pub(super) fn into_awaiting(self) -> Awaiting {
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

/// How a snapshot writes a segment with `live` entries of the table `name`.
fn mode<K>(kind: SnapshotKind, live: usize, segment: &Segment<K>, name: &str) -> Mode {
    match kind {
        SnapshotKind::Checkpoint => segment.account.plan(live, segment.tombstones.len()),
        // The coordinator takes a cut only directly after a complete checkpoint, so no checkpoint has failed
        // since.
        SnapshotKind::Cut if segment.account.must_be_rewritten() => {
            panic!("table '{name}': a cut follows a checkpoint that has failed")
        }
        SnapshotKind::Cut if segment.account.changed() > 0 => Mode::Increment,
        SnapshotKind::Cut => Mode::Skip,
        SnapshotKind::Savepoint | SnapshotKind::Full if live > 0 => Mode::Full,
        SnapshotKind::Savepoint | SnapshotKind::Full => Mode::Skip,
    }
}

impl<K: StateKey, V: Data> Step<'_, K, V> {
    /// Writes until the budget is used up or the table is written.
    pub(super) fn run(&mut self, walk: &mut Walk) -> Result<Progress, StateError> {
        loop {
            if walk.segment == walk.plans.len() {
                return Ok(Progress::Done);
            }
            if self.left <= 0 {
                return Ok(Progress::More);
            }
            self.step_segment(walk)?;
        }
    }

    /// Moves the walk to the next stage of its segment, or to the next segment.
    fn step_segment(&mut self, walk: &mut Walk) -> Result<(), StateError> {
        let mode = walk.plans[walk.segment].mode;
        walk.stage = match walk.stage {
            Stage::Begin => match mode {
                Mode::Skip => {
                    self.leave_segment(walk);
                    Stage::Begin
                }
                Mode::Increment => {
                    self.out.begin_run(self.entries.id(), walk.segment as u16, RunKind::Increment);
                    Stage::Tombstones { next: 0 }
                }
                Mode::Full => {
                    self.out.begin_run(self.entries.id(), walk.segment as u16, RunKind::Full);
                    if walk.kind == SnapshotKind::Savepoint {
                        let schema = Batch { entries: 0, bytes: self.entries.schema().to_bytes() };
                        self.write_block(walk, Kind::Schema, &schema)?;
                    }
                    Stage::Puts { tag: 0 }
                }
            },
            Stage::Tombstones { next } => self.step_tombstones(walk, next)?,
            Stage::Puts { tag } => self.step_puts(walk, tag)?,
            Stage::Pending => match self.entries.segment_mut(walk.segment).pending.pop() {
                Some(batch) => {
                    self.left -= batch.bytes.len() as i64 / 4;
                    self.write_block(walk, Kind::Puts, &batch)?;
                    Stage::Pending
                }
                None => {
                    self.out.end_run();
                    walk.plans[walk.segment] = Plan {
                        mode: Mode::Skip,
                        written: mode,
                        bytes: walk.run.bytes,
                        ..walk.plans[walk.segment]
                    };
                    let account = &mut self.entries.segment_mut(walk.segment).account;
                    account.measured(walk.run.puts, walk.run.put_bytes);
                    self.leave_segment(walk);
                    Stage::Begin
                }
            },
        };
        Ok(())
    }

    fn step_tombstones(&mut self, walk: &mut Walk, start: usize) -> Result<Stage, StateError> {
        let frozen = self.entries.segment(walk.segment).tombstones.count_until(walk.epoch);
        for next in start..frozen {
            if self.left <= 0 {
                return Ok(Stage::Tombstones { next });
            }
            let (epoch, key) = self.entries.segment(walk.segment).tombstones.at(next);
            if *epoch > walk.base {
                let before = walk.block.bytes.len();
                if let Err(reason) = codec::encode(key, &mut walk.block.bytes) {
                    return Err(StateError::Encode { site: self.entries.site(walk.segment), reason });
                }
                walk.block.entries += 1;
                self.left -= (walk.block.bytes.len() - before) as i64;
                self.write_full_block(walk, Kind::Tombstones)?;
            }
        }
        self.write_rest(walk, Kind::Tombstones)?;
        Ok(Stage::Puts { tag: 0 })
    }

    fn step_puts(&mut self, walk: &mut Walk, tag: u64) -> Result<Stage, StateError> {
        let pass_bytes = size_of::<Option<Entry<K, V>>>().div_ceil(8) as i64;
        let start = self.entries.slots(walk.segment).home(tag);
        let (mut behind_empty, mut wrote) = (start, false);
        for position in start..self.entries.slots(walk.segment).positions() {
            // Without progress the next step would only visit the same slots again, so the step does not stop
            // here.
            if self.left <= 0 && (wrote || behind_empty > start) {
                match self.entries.slots(walk.segment).lowest_tag(behind_empty) {
                    // No entries follow an empty spare slot.
                    TAGS => break,
                    tag => return Ok(Stage::Puts { tag }),
                }
            }
            self.left -= pass_bytes;
            let Some(entry) = self.entries.at_mut(walk.segment, position) else {
                behind_empty = position + 1;
                continue;
            };
            if walk.wants(walk.segment, entry.mark) {
                let before = walk.block.bytes.len();
                let encoded = codec::encode_put(&entry.key, &entry.value, &mut walk.block.bytes);
                entry.mark = entry.mark.after_write(walk.epoch, self.base);
                if let Err(reason) = encoded {
                    return Err(StateError::Encode { site: self.entries.site(walk.segment), reason });
                }
                walk.block.entries += 1;
                wrote = true;
                self.left -= (walk.block.bytes.len() - before) as i64;
                self.write_full_block(walk, Kind::Puts)?;
            }
        }
        self.write_rest(walk, Kind::Puts)?;
        Ok(Stage::Pending)
    }

    /// Moves to the next segment and frees tombstones that a complete checkpoint contains.
    fn leave_segment(&mut self, walk: &mut Walk) {
        self.entries.segment_mut(walk.segment).tombstones.forget_until(self.base);
        walk.segment += 1;
        walk.run = RunSize::default();
    }

    fn write_full_block(&mut self, walk: &mut Walk, kind: Kind) -> Result<(), StateError> {
        match walk.block.bytes.len() >= self.bounds.block_bytes {
            true => self.write_rest(walk, kind),
            false => Ok(()),
        }
    }

    fn write_rest(&mut self, walk: &mut Walk, kind: Kind) -> Result<(), StateError> {
        let mut block = std::mem::take(&mut walk.block);
        if block.entries > 0 {
            self.write_block(walk, kind, &block)?;
        }
        block.entries = 0;
        block.bytes.clear();
        block.bytes.shrink_to(2 * self.bounds.block_bytes);
        walk.block = block;
        Ok(())
    }

    fn write_block(&mut self, walk: &mut Walk, kind: Kind, batch: &Batch) -> Result<(), StateError> {
        let bytes = walk.run.bytes + (HEADER + batch.bytes.len()) as u64;
        let limit = self.bounds.run_bytes.min(u64::from(u32::MAX));
        if bytes > limit {
            return Err(StateError::TooLarge { site: self.entries.site(walk.segment), bytes, limit });
        }
        let header = Header {
            kind,
            table: self.entries.id(),
            max: self.entries.layout().max_parallelism(),
            groups: self.entries.layout().groups(walk.segment as u16),
            fingerprint: self.entries.schema().fingerprint(),
            entries: batch.entries,
        };
        let header = header.encode(&batch.bytes);
        self.out.write(&header);
        self.out.write(&batch.bytes);
        walk.run.bytes = bytes;
        if kind == Kind::Puts {
            walk.run.puts += u64::from(batch.entries);
            walk.run.put_bytes += batch.bytes.len() as u64;
        }
        Ok(())
    }
}
