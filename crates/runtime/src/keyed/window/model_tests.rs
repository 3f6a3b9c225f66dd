//! Random records and watermarks, with restores in between, against a model of a few lines.

use super::*;
use crate::stages::SharedTail;
use reflow_api::window::{
    CountTrigger, EventTimeTrigger, MergingTrigger, PurgingTrigger, SessionWindows, SlidingWindows,
    TriggerContext, TriggerResult, TumblingWindows, Window, Windowed,
};
use reflow_api::{Aggregate, MergeableAggregate, UserError};
use reflow_state::{Origin, Progress, Restore, SnapshotKind, SnapshotWriter, TableId};
use reflow_types::{CheckpointId, Data, Key, KeyGroupSet, MAX_WATERMARK, MIN_WATERMARK, splitmix64};
use std::collections::BTreeMap;

/// Key, time, number.
type Record = (u64, Timestamp, u64);

#[derive(Clone)]
struct Members;

impl Aggregate for Members {
    type In = Record;
    type Acc = Vec<u64>;
    type Out = Vec<u64>;
    fn create(&self) -> Vec<u64> {
        Vec::new()
    }
    fn add(&self, members: &mut Vec<u64>, record: Record) {
        members.push(record.2);
    }
    fn result(&self, members: &Vec<u64>) -> Vec<u64> {
        let mut members = members.clone();
        members.sort_unstable();
        members
    }
}

impl MergeableAggregate for Members {
    fn merge(&self, members: &mut Vec<u64>, others: Vec<u64>) -> Result<(), UserError> {
        members.extend(others);
        Ok(())
    }
}

type Fired = Windowed<u64, Vec<u64>>;

/// A stage that keeps what it gets.
struct Seen {
    seen: Vec<(u64, Window, Vec<u64>)>,
    watermark: Timestamp,
    next: SharedTail<u8>,
}

impl Control for Seen {
    type Next = SharedTail<u8>;

    fn next_stage(&self) -> &SharedTail<u8> {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut SharedTail<u8> {
        &mut self.next
    }

    fn watermark(&mut self, time: Timestamp) {
        self.watermark = time;
    }
}

impl Stage<Fired> for Seen {
    fn push(&mut self, fired: Fired, time: Timestamp) {
        assert_eq!(time, fired.window.max_timestamp());
        self.seen.push((fired.key, fired.window, fired.value));
    }
}

/// When a window fires, in the operator and in the model.
#[derive(Clone, Copy, Debug)]
struct Firings {
    /// At every such record; 0: at the end, and for each late record.
    every: u64,
    purging: bool,
}

impl Trigger<Record> for Firings {
    type State = u64;

    fn on_element_with(
        &self,
        record: &Record,
        context: &mut impl TriggerContext<u64>,
    ) -> Result<TriggerResult, UserError> {
        match (self.every, self.purging) {
            // Has no state of its own.
            (0, _) if context.has_ended() => Ok(self.fire()),
            (0, _) => Ok(TriggerResult::Continue),
            (every, true) => PurgingTrigger::of(CountTrigger::every(every)).on_element_with(record, context),
            (every, false) => CountTrigger::every(every).on_element_with(record, context),
        }
    }

    fn on_end_with(&self, _: &mut impl TriggerContext<u64>) -> Result<TriggerResult, UserError> {
        Ok(if self.every == 0 { self.fire() } else { TriggerResult::Continue })
    }
}

impl MergingTrigger<Record> for Firings {
    fn on_merge(&self, merged: Vec<u64>, context: &mut impl TriggerContext<u64>) -> Result<(), UserError> {
        MergingTrigger::<Record>::on_merge(&CountTrigger::every(1), merged, context)
    }
}

impl Firings {
    fn fire(self) -> TriggerResult {
        if self.purging { TriggerResult::FireAndPurge } else { TriggerResult::Fire }
    }
}

/// A pane of the model.
struct Pane {
    key: u64,
    window: Window,
    members: Vec<u64>,
    count: u64,
    has_ended: bool,
}

struct Model {
    panes: Vec<Pane>,
    firings: Firings,
    lateness: Timestamp,
    /// The gap of sessions; without one, size and slide.
    windows: Result<Timestamp, (Timestamp, Timestamp)>,
    watermark: Timestamp,
    fired: Vec<(u64, Window, Vec<u64>)>,
    late: u64,
}

impl Model {
    fn is_over(&self, window: Window) -> bool {
        window.max_timestamp().saturating_add(self.lateness) <= self.watermark
    }

    fn fire(&mut self, index: usize) {
        let Pane { key, window, members, .. } = &mut self.panes[index];
        if !members.is_empty() {
            members.sort_unstable();
            self.fired.push((*key, *window, members.clone()));
        }
        if self.firings.purging {
            members.clear();
        }
    }

