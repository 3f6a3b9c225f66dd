//! The migration of key groups into and out of a task, after the cut.
//!
//! Key groups that stay are not affected: their records flow. A record of an incoming group is buffered until the old
//! owner's hand-over is installed; then it is processed before later ones. Watermarks, idleness and the end of input
//! apply to all groups, so they are deferred until the migration is complete.
//!
//! While groups are outgoing, no timer and no window may fire: those of outgoing groups are in the tables until
//! the snapshot of the cut is written, but the new owner fires them.

use super::TaskEvent;
use super::prefetch::add_run;
use super::stateful_chain::StatefulChain;
use crate::rescale::{Incoming, Preparation};
use reflow_api::Input;
use reflow_network::Row;
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::{Installation, Part};
use reflow_state::{InstallCursor, Origin, Progress};
use reflow_types::{
    Bounds, CheckpointId, GraphVersion, Instant, KeyGroupSet, MaxParallelism, SubtaskId, Timestamp,
    injected_fault,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The incoming and outgoing key groups of one task at one cut.
pub(super) struct KeyGroupMigration<T> {
    cut: CutPoint,
    max: MaxParallelism,
    bounds: Bounds,
    /// The hand-overs of old owners whose groups are not installed yet.
    handovers: BTreeMap<SubtaskId, IncomingHandover>,
    /// Incoming groups that are not installed yet.
    pending: KeyGroupSet,
    /// The outgoing groups, until the snapshot of the cut is written.
    outgoing: Option<OutgoingGroups>,
    records: BufferedRecords<T>,
    signals: DeferredSignals,
    report: InstallationReport,
}

/// The point at which a task passed a cut.
#[derive(Clone, Copy)]
pub(super) struct CutPoint {
    pub(super) checkpoint: CheckpointId,
    pub(super) at: Instant,
    /// The task's watermark at the cut, which is that of the outgoing groups.
    pub(super) watermark: Timestamp,
}

/// The outgoing groups.
struct OutgoingGroups {
    groups: KeyGroupSet,
    new_owners: Vec<SubtaskId>,
}

/// Records that arrived before the state of their groups, in order.
struct BufferedRecords<T> {
    /// Records of pending groups.
    waiting: VecDeque<Row<T>>,
    /// Records of installed groups.
    ready: VecDeque<Row<T>>,
}

/// Signals that wait until the migration is complete.
struct DeferredSignals {
    /// The last watermark of the chain.
    emitted: Timestamp,
    /// The watermark of installed groups, until the chain gets it.
    raised: Option<Timestamp>,
    watermark: Option<Timestamp>,
    idle: Option<bool>,
    ended: VecDeque<Input>,
    end: bool,
}

/// The report to the JobManager that all incoming groups are installed.
struct InstallationReport {
    /// The graph that the task has now.
    version: GraphVersion,
    installation: Installation,
    /// Added subtasks always report, others only if they have incoming groups.
    is_due: bool,
}

/// A signal that applies to all key groups of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Watermark(Timestamp),
    Idle(bool),
    InputEnded(Input),
    End,
}

/// The hand-over from one old owner.
struct IncomingHandover {
    groups: KeyGroupSet,
    parts: VecDeque<Part>,
    /// The position of the installation, which begins when all parts are added to the tables.
    installing: Option<InstallPosition>,
    /// The time and watermark at which the old owner passed the cut.
    cut: Option<(Instant, Timestamp)>,
}

/// The progress of installing the groups of one old owner. Each old owner has a position of its own, because a
/// shared one would skip a second owner's entries in segments that the first one has passed.
#[derive(Clone, Default)]
struct InstallPosition {
    table: usize,
    cursor: InstallCursor,
}

/// All groups of one old owner are installed.
pub(super) struct Installed {
    /// When the old owner passed the cut.
    pub(super) cut_at: Instant,
    /// The old owner's watermark at the cut.
    pub(super) watermark: Timestamp,
}

