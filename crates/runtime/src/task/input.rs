//! A task whose head reads a gate.

mod rescale;

#[cfg(test)]
mod handover_tests;

use super::handover_writer::HandoverWriter;
use super::input_clock::InputClock;
use super::migration::{KeyGroupMigration, Signal};
use super::prefetch::StatePrefetch;
use super::restore::Restoring;
use super::retained::RetainedState;
use super::snapshot::{AtBarrier, AtCut, Identity, Snapshots};
use super::{FIRST_CHUNK, Task, TaskEvent, TaskStep, next_chunk, resume};
use crate::build::BuildContext;
use crate::keyed::Head;
use crate::rescale::Preparation;
use crate::stage::{AdoptedState, NO_SPLIT, OpenContext, Starved};
use crate::wiring::Wiring;
use bytes::Bytes;
use reflow_env::Clock;
use reflow_network::{Gate, GateEvent, Row};
use reflow_protocol::control::{Fault, MoreSplits, SnapshotKind, SubtaskMetrics};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_state::PREFETCH_DISTANCE;
use reflow_types::{
    Bounds, CheckpointId, Instant, KeyGroupSet, MAX_WATERMARK, MaxParallelism, SubtaskId, injected_fault,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Records that have waited in an output for company leave after this long.
const LINGER: Duration = Duration::from_millis(2);

/// During a migration, at most as many records are buffered as the task processes in this time: a later barrier waits
/// until they are processed.
const MAX_BUFFERED_WORK: Duration = Duration::from_millis(200);

/// The key groups of a subtask in its graph, if its vertex is keyed.
fn groups(wiring: &Wiring) -> Option<KeyGroupSet> {
    let table = wiring.graph.vertex(wiring.vertex).table.as_ref();
    table.map(|table| table.groups_of(wiring.index))
}

/// A task whose head reads a gate.
pub struct InputTask<T, H> {
    name: String,
    clock: Arc<dyn Clock>,
    phase: Phase,
    restoring: Restoring,
    gate: Gate<T>,
    head: H,
    /// The rest of the batch at hand.
    rows: std::vec::IntoIter<Row<T>>,
    /// How many records fill a step.
    chunk: usize,
    /// The same of what a step could not finish.
    rest_chunk: usize,
    /// The end of a step after which it is the others' turn, with work left for this task.
    stepped_until: Option<Instant>,
    snapshots: Snapshots,
    /// A barrier that waits for its trigger.
    barrier: Option<(CheckpointId, Duration)>,
    max: MaxParallelism,
    bounds: Bounds,
    /// The next graph, from its announcement to its cut.
    prepared: Option<Preparation>,
    prefetch: StatePrefetch,
    migration: Option<KeyGroupMigration<T>>,
    /// Parts of hand-overs from old owners that passed the cut before this task.
    early_parts: Vec<(SubtaskId, Part)>,
    /// Events of calls between steps, reported with the next step.
    pending_events: Vec<TaskEvent>,
    /// The processing time of installed groups at their old owners: theirs must not go back.
    not_before: Instant,
    /// There is memory to be freed.
    discarding: bool,
    /// The time in which the gate could be read.
    input_clock: InputClock,
    records_in: u64,
    last_flush: Instant,
    unflushed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A rescale adds it. It waits for the cut and for its operator state (`adopted`).
    Added {
        cut: Option<CheckpointId>,
        adopted: bool,
    },
    Restoring,
    Running,
    /// A rescale has removed it: it owns nothing and waits until the checkpoint of the cut, or a later one, is complete,
    /// with which its sink commits.
    Removed {
        cut: CheckpointId,
        complete: bool,
    },
    /// The end has been passed on, or is being so; waits for the final checkpoint.
    Ended,
    Finished,
}

impl<T, H> InputTask<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Head<T>,
{
    /// Makes the task and opens its chain.
    pub fn new(gate: Gate<T>, mut head: H, context: &mut BuildContext) -> Self {
        let restoring = Restoring::new(context);
        let watermark = gate.watermark();
        head.open(&mut OpenContext {
            job: context.job_id,
            attempt: context.attempt,
            subtask: context.wiring.subtask,
            index: context.wiring.index,
            parallelism: context.wiring.parallelism(),
            max_parallelism: context.max_parallelism,
            io: &context.io,
            watermark,
            now: context.clock.now(),
            bounds: context.bounds,
            operator: &mut context.restore.operator,
        });
        let identity = Identity {
            subtask: context.wiring.subtask,
            attempt: context.attempt,
            groups: context.groups.clone(),
            io: context.io.clone(),
            bounds: context.bounds,
        };
        head.tables(&mut |table| table.set_bounds(context.bounds));
        let added = context.added.take();
        let phase =
            if added.is_some() { Phase::Added { cut: None, adopted: false } } else { Phase::Restoring };
        let mut task = Self {
            name: context.name.clone(),
            clock: context.clock.clone(),
            phase,
            restoring,
            gate,
            head,
            rows: Vec::new().into_iter(),
            chunk: FIRST_CHUNK,
            rest_chunk: FIRST_CHUNK,
            stepped_until: None,
            snapshots: Snapshots::new(identity, context.checkpoint, context.then),
            barrier: None,
            max: context.max_parallelism,
            bounds: context.bounds,
            prepared: None,
            prefetch: StatePrefetch::new(context.io.clone(), context.bounds.prefetch_reads),
            migration: None,
            early_parts: Vec::new(),
            pending_events: Vec::new(),
            not_before: Instant::default(),
            discarding: false,
            input_clock: InputClock::default(),
            records_in: 0,
            last_flush: Instant::default(),
            unflushed: false,
        };
        if let Some(preparation) = added {
            task.prefetch.request(preparation.checkpoint, &preparation.restore, &mut task.head);
            task.prepared = Some(preparation);
        }
        task
    }

    /// Takes the next records of the batch at hand: as many as fill a step, and the outputs have room for.
    fn process(&mut self, now: Instant) {
        let chunk = self.chunk;
        let before = self.rows.as_slice().len();
        let mut left = chunk.min(before);
        // One record may be more than this step may pass on.
        while left > 0 && !self.head.has_rest() && !self.head.is_full() {
            left -= 1;
            if let Some(coming) = self.rows.as_slice().get(PREFETCH_DISTANCE) {
                self.head.expect(coming);
            }
            let Some(row) = self.rows.next() else { break };
            let row = match &mut self.migration {
                None => Some(row),
                Some(migration) => migration.buffer(row),
            };
            if let Some(row) = row {
                self.head.row(row);
            }
        }
        self.unflushed = true;
        let end = self.clock.now();
        let taken = before - self.rows.as_slice().len();
        self.chunk = next_chunk(chunk, taken, end.since(now));
        self.records_in += taken as u64;
        self.gate.rate().had_turn(if left > 0 { taken } else { chunk } as u64);
        self.stepped_until = Some(end);
        if self.migration.is_some() {
            // Buffered records cost nothing yet, so they must not count as consumed.
            self.gate.rate().forget_sample();
        }
        if self.rows.as_slice().is_empty() {
            self.gate.consumed();
        }
    }

    fn take(&mut self, event: GateEvent<T>, now: Instant, events: &mut Vec<TaskEvent>) {
        match event {
            GateEvent::Batch(batch) => {
                self.rows = batch.into_iter();
                self.process(now);
            }
            GateEvent::Barrier { checkpoint, alignment } => {
                self.barrier = Some((checkpoint, alignment));
                if self.migration.is_none() {
                    self.at_barrier(now);
                }
            }
            GateEvent::Watermark(time) => match &mut self.migration {
                Some(migration) => migration.defer(Signal::Watermark(time)),
                None => self.head.watermark(time),
            },
            GateEvent::Idle(idle) => match &mut self.migration {
                Some(migration) => migration.defer(Signal::Idle(idle)),
                None => self.head.idle(idle),
            },
            GateEvent::End => match &mut self.migration {
                Some(migration) => migration.defer(Signal::End),
                None => self.end(events),
            },
        }
    }

    fn end(&mut self, events: &mut Vec<TaskEvent>) {
        self.head.watermark(MAX_WATERMARK);
        self.head.end();
        self.phase = Phase::Ended;
        events.push(SubtaskEvent::Ended.into());
    }

    fn at_barrier(&mut self, now: Instant) -> bool {
        let Some((checkpoint, alignment)) = self.barrier else { return false };
        match self.snapshots.at_barrier(checkpoint) {
            AtBarrier::Wait => return false,
            AtBarrier::Pass => self.head.barrier(checkpoint),
            AtBarrier::Begin(kind) => self.snapshot(now, alignment, checkpoint, kind),
        }
        self.barrier = None;
        true
    }

    fn snapshot(&mut self, now: Instant, alignment: Duration, checkpoint: CheckpointId, kind: SnapshotKind) {
        let moment = (now, alignment, self.gate.watermark());
        let cut = kind.cut.clone();
        let preparation = cut.map(|cut| match self.prepared.take() {
            Some(preparation) if preparation.version == cut.version => preparation,
            _ => crate::fail(Fault::Engine, &self.name, "a cut came for which nothing was prepared"),
        });
        let handover = preparation.as_ref().map(|preparation| {
            HandoverWriter::new(self.max, &preparation.outgoing, self.bounds.hand_over_part_bytes)
        });
        // All subtasks of a keyed vertex read the same channels and are equally far. Others read a part each, and what
        // one has read may move to another.
        let resets = preparation.is_some()
            && !self.snapshots.is_keyed()
            && !self.gate.is_ended()
            && !injected_fault::is_active("event_time_kept_at_the_cut");
        let at_cut = AtCut { handover, resets };
        self.snapshots.begin(moment, (checkpoint, kind), Vec::new(), at_cut, &mut self.head);
        self.unflushed = false;
        if let Some(preparation) = preparation {
            if resets {
                self.gate.reset();
            }
            self.cut((checkpoint, now), &preparation);
        }
    }

    /// Switches to the next graph. The snapshot of the cut has begun: it is the last of the old graph.
    fn cut(&mut self, cut: (CheckpointId, Instant), preparation: &Preparation) {
        self.gate.switch();
        let (version, operator) = (preparation.version, self.snapshots.common_state());
        self.pending_events.push(SubtaskEvent::Cut { version, splits: Vec::new(), operator }.into());
        match &preparation.wiring {
            Some(wiring) => self.snapshots.own(groups(wiring)),
            None => {
                self.snapshots.own(self.snapshots.is_keyed().then(KeyGroupSet::default));
                self.phase = Phase::Removed { cut: cut.0, complete: false };
            }
        }
        self.begin_migration(cut, preparation, false);
    }

    fn begin_migration(&mut self, cut: (CheckpointId, Instant), preparation: &Preparation, added: bool) {
        // What was prefetched is part of this migration. The next rescale prefetches anew.
        self.prefetch.stop();
        let mut migration = KeyGroupMigration::new(
            (cut.0, cut.1, self.gate.watermark()),
            (self.max, self.bounds),
            preparation,
            added,
        );
        for (from, part) in std::mem::take(&mut self.early_parts) {
            if let Err(reason) = migration.hand_over(from, part) {
                crate::fail(Fault::Engine, &self.name, reason);
            }
        }
        self.migration = Some(migration);
    }

    fn flush_if_due(&mut self, now: Instant, idle: bool) {
        if self.unflushed && (idle || now.since(self.last_flush) >= LINGER) {
            self.head.flush();
            // A channel without room keeps its batch, which must be flushed later.
            self.unflushed = !self.head.has_room();
            self.last_flush = now;
        }
    }
}

impl<T, H> Task for InputTask<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Head<T>,
{
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        match self.phase {
            Phase::Restoring => {
                if self.restoring.step(now, &self.name, &mut self.head) {
                    self.phase = Phase::Running;
                    self.discarding = true;
                    events.push(SubtaskEvent::Running.into());
                } else if self.restoring.is_waiting() {
                    return TaskStep::Idle(self.restoring.next_wakeup());
                }
                return TaskStep::Worked;
            }
            Phase::Added { cut, adopted } => {
                let read = self.prefetch_step(events);
                if let Some(checkpoint) = cut.filter(|_| adopted) {
                    self.begin(checkpoint, now, events);
                    return TaskStep::Worked;
                }
                return if read { TaskStep::Worked } else { TaskStep::Idle(None) };
            }
            Phase::Finished => return TaskStep::Finished,
            Phase::Running | Phase::Removed { .. } | Phase::Ended => {}
        }
        events.append(&mut self.pending_events);
        if let Some(stepped_until) = self.stepped_until.take() {
            self.gate.rate().waited_for_turn(now.since(stepped_until));
        }
        self.input_clock.begin_step(now);
        // A tick fires timers of all groups. Those of outgoing ones must fire at the new owner.
        if self.migration.as_ref().is_none_or(|migration| !migration.has_outgoing()) {
            self.head.tick(now.max(self.not_before));
        }
        let mut wrote = self.snapshots.step(now, &mut self.head, events);
        wrote |= self.prefetch_step(events);
        wrote |= self.step_migration(now, events);
        wrote |= self.discard();
        if !self.head.has_room() {
            self.flush_if_due(now, false);
            return if wrote { TaskStep::Worked } else { TaskStep::Backpressured(self.head.next_wakeup()) };
        }
        let busy = || self.clock.now().since(now);
        if resume(&mut self.head, &mut self.rest_chunk, busy) || self.emit_deferred(events) {
            self.unflushed = true;
            return TaskStep::Worked;
        }
        if self.snapshots.may_finish() {
            return self.finish(wrote, events);
        }
        if let Phase::Removed { complete, .. } = self.phase {
            return self.after_removal(complete, now, wrote, events);
        }
        if self.phase == Phase::Ended {
            return self.after_end(now, wrote);
        }
        if self.process_ready(now) {
            return TaskStep::Worked;
        }
        if !self.rows.as_slice().is_empty() {
            self.process(now);
            self.flush_if_due(now, false);
            return TaskStep::Worked;
        }
        if self.barrier.is_some() {
            self.gate.rate().pause(now);
            let went_on = self.migration.is_none() && self.at_barrier(now);
            return if went_on || wrote { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        if let Some(migration) = &self.migration
            && !migration.may_read(self.gate.consumed_in(MAX_BUFFERED_WORK))
        {
            return if wrote { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        match self.gate.poll(now) {
            Ok(Some(event)) => {
                self.take(event, now, events);
                self.flush_if_due(now, false);
                TaskStep::Worked
            }
            Ok(None) => {
                // A channel that has delivered its barrier may hold records, which must not be taken for missing.
                if !self.gate.is_aligning() {
                    self.head.starved(self.input_clock.elapsed(), Starved::Split(NO_SPLIT));
                    self.input_clock.end_poll(now, now, None);
                }
                self.flush_if_due(now, true);
                if wrote { TaskStep::Worked } else { TaskStep::Idle(self.head.next_wakeup()) }
            }
            Err(error) => crate::fail(Fault::Engine, &self.name, error),
        }
    }

    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind) {
        if let Phase::Added { cut, .. } = &mut self.phase {
            // Checkpoints before the cut, and that of the cut itself, are the old graph's.
            let version = self.prepared.as_ref().map(|preparation| preparation.version);
            if cut.is_none() && kind.cut.as_ref().map(|cut| cut.version) == version {
                *cut = Some(checkpoint);
                self.head.tables(&mut |table| table.begin_at(checkpoint));
            }
            return;
        }
        self.snapshots.triggered(checkpoint, kind);
        // A cut waits for the step: by then all timers that were due have fired.
        if matches!(self.phase, Phase::Finished) || kind.cut.is_some() || self.migration.is_some() {
            return;
        }
        // What is left of a record comes before the barrier; a step then takes the snapshot.
        if !self.head.has_rest() {
            self.at_barrier(now);
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        let commits = self.snapshots.completed(checkpoint, &mut self.head);
        // A removed task that took a savepoint for its last checkpoint would wait for a commit that comes only with the
        // next one, which would wait for the task.
        if let Phase::Removed { cut, complete } = &mut self.phase {
            *complete |= commits && checkpoint >= *cut;
        }
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.gate.abort(checkpoint);
        self.snapshots.aborted(checkpoint, &mut self.head);
    }

    fn assign_splits(&mut self, _: &[Bytes], _: Vec<OperatorState>, _: MoreSplits) {
        crate::fail(Fault::Engine, &self.name, "it is not a source, but was given splits");
    }

    fn retain_state(&mut self) -> Option<RetainedState> {
        let whole = matches!(self.phase, Phase::Running | Phase::Ended) && self.migration.is_none();
        let groups = self.snapshots.groups().filter(|_| whole && self.restoring.retains_state())?;
        Some(RetainedState::take(groups.clone(), &mut self.head))
    }

    fn adopt_retained(&mut self, retained: RetainedState) {
        self.restoring.adopt_retained(retained);
    }

    fn prepare(&mut self, preparation: Preparation) {
        let channels = preparation.wiring.as_ref().map(|wiring| wiring.inputs(|id| self.gate.has(id)));
        self.gate.prepare(channels.unwrap_or_default());
        self.head.prepare(preparation.wiring.as_ref());
        self.prefetch.request(preparation.checkpoint, &preparation.restore, &mut self.head);
        self.prepared = Some(preparation);
    }

    fn catch_up(&mut self, checkpoint: CheckpointId, restore: &Restore) {
        if self.prepared.is_some() {
            self.prefetch.request(checkpoint, restore, &mut self.head);
        }
    }

    fn abandon(&mut self) {
        if self.prepared.take().is_some() {
            self.gate.abandon();
            self.head.abandon();
            self.prefetch.stop();
            self.head.tables(&mut |table| table.abandon_arrivals());
            (self.discarding, self.early_parts) = (true, Vec::new());
        }
    }

    fn hand_over(&mut self, from: SubtaskId, part: Part) {
        match &mut self.migration {
            Some(migration) => {
                if let Err(reason) = migration.hand_over(from, part) {
                    crate::fail(Fault::Engine, &self.name, reason);
                }
            }
            None => self.early_parts.push((from, part)),
        }
    }

    fn adopt(&mut self, states: Vec<OperatorState>) {
        self.head.adopt(&mut AdoptedState(states));
        if let Phase::Added { adopted, .. } = &mut self.phase {
            *adopted = true;
        }
    }

    fn metrics(&self) -> SubtaskMetrics {
        let mut metrics = SubtaskMetrics {
            records_in: self.records_in,
            bytes_in: self.gate.bytes(),
            watermark: self.gate.watermark(),
            ..Default::default()
        };
        self.head.count(&mut metrics);
        metrics
    }
}

impl<T, H> InputTask<T, H>
where
    T: DeserializeOwned + Send + 'static,
    H: Head<T>,
{
    /// The input has ended: no barrier comes any more, so a trigger alone begins a snapshot.
    fn after_end(&mut self, now: Instant, wrote: bool) -> TaskStep {
        self.flush_if_due(now, true);
        if let Some(checkpoint) = self.snapshots.pending_trigger() {
            match self.snapshots.at_barrier(checkpoint) {
                AtBarrier::Begin(kind) => self.snapshot(now, Duration::ZERO, checkpoint, kind),
                AtBarrier::Pass | AtBarrier::Wait => {}
            }
            return TaskStep::Worked;
        }
        if wrote { TaskStep::Worked } else { TaskStep::Idle(self.head.next_wakeup()) }
    }

    /// The last checkpoint is complete: once everything is committed, the task is finished.
    fn finish(&mut self, wrote: bool, events: &mut Vec<TaskEvent>) -> TaskStep {
        if self.head.is_settled() {
            self.phase = Phase::Finished;
            events.push(SubtaskEvent::Finished.into());
            return TaskStep::Worked;
        }
        if wrote { TaskStep::Worked } else { TaskStep::Idle(self.head.next_wakeup()) }
    }
}