    fn record(&mut self, record: Record) {
        let (key, time, _) = record;
        match self.windows {
            Ok(gap) => {
                let mut window = Window { start: time, end: time + gap };
                let touches = |pane: &mut Pane, window: Window| {
                    pane.key == key && pane.window.start <= window.end && window.start <= pane.window.end
                };
                let touched: Vec<Pane> = self.panes.extract_if(.., |pane| touches(pane, window)).collect();
                if touched.is_empty() && self.is_over(window) {
                    self.late += 1;
                    return;
                }
                let mut merged = Pane { key, window, members: Vec::new(), count: 0, has_ended: true };
                for pane in touched {
                    window.start = window.start.min(pane.window.start);
                    window.end = window.end.max(pane.window.end);
                    merged.members.extend(pane.members);
                    merged.count += pane.count;
                }
                self.panes.push(Pane { window, ..merged });
                self.add(self.panes.len() - 1, record);
            }
            Err((size, slide)) => {
                let (mut over, mut open) = (false, false);
                let mut start = time - time.rem_euclid(slide);
                while start > time - size {
                    let window = Window { start, end: start + size };
                    start -= slide;
                    if self.is_over(window) {
                        over = true;
                        continue;
                    }
                    open = true;
                    let known = self.panes.iter().position(|pane| pane.key == key && pane.window == window);
                    let index = known.unwrap_or_else(|| {
                        self.panes.push(Pane { key, window, members: Vec::new(), count: 0, has_ended: true });
                        self.panes.len() - 1
                    });
                    self.add(index, record);
                }
                self.late += u64::from(over && !open);
            }
        }
    }

    fn add(&mut self, index: usize, record: Record) {
        let pane = &mut self.panes[index];
        pane.members.push(record.2);
        pane.has_ended = pane.window.max_timestamp() <= self.watermark;
        if self.firings.every == 0 {
            if pane.has_ended {
                self.fire(index);
            }
            return;
        }
        pane.count += 1;
        if pane.count >= self.firings.every {
            pane.count = 0;
            self.fire(index);
        }
    }

