//! The restore of a task's keyed state: reads the runs of its key groups and loads them before the first record.
//! Groups that retained state contains are not read.
//!
//! A read may fail once although the object is intact, by a flipped bit or a missed object. So state counts as
//! damaged only after [`MAX_READS`] reads with pauses in between, and only if storage has answered them; an error
//! of storage is not an answer.

use super::retained::{RetainedState, without};
use super::stateful_chain::StatefulChain;
use crate::build::BuildContext;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Location, StoreError, StoreOp, StoreReply, Ticket};
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::{FirstCheckpoint, RestorePart, WriterSchema};
use reflow_state::{Origin, SegmentLayout, TableId};
use reflow_types::{Bounds, CheckpointId, Instant, KeyGroupSet, MaxParallelism};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// The number of bad reads after which state counts as damaged.
const MAX_READS: u32 = 4;
/// The number of errors of storage, within about half a minute, after which the task fails and the restart
/// strategy decides.
const MAX_ERRORS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The keyed state that a task still has to load.
pub(super) struct Restoring {
    origin: Origin,
    checkpoint: Option<CheckpointId>,
    /// Whether tables keep an undo log, so that they can outlive the attempt.
    from_local: bool,
    /// The key groups of the task.
    groups: KeyGroupSet,
    max: MaxParallelism,
    bounds: Bounds,
    retained: Option<RetainedState>,
    /// The schemas of tables whose entries must be translated, until the tables know them.
    schemas: Vec<WriterSchema>,
    parts: Vec<RestorePart>,
    reads: Reads,
    loading: Option<Loading>,
}

/// A read that is being loaded.
struct Loading {
    read: Read,
    bytes: Bytes,
    /// The number of runs that are loaded.
    loaded: usize,
}

/// The reads of a restore, in the order in which they are applied.
struct Reads {
    io: Io,
    queued: VecDeque<Read>,
    under_way: VecDeque<(Ticket, Read)>,
    /// A read that is repeated at the given time.
    again: Option<(Instant, Read)>,
    /// Whether the next answer has not arrived.
    waiting: bool,
}

/// A read of adjacent runs of one object.
struct Read {
    groups: KeyGroupSet,
    object: String,
    range: Range<u64>,
    /// The table of each run and its range in the object.
    runs: Vec<(TableId, Range<u64>)>,
    /// How often the read has returned damaged bytes.
    bad_reads: u32,
    /// How often storage has failed to answer.
    errors: u32,
}

impl Restoring {
    pub(super) fn new(context: &BuildContext) -> Self {
        let restored = &context.restored;
        let own = restored.first_checkpoint == FirstCheckpoint::Changes;
        Self {
            origin: if own { Origin::Own } else { Origin::Foreign },
            checkpoint: restored.checkpoint.filter(|_| own),
            from_local: context.from_local,
            groups: context.wiring.groups().unwrap_or_default(),
            max: context.wiring.max_parallelism(),
            bounds: context.bounds,
            retained: None,
            schemas: restored.state.schemas.clone(),
            parts: restored.state.keyed.clone(),
            reads: Reads::new(context.io.clone()),
            loading: None,
        }
    }

    /// Sets state of the previous attempt, which is rolled back instead of read.
    pub(super) fn adopt_retained(&mut self, retained: RetainedState) {
        self.retained = Some(retained);
    }

    /// Whether tables outlive the attempt.
    pub(super) fn retains_state(&self) -> bool {
        self.from_local
    }

    /// Rolls retained state back, and reads only the key groups that it does not have.
    fn restore_retained(&mut self, retained: RetainedState, chain: &mut dyn StatefulChain) {
        let Some(checkpoint) = self.checkpoint else { return };
        let here = retained.restore(checkpoint, &self.groups, self.max, chain);
        let layout = SegmentLayout::new(self.max);
        for part in &mut self.parts {
            part.groups = without(&part.groups, &here);
            part.runs.retain(|run| {
                let (first, last) = layout.groups(run.segment);
                part.groups.intersects(first, last)
            });
        }
    }

    /// Loads a part of what has been read. Returns whether everything is loaded.
    pub(super) fn step(&mut self, now: Instant, task: &str, chain: &mut dyn StatefulChain) -> bool {
        self.reads.waiting = false;
        if let Some(retained) = self.retained.take() {
            self.restore_retained(retained, chain);
            return false;
        }
        for WriterSchema { table: id, schema } in self.schemas.drain(..) {
            chain.tables(&mut |table| {
                if table.id() == TableId(id)
                    && let Err(reason) = table.expect_schema(&schema)
                {
                    let text = format!("its state '{}' cannot be restored: {reason}", table.name());
                    crate::fail(Fault::Permanent, task, text);
                }
            });
        }
        let read_bytes = self.bounds.restore_read_bytes;
        self.reads.queued.extend(self.parts.drain(..).flat_map(|part| reads(&part, read_bytes)));
        if !self.reads.submit(now, self.bounds.restore_reads) {
            return false;
        }
        let loading = self.loading.take().or_else(|| self.reads.take_answer(now, task, chain));
        let Some(Loading { read, bytes, mut loaded }) = loading else {
            return self.reads.is_empty() && self.is_done(chain);
        };
        let mut left = self.bounds.restore_step_bytes;
        while left > 0
            && let Some((table, range)) = read.runs.get(loaded)
        {
            let run = &bytes[read.position(range)];
            read.load(task, chain, *table, run, self.origin);
            left = left.saturating_sub(run.len() as u64);
            loaded += 1;
        }
        self.loading = (loaded < read.runs.len()).then_some(Loading { read, bytes, loaded });
        false
    }

