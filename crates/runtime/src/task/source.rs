//! A task whose head is a source's reader.

use super::input_clock::InputClock;
use super::restore::Restoring;
use super::snapshot::{AtBarrier, AtCut, Identity, Snapshots};
use super::splits::Splits;
use super::{FIRST_CHUNK, Task, TaskEvent, TaskStep, next_chunk, resume};
use crate::build::BuildContext;
use crate::rescale::Preparation;
use crate::stage::{AWAITED_SPLIT, AdoptedState, Control, NO_MORE_SPLITS, OpenContext, Stage, Starved};
use crate::wiring::Wiring;
use bytes::Bytes;
use reflow_api::{Emit, Polled, Reader};
use reflow_env::Clock;
use reflow_protocol::control::{AfterBarrier, Fault, MoreSplits, SnapshotKind, SubtaskMetrics};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::{Cut, Installation, Part};
use reflow_protocol::snapshot::{OperatorState, Redistribution, Restore};
use reflow_types::{
    CheckpointId, GraphVersion, Instant, MAX_WATERMARK, SubtaskId, Timestamp, injected_fault,
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use std::time::Duration;

const LINGER: Duration = Duration::from_millis(2);
/// The name of a source's state: its unfinished splits.
const SPLITS: &str = "splits";

/// A task whose head is a source's reader.
pub struct SourceTask<R, C> {
    name: String,
    /// The source's uid.
    operator: String,
    splits: Splits,
    clock: Arc<dyn Clock>,
    phase: Phase,
    restoring: Restoring,
    reader: R,
    chain: C,
    snapshots: Snapshots,
    wiring: Wiring,
    /// Another graph that is to come, and the task's place in it.
    prepared: Option<(GraphVersion, Option<Wiring>)>,
    /// What a call between steps had to say.
    said: Vec<TaskEvent>,
    /// It has not been told yet which splits are its own: at its start, and when others let go of theirs.
    awaits_splits: bool,
    /// It has read all of its splits, and has said so.
    exhausted: bool,
    /// All readers of the source are exhausted.
    ends: bool,
    /// The checkpoint for which the source has paused.
    paused: Option<CheckpointId>,
    /// Once that is complete, the input counts as ended.
    drains: bool,
    watermark: Timestamp,
    /// The time in which the reader could be polled.
    input_clock: InputClock,
    /// Splits that had nothing at the last poll; kept for their memory.
    starved: Vec<u64>,
    records: u64,
    chunk: usize,
    /// The same of what a step could not finish.
    rest_chunk: usize,
    last_flush: Instant,
    unflushed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A rescale adds it. It waits for the cut.
    Added,
    Restoring,
    Running,
    Ended,
    /// A rescale has removed it: it reads nothing and waits until the checkpoint of the cut, or a later one, is complete.
    Removed {
        cut: CheckpointId,
        complete: bool,
    },
    Finished,
}

impl<R, C> SourceTask<R, C>
where
    R: Reader,
    R::Split: Serialize + DeserializeOwned,
    C: Stage<R::Item>,
{
    /// Makes the task, opens its chain and gives the reader its restored splits.
    pub fn new(operator: String, reader: R, mut chain: C, context: &mut BuildContext) -> Self {
        let restoring = Restoring::new(context);
        let watermark = context.restore.watermark.unwrap_or(reflow_types::MIN_WATERMARK);
        let mut open = OpenContext {
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
        };
        let splits = open.take_list::<R::Split>(&operator, SPLITS);
        chain.open(&mut open);
        let identity = Identity {
            subtask: context.wiring.subtask,
            attempt: context.attempt,
            groups: None,
            io: context.io.clone(),
            bounds: context.bounds,
        };
        let added = context.added.take();
        let mut task = Self {
            name: context.name.clone(),
            operator,
            splits: Splits::new(&context.name),
            clock: context.clock.clone(),
            phase: if added.is_some() { Phase::Added } else { Phase::Restoring },
            restoring,
            reader,
            chain,
            snapshots: Snapshots::new(identity, context.checkpoint, context.then),
            wiring: context.wiring.clone(),
            prepared: None,
            said: Vec::new(),
            awaits_splits: true,
            exhausted: false,
            ends: false,
            paused: None,
            drains: false,
            watermark,
            input_clock: InputClock::default(),
            starved: Vec::new(),
            records: 0,
            chunk: FIRST_CHUNK,
            rest_chunk: FIRST_CHUNK,
            last_flush: Instant::default(),
            unflushed: false,
        };
        task.chain.split_added(AWAITED_SPLIT);
        splits.into_iter().for_each(|split| task.add_split(split));
        // The splits' rests are not read: the checkpoint after which the inputs end is complete.
        task.ends = context.then == AfterBarrier::Drain;
        if let Some(preparation) = added {
            task.said.push(prepared(&preparation));
            task.prepared = Some((preparation.version, preparation.wiring));
        }
        task
    }

    fn add_split(&mut self, split: R::Split) {
        (self.exhausted, self.ends) = (false, false);
        let number = self.reader.add_split(split);
        if number >= NO_MORE_SPLITS {
            let hint = "the last three numbers stand for splits that are not there; number splits from 0 on";
            crate::fail(Fault::User, &self.operator, format!("the reader numbers a split {number}: {hint}"));
        }
        self.chain.split_added(number);
    }

    fn end(&mut self, events: &mut Vec<TaskEvent>) {
        self.chain.watermark(MAX_WATERMARK);
        self.chain.end();
        self.watermark = MAX_WATERMARK;
        self.phase = Phase::Ended;
        events.push(SubtaskEvent::Ended.into());
    }

    fn at_trigger(&mut self, now: Instant, checkpoint: CheckpointId) {
        if let AtBarrier::Begin(kind) = self.snapshots.at_barrier(checkpoint) {
            if injected_fault::is_active("offset_after_barrier") && self.phase == Phase::Running {
                self.chain.barrier(checkpoint);
                self.poll(now);
            }
            self.snapshot(now, checkpoint, kind);
        }
    }

    fn snapshot(&mut self, now: Instant, checkpoint: CheckpointId, kind: SnapshotKind) {
        let splits = self.reader.snapshot();
        let state = OperatorState {
            operator: self.operator.clone(),
            name: SPLITS.to_owned(),
            redistribution: Redistribution::Split,
            items: splits.iter().map(|split| self.splits.encode(split)).collect(),
        };
        match kind.then {
            AfterBarrier::Continue => {}
            AfterBarrier::Pause | AfterBarrier::Finish => self.paused = Some(checkpoint),
            // Only a savepoint that is complete ends the input; until then it may still have to go on.
            AfterBarrier::Drain => (self.paused, self.drains) = (Some(checkpoint), true),
        }
        let moment = (now, Duration::ZERO, self.watermark);
        let cut = kind.cut.clone();
        if cut.as_ref().map(|cut| cut.version) != self.prepared.as_ref().map(|(version, _)| *version)
            && cut.is_some()
        {
            crate::fail(Fault::Engine, &self.name, "a cut came for which nothing was prepared");
        }
        // Whoever reads on may get splits that lie behind its own.
        let at_cut = AtCut {
            handover: None,
            resets: cut.is_some()
                && self.phase == Phase::Running
                && self.readers_change()
                && !injected_fault::is_active("event_time_kept_at_the_cut"),
        };
        let resets = at_cut.resets;
        self.snapshots.begin(moment, (checkpoint, kind), vec![state], at_cut, &mut self.chain);
        self.unflushed = false;
        if resets {
            self.awaits_splits = true;
            (self.exhausted, self.ends) = (false, false);
            self.chain.split_added(AWAITED_SPLIT);
            self.chain.split_ended(NO_MORE_SPLITS);
        }
        if let Some(cut) = cut {
            self.cut(checkpoint, &cut);
        }
    }

    /// Whether this task reads on with other readers beside it, once the graph is the one that is prepared.
    fn readers_change(&self) -> bool {
        let readers = |wiring: &Wiring| {
            let subtasks = &wiring.graph.vertex(wiring.vertex).subtasks;
            subtasks.iter().map(|subtask| subtask.id).collect::<Vec<_>>()
        };
        let next = self.prepared.as_ref().and_then(|(_, wiring)| wiring.as_ref());
        next.is_some_and(|next| readers(next) != readers(&self.wiring))
    }

    /// The snapshot of the cut has begun: lets go of splits that are another reader's from here on.
    fn cut(&mut self, checkpoint: CheckpointId, cut: &Cut) {
        let (version, wiring) = self.prepared.take().expect("the caller has looked");
        let own = self.wiring.subtask;
        let keep = cut.splits.iter().find(|(subtask, _)| *subtask == own).map(|(_, keep)| *keep as usize);
        let released = keep.map_or(Vec::new(), |keep| self.reader.release(keep));
        let mut splits = Vec::new();
        for (number, split) in released {
            splits.push(self.splits.encode(&split));
            self.chain.split_ended(number);
        }
        let operator = self.snapshots.common_state();
        self.said.push(SubtaskEvent::Cut { version, splits, operator }.into());
        match wiring {
            Some(wiring) => {
                self.reader.rescaled(wiring.parallelism());
                self.wiring = wiring;
            }
            None => self.phase = Phase::Removed { cut: checkpoint, complete: false },
        }
    }

    fn poll(&mut self, now: Instant) -> Polled {
        let left = self.chunk as u64;
        let starved = std::mem::take(&mut self.starved);
        let mut out = Emitter { chain: &mut self.chain, left, emitted: 0, turn: None, starved };
        let polled = match self.reader.poll(now, &mut out) {
            Ok(polled) => polled,
            Err(error) => crate::fail(Fault::External, &self.name, error),
        };
        out.end_turn();
        let has_room = out.has_room();
        let (emitted, mut starved) = (out.emitted, out.starved);
        let at = self.input_clock.elapsed();
        let (reader, chain) = (&self.reader, &mut self.chain);
        match polled {
            // What is left of a record may be any split's, and what did not fit as well.
            Polled::Wait(_) if !has_room => {}
            Polled::Wait(_) => chain.starved(at, Starved::AllBut(&|split| reader.has_more(split))),
            Polled::More | Polled::End => {
                let without = starved.iter().filter(|split| !reader.has_more(**split));
                without.for_each(|split| chain.starved(at, Starved::Split(*split)));
            }
        }
        starved.clear();
        self.starved = starved;
        let mut end = now;
        if emitted > 0 {
            self.records += emitted;
            self.unflushed = true;
            end = self.clock.now();
            let busy = end.since(now);
            self.chunk = next_chunk(self.chunk, emitted as usize, busy);
        }
        let wake = if let Polled::Wait(wake) = polled { wake } else { Some(end) };
        self.input_clock.end_poll(now, end, wake);
        polled
    }

    fn flush_if_due(&mut self, now: Instant, idle: bool) {
        if self.unflushed && (idle || now.since(self.last_flush) >= LINGER) {
            self.chain.flush();
            // A channel without room keeps its batch, which must be flushed later.
            self.unflushed = !self.chain.has_room();
            self.last_flush = now;
        }
    }
}

impl<R, C> Task for SourceTask<R, C>
where
    R: Reader,
    R::Split: Serialize + DeserializeOwned,
    C: Stage<R::Item>,
{
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        match self.phase {
            Phase::Restoring => {
                if self.restoring.step(now, &self.name, &mut self.chain) {
                    self.phase = Phase::Running;
                    events.push(SubtaskEvent::Running.into());
                } else if self.restoring.is_waiting() {
                    return TaskStep::Idle(self.restoring.next_wakeup());
                }
                return TaskStep::Worked;
            }
            Phase::Added => {
                let has_said = !self.said.is_empty();
                events.append(&mut self.said);
                return if has_said { TaskStep::Worked } else { TaskStep::Idle(None) };
            }
            Phase::Finished => return TaskStep::Finished,
            Phase::Running | Phase::Ended | Phase::Removed { .. } => {}
        }
        events.append(&mut self.said);
        self.input_clock.begin_step(now);
        if injected_fault::is_active("idleness_in_wall_time") {
            self.chain.starved(self.input_clock.elapsed(), Starved::AllBut(&|_| false));
        }
        self.chain.tick(now);
        let wrote = self.snapshots.step(now, &mut self.chain, events);
        let rest = |wrote, wake| if wrote { TaskStep::Worked } else { TaskStep::Idle(wake) };
        if !self.chain.has_room() {
            self.flush_if_due(now, false);
            return if wrote { TaskStep::Worked } else { TaskStep::Backpressured(self.chain.next_wakeup()) };
        }
        let busy = || self.clock.now().since(now);
        if resume(&mut self.chain, &mut self.rest_chunk, busy) {
            self.unflushed = true;
            return TaskStep::Worked;
        }
        if let Some(checkpoint) = self.snapshots.pending_trigger() {
            self.at_trigger(now, checkpoint);
            return TaskStep::Worked;
        }
        if self.snapshots.may_finish() || matches!(self.phase, Phase::Removed { complete: true, .. }) {
            if self.chain.is_settled() {
                self.phase = Phase::Finished;
                events.push(SubtaskEvent::Finished.into());
                return TaskStep::Worked;
            }
            return rest(wrote, self.chain.next_wakeup());
        }
        if self.phase == Phase::Ended {
            if self.watermark != MAX_WATERMARK && self.paused.is_none() {
                self.end(events);
                return TaskStep::Worked;
            }
            self.flush_if_due(now, true);
            return rest(wrote, self.chain.next_wakeup());
        }
        if self.paused.is_some() || matches!(self.phase, Phase::Removed { .. }) {
            self.flush_if_due(now, true);
            return rest(wrote, self.chain.next_wakeup());
        }
        if std::mem::take(&mut self.ends) {
            self.end(events);
            return TaskStep::Worked;
        }
        match self.poll(now) {
            Polled::More => {
                self.flush_if_due(now, false);
                TaskStep::Worked
            }
            polled => {
                let wake = match polled {
                    Polled::Wait(wake) => wake,
                    _ => None,
                };
                // It does not end before the other readers of its source: a rescale may give it splits of theirs.
                if polled == Polled::End && !self.awaits_splits && !self.exhausted {
                    self.exhausted = true;
                    events.push(SubtaskEvent::Exhausted.into());
                }
                // Watermarks of what was just emitted go out now, not at the next record.
                self.chain.tick(now);
                self.flush_if_due(now, true);
                rest(wrote, wake.into_iter().chain(self.chain.next_wakeup()).min())
            }
        }
    }

    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind) {
        if self.phase == Phase::Added {
            if let (Some(cut), Some((version, _))) = (&kind.cut, &self.prepared)
                && cut.version == *version
            {
                let version = *version;
                (self.prepared, self.phase) = (None, Phase::Running);
                let installation = Installation::default();
                let installed = SubtaskEvent::Installed { version, installation };
                self.said.extend([SubtaskEvent::Running.into(), installed.into()]);
            }
            return;
        }
        if matches!(self.phase, Phase::Restoring | Phase::Finished) {
            return;
        }
        self.snapshots.triggered(checkpoint, kind);
        // What is left of a record comes before the barrier; a step then takes the snapshot.
        if !self.chain.has_rest() {
            self.at_trigger(now, checkpoint);
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        let commits = self.snapshots.completed(checkpoint, &mut self.chain);
        // A removed task that took a savepoint for its last checkpoint would wait for a commit that comes only with the
        // next one, which would wait for the task.
        if let Phase::Removed { cut, complete } = &mut self.phase {
            *complete |= commits && checkpoint >= *cut;
        }
        if self.drains && self.paused == Some(checkpoint) {
            (self.paused, self.drains) = (None, false);
            self.phase = Phase::Ended;
        }
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        if self.paused == Some(checkpoint) {
            (self.paused, self.drains) = (None, false);
        }
        self.snapshots.aborted(checkpoint, &mut self.chain);
    }

    fn assign_splits(&mut self, splits: &[Bytes], states: Vec<OperatorState>, more: MoreSplits) {
        if !states.is_empty() {
            self.chain.adopt(&mut AdoptedState(states));
        }
        for split in splits {
            let split = self.splits.decode(split);
            self.add_split(split);
        }
        // Not before the last part of an assignment: splits of its other parts may be far behind, and their records would
        // be late.
        if more != MoreSplits::Follow && std::mem::take(&mut self.awaits_splits) {
            self.chain.split_ended(AWAITED_SPLIT);
        }
        if more == MoreSplits::None {
            self.reader.no_more_splits();
            self.chain.split_added(NO_MORE_SPLITS);
        }
    }

    fn active_readers(&mut self, readers: u32) {
        self.reader.active_readers(readers);
    }

    fn end_source(&mut self) {
        self.ends = self.exhausted;
    }

    fn prepare(&mut self, preparation: Preparation) {
        self.chain.prepare(preparation.wiring.as_ref());
        self.said.push(prepared(&preparation));
        self.prepared = Some((preparation.version, preparation.wiring));
    }

    fn catch_up(&mut self, checkpoint: CheckpointId, _: &Restore) {
        if let Some((version, _)) = self.prepared {
            self.said.push(TaskEvent::Prepared { version, checkpoint });
        }
    }

    fn abandon(&mut self) {
        if self.prepared.take().is_some() {
            self.chain.abandon();
        }
    }

    fn hand_over(&mut self, from: SubtaskId, _: Part) {
        crate::fail(Fault::Engine, &self.name, format!("subtask {from} hands over key groups to a source"));
    }

    fn adopt(&mut self, states: Vec<OperatorState>) {
        self.chain.adopt(&mut AdoptedState(states));
    }

    fn metrics(&self) -> SubtaskMetrics {
        let mut metrics = SubtaskMetrics {
            records_in: self.records,
            watermark: self.watermark,
            pending_records: self.reader.pending_records(),
            skipped_records: self.reader.skipped_records(),
            ..Default::default()
        };
        self.chain.count(&mut metrics);
        metrics
    }

    fn position(&self) -> Option<String> {
        self.reader.position()
    }
}

