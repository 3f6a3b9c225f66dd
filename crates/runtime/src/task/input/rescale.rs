//! The live rescale of a task with inputs: state prefetch before the cut, key-group migration after it.

use crate::build::BuildContext;
use crate::keyed::Head;
use crate::rescale::Preparation;
use crate::stage::Control;
use crate::task::core::TaskCore;
use crate::task::handover_writer::HandoverWriter;
use crate::task::migration::{CutPoint, KeyGroupMigration, Signal};
use crate::task::prefetch::{Load, PrefetchContext, StatePrefetch, Step};
use crate::task::{TaskEvent, TaskStep};
use reflow_network::{Gate, Row};
use reflow_protocol::command::SnapshotKind;
use reflow_protocol::failure::Fault;
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::Restore;
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, MIN_WATERMARK, MaxParallelism, SubtaskId, injected_fault,
};
use std::time::Duration;

/// The pause until sinks are asked again whether the last records of outgoing groups are delivered. An answer of an outside
/// system wakes the task sooner.
const DELIVERY_PAUSE: Duration = Duration::from_millis(10);

/// The incoming and outgoing key groups of a task, before and after the cut.
pub(super) struct Rescale<T> {
    max: MaxParallelism,
    bounds: Bounds,
    start: Start,
    prefetch: StatePrefetch,
    migration: Option<KeyGroupMigration<T>>,
    /// Parts of hand-overs from old owners that passed the cut before this task.
    early_parts: Vec<(SubtaskId, Part)>,
    /// The processing time that installed groups had at their old owners. It must not go back for them.
    not_before: Instant,
    /// Whether tables may have memory to free, as after a roll-back of retained tables.
    discarding: bool,
    delivers_again_at: Option<Instant>,
}

/// The conditions for the start of an added task.
#[derive(Default)]
struct Start {
    cut: Option<CheckpointId>,
    /// Whether its operator state has arrived.
    adopted: bool,
}

/// Before the cut.
impl<T> Rescale<T> {
    pub(super) fn new(context: &BuildContext) -> Self {
        Self {
            max: context.wiring.max_parallelism(),
            bounds: context.bounds,
            start: Start::default(),
            prefetch: StatePrefetch::new(PrefetchContext {
                io: context.io.clone(),
                clock: context.clock.clone(),
                max_reads: context.bounds.prefetch_reads,
                bandwidth: context.prefetch_bandwidth.clone(),
            }),
            migration: None,
            early_parts: Vec::new(),
            not_before: Instant::default(),
            discarding: true,
            delivers_again_at: None,
        }
    }

    pub(super) fn prepare(&mut self, preparation: Preparation, core: &mut TaskCore<impl Control>) {
        self.prefetch.request(preparation.checkpoint, &preparation.restore, core.chain_mut());
        core.prepare(preparation);
    }

    pub(super) fn catch_up(
        &mut self,
        checkpoint: CheckpointId,
        restore: &Restore,
        core: &mut TaskCore<impl Control>,
    ) {
        if core.prepared().is_some() {
            self.prefetch.request(checkpoint, restore, core.chain_mut());
        }
    }

    pub(super) fn abandon(&mut self, core: &mut TaskCore<impl Control>) {
        core.abandon();
        self.prefetch.stop();
        core.chain_mut().tables(&mut |table| table.abandon_arrivals());
        (self.discarding, self.early_parts) = (true, Vec::new());
    }

    pub(super) fn hand_over(&mut self, from: SubtaskId, part: Part, core: &TaskCore<impl Control>) {
        match &mut self.migration {
            Some(migration) => {
                if let Err(reason) = migration.hand_over(from, part) {
                    core.fail(Fault::Engine, reason);
                }
            }
            None => self.early_parts.push((from, part)),
        }
    }

    /// Prefetches some state of incoming groups. Returns whether there was something to do.
    fn step_prefetch(
        &mut self,
        now: Instant,
        load: Load,
        core: &mut TaskCore<impl Control>,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(version) = core.prepared().map(|preparation| preparation.version) else { return false };
        match self.prefetch.step(now, load, core.chain_mut()) {
            Ok(Step::Waiting) => return false,
            Ok(Step::Deferred) => {}
            Ok(Step::Loaded(bytes)) => events.push(TaskEvent::Prefetched { version, bytes }),
            Ok(Step::Complete(checkpoint)) => events.push(TaskEvent::Prepared { version, checkpoint }),
            Err(reason) => {
                self.prefetch.stop();
                events.push(TaskEvent::Refused { version, reason });
            }
        }
        true
    }

    /// When the task must be stepped again although it has no input: its prefetch waits for bandwidth, or its last records
    /// are not delivered, and their sinks may have to try again.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.prefetch.next_wakeup().into_iter().chain(self.delivers_again_at).min()
    }
}