    /// Everything is loaded: begins the undo logs of the tables, if they can outlive the attempt.
    fn is_done(&self, chain: &mut dyn StatefulChain) -> bool {
        if self.from_local {
            chain.tables(&mut |table| table.remember(self.checkpoint));
        }
        true
    }

    /// Whether nothing can be done before the next answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.reads.waiting
    }

    /// When to call [`step`](Self::step) even if no answer has arrived.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.reads.again.as_ref().map(|(at, _)| *at)
    }
}

impl Reads {
    fn new(io: Io) -> Self {
        Self { io, queued: VecDeque::new(), under_way: VecDeque::new(), again: None, waiting: false }
    }

    fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.again.is_none()
    }

    /// Submits reads, of which at most `most` are under way. Returns whether answers may be taken: not while the
    /// next read in order has to be repeated later.
    fn submit(&mut self, now: Instant, most: usize) -> bool {
        while self.under_way.len() < most
            && let Some(read) = self.queued.pop_front()
        {
            self.under_way.push_back((self.submit_read(&read), read));
        }
        if let Some((_, read)) = self.again.take_if(|(at, _)| *at <= now) {
            // At the front, because runs are loaded in order.
            self.under_way.push_front((self.submit_read(&read), read));
        }
        self.waiting = self.again.is_some();
        !self.waiting
    }

    fn submit_read(&self, read: &Read) -> Ticket {
        let (at, range) = (Location(read.object.clone()), Some(read.range.clone()));
        self.io.submit(StoreOp::Get { at, range })
    }

    /// The next read in order, if its answer has arrived and is intact.
    fn take_answer(&mut self, now: Instant, task: &str, chain: &mut dyn StatefulChain) -> Option<Loading> {
        let answer = self.under_way.front().and_then(|(ticket, _)| self.io.take(*ticket));
        self.waiting = answer.is_none();
        let answer = answer?;
        let (_, mut read) = self.under_way.pop_front()?;
        let damage = match answer {
            Ok(StoreReply::Bytes(bytes)) => match read.damage(&bytes, chain) {
                None => return Some(Loading { read, bytes, loaded: 0 }),
                Some(damage) => damage,
            },
            Ok(_) => {
                crate::fail(Fault::Engine, task, "the storage answered a read with another kind of reply")
            }
            Err(error @ (StoreError::NotFound(_) | StoreError::OutOfRange { .. })) => error.to_string(),
            Err(error) => {
                read.errors += 1;
                if read.errors == MAX_ERRORS {
                    crate::fail(Fault::External, task, format!("cannot read its state: {error}"));
                }
                self.read_again(now, read.errors, read);
                return None;
            }
        };
        read.bad_reads += 1;
        if read.bad_reads == MAX_READS {
            let text =
                format!("its state in the checkpoint is damaged, in each of {MAX_READS} reads: {damage}");
            crate::fail(Fault::Damage, task, text);
        }
        self.read_again(now, read.bad_reads, read);
        None
    }

    fn read_again(&mut self, now: Instant, times: u32, read: Read) {
        let pause = FIRST_PAUSE.saturating_mul(1 << (times - 1)).min(MAX_PAUSE);
        (self.again, self.waiting) = (Some((now + pause, read)), true);
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.under_way.iter().for_each(|(ticket, _)| self.io.forget(*ticket));
    }
}

impl Read {
    /// The range of a run in the bytes of the read.
    fn position(&self, run: &Range<u64>) -> Range<usize> {
        (run.start - self.range.start) as usize..(run.end - self.range.start) as usize
    }

    /// The damage of the bytes, if any. All checksums are verified before any run is loaded, because a table
    /// cannot drop half a run.
    fn damage(&self, bytes: &Bytes, chain: &mut dyn StatefulChain) -> Option<String> {
        let (object, expected) = (&self.object, self.range.end - self.range.start);
        if bytes.len() as u64 != expected {
            return Some(format!("{object}: {} bytes at {} of {expected}", bytes.len(), self.range.start));
        }
        let mut damage = None;
        for (id, range) in &self.runs {
            let run = &bytes[self.position(range)];
            chain.tables(&mut |table| {
                if table.id() == *id && damage.is_none() {
                    damage = reflow_state::verify(table.name(), run).err();
                }
            });
        }
        damage.map(|error| format!("{object}: {error}"))
    }

