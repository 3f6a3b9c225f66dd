//! The task whose head reads an input gate.

mod rescale;

#[cfg(test)]
mod handover_tests;

use self::rescale::Rescale;
use super::core::{Phase, TaskCore};
use super::migration::{CutPoint, Signal};
use super::prefetch::Load;
use super::retained::RetainedState;
use super::snapshot::{AtBarrier, AtCut, Barrier};
use super::{Task, TaskEvent, TaskStep};
use crate::build::BuildContext;
use crate::keyed::{Head, Intake};
use crate::rescale::Preparation;
use crate::stage::{NO_SPLIT, Release, Starved};
use crate::wiring::Wiring;
use bytes::Bytes;
use reflow_api::Input;
use reflow_graph::EdgeId;
use reflow_network::{Gate, GateEvent, Row};
use reflow_protocol::command::{MoreSplits, SnapshotKind};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{OperatorState, Restore};
use reflow_state::PREFETCH_DISTANCE;
use reflow_types::{CheckpointId, Data, Instant, KeyGroupSet, SubtaskId, injected_fault};
use std::time::Duration;

/// During a migration, at most as many records are buffered as the task processes in this time: a later barrier waits
/// until they are processed.
const MAX_BUFFERED_WORK: Duration = Duration::from_millis(200);

/// A task whose head reads a gate.
pub struct InputTask<T, H> {
    core: TaskCore<H>,
    gate: Gate<T>,
    /// The first of the input edges, of which there are two at most.
    first: EdgeId,
    /// The rest of the current batch.
    rows: std::vec::IntoIter<Row<T>>,
    /// A barrier that waits for its trigger, or for the end of a migration.
    barrier: Option<WaitingBarrier>,
    rescale: Rescale<T>,
    /// The end of the last step that processed records; from then on, other tasks of the slot have their turns.
    stepped_until: Option<Instant>,
    /// What the input had to do in the last step.
    load: Load,
    /// The task's place in the current graph.
    wiring: Wiring,
}

#[derive(Clone, Copy)]
struct WaitingBarrier {
    checkpoint: CheckpointId,
    alignment: Duration,
}