impl<T> KeyGroupMigration<T> {
    /// Starts the migration that `preparation` announced.
    pub(super) fn new(cut: CutPoint, preparation: &Preparation, max: MaxParallelism, bounds: Bounds) -> Self {
        let handover = |Incoming { from, groups }: &Incoming| {
            let groups = groups.clone();
            (*from, IncomingHandover { groups, parts: VecDeque::new(), installing: None, cut: None })
        };
        let outgoing = OutgoingGroups {
            groups: preparation.outgoing.iter().flat_map(|to| to.groups.iter()).collect(),
            new_owners: preparation.outgoing.iter().map(|outgoing| outgoing.to).collect(),
        };
        Self {
            cut,
            max,
            bounds,
            handovers: preparation.incoming.iter().map(handover).collect(),
            pending: preparation.incoming_groups(),
            outgoing: Some(outgoing).filter(|outgoing| !outgoing.groups.is_empty()),
            records: BufferedRecords { waiting: VecDeque::new(), ready: VecDeque::new() },
            signals: DeferredSignals {
                emitted: cut.watermark,
                raised: None,
                watermark: None,
                idle: None,
                ended: VecDeque::new(),
                end: false,
            },
            report: InstallationReport {
                version: preparation.version,
                installation: Installation::default(),
                is_due: !preparation.incoming.is_empty(),
            },
        }
    }

    /// Makes the task report that its groups are installed even if it has no incoming ones.
    pub(super) fn require_report(&mut self) {
        self.report.is_due = true;
    }

    /// Takes one part of a hand-over from the old owner `from`.
    pub(super) fn hand_over(&mut self, from: SubtaskId, part: Part) -> Result<(), String> {
        let handover = self.handovers.get_mut(&from);
        let handover =
            handover.ok_or("another subtask sent state, but owns no key group that comes to this one")?;
        if let Part::Blocks { bytes, .. } = &part {
            self.report.installation.bytes += bytes.len() as u64;
        }
        handover.parts.push_back(part);
        Ok(())
    }

    /// Adds one part to the tables or installs some entries. Returns whether there was something to do, and whether the
    /// groups of an old owner are now installed.
    pub(super) fn step(
        &mut self,
        now: Instant,
        chain: &mut dyn StatefulChain,
    ) -> Result<(bool, Option<Installed>), String> {
        let has_work =
            |handover: &IncomingHandover| !handover.parts.is_empty() || handover.installing.is_some();
        let Some((&from, handover)) = self.handovers.iter_mut().find(|(_, handover)| has_work(handover))
        else {
            return Ok((false, None));
        };
        if let Some(InstallPosition { table: wanted, cursor }) = &mut handover.installing {
            let (mut at, mut progress) = (0, None);
            chain.tables(&mut |table| {
                if at == *wanted {
                    progress = Some(table.install(&handover.groups, cursor, self.bounds.installed_entries));
                }
                at += 1;
            });
            match progress {
                Some(Progress::More) => {}
                Some(Progress::Done) => {
                    let next = InstallPosition { table: *wanted + 1, ..Default::default() };
                    handover.installing = Some(next);
                }
                None => return Ok((true, Some(self.finish_install(now, from)))),
            }
            return Ok((true, None));
        }
        match handover.parts.pop_front() {
            Some(Part::Blocks { table, bytes }) => {
                add_run(chain, table, &bytes, &handover.groups, Origin::HandedOver)?;
            }
            Some(Part::Done { cut_at_us, watermark }) => {
                handover.cut = Some((Instant(0) + Duration::from_micros(cut_at_us), watermark));
                let mut others = self.handovers.values().filter_map(|other| other.installing.clone());
                let shared =
                    others.next().filter(|_| injected_fault::is_active("one_cursor_for_two_old_owners"));
                let handover = self.handovers.get_mut(&from).expect("it was found above");
                handover.installing = Some(shared.unwrap_or_default());
            }
            None => {}
        }
        Ok((true, None))
    }

    /// Makes the buffered records of an old owner's groups ready. Before them, the chain is given the watermark at which
    /// the old owner passed the cut: a record that was late there is late here.
    fn finish_install(&mut self, now: Instant, from: SubtaskId) -> Installed {
        let handover = self.handovers.remove(&from).expect("the caller found it");
        let (cut_at, watermark) = handover.cut.expect("entries are installed once the hand-over is complete");
        self.pending = self.handovers.values().flat_map(|handover| handover.groups.iter()).collect();
        let (pending, max) = (&self.pending, self.max);
        self.records.release(|row| !pending.contains(row.hash.group(max)));
        // Measured by this task's own clock, from the moment at which it passed the cut, because the clocks of
        // machines differ.
        let pause = now.since(self.cut.at).as_micros() as u64;
        let installation = &mut self.report.installation;
        installation.pause_us = installation.pause_us.max(pause);
        if !injected_fault::is_active("late_record_taken_by_the_new_owner") {
            self.signals.raised = self.signals.raised.max(Some(watermark));
        }
        Installed { cut_at, watermark }
    }