    /// Loads one run.
    fn load(&self, task: &str, chain: &mut dyn StatefulChain, id: TableId, run: &[u8], origin: Origin) {
        let mut known = false;
        chain.tables(&mut |table| {
            if table.id() == id {
                known = true;
                let restore = reflow_state::Restore { table: id, owned: &self.groups, origin };
                if let Err(error) = table.load(run, restore) {
                    // The checksums are correct, so these are the bytes that were written, and an older
                    // checkpoint would fail the same way.
                    let text = format!("cannot restore from {}: {error}", self.object);
                    crate::fail(Fault::Permanent, task, text);
                }
            }
        });
        if !known {
            let text = format!("the checkpoint contains a table {} that this build does not have", id.0);
            crate::fail(Fault::Permanent, task, text);
        }
    }
}

/// The reads of a part, in the order in which they are applied.
fn reads(part: &RestorePart, read_bytes: u64) -> Vec<Read> {
    let mut reads: Vec<Read> = Vec::new();
    for run in part.runs.iter().filter(|run| run.len > 0) {
        let range = run.offset..run.offset + u64::from(run.len);
        let one = (TableId(run.table), range.clone());
        match reads.last_mut() {
            Some(last)
                if last.object == run.object
                    && last.range.end == range.start
                    && range.end - last.range.start <= read_bytes =>
            {
                last.range.end = range.end;
                last.runs.push(one);
            }
            _ => {
                let (groups, object) = (part.groups.clone(), run.object.clone());
                reads.push(Read { groups, object, range, runs: vec![one], bad_reads: 0, errors: 0 });
            }
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_protocol::snapshot::RunRef;
    use reflow_types::MaxParallelism;

    #[test]
    fn runs_side_by_side_are_read_together() {
        const READ_BYTES: u64 = 4 << 20;
        let check = |runs: &[(&str, u64, u32)], expect: &[(&str, Range<u64>, usize)]| {
            let run = |(object, offset, len): &(&str, u64, u32)| RunRef {
                object: (*object).to_owned(),
                table: 0,
                segment: 0,
                offset: *offset,
                len: *len,
            };
            let groups = KeyGroupSet::all(MaxParallelism::DEFAULT);
            let reads = reads(&RestorePart { groups, runs: runs.iter().map(run).collect() }, READ_BYTES);
            let seen: Vec<_> = reads
                .iter()
                .map(|read| (read.object.as_str(), read.range.clone(), read.runs.len()))
                .collect();
            assert_eq!(seen, expect);
        };
        check(&[], &[]);
        check(&[("a", 0, 5), ("a", 5, 0), ("a", 5, 7)], &[("a", 0..12, 2)]);
        // Bytes between two runs that are not needed any more are not read.
        check(&[("a", 0, 5), ("a", 6, 7)], &[("a", 0..5, 1), ("a", 6..13, 1)]);
        check(&[("a", 0, 5), ("b", 5, 7)], &[("a", 0..5, 1), ("b", 5..12, 1)]);
        let (half, most) = (READ_BYTES as u32 / 2, READ_BYTES);
        let runs = [("a", 0, half), ("a", most / 2, half), ("a", most, 1)];
        check(&runs, &[("a", 0..most, 2), ("a", most..most + 1, 1)]);
        check(
            &[("a", 0, u32::MAX), ("a", u64::from(u32::MAX), 1)],
            &[("a", 0..u64::from(u32::MAX), 1), ("a", u64::from(u32::MAX)..1 << 32, 1)],
        );
    }

    /// Its slot outlives a task that is dropped while it restores.
    #[test]
    fn answers_to_a_task_that_is_gone_do_not_pile_up() {
        let io = Io::default();
        let mut chain = crate::stages::SharedTail::<u8>::new(Vec::new());
        let groups = KeyGroupSet::all(MaxParallelism::DEFAULT);
        let run = RunRef { object: "a".to_owned(), table: 0, segment: 0, offset: 0, len: 1 << 20 };
        let mut restoring = Restoring {
            origin: Origin::Own,
            checkpoint: None,
            from_local: true,
            groups: groups.clone(),
            max: MaxParallelism::DEFAULT,
            bounds: Bounds::default(),
            retained: None,
            schemas: Vec::new(),
            parts: vec![RestorePart { groups, runs: vec![run] }],
            reads: Reads::new(io.clone()),
            loading: None,
        };
        restoring.step(Instant(0), "task", &mut chain);
        let asked = io.drain_submitted();
        assert_eq!(asked.len(), 1);
        drop(restoring);
        io.answer(asked[0].0, Ok(StoreReply::Bytes(Bytes::from(vec![0; 1 << 20]))));
        assert_eq!(io.take(asked[0].0), None, "nobody will take it");
    }
}