    fn advance(&mut self, watermark: Timestamp) {
        self.watermark = watermark;
        for index in 0..self.panes.len() {
            let pane = &mut self.panes[index];
            if !pane.has_ended && pane.window.max_timestamp() <= watermark {
                pane.has_ended = true;
                if self.firings.every == 0 {
                    self.fire(index);
                }
            }
        }
        let over: Vec<bool> = self.panes.iter().map(|pane| self.is_over(pane.window)).collect();
        let mut over = over.into_iter();
        self.panes.retain(|_| !over.next().expect("one for each"));
    }
}

/// Restores all tables of an operator in another one.
fn hand_on(from: &mut impl Control, to: &mut impl Control, checkpoint: CheckpointId) {
    let mut runs = BTreeMap::new();
    from.tables(&mut |table| {
        table.freeze(checkpoint, SnapshotKind::Full);
        let mut writer = SnapshotWriter::new(Vec::new());
        while table.snapshot_step(64, &mut writer) == Ok(Progress::More) {}
        runs.insert(table.id(), writer.finish().0);
    });
    let owned = KeyGroupSet::all(MaxParallelism::DEFAULT);
    to.tables(&mut |table| {
        let restore = Restore { table: table.id(), owned: &owned, origin: Origin::Own };
        table.load(&runs[&table.id()], restore).unwrap();
        table.check_invariants();
    });
}

fn entries(operator: &mut impl Control) -> BTreeMap<TableId, usize> {
    let mut entries = BTreeMap::new();
    operator.tables(&mut |table| {
        table.check_invariants();
        entries.insert(table.id(), table.len());
    });
    entries
}

fn settle(operator: &mut impl Control) {
    while operator.resume(1_000).is_some() {}
}

fn operator_name() -> OperatorName {
    OperatorName { name: "Window".into(), uid: "windows".into() }
}

fn check<W>(seed: u64, assigner: W, windows: Result<Timestamp, (Timestamp, Timestamp)>)
where
    W: WindowAssigner<Record>,
    W::Merging: Merging<u64, Record, Firings, Aggregated<Members>>,
{
    let mut state = seed;
    let mut random = move |below: u64| splitmix64::next(&mut state) % below;
    let firings = Firings { every: [0, 0, 1, 2, 3][random(5) as usize], purging: random(2) == 0 };
    let lateness = [0, 0, 5, 30, 1_000, Timestamp::MAX][random(6) as usize];
    let build = || {
        let next = Seen { seen: Vec::new(), watermark: MIN_WATERMARK, next: SharedTail::new(Vec::new()) };
        let lateness = Lateness { allowed: Duration::from_millis(lateness as u64), output: None };
        let windowing =
            Windowing { lateness, ..Windowing::new(assigner.clone(), firings, Aggregated(Members)) };
        let max = MaxParallelism::DEFAULT;
        let mut operator = WindowOperator::new(operator_name(), |r: &Record| r.0, windowing, max, next);
        operator.bounds.fired_panes = 1;
        operator
    };
    let about = format!("seed {seed}, {windows:?}, {firings:?}, lateness {lateness}");
    let mut operator = build();
    let watermark = MIN_WATERMARK;
    let mut model =
        Model { panes: Vec::new(), firings, lateness, windows, watermark, fired: Vec::new(), late: 0 };
    let (mut now, mut late, year_ms) = (0, 0, 365 * 24 * 3_600 * 1_000);
    let steps = 200;
    for number in 0..steps {
        match random(20) {
            0..13 => {
                let record = (random(3), now + random(120) as i64 - 80, number);
                operator.row(Row { hash: record.0.key_hash(), time: record.1, value: record });
                model.record(record);
            }
            13..19 => {
                now += random(25) as i64;
                operator.watermark(now.max(model.watermark));
                settle(&mut operator);
                model.advance(now.max(model.watermark));
                assert_eq!(operator.panes.next.watermark, model.watermark, "{about}");
            }
            _ => {
                let mut next = build();
                hand_on(&mut operator, &mut next, CheckpointId(1));
                let mut metrics = SubtaskMetrics::default();
                operator.count(&mut metrics);
                late += metrics.late_records;
                next.panes.next.seen = std::mem::take(&mut operator.panes.next.seen);
                // A rescale may reset event time.
                let reset = if model.watermark > 0 { random(2) as i64 * random(40) as i64 } else { 0 };
                model.watermark = model.watermark.saturating_sub(reset);
                now -= reset;
                next.panes.clocks.set_watermark(model.watermark);
                next.panes.next.watermark = model.watermark;
                operator = next;
            }
        }
        if random(60) == 0 && number > steps / 2 {
            now += year_ms;
        }
        let mut seen = operator.panes.next.seen.clone();
        seen.sort();
        model.fired.sort();
        assert_eq!(seen, model.fired, "{about}, after step {number}");
    }
    operator.watermark(MAX_WATERMARK);
    operator.end();
    settle(&mut operator);
    model.advance(MAX_WATERMARK);
    let mut seen = std::mem::take(&mut operator.panes.next.seen);
    seen.sort();
    model.fired.sort();
    assert_eq!(seen, model.fired, "{about}, at the end");
    let mut metrics = SubtaskMetrics::default();
    operator.count(&mut metrics);
    assert_eq!(late + metrics.late_records, model.late, "{about}, late records");
    assert!(
        entries(&mut operator).values().all(|entries| *entries == 0),
        "{about} left {:?}",
        entries(&mut operator)
    );
}

#[test]
fn windows_with_lateness_are_those_of_the_model() {
    let ms = Duration::from_millis;
    for seed in 0..100 {
        check(seed, TumblingWindows::of(ms(20)), Err((20, 20)));
        check(seed, SlidingWindows::of(ms(30), ms(10)), Err((30, 10)));
        check(seed, SlidingWindows::of(ms(10), ms(20)), Err((10, 20)));
    }
}

#[test]
fn sessions_with_lateness_are_those_of_the_model() {
    for seed in 0..200 {
        for gap in [1, 12, 40] {
            check(seed, SessionWindows::with_gap(Duration::from_millis(gap as u64)), Ok(gap));
        }
    }
}

/// A session that never closes has one pane and one entry in the index, however many records extend it.
#[test]
fn a_session_that_never_closes_does_not_grow() {
    let next = Seen { seen: Vec::new(), watermark: MIN_WATERMARK, next: SharedTail::new(Vec::new()) };
    let windowing = Windowing::new(
        SessionWindows::with_gap(Duration::from_millis(10)),
        EventTimeTrigger,
        Aggregated(Counted),
    );
    let max = MaxParallelism::DEFAULT;
    let mut operator = WindowOperator::new(operator_name(), |r: &Record| r.0, windowing, max, Ignored(next));
    let mut most = 0;
    for time in 0..20_000 {
        operator.row(Row { hash: 7u64.key_hash(), time, value: (7, time, 0) });
        if time % 3 == 0 {
            operator.watermark(time - 5);
            settle(&mut operator);
        }
        let mut metrics = SubtaskMetrics::default();
        operator.count(&mut metrics);
        if time == 100 {
            most = metrics.state_bytes;
        }
        assert!(time < 100 || metrics.state_bytes <= most + 1_000, "{} bytes at {time}", metrics.state_bytes);
    }
    assert!(entries(&mut operator).values().all(|entries| *entries <= 1));
}

#[derive(Clone)]
struct Counted;

impl Aggregate for Counted {
    type In = Record;
    type Acc = u64;
    type Out = Vec<u64>;
    fn create(&self) -> u64 {
        0
    }
    fn add(&self, count: &mut u64, _: Record) {
        *count += 1;
    }
    fn result(&self, count: &u64) -> Vec<u64> {
        vec![*count]
    }
}

impl MergeableAggregate for Counted {
    fn merge(&self, count: &mut u64, other: u64) -> Result<(), UserError> {
        *count += other;
        Ok(())
    }
}

struct Ignored(Seen);

impl Control for Ignored {
    type Next = Seen;

    fn next_stage(&self) -> &Seen {
        &self.0
    }

    fn next_stage_mut(&mut self) -> &mut Seen {
        &mut self.0
    }
}

impl<T: Data> Stage<Windowed<u64, T>> for Ignored {
    fn push(&mut self, _: Windowed<u64, T>, _: Timestamp) {}
}
