//! After the cut: key groups on their way into a task, and records that came before them.
//!
//! Groups that stay are not touched: their records flow. Records of groups that are under way wait in order; so do
//! watermarks, idleness and the end, as they count for all groups. When a group is in, its records come first.
//! While groups go out, nothing may fire: their timers and windows are still in the tables until the snapshot of the
//! cut is written.

use super::arriving::arrive;
use crate::rescale::{Gain, Preparation};
use crate::stage::Control;
use reflow_network::Row;
use reflow_protocol::rescale::{Installation, Part};
use reflow_state::{InstallCursor, Origin, Progress};
use reflow_types::{
    Bounds, CheckpointId, GraphVersion, Instant, KeyGroupSet, MaxParallelism, SubtaskId, Timestamp, canary,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The key groups that a task gains and gives with one cut.
pub(super) struct Moving<T> {
    /// The graph that the task has now.
    pub(super) version: GraphVersion,
    /// The cut, and when it was.
    pub(super) checkpoint: CheckpointId,
    pub(super) cut_at: Instant,
    /// The task's watermark then: that of the groups that go.
    pub(super) watermark: Timestamp,
    /// The watermark that the chain has been told.
    told: Timestamp,
    /// That of groups that are in, which the chain has yet to be told.
    raised: Option<Timestamp>,
    /// Who gets groups.
    pub(super) heirs: Vec<SubtaskId>,
    max: MaxParallelism,
    bounds: Bounds,
    coming: BTreeMap<SubtaskId, Coming>,
    /// Groups that are not in yet.
    under_way: KeyGroupSet,
    /// Groups that go, until the snapshot of the cut is written.
    going: Option<KeyGroupSet>,
    parked: VecDeque<Row<T>>,
    /// Of groups that are in.
    ready: VecDeque<Row<T>>,
    held: Held,
    /// Whether the JobManager waits to hear that all is in.
    pub(super) announced: bool,
    report: Installation,
}

/// What waits until all groups are in.
#[derive(Default)]
struct Held {
    watermark: Option<Timestamp>,
    idle: Option<bool>,
    end: bool,
}

/// What counts for all groups of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Watermark(Timestamp),
    Idle(bool),
    End,
}

struct Coming {
    groups: KeyGroupSet,
    parts: VecDeque<Part>,
    /// All parts are in the tables, beside what the task owns, and are taken in.
    installing: Option<Installing>,
    done: Option<(Instant, Timestamp)>,
}

/// How far the groups of one old owner are taken in.
#[derive(Clone, Default)]
struct Installing {
    /// The table whose turn it is.
    table: usize,
    cursor: InstallCursor,
}

/// A group's old owner let go of it then, at that watermark.
pub(super) struct Arrived {
    pub(super) cut_at: Instant,
    pub(super) watermark: Timestamp,
}

impl<T> Moving<T> {
    /// Begins with what `preparation` announced.
    pub(super) fn new(
        (checkpoint, cut_at, watermark): (CheckpointId, Instant, Timestamp),
        (max, bounds): (MaxParallelism, Bounds),
        preparation: &Preparation,
        born: bool,
    ) -> Self {
        let coming = |Gain { from, groups }: &Gain| {
            let coming =
                Coming { groups: groups.clone(), parts: VecDeque::new(), installing: None, done: None };
            (*from, coming)
        };
        let going: KeyGroupSet = preparation.gives.iter().flat_map(|give| give.groups.iter()).collect();
        Self {
            version: preparation.version,
            checkpoint,
            cut_at,
            watermark,
            told: watermark,
            raised: None,
            heirs: preparation.gives.iter().map(|give| give.to).collect(),
            max,
            bounds,
            coming: preparation.gains.iter().map(coming).collect(),
            under_way: preparation.gained(),
            going: Some(going).filter(|going| !going.is_empty()),
            parked: VecDeque::new(),
            ready: VecDeque::new(),
            held: Held::default(),
            announced: !born && preparation.gains.is_empty(),
            report: Installation::default(),
        }
    }