/// The start of an added task.
impl<T: Data> Rescale<T> {
    /// A checkpoint was triggered. It is the task's cut if it belongs to the graph that adds the task.
    pub(super) fn triggered_added(
        &mut self,
        core: &mut TaskCore<impl Control>,
        checkpoint: CheckpointId,
        kind: &SnapshotKind,
    ) {
        let version = core.prepared().map(|preparation| preparation.version);
        if self.start.cut.is_none() && kind.cut.as_ref().map(|cut| cut.version) == version {
            self.start.cut = Some(checkpoint);
            core.chain_mut().tables(&mut |table| table.begin_at(checkpoint));
        }
    }

    /// The operator state with which an added task starts has arrived.
    pub(super) fn adopted(&mut self) {
        self.start.adopted = true;
    }

    /// A step of a task that waits for the cut. It reads no input before, because its channels carry only records
    /// from behind the cut, which need the state and the operator state of this task.
    pub(super) fn step_added(
        &mut self,
        core: &mut TaskCore<impl Control>,
        gate: &Gate<T>,
        now: Instant,
        events: &mut Vec<TaskEvent>,
    ) -> TaskStep {
        // It has no records, and the other tasks of its slot have their turns between its runs.
        let read = self.step_prefetch(now, Load::Idle, core, events);
        match self.start.cut.filter(|_| self.start.adopted) {
            Some(checkpoint) => self.begin(checkpoint, core, gate, now, events),
            None if read => {}
            None => return TaskStep::Idle(self.prefetch.next_wakeup()),
        }
        TaskStep::Worked
    }

    /// The first step of an added task after the cut.
    fn begin(
        &mut self,
        checkpoint: CheckpointId,
        core: &mut TaskCore<impl Control>,
        gate: &Gate<T>,
        now: Instant,
        events: &mut Vec<TaskEvent>,
    ) {
        let Some(preparation) = core.take_prepared() else {
            let error = format!("checkpoint {checkpoint} is a cut, but no rescale was prepared");
            core.fail(Fault::Engine, error)
        };
        events.push(core.run().into());
        let watermark = gate.watermark();
        if watermark > MIN_WATERMARK {
            core.chain_mut().watermark(watermark);
        }
        if core.retains_state() {
            core.chain_mut().tables(&mut |table| table.remember(None));
        }
        self.begin_migration(CutPoint { checkpoint, at: now, watermark }, &preparation, core);
        // The JobManager waits for the report of every added task, even if it has no incoming groups.
        self.migration.as_mut().expect("it has begun").require_report();
    }
}

/// The cut and what follows it.
impl<T> Rescale<T> {
    /// The writer of the hand-over to new owners, for the snapshot of the cut.
    pub(super) fn handover_writer(&self, preparation: &Preparation) -> HandoverWriter {
        HandoverWriter::new(self.max, &preparation.outgoing, self.bounds.hand_over_part_bytes)
    }

    pub(super) fn begin_migration(
        &mut self,
        cut: CutPoint,
        preparation: &Preparation,
        core: &TaskCore<impl Control>,
    ) {
        // The prefetched state belongs to this migration; the next rescale begins a new prefetch.
        self.prefetch.stop();
        self.migration = Some(KeyGroupMigration::new(cut, preparation, self.max, self.bounds));
        for (from, part) in std::mem::take(&mut self.early_parts) {
            self.hand_over(from, part, core);
        }
    }

    #[inline]
    pub(super) fn is_migrating(&self) -> bool {
        self.migration.is_some()
    }

    /// The processing time up to which timers fire. `None` while groups are outgoing: a tick fires the timers of
    /// all groups, but those of outgoing groups must fire at the new owner.
    pub(super) fn time_for_timers(&self, now: Instant) -> Option<Instant> {
        let outgoing = self.migration.as_ref().is_some_and(KeyGroupMigration::has_outgoing);
        (!outgoing).then(|| now.max(self.not_before))
    }

    /// Whether the task may read more records, if `limit` records may be buffered.
    pub(super) fn may_read(&self, limit: u64) -> bool {
        self.migration.as_ref().is_none_or(|migration| migration.may_read(limit))
    }

    /// Buffers a record whose group is not installed yet. Returns all others.
    #[inline]
    pub(super) fn buffer(&mut self, row: Row<T>) -> Option<Row<T>> {
        match &mut self.migration {
            None => Some(row),
            Some(migration) => migration.buffer(row),
        }
    }

    /// Defers a signal until the migration is complete. Returns it if no migration is under way.
    pub(super) fn defer(&mut self, signal: Signal) -> Option<Signal> {
        match &mut self.migration {
            None => return Some(signal),
            Some(migration) => migration.defer(signal),
        }
        None
    }

