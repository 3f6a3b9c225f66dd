//! The core of a task: its chain, snapshots and phase, and the parts of a step that do not depend on the kind of
//! input.
//!
//! [`InputTask`](super::InputTask) adds a gate and the migration of key groups, [`SourceTask`](super::SourceTask) adds a
//! reader and its splits. Runs on the slot's thread.

use super::input_clock::InputClock;
use super::latency::{Latencies, Marking};
use super::migration::Signal;
use super::pace::Pace;
use super::restore::Restoring;
use super::retained::RetainedState;
use super::snapshot::{AtBarrier, AtCut, Barrier, Identity, Snapshots};
use super::{TaskEvent, TaskStep};
use crate::build::BuildContext;
use crate::rescale::Preparation;
use crate::stage::{AdoptedState, Control, OpenContext, Starved};
use bytes::Bytes;
use reflow_api::metrics::TaskMetrics;
use reflow_env::Clock;
use reflow_protocol::command::SnapshotKind;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::data::LatencyMarker;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::OperatorState;
use reflow_types::{CheckpointId, GraphVersion, Instant, MAX_WATERMARK, Timestamp};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// The longest time that records wait in an output for a full batch.
const LINGER: Duration = Duration::from_millis(2);

/// The phase of a task between its deployment and its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// A rescale has added the task. It waits for the cut.
    Added,
    Restoring,
    Running,
    /// The input has ended. The task passes the end on and waits for the final checkpoint.
    Ended,
    /// A rescale has removed it: it owns nothing and waits until the checkpoint of the cut, or a later one, is complete,
    /// with which its sink commits.
    Removed {
        cut: CheckpointId,
        complete: bool,
    },
    Finished,
}

/// The parts that both kinds of task have.
pub(super) struct TaskCore<C> {
    name: String,
    clock: Arc<dyn Clock>,
    phase: Phase,
    chain: C,
    restoring: Restoring,
    snapshots: Snapshots,
    /// The next graph, from its announcement to its cut.
    prepared: Option<Preparation>,
    /// Events of calls between steps, reported with the next step.
    pending_events: Vec<TaskEvent>,
    pace: Pace,
    flush: Flush,
    /// The time in which the input could be read.
    input_clock: InputClock,
    records_in: u64,
    /// For a source.
    marking: Marking,
    latencies: Latencies,
    metrics: TaskMetrics,
    /// Whether the input has ended and records are still under way, so that the end is not reported yet.
    end_unreported: bool,
}

/// When the outputs were last flushed.
#[derive(Default)]
struct Flush {
    last: Instant,
    /// Records may wait in the outputs.
    is_due: bool,
}

impl<C: Control> TaskCore<C> {
    /// The core of a task with this chain, which is opened. An added task gets its graph by
    /// [`prepare`](Self::prepare).
    pub(super) fn new(mut chain: C, watermark: Timestamp, context: &mut BuildContext) -> Self {
        let restoring = Restoring::new(context);
        let metrics = TaskMetrics::default();
        chain.open(&mut OpenContext {
            job: context.job_id,
            attempt: context.attempt,
            subtask: context.wiring.subtask,
            place: context.wiring.place(),
            max_parallelism: context.wiring.max_parallelism(),
            io: &context.io,
            metrics: &metrics,
            parameters: &context.wiring.job.parameters,
            watermark,
            now: context.clock.now(),
            bounds: context.bounds,
            then: context.restored.then,
            operator: &mut context.restored.state.operator,
        });
        chain.tables(&mut |table| table.set_bounds(context.bounds));
        let identity = Identity {
            subtask: context.wiring.subtask,
            attempt: context.attempt,
            groups: context.wiring.groups(),
            io: context.io.clone(),
            bounds: context.bounds,
        };
        Self {
            name: context.wiring.name().to_owned(),
            clock: context.clock.clone(),
            phase: if context.added.is_some() { Phase::Added } else { Phase::Restoring },
            chain,
            restoring,
            snapshots: Snapshots::new(identity, context.restored.checkpoint, context.restored.then),
            prepared: None,
            pending_events: Vec::new(),
            pace: Pace::new(),
            flush: Flush::default(),
            input_clock: InputClock::default(),
            records_in: 0,
            marking: Marking::new(context.wiring.vertex, context.latency_interval),
            latencies: Latencies::default(),
            metrics,
            end_unreported: false,
        }
    }