    /// A part of a hand-over.
    pub(super) fn hand_over(&mut self, from: SubtaskId, part: Part) -> Result<(), String> {
        let coming = self.coming.get_mut(&from);
        let coming =
            coming.ok_or_else(|| format!("subtask {from} hands over, but nothing is to come from it"))?;
        if let Part::Blocks { bytes, .. } = &part {
            self.report.bytes += bytes.len() as u64;
        }
        coming.parts.push_back(part);
        Ok(())
    }

    /// Takes a piece of what has come in; says whether there was one, and what came of it.
    pub(super) fn step(
        &mut self,
        now: Instant,
        chain: &mut impl Control,
    ) -> Result<(bool, Option<Arrived>), String> {
        let waiting = |coming: &Coming| !coming.parts.is_empty() || coming.installing.is_some();
        let Some((&from, coming)) = self.coming.iter_mut().find(|(_, coming)| waiting(coming)) else {
            return Ok((false, None));
        };
        if let Some(Installing { table: wanted, cursor }) = &mut coming.installing {
            let (mut at, mut progress) = (0, None);
            chain.tables(&mut |table| {
                if at == *wanted {
                    progress = Some(table.install(&coming.groups, cursor, self.bounds.installed_entries));
                }
                at += 1;
            });
            match progress {
                Some(Progress::More) => {}
                Some(Progress::Done) => {
                    coming.installing = Some(Installing { table: *wanted + 1, ..Default::default() });
                }
                None => return Ok((true, Some(self.is_in(now, from)))),
            }
            return Ok((true, None));
        }
        match coming.parts.pop_front() {
            Some(Part::Blocks { table, bytes }) => {
                arrive(chain, table, &bytes, &coming.groups, Origin::HandedOver)?;
            }
            Some(Part::Done { cut_at_us, watermark }) => {
                coming.done = Some((Instant(0) + Duration::from_micros(cut_at_us), watermark));
                let mut others = self.coming.values().filter_map(|other| other.installing.clone());
                let shared = others.next().filter(|_| canary::sings("one_cursor_for_two_old_owners"));
                let coming = self.coming.get_mut(&from).expect("it was found above");
                coming.installing = Some(shared.unwrap_or_default());
            }
            None => {}
        }
        Ok((true, None))
    }

    /// All of an old owner's groups are in. The chain begins with the watermark at which it let go of them, before it
    /// takes their records: what was late there is late here.
    fn is_in(&mut self, now: Instant, from: SubtaskId) -> Arrived {
        let coming = self.coming.remove(&from).expect("the caller found it");
        let (cut_at, watermark) = coming.done.expect("groups are taken in once their hand-over is done");
        self.under_way = self.coming.values().flat_map(|coming| coming.groups.iter()).collect();
        let (parked, max) = (std::mem::take(&mut self.parked), self.max);
        for row in parked {
            let waits = self.under_way.contains(row.hash.group(max));
            if waits { self.parked.push_back(row) } else { self.ready.push_back(row) }
        }
        // By this task's own clock: from the moment in which it passed the cut.
        let pause = now.since(self.cut_at).as_micros() as u64;
        self.report.pause_us = self.report.pause_us.max(pause);
        self.raised = self.raised.max(Some(watermark));
        Arrived { cut_at, watermark }
    }

    /// Whether the record's group is under way; then it waits.
    pub(super) fn park(&mut self, row: Row<T>) -> Option<Row<T>> {
        if !self.under_way.contains(row.hash.group(self.max)) && self.ready.is_empty() {
            return Some(row);
        }
        self.report.parked += 1;
        if canary::sings("parked_record_dropped") && self.report.parked == 1 {
            return None;
        }
        let waits = self.under_way.contains(row.hash.group(self.max));
        if waits {
            self.parked.push_back(row)
        } else {
            self.ready.push_back(row)
        }
        None
    }