    /// Buffers the record if its group is pending, or if earlier records of installed groups are still ready: records of
    /// a key keep their order. Otherwise returns it.
    pub(super) fn buffer(&mut self, row: Row<T>) -> Option<Row<T>> {
        let waits = self.pending.contains(row.hash.group(self.max));
        if !waits && self.records.ready.is_empty() {
            return Some(row);
        }
        let installation = &mut self.report.installation;
        installation.parked += 1;
        if injected_fault::is_active("parked_record_dropped") && installation.parked == 1 {
            return None;
        }
        let queue = if waits { &mut self.records.waiting } else { &mut self.records.ready };
        queue.push_back(row);
        None
    }

    /// Keeps a signal until the migration is complete. A later one of its kind replaces it.
    pub(super) fn defer(&mut self, signal: Signal) {
        match signal {
            Signal::Watermark(time) => self.signals.watermark = Some(time),
            Signal::Idle(idle) => self.signals.idle = Some(idle),
            Signal::InputEnded(input) => self.signals.ended.push_back(input),
            Signal::End => self.signals.end = true,
        }
    }

    /// The next signal for the chain: the watermark of installed groups, and once the migration is complete the deferred
    /// ones. Call it only when the chain has finished the one before: a watermark may fire windows over many steps.
    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        match self.signals.next_raised() {
            None if self.is_complete() => self.signals.next_deferred(),
            raised => raised,
        }
    }

    /// The next buffered record whose group is installed.
    pub(super) fn next_ready(&mut self) -> Option<Row<T>> {
        if injected_fault::is_active("buffered_records_overtaken") {
            return self.records.ready.pop_back();
        }
        self.records.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.records.ready.is_empty()
    }

    /// Whether the task may read more records: not while `buffer_limit` of them wait, nor after the end.
    pub(super) fn may_read(&self, buffer_limit: u64) -> bool {
        let buffered = self.records.len();
        buffered < self.bounds.parked_records && (buffered as u64) < buffer_limit && !self.signals.end
    }

    /// Whether there are outgoing groups, so that nothing may fire.
    pub(super) fn has_outgoing(&self) -> bool {
        self.outgoing.is_some()
    }

    /// The event that sends a part of outgoing state.
    pub(super) fn outgoing_part(&self, to: SubtaskId, part: Part) -> TaskEvent {
        TaskEvent::HandOver { checkpoint: self.cut.checkpoint, to, part }
    }

    /// Ends the outgoing half, because all state has been sent. Returns the groups, which have other owners now.
    pub(super) fn end_outgoing(&mut self, events: &mut Vec<TaskEvent>) -> Option<KeyGroupSet> {
        let OutgoingGroups { groups, new_owners } = self.outgoing.take()?;
        let done = Part::Done { cut_at_us: self.cut.at.0, watermark: self.cut.watermark };
        events.extend(new_owners.into_iter().map(|to| self.outgoing_part(to, done.clone())));
        Some(groups)
    }

    /// The report that all incoming groups are installed, once.
    pub(super) fn take_report(&mut self) -> Option<SubtaskEvent> {
        if !self.is_installed() || !std::mem::take(&mut self.report.is_due) {
            return None;
        }
        let InstallationReport { version, installation, .. } = self.report;
        Some(SubtaskEvent::Installed { version, installation })
    }

    /// Whether all incoming groups are installed.
    fn is_installed(&self) -> bool {
        self.handovers.is_empty()
    }

    /// Whether only deferred signals are left to emit.
    pub(super) fn is_complete(&self) -> bool {
        self.is_installed() && !self.has_ready() && !self.has_outgoing() && !self.report.is_due
    }
}

impl<T> BufferedRecords<T> {
    fn len(&self) -> usize {
        self.waiting.len() + self.ready.len()
    }

    /// Makes the waiting records ready for which `is_installed` holds. All keep their order.
    fn release(&mut self, is_installed: impl Fn(&Row<T>) -> bool) {
        for row in std::mem::take(&mut self.waiting) {
            let queue = if is_installed(&row) { &mut self.ready } else { &mut self.waiting };
            queue.push_back(row);
        }
    }
}

impl DeferredSignals {
    /// The watermark of installed groups, if the chain does not have it.
    fn next_raised(&mut self) -> Option<Signal> {
        let raised = self.raised.take();
        self.emit(raised)
    }