impl<T, H> InputTask<T, H>
where
    T: Data,
    H: Head<T>,
{
    /// Builds the task and opens its chain.
    pub fn new(gate: Gate<T>, head: H, context: &mut BuildContext) -> Self {
        let mut core = TaskCore::new(head, gate.watermark(), context);
        let mut rescale = Rescale::new(context);
        if let Some(preparation) = context.added.take() {
            rescale.prepare(preparation, &mut core);
        }
        let first = context.wiring.job.inputs(context.wiring.vertex).map(|(edge, _)| edge).next();
        let first = first.expect("a task with a gate has an input");
        let (rows, wiring) = (Vec::new().into_iter(), context.wiring.clone());
        let load = Load::Idle;
        Self { core, gate, first, rows, barrier: None, rescale, stepped_until: None, load, wiring }
    }

    /// The part of a step that depends on the input.
    fn step_input(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        if let Some(backpressured) = self.core.wait_for_room(now) {
            // The receivers finish with the same checkpoint, and may do so before they have granted any credit.
            let finishes = self.core.snapshots().may_finish() && !self.core.chain().has_rest();
            return if finishes { self.core.finish(events) } else { backpressured };
        }
        // Whatever the chain has left precedes all that follows. A record that came between would overtake the results
        // of an earlier one, and a barrier would cut them off: they are in no snapshot and are not read again.
        if self.core.resume(now) {
            return TaskStep::Worked;
        }
        // A deferred watermark may fire windows over many steps, so that each signal waits until the chain has nothing
        // left. It precedes the checks for the end: the last signal may be the end itself.
        if self.rescale.emit_deferred(&mut self.core, events) {
            return TaskStep::Worked;
        }
        // Checked before the phases, because a job that is restored only to finish is `Running` but must not
        // read.
        if self.core.snapshots().may_finish() {
            return self.core.finish(events);
        }
        match self.core.phase() {
            // The task must not finish before the new owners have its state, which is read from these tables.
            Phase::Removed { .. } if self.rescale.is_migrating() => return TaskStep::Idle(None),
            Phase::Removed { complete: true, .. } => return self.core.finish(events),
            Phase::Removed { .. } if injected_fault::is_active("leaving_commit_lost") => {
                return self.core.finish(events);
            }
            // Its sinks commit with the checkpoint of the cut. If that fails, they commit with the next one, in
            // which the task must take part.
            Phase::Removed { .. } | Phase::Ended => return self.without_input(now, events),
            _ => {}
        }
        // Buffered records are older than those of the current batch, and records of a key must keep their order.
        if self.rescale.process_ready(&mut self.core, now) {
            return TaskStep::Worked;
        }
        if self.barrier.is_none() && !self.takes_records() {
            self.core.flush(now);
            return TaskStep::AtCapacity(self.core.chain().next_wakeup());
        }
        // The rest of the current batch must be processed before the next poll, whose batch replaces it.
        if !self.rows.as_slice().is_empty() {
            self.process(now);
            self.core.flush_if_due(now);
            return TaskStep::Worked;
        }
        // The gate would continue behind the barrier that it has delivered. Records from there would be in the
        // snapshot, and again be read after a restore from it, so they would count twice.
        if self.barrier.is_some() {
            self.gate.rate().pause(now);
            let began = !self.rescale.is_migrating() && self.at_barrier(now);
            return if began { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        if !self.rescale.may_read(self.gate.consumed_in(MAX_BUFFERED_WORK)) {
            return TaskStep::Idle(None);
        }
        self.poll(now, events)
    }

    /// Whether the head takes records.
    #[inline]
    fn takes_records(&self) -> bool {
        match self.core.chain().intake() {
            Intake::Open => true,
            Intake::BeforeBarrier => self.core.snapshots().pending_trigger().is_some(),
            Intake::Closed => false,
        }
    }

    fn poll(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        match self.gate.poll(now) {
            Ok(Some(event)) => {
                self.take(event, now, events);
                self.core.flush_if_due(now);
                TaskStep::Worked
            }
            Ok(None) => {
                // A channel that has delivered its barrier is not read, so its records must not count as missing.
                if !self.gate.is_aligning() {
                    self.core.starved(Starved::Split(NO_SPLIT));
                    self.core.end_poll(now, now, None);
                }
                self.core.flush(now);
                self.core.idle()
            }
            Err(error) => self.core.fail(Fault::Engine, error),
        }
    }

    /// Processes the next records of the current batch: as many as fill a step and the outputs have room for.
    fn process(&mut self, now: Instant) {
        let chunk = self.core.step_records();
        let before = self.rows.as_slice().len();
        let mut left = chunk.min(before);
        let least = match self.core.snapshots().pending_trigger() {
            Some(_) => Intake::BeforeBarrier,
            None => Intake::Open,
        };
        let head = self.core.chain_mut();
        // One record may yield more records than this step may pass on.
        while left > 0 && !head.has_rest() && !head.is_full() && head.intake() <= least {
            left -= 1;
            if let Some(coming) = self.rows.as_slice().get(PREFETCH_DISTANCE) {
                head.expect(coming);
            }
            let Some(row) = self.rows.next() else { break };
            let row = if head.is_keyed(&row) { self.rescale.buffer(row) } else { Some(row) };
            if let Some(row) = row {
                head.row(row);
            }
        }
        let taken = before - self.rows.as_slice().len();
        self.stepped_until = Some(self.core.took_records(now, taken));
        self.core.count_in(taken as u64);
        self.gate.rate().had_turn(if left > 0 { taken } else { chunk } as u64);
        if self.rescale.is_migrating() {
            // Buffered records have cost nothing yet, so they must not enter the consumption rate.
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
                self.barrier = Some(WaitingBarrier { checkpoint, alignment });
                if !self.rescale.is_migrating() {
                    self.at_barrier(now);
                }
            }
            GateEvent::Watermark(time) => self.signal(Signal::Watermark(time), events),
            GateEvent::LatencyMarker(marker) => self.core.latency_marker(now, marker),
            GateEvent::Idle(idle) => self.signal(Signal::Idle(idle), events),
            GateEvent::InputEnded(edge) => {
                let input = if edge == self.first { Input::First } else { Input::Second };
                self.signal(Signal::InputEnded(input), events);
            }
            GateEvent::End => self.signal(Signal::End, events),
        }
    }

    fn signal(&mut self, signal: Signal, events: &mut Vec<TaskEvent>) {
        if let Some(signal) = self.rescale.defer(signal) {
            self.core.emit(signal, events);
        }
    }

    /// Begins the snapshot of the waiting barrier, or passes the barrier on. Returns whether either was possible.
    fn at_barrier(&mut self, now: Instant) -> bool {
        let Some(WaitingBarrier { checkpoint, alignment }) = self.barrier else { return false };
        match self.core.at_barrier(checkpoint) {
            AtBarrier::Wait => return false,
            AtBarrier::Pass => self.core.chain_mut().barrier(checkpoint),
            AtBarrier::Begin(kind) => self.snapshot(now, alignment, checkpoint, kind),
        }
        self.barrier = None;
        true
    }

    fn snapshot(&mut self, now: Instant, alignment: Duration, checkpoint: CheckpointId, kind: SnapshotKind) {
        let barrier = Barrier { checkpoint, at: now, alignment, watermark: self.gate.watermark() };
        let preparation = kind.cut.as_ref().map(|cut| self.core.take_prepared_for(cut));
        let handover = preparation.as_ref().map(|preparation| self.rescale.handover_writer(preparation));
        // All subtasks of a keyed vertex read all channels, so their watermarks agree. Subtasks of other vertices
        // read different parts, and a part with a lower watermark may move to this one.
        let resets = preparation.is_some()
            && !self.core.snapshots().is_keyed()
            && !self.gate.is_ended()
            && !injected_fault::is_active("event_time_kept_at_the_cut");
        let fate = preparation.as_ref().map(Preparation::fate).unwrap_or_default();
        let release = preparation.as_ref().and_then(|preparation| self.release(preparation));
        self.core.begin_snapshot(barrier, kind, Vec::new(), AtCut { handover, resets, fate, release });
        if let Some(preparation) = preparation {
            if resets {
                self.gate.reset();
            }
            self.cut(checkpoint, now, &preparation);
        }
    }

    /// What the task releases at the cut, if it changes the subtasks of the vertex.
    fn release(&self, preparation: &Preparation) -> Option<Release> {
        match &preparation.wiring {
            None => Some(Release::All),
            Some(next) if next.has_same_subtasks(&self.wiring) => None,
            Some(next) => Some(next.groups().map_or(Release::Nothing, Release::AllBut)),
        }
    }

    /// Switches to the next graph. The snapshot of the cut has begun: it is the last of the old graph.
    fn cut(&mut self, checkpoint: CheckpointId, now: Instant, preparation: &Preparation) {
        self.gate.switch();
        self.core.report_cut(preparation.version, Vec::new());
        let groups = match &preparation.wiring {
            Some(wiring) => {
                self.core.chain_mut().rescaled(wiring.place());
                self.wiring = wiring.clone();
                wiring.groups()
            }
            None => {
                self.core.remove(checkpoint);
                self.core.snapshots().is_keyed().then(KeyGroupSet::default)
            }
        };
        self.core.snapshots_mut().own(groups);
        let cut = CutPoint { checkpoint, at: now, watermark: self.gate.watermark() };
        self.rescale.begin_migration(cut, preparation, &self.core);
    }

    /// A step of a task whose input has ended. No barrier will arrive, so the trigger begins a snapshot.
    fn without_input(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        self.gate.discard_input();
        // Before a cut, after which the JobManager gives records under way of others only to subtasks that have not ended.
        self.core.report_end(events);
        self.core.flush(now);
        if let Some(checkpoint) = self.core.snapshots().pending_trigger() {
            match self.core.at_barrier(checkpoint) {
                AtBarrier::Begin(kind) => self.snapshot(now, Duration::ZERO, checkpoint, kind),
                AtBarrier::Pass | AtBarrier::Wait => {}
            }
            return TaskStep::Worked;
        }
        self.core.idle()
    }
}

impl<T, H> Task for InputTask<T, H>
where
    T: Data,
    H: Head<T>,
{
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        match self.core.phase() {
            Phase::Restoring => return self.core.restore(now, events),
            Phase::Added => return self.rescale.step_added(&mut self.core, &self.gate, now, events),
            Phase::Finished => return TaskStep::Finished,
            Phase::Running | Phase::Removed { .. } | Phase::Ended => {}
        }
        if let Some(stepped_until) = self.stepped_until.take() {
            self.gate.rate().waited_for_turn(now.since(stepped_until));
        }
        self.core.begin_step(now, events);
        // Timers fire before a cut, which is taken below, so that a due timer fires here and not later at a new
        // owner. While groups are outgoing nothing fires, because their timers are still in the tables and would
        // fire at both owners.
        if let Some(time) = self.rescale.time_for_timers(now) {
            self.core.chain_mut().tick(time);
        }
        if self.rescale.is_migrating() {
            self.core.chain_mut().hold_timers();
        } else {
            self.core.chain_mut().release_timers();
        }
        // Snapshot and hand-over come before the check for room, because they would otherwise wait as long as the
        // receivers do under backpressure. The hand-over follows the snapshot because it sends what the snapshot
        // has just written.
        let mut worked = self.core.write_snapshot(now, events);
        worked |= self.rescale.step(&mut self.core, &mut self.gate, (now, self.load), events);
        let step = self.step_input(now, events);
        self.load = if step == TaskStep::Worked { Load::Records } else { Load::Idle };
        if worked { step.or_worked() } else { step.until(self.rescale.next_wakeup()) }
    }

    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind) {
        if self.core.phase() == Phase::Added {
            // Checkpoints up to the cut, and that of the cut itself, belong to the old graph.
            return self.rescale.triggered_added(&mut self.core, checkpoint, kind);
        }
        self.core.triggered(checkpoint, kind);
        // A cut waits for the next step, which first fires all due timers.
        if self.core.phase() == Phase::Finished || kind.cut.is_some() || self.rescale.is_migrating() {
            return;
        }
        // The rest of a record's results must precede the barrier; a later step takes the snapshot.
        if !self.core.chain().has_rest() {
            self.at_barrier(now);
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        self.core.completed(checkpoint);
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.gate.abort(checkpoint);
        self.core.aborted(checkpoint);
    }

    fn assign_splits(&mut self, _: &[Bytes], _: Vec<OperatorState>, _: MoreSplits) {
        self.core.fail(Fault::Engine, "it is not a source, but was given splits");
    }

    fn close(&mut self) -> Option<Failure> {
        self.core.close()
    }

    fn retain_state(&mut self) -> Option<RetainedState> {
        let whole =
            matches!(self.core.phase(), Phase::Running | Phase::Ended) && !self.rescale.is_migrating();
        if whole { self.core.retain_state() } else { None }
    }

    fn adopt_retained(&mut self, retained: RetainedState) {
        self.core.adopt_retained(retained);
    }

    fn prepare(&mut self, preparation: Preparation) {
        let channels = preparation.wiring.as_ref().map(|wiring| wiring.inputs(|id| self.gate.has(id)));
        self.gate.prepare(channels.unwrap_or_default());
        self.core.chain_mut().prepare(preparation.wiring.as_ref());
        self.rescale.prepare(preparation, &mut self.core);
    }

    fn catch_up(&mut self, checkpoint: CheckpointId, restore: &Restore) {
        self.rescale.catch_up(checkpoint, restore, &mut self.core);
    }

    fn abandon(&mut self) {
        if self.core.prepared().is_some() {
            self.gate.abandon();
            self.rescale.abandon(&mut self.core);
        }
    }

    fn hand_over(&mut self, from: SubtaskId, part: Part) {
        self.rescale.hand_over(from, part, &self.core);
    }

    fn adopt(&mut self, states: Vec<OperatorState>) {
        self.core.adopt(states);
        self.rescale.adopted();
    }

    fn metrics(&self) -> SubtaskMetrics {
        let mut metrics = SubtaskMetrics {
            bytes_in: self.gate.bytes(),
            watermark: self.gate.watermark(),
            ..Default::default()
        };
        self.core.count(&mut metrics);
        metrics
    }
}
