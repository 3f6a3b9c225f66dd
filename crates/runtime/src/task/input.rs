//! A task whose head reads a gate.

use super::restore::Restoring;
use super::snapshot::{AtBarrier, Identity, Snapshots};
use super::{Task, TaskEvent, TaskStep};
use crate::build::BuildContext;
use crate::keyed::Head;
use crate::stage::OpenContext;
use bytes::Bytes;
use reflow_env::Clock;
use reflow_network::{Gate, GateEvent, Row};
use reflow_protocol::control::{Fault, SnapshotKind, SubtaskMetrics};
use reflow_state::PREFETCH_DISTANCE;
use reflow_types::{CheckpointId, Instant, MAX_WATERMARK};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// Steps are meant to last about this long.
const STEP: Duration = Duration::from_millis(1);
/// Records that have waited in an output for company leave after this long.
const LINGER: Duration = Duration::from_millis(2);

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
    batch: BatchAtHand,
    snapshots: Snapshots,
    /// A barrier that waits for its trigger.
    barrier: Option<(CheckpointId, Duration)>,
    records_in: u64,
    last_flush: Instant,
    unflushed: bool,
}

#[derive(Default)]
struct BatchAtHand {
    records: u64,
    busy: Duration,
    /// How many records fill a step.
    chunk: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Restoring,
    Running,
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
    pub fn new(gate: Gate<T>, mut head: H, context: &mut BuildContext<'_>) -> Self {
        let restoring = Restoring::new(context.io.clone(), &context.restore, context.restore_codec);
        let watermark = gate.watermark();
        head.open(&mut OpenContext {
            job: context.job_id,
            attempt: context.attempt,
            subtask: context.subtask,
            index: context.index,
            parallelism: context.graph.vertex(context.vertex).parallelism(),
            max_parallelism: context.max_parallelism,
            io: &context.io,
            watermark,
            now: context.clock.now(),
            operator: &mut context.restore.operator,
        });
        let identity = Identity {
            subtask: context.subtask,
            attempt: context.attempt,
            groups: context.groups.clone(),
            io: context.io.clone(),
        };
        Self {
            name: context.name.clone(),
            clock: context.clock.clone(),
            phase: Phase::Restoring,
            restoring,
            gate,
            head,
            rows: Vec::new().into_iter(),
            batch: BatchAtHand { chunk: 16, ..Default::default() },
            snapshots: Snapshots::new(identity),
            barrier: None,
            records_in: 0,
            last_flush: Instant::default(),
            unflushed: false,
        }
    }

    /// Takes the next records of the batch at hand: as many as fill a step.
    fn process(&mut self, now: Instant) {
        let chunk = self.batch.chunk;
        let taken = self
            .rows
            .as_slice()
            .len()
            .min(chunk)
            .min(usize::try_from(self.head.room()).unwrap_or(chunk))
            .max(1);
        let before = self.rows.as_slice().len();
        for _ in 0..taken {
            // One record may be more than this step may pass on.
            if self.head.has_rest() {
                break;
            }
            if let Some(coming) = self.rows.as_slice().get(PREFETCH_DISTANCE) {
                self.head.expect(coming);
            }
            let Some(row) = self.rows.next() else { break };
            self.head.row(row);
        }
        self.unflushed = true;
        let busy = self.clock.now().since(now);
        self.batch.busy += busy;
        // Towards a step's length, by at most a factor of two.
        let taken = before - self.rows.as_slice().len();
        let ideal = (taken as f64 * STEP.as_secs_f64() / busy.as_secs_f64().max(1e-9)) as usize;
        self.batch.chunk = ideal.clamp((chunk / 2).max(1), chunk * 2).min(reflow_network::batch::BATCH_ROWS);
        if self.rows.as_slice().is_empty() {
            self.gate.consumed(self.batch.records, self.batch.busy);
            self.records_in += self.batch.records;
            self.batch.busy = Duration::ZERO;
        }
    }

    fn take(&mut self, event: GateEvent<T>, now: Instant, events: &mut Vec<TaskEvent>) {
        match event {
            GateEvent::Batch(batch) => {
                self.batch.records = batch.len() as u64;
                self.rows = batch.into_iter();
                self.process(now);
            }
            GateEvent::Watermark(time) => self.head.watermark(time),
            GateEvent::Idle(idle) => self.head.idle(idle),
            GateEvent::Barrier { checkpoint, alignment } => {
                self.barrier = Some((checkpoint, alignment));
                self.at_barrier(now);
            }
            GateEvent::End => {
                self.head.watermark(MAX_WATERMARK);
                self.head.end();
                self.phase = Phase::Ended;
                events.push(TaskEvent::Ended);
            }
        }
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
        self.snapshots.begin(moment, (checkpoint, kind), Vec::new(), &mut self.head);
        self.unflushed = false;
    }

    fn flush_if_due(&mut self, now: Instant, idle: bool) {
        if self.unflushed && (idle || now.since(self.last_flush) >= LINGER) {
            self.head.flush();
            // What a channel without room has kept is still to be flushed.
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
                if self.restoring.step(&self.name, &mut self.head) {
                    self.phase = Phase::Running;
                    events.push(TaskEvent::Running);
                } else if self.restoring.is_waiting() {
                    return TaskStep::Idle(None);
                }
                return TaskStep::Worked;
            }
            Phase::Finished => return TaskStep::Finished,
            Phase::Running | Phase::Ended => {}
        }
        self.head.tick(now);
        let wrote = self.snapshots.step(now, &mut self.head, events);
        if !self.head.has_room() {
            self.flush_if_due(now, false);
            return if wrote { TaskStep::Worked } else { TaskStep::Backpressured(self.head.next_wakeup()) };
        }
        if self.head.resume() {
            self.unflushed = true;
            return TaskStep::Worked;
        }
        if self.snapshots.may_finish() {
            return self.finish(wrote, events);
        }
        if self.phase == Phase::Ended {
            return self.after_end(now, wrote);
        }
        if !self.rows.as_slice().is_empty() {
            self.process(now);
            self.flush_if_due(now, false);
            return TaskStep::Worked;
        }
        if self.barrier.is_some() {
            let went_on = self.at_barrier(now);
            return if went_on || wrote { TaskStep::Worked } else { TaskStep::Idle(None) };
        }
        match self.gate.poll(now) {
            Ok(Some(event)) => {
                self.take(event, now, events);
                self.flush_if_due(now, false);
                TaskStep::Worked
            }
            Ok(None) => {
                self.flush_if_due(now, true);
                if wrote { TaskStep::Worked } else { TaskStep::Idle(self.head.next_wakeup()) }
            }
            Err(error) => crate::fail(Fault::Engine, &self.name, error),
        }
    }

    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind) {
        self.snapshots.triggered(checkpoint, kind);
        if self.phase == Phase::Finished {
            return;
        }
        // What is left of a record comes before the barrier; a step then takes the snapshot.
        if !self.head.has_rest() {
            self.at_barrier(now);
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        self.snapshots.completed(checkpoint, &mut self.head);
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.snapshots.aborted(checkpoint, &mut self.head);
    }

    fn assign_splits(&mut self, _: &[Bytes], _: bool) {
        crate::fail(Fault::Engine, &self.name, "it is not a source, but was given splits");
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
        if let Some(checkpoint) = self.snapshots.owed() {
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
            events.push(TaskEvent::Finished);
            return TaskStep::Worked;
        }
        if wrote { TaskStep::Worked } else { TaskStep::Idle(self.head.next_wakeup()) }
    }
}