    /// Ends the step with a failure of the task.
    #[cold]
    pub(super) fn fail(&self, fault: Fault, error: impl Display) -> ! {
        crate::fail(fault, &self.name, error)
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    #[inline]
    pub(super) fn chain(&self) -> &C {
        &self.chain
    }

    #[inline]
    pub(super) fn chain_mut(&mut self) -> &mut C {
        &mut self.chain
    }

    pub(super) fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    pub(super) fn snapshots_mut(&mut self) -> &mut Snapshots {
        &mut self.snapshots
    }

    /// Starts a restored or added task.
    pub(super) fn run(&mut self) -> SubtaskEvent {
        self.chain.start();
        self.phase = Phase::Running;
        SubtaskEvent::Running
    }

    /// Reports an event with the next step.
    pub(super) fn report(&mut self, event: impl Into<TaskEvent>) {
        self.pending_events.push(event.into());
    }

    /// Takes the events of calls between steps. Returns whether there are any.
    pub(super) fn take_reports(&mut self, events: &mut Vec<TaskEvent>) -> bool {
        let any = !self.pending_events.is_empty();
        events.append(&mut self.pending_events);
        any
    }
}

/// Restoring.
impl<C: Control> TaskCore<C> {
    /// A step of [`Phase::Restoring`].
    pub(super) fn restore(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        if self.restoring.step(now, &self.name, &mut self.chain) {
            events.push(self.run().into());
        } else if self.restoring.is_waiting() {
            return TaskStep::Idle(self.restoring.next_wakeup());
        }
        TaskStep::Worked
    }

    /// Whether the tables outlive the attempt.
    pub(super) fn retains_state(&self) -> bool {
        self.restoring.retains_state()
    }

    pub(super) fn adopt_retained(&mut self, retained: RetainedState) {
        self.restoring.adopt_retained(retained);
    }

    /// Takes the tables for the next attempt, if they outlive this one.
    pub(super) fn retain_state(&mut self) -> Option<RetainedState> {
        let groups = self.snapshots.groups().filter(|_| self.restoring.retains_state())?;
        Some(RetainedState::take(groups.clone(), &mut self.chain))
    }

    /// Union and broadcast state with which an added task starts.
    pub(super) fn adopt(&mut self, states: Vec<OperatorState>) {
        self.chain.adopt(&mut AdoptedState(states));
    }
}

/// Steps.
impl<C: Control> TaskCore<C> {
    /// Begins a step of a task that has started.
    pub(super) fn begin_step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) {
        self.take_reports(events);
        self.input_clock.begin_step(now);
    }