    /// The next deferred signal of the input.
    fn next_deferred(&mut self) -> Option<Signal> {
        // "Active again" must precede the watermark that it brings, and "idle" must follow it: an idle input has no
        // watermark.
        if let Some(idle) = self.idle.take_if(|idle| !*idle) {
            return Some(Signal::Idle(idle));
        }
        let watermark = self.watermark.take();
        self.emit(watermark)
            .or_else(|| self.idle.take().map(Signal::Idle))
            .or_else(|| self.ended.pop_front().map(Signal::InputEnded))
            .or_else(|| std::mem::take(&mut self.end).then_some(Signal::End))
    }

    fn emit(&mut self, watermark: Option<Timestamp>) -> Option<Signal> {
        let time = watermark.filter(|time| *time > self.emitted)?;
        self.emitted = time;
        Some(Signal::Watermark(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Control;
    use crate::stages::SharedTail;
    use reflow_state::{SnapshotKind, SnapshotTable, SnapshotWriter, TableId, TimerTable};
    use reflow_types::{Key, KeyGroup};

    /// A chain with timers.
    struct Timers {
        timers: TimerTable<u64>,
        next: SharedTail<u8>,
    }

    impl Control for Timers {
        type Next = SharedTail<u8>;

        fn next_stage(&self) -> &SharedTail<u8> {
            &self.next
        }

        fn next_stage_mut(&mut self) -> &mut SharedTail<u8> {
            &mut self.next
        }
        fn tables(&mut self, visit: &mut dyn FnMut(&mut dyn SnapshotTable)) {
            visit(&mut self.timers);
        }
    }

    fn max() -> MaxParallelism {
        MaxParallelism::new(512).unwrap()
    }

    fn timers() -> TimerTable<u64> {
        TimerTable::new(TableId(0), "timers", max())
    }

    /// The state that an owner of `groups` hands over, and the number of timers in it.
    fn hand_over(groups: &KeyGroupSet) -> (usize, Part) {
        let mut table = timers();
        for key in 0..40_000u64 {
            if groups.contains(key.key_hash().group(max())) {
                table.register(key.key_hash(), &key, 1_000, 0);
            }
        }
        table.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
        let mut writer = SnapshotWriter::new(Vec::new());
        while table.snapshot_step(1 << 20, &mut writer) == Ok(Progress::More) {}
        (table.len(), Part::Blocks { table: 0, bytes: writer.finish().0.into() })
    }

    #[test]
    fn no_state_is_lost_when_two_owners_hand_over_at_the_same_time() {
        let of = |first: u16, last: u16| -> KeyGroupSet { (first..=last).map(KeyGroup).collect() };
        let (low, high) = (of(0, 255), of(256, 511));
        let (from_low, from_high) = (SubtaskId(1), SubtaskId(2));
        let ((few, low_part), (more, high_part)) = (hand_over(&low), hand_over(&high));
        let preparation = Preparation {
            version: GraphVersion(1),
            wiring: None,
            incoming: vec![
                Incoming { from: from_low, groups: low },
                Incoming { from: from_high, groups: high },
            ],
            outgoing: Vec::new(),
            checkpoint: CheckpointId(1),
            restore: Default::default(),
        };
        let mut chain = Timers { timers: timers(), next: SharedTail::new(Vec::new()) };
        chain.timers.begin_at(CheckpointId(2));
        let now = Instant::default();
        let cut = CutPoint { checkpoint: CheckpointId(2), at: now, watermark: 0 };
        let mut migration = KeyGroupMigration::<u8>::new(cut, &preparation, max(), Bounds::default());
        let done = || Part::Done { cut_at_us: 0, watermark: 0 };
        // One owner is quicker. Its state is being installed when the other's arrives.
        migration.hand_over(from_high, high_part).unwrap();
        migration.hand_over(from_high, done()).unwrap();
        while chain.timers.is_empty() {
            migration.step(now, &mut chain).unwrap();
        }
        assert!(chain.timers.len() < more, "it takes several steps");
        migration.hand_over(from_low, low_part).unwrap();
        migration.hand_over(from_low, done()).unwrap();
        while !migration.is_installed() {
            migration.step(now, &mut chain).unwrap();
        }
        assert_eq!(chain.timers.len(), few + more, "of {few} and {more} timers");
    }
}