    /// Frees a part of the memory of released key groups.
    fn discard(&mut self, core: &mut TaskCore<impl Control>) -> bool {
        if !self.discarding {
            return false;
        }
        let (mut more, slots) = (false, self.bounds.discarded_slots);
        core.chain_mut().tables(&mut |table| more |= table.discard(slots));
        self.discarding = more;
        more
    }

    /// Sends outgoing state. Returns whether there was something to do.
    fn send_outgoing(
        &mut self,
        core: &mut TaskCore<impl Control>,
        now: Instant,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(migration) = self.migration.as_mut().filter(|migration| migration.has_outgoing()) else {
            return false;
        };
        let (parts, all) = core.snapshots_mut().take_hand_overs();
        let most = self.bounds.record_bytes;
        if let Some(bytes) = parts.iter().map(|(_, part)| part.state_bytes()).find(|bytes| *bytes > most) {
            let error = format!(
                "cannot hand over {bytes} bytes of keyed state at once, the limit is {most}: the state of a key has \
                 become too large; the job restarts from its last checkpoint"
            );
            core.fail(Fault::Engine, error);
        }
        let is_delivered = all && core.chain_mut().deliver(now);
        self.delivers_again_at = (all && !is_delivered).then(|| now + DELIVERY_PAUSE);
        let all = is_delivered;
        let worked = all || !parts.is_empty();
        events.extend(parts.into_iter().map(|(to, part)| migration.outgoing_part(to, part)));
        // The groups are released only now, because the snapshot of the cut is written from the same tables.
        if all && let Some(groups) = migration.end_outgoing(events) {
            if !injected_fault::is_active("group_owned_twice") {
                core.chain_mut().tables(&mut |table| table.release(&groups));
            }
            self.discarding = true;
        }
        worked
    }
}

impl<T: Data> Rescale<T> {
    /// A bounded part of the work of a rescale that does not depend on the input. Returns whether there was
    /// something to do.
    pub(super) fn step(
        &mut self,
        core: &mut TaskCore<impl Control>,
        gate: &mut Gate<T>,
        (now, load): (Instant, Load),
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let mut worked = self.step_prefetch(now, load, core, events);
        worked |= self.send_outgoing(core, now, events);
        worked |= self.install_incoming(core, gate, now, events);
        // Last, because the other parts release the memory that is freed here.
        worked | self.discard(core)
    }

    /// Installs incoming state. Returns whether there was something to do.
    fn install_incoming(
        &mut self,
        core: &mut TaskCore<impl Control>,
        gate: &mut Gate<T>,
        now: Instant,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(migration) = &mut self.migration else { return false };
        let (mut worked, installed) = match migration.step(now, core.chain_mut()) {
            Ok(step) => step,
            Err(reason) => core.fail(Fault::Engine, format!("cannot install key groups: {reason}")),
        };
        if let Some(installed) = installed {
            self.not_before = self.not_before.max(installed.cut_at);
            if !injected_fault::is_active("late_record_taken_by_the_new_owner") {
                gate.raise(installed.watermark);
            }
        }
        if let Some(report) = migration.take_report() {
            events.push(report.into());
            worked = true;
        }
        worked
    }

    /// Passes one deferred signal to the chain, which must have no work left, because a watermark may fire
    /// windows over several steps. Returns whether there was something to do.
    pub(super) fn emit_deferred(
        &mut self,
        core: &mut TaskCore<impl Control>,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(migration) = &mut self.migration else { return false };
        let signal = migration.next_signal();
        if signal.is_none() && !migration.is_complete() {
            return false;
        }
        if matches!(signal, None | Some(Signal::End)) {
            self.migration = None;
        }
        if let Some(signal) = signal {
            core.emit(signal, events);
        }
        core.mark_unflushed();
        true
    }

    /// Processes buffered records whose groups are installed, except while groups are outgoing, when nothing may
    /// fire.
    pub(super) fn process_ready(&mut self, core: &mut TaskCore<impl Head<T>>, now: Instant) -> bool {
        let may_fire = |migration: &&mut KeyGroupMigration<T>| !migration.has_outgoing();
        let Some(migration) = self.migration.as_mut().filter(may_fire) else { return false };
        if !migration.has_ready() {
            return false;
        }
        let (chunk, head) = (core.step_records(), core.chain_mut());
        let mut taken = 0;
        while taken < chunk && !head.has_rest() && !head.is_full() {
            let Some(row) = migration.next_ready() else { break };
            head.row(row);
            taken += 1;
        }
        core.took_records(now, taken);
        core.flush_if_due(now);
        true
    }
}