    /// Writes a part of the snapshot under way. Returns whether there was something to do.
    pub(super) fn write_snapshot(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> bool {
        self.snapshots.step(now, &mut self.chain, events)
    }

    /// The step's outcome if the outputs have no room.
    pub(super) fn wait_for_room(&mut self, now: Instant) -> Option<TaskStep> {
        if self.chain.has_room() {
            return None;
        }
        self.flush_if_due(now);
        Some(TaskStep::Backpressured(self.chain.next_wakeup()))
    }

    /// Continues work of the chain that was too much for one step. Returns whether there was any.
    pub(super) fn resume(&mut self, now: Instant) -> bool {
        let Some(passed) = self.chain.resume(self.pace.leftover()) else { return false };
        if passed > 0 {
            self.pace.passed_leftover(passed, self.clock.now().since(now));
        }
        self.flush.is_due = true;
        true
    }

    /// The number of input records that fill a step.
    #[inline]
    pub(super) fn step_records(&self) -> usize {
        self.pace.records()
    }

    /// Updates the pace by a step that began at `now` and in which the chain has taken `records`. Returns the
    /// current time.
    pub(super) fn took_records(&mut self, now: Instant, records: usize) -> Instant {
        self.flush.is_due = true;
        let end = self.clock.now();
        self.pace.took_records(records, end.since(now));
        end
    }

    /// Counts records of the input.
    pub(super) fn count_in(&mut self, records: u64) {
        self.records_in += records;
    }

    /// Sends a latency marker behind the records that a source has emitted, if one is due. Called while the outputs have
    /// room.
    #[inline]
    pub(super) fn mark_latency(&mut self, now: Instant) {
        if let Some(marker) = self.marking.next(now, self.records_in) {
            self.chain.latency_marker(marker);
        }
    }

    /// Measures the latency of a marker and passes it on. Called while the outputs have room.
    pub(super) fn latency_marker(&mut self, now: Instant, marker: LatencyMarker) {
        self.latencies.add(now, marker);
        self.chain.latency_marker(marker);
    }

    /// Marks that something may wait in the outputs.
    pub(super) fn mark_unflushed(&mut self) {
        self.flush.is_due = true;
    }

    /// Flushes the outputs if records have waited there for long enough.
    pub(super) fn flush_if_due(&mut self, now: Instant) {
        if now.since(self.flush.last) >= LINGER {
            self.flush(now);
        }
    }

    /// Flushes the outputs, because no record is available to fill their batches.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.flush.is_due {
            self.chain.flush();
            // A channel without room keeps its batch, which must be flushed later.
            self.flush.is_due = !self.chain.has_room();
            self.flush.last = now;
        }
    }

    /// The outcome of a step that waits for input, or for what the chain waits for.
    pub(super) fn idle(&self) -> TaskStep {
        TaskStep::Idle(self.chain.next_wakeup())
    }

    /// The input was read from `begin` to `end` and is read again at `wake`, or when it has something.
    pub(super) fn end_poll(&mut self, begin: Instant, end: Instant, wake: Option<Instant>) {
        self.input_clock.end_poll(begin, end, wake);
    }

    /// The input was read and had no records for these splits.
    pub(super) fn starved(&mut self, splits: Starved<'_>) {
        self.chain.starved(self.input_clock.elapsed(), splits);
    }
}

/// Checkpoints.
impl<C: Control> TaskCore<C> {
    pub(super) fn triggered(&mut self, checkpoint: CheckpointId, kind: &SnapshotKind) {
        self.snapshots.triggered(checkpoint, kind);
    }

    pub(super) fn at_barrier(&mut self, checkpoint: CheckpointId) -> AtBarrier {
        self.snapshots.at_barrier(checkpoint)
    }

    /// Begins a snapshot. `extra` is the task's own operator state. The chain passes the barrier on, which
    /// flushes the outputs.
    pub(super) fn begin_snapshot(
        &mut self,
        barrier: Barrier,
        kind: SnapshotKind,
        extra: Vec<OperatorState>,
        at_cut: AtCut,
    ) {
        self.snapshots.begin(barrier, kind, extra, at_cut, &mut self.chain);
        self.flush.is_due = false;
    }

    /// A checkpoint is complete. Returns whether its effects outside become visible: not those of a savepoint after which
    /// the job continues.
    pub(super) fn completed(&mut self, checkpoint: CheckpointId) -> bool {
        let commits = self.snapshots.completed(checkpoint, &mut self.chain);
        // A savepoint does not commit, so it does not end a removed task: the sink's last transaction is
        // committed with the next checkpoint, in which the task must still take part.
        if let Phase::Removed { cut, complete } = &mut self.phase {
            *complete |= commits && checkpoint >= *cut;
        }
        commits
    }

    pub(super) fn aborted(&mut self, checkpoint: CheckpointId) {
        self.snapshots.aborted(checkpoint, &mut self.chain);
    }