    /// Keeps what counts for all groups.
    pub(super) fn hold(&mut self, signal: Signal) {
        match signal {
            Signal::Watermark(time) => self.held.watermark = Some(time),
            Signal::Idle(idle) => self.held.idle = Some(idle),
            Signal::End => self.held.end = true,
        }
    }

    /// What the chain is to be told next: the watermark of groups that have come in, and once all is over what was
    /// held. The chain must have nothing left to do for the one before.
    pub(super) fn next_signal(&mut self) -> Option<Signal> {
        let told = self.told;
        let rises = |time: &Timestamp| *time > told;
        if let Some(time) = self.raised.take().filter(rises) {
            self.told = time;
            return Some(Signal::Watermark(time));
        }
        if !self.is_over() {
            return None;
        }
        // Who is not idle any more says so before it says where it is, and who gets idle says that last.
        let Held { watermark, idle, end } = &mut self.held;
        if let Some(idle) = idle.take_if(|idle| !*idle) {
            return Some(Signal::Idle(idle));
        }
        if let Some(time) = watermark.take().filter(rises) {
            self.told = time;
            return Some(Signal::Watermark(time));
        }
        idle.take().map(Signal::Idle).or_else(|| std::mem::take(end).then_some(Signal::End))
    }

    /// The next record that has waited and need not any more.
    pub(super) fn next_ready(&mut self) -> Option<Row<T>> {
        self.ready.pop_front()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether more records may be read, with no more than `most_parked` waiting.
    pub(super) fn may_read(&self, most_parked: u64) -> bool {
        let waiting = self.parked.len() + self.ready.len();
        waiting < self.bounds.parked_records && (waiting as u64) < most_parked && !self.held.end
    }

    /// Whether groups still go out, so that nothing may fire.
    pub(super) fn is_giving(&self) -> bool {
        self.going.is_some()
    }

    /// The groups that have gone: everything of them is sent.
    pub(super) fn gone(&mut self) -> Option<KeyGroupSet> {
        self.going.take()
    }

    /// Whether all groups are in.
    pub(super) fn all_in(&self) -> bool {
        self.coming.is_empty()
    }

    /// Whether nothing is left to do.
    pub(super) fn is_over(&self) -> bool {
        self.all_in() && self.ready.is_empty() && self.going.is_none() && self.announced
    }

    pub(super) fn report(&self) -> Installation {
        self.report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::SharedTail;
    use reflow_state::{SnapshotKind, SnapshotTable, SnapshotWriter, TableId, TimerTable};
    use reflow_types::{Key, KeyGroup};

    /// A chain with timers.
    struct Timers {
        timers: TimerTable<u64>,
        next: SharedTail<u8>,
    }

    impl Control for Timers {
        crate::stage::pass_on!(except { tables });
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

    /// What an owner of `groups` hands over, and how many timers that are.
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
            gains: vec![Gain { from: from_low, groups: low }, Gain { from: from_high, groups: high }],
            gives: Vec::new(),
            checkpoint: CheckpointId(1),
            restore: Default::default(),
        };
        let mut chain = Timers { timers: timers(), next: SharedTail::new(Vec::new()) };
        chain.timers.begin_at(CheckpointId(2));
        let now = Instant::default();
        let mut moving =
            Moving::<u8>::new((CheckpointId(2), now, 0), (max(), Bounds::default()), &preparation, true);
        let done = || Part::Done { cut_at_us: 0, watermark: 0 };
        // One owner is quicker. What it has is being taken in when the other's arrives.
        moving.hand_over(from_high, high_part).unwrap();
        moving.hand_over(from_high, done()).unwrap();
        while chain.timers.is_empty() {
            moving.step(now, &mut chain).unwrap();
        }
        assert!(chain.timers.len() < more, "it takes several steps");
        moving.hand_over(from_low, low_part).unwrap();
        moving.hand_over(from_low, done()).unwrap();
        while !moving.all_in() {
            moving.step(now, &mut chain).unwrap();
        }
        assert_eq!(chain.timers.len(), few + more, "of {few} and {more} timers");
    }
}