/// A source has nothing to read ahead.
fn prepared(preparation: &Preparation) -> TaskEvent {
    TaskEvent::Prepared { version: preparation.version, checkpoint: preparation.checkpoint }
}

/// Hands a reader's records to the chain.
struct Emitter<'a, C> {
    chain: &'a mut C,
    left: u64,
    emitted: u64,
    /// The split whose turn it is, and how many records had been emitted when that began.
    turn: Option<(u64, u64)>,
    /// Splits that had nothing in their turn.
    starved: Vec<u64>,
}

impl<C: Control> Emitter<'_, C> {
    fn end_turn(&mut self) {
        if let Some((split, before)) = self.turn.take()
            && self.emitted == before
            && self.has_room()
        {
            self.starved.push(split);
        }
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.emitted < self.left && !self.chain.has_rest() && !self.chain.is_full()
    }
}

impl<T, C: Stage<T>> Emit<T> for Emitter<'_, C> {
    fn split(&mut self, split: u64) {
        self.end_turn();
        self.turn = Some((split, self.emitted));
        self.chain.split(split);
    }

    fn end_split(&mut self, split: u64) {
        self.turn = None;
        self.chain.split_ended(split);
    }

    #[inline]
    fn emit(&mut self, value: T, time: Timestamp) {
        self.emitted += 1;
        self.chain.push(value, time);
    }

    #[inline]
    fn is_full(&self) -> bool {
        !self.has_room()
    }
}