    /// Passes a signal, which applies to all key groups, to the chain.
    pub(super) fn emit(&mut self, signal: Signal, events: &mut Vec<TaskEvent>) {
        match signal {
            Signal::Watermark(time) => self.chain.watermark(time),
            Signal::Idle(idle) => self.chain.idle(idle),
            Signal::InputEnded(input) => self.chain.input_ended(input),
            Signal::End => self.end(events),
        }
    }

    /// Passes the end of input on.
    pub(super) fn end(&mut self, events: &mut Vec<TaskEvent>) {
        self.chain.watermark(MAX_WATERMARK);
        self.chain.end();
        self.phase = Phase::Ended;
        self.end_unreported = true;
        self.report_end(events);
    }

    /// Reports the end of input, once no record is under way.
    pub(super) fn report_end(&mut self, events: &mut Vec<TaskEvent>) {
        if self.end_unreported && self.chain.is_drained() {
            self.end_unreported = false;
            events.push(SubtaskEvent::Ended.into());
        }
    }

    /// The input has ended with a complete savepoint. The task still has to pass the end on.
    pub(super) fn drain(&mut self) {
        self.phase = Phase::Ended;
    }

    /// The last checkpoint is complete. The task is finished once everything is committed.
    pub(super) fn finish(&mut self, events: &mut Vec<TaskEvent>) -> TaskStep {
        if !self.chain.is_settled() {
            return self.idle();
        }
        if let Some(failure) = self.close() {
            std::panic::resume_unwind(Box::new(failure));
        }
        self.phase = Phase::Finished;
        events.push(SubtaskEvent::Finished.into());
        TaskStep::Worked
    }

    /// Closes the chain's functions. Returns the first failure; more are logged.
    pub(super) fn close(&mut self) -> Option<Failure> {
        let mut failures = Vec::new();
        self.chain.close(&mut failures);
        let mut failures = failures.into_iter();
        let first = failures.next();
        failures.for_each(|failure| crate::failure::log_unreported(&failure));
        first
    }

    /// Adds the task's counters, and the metrics of its functions.
    pub(super) fn count(&self, metrics: &mut SubtaskMetrics) {
        metrics.records_in = self.records_in;
        metrics.latencies = self.latencies.distributions();
        metrics.user = self.metrics.values();
        for refused in self.metrics.take_refused() {
            warn!(task = self.name, "{refused}");
        }
        self.chain.count(metrics);
    }
}

/// Live rescale.
impl<C: Control> TaskCore<C> {
    /// The next graph, if one is announced.
    pub(super) fn prepared(&self) -> Option<&Preparation> {
        self.prepared.as_ref()
    }

    /// Announces the next graph.
    pub(super) fn prepare(&mut self, preparation: Preparation) {
        self.prepared = Some(preparation);
    }

    /// Takes the announced graph.
    pub(super) fn take_prepared(&mut self) -> Option<Preparation> {
        self.prepared.take()
    }

    /// Takes the graph of a cut, which must have been announced.
    pub(super) fn take_prepared_for(&mut self, cut: &Cut) -> Preparation {
        match self.prepared.take() {
            Some(preparation) if preparation.version == cut.version => preparation,
            _ => self.fail(Fault::Engine, "a cut has arrived without a prepared rescale"),
        }
    }

    /// Drops the announced graph. Returns whether there was one.
    pub(super) fn abandon(&mut self) -> bool {
        let any = self.prepared.take().is_some();
        if any {
            self.chain.abandon();
        }
        any
    }

    /// Reports the cut, whose snapshot has begun. `splits` are those that move to other readers.
    pub(super) fn report_cut(&mut self, version: GraphVersion, splits: Vec<Bytes>) {
        let operator = self.snapshots.take_state_for_others();
        self.report(SubtaskEvent::Cut { version, splits, operator });
    }

    /// The next graph does not have this task.
    pub(super) fn remove(&mut self, cut: CheckpointId) {
        self.phase = Phase::Removed { cut, complete: false };
        self.end_unreported = false;
    }
}
