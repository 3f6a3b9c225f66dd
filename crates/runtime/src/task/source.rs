//! The task whose head is a source's reader.

mod alignment;
mod assignment;
mod emitter;

use self::alignment::Aligned;
use self::assignment::{Assignment, Pause};
use self::emitter::{Emitted, Emitter};
use super::core::{Phase, TaskCore};
use super::snapshot::{AtBarrier, AtCut, Barrier};
use super::splits;
use super::{Task, TaskEvent, TaskStep};
use crate::build::BuildContext;
use crate::failure::with_sources;
use crate::rescale::Preparation;
use crate::stage::{AWAITED_SPLIT, AdoptedState, NO_MORE_SPLITS, Stage, Starved, take_list};
use crate::stages::SplitTimes;
use crate::wiring::Wiring;
use bytes::Bytes;
use reflow_api::source::{ReaderMessage, ToEnumerator, encode_split};
use reflow_api::{Polled, Reader};
use reflow_graph::DeclaredList;
use reflow_protocol::command::{MoreSplits, SnapshotKind, SplitAssignment};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::SubtaskEvent;
use reflow_protocol::rescale::{Cut, Installation, Part};
use reflow_protocol::snapshot::{AfterBarrier, OperatorState, Redistribution, Restore};
use reflow_types::{CheckpointId, Data, Instant, MAX_WATERMARK, SubtaskId, Timestamp, injected_fault};
use std::time::Duration;

/// The name of the state that contains a source's unfinished splits.
const SPLITS: &str = DeclaredList::SPLITS;

/// A task whose head is a source's reader.
pub struct SourceTask<R: Reader, C> {
    core: TaskCore<C>,
    /// The source's uid.
    operator: String,
    reader: R,
    /// The reader's messages to its enumerator.
    messages: ToEnumerator,
    /// The splits of the last snapshot, until its checkpoint is complete. Only one is under way at a time.
    in_checkpoint: Option<(CheckpointId, Vec<R::Split>)>,
    assignment: Assignment,
    /// Assignments that arrived between a trigger and its snapshot. Their splits are in the enumerator's part of that
    /// checkpoint, so they must not be in the reader's.
    deferred: Vec<SplitAssignment>,
    pause: Pause,
    wiring: Wiring,
    watermark: Timestamp,
    /// Whether the end was reported and sent. The watermark does not tell: a source may be restored with that of an end.
    has_ended: bool,
    /// Set if its event time is aligned with that of others.
    aligned: Option<Aligned>,
    /// A list for the starved splits of a poll, kept for its memory.
    starved: Vec<u64>,
}

impl<R, C> SourceTask<R, C>
where
    R: Reader,
    R::Split: Data,
    C: Stage<R::Item>,
{
    /// Builds the task, opens its chain and adds the restored splits to the reader.
    pub fn new(
        operator: String,
        (reader, messages): (R, ToEnumerator),
        chain: C,
        context: &mut BuildContext,
    ) -> Self {
        let watermark = context.watermark();
        let splits = take_list::<R::Split>(&mut context.restored.state.operator, &operator, SPLITS);
        let aligned = chain.aligned().and_then(|splits| splits.watermarks.alignment()).map(Aligned::new);
        let mut task = Self {
            core: TaskCore::new(chain, watermark, context),
            aligned,
            operator,
            reader,
            messages,
            in_checkpoint: None,
            assignment: Assignment::new(),
            deferred: Vec::new(),
            pause: Pause::default(),
            wiring: context.wiring.clone(),
            watermark,
            has_ended: false,
            starved: Vec::new(),
        };
        task.core.chain_mut().split_added(AWAITED_SPLIT);
        splits.into_iter().for_each(|split| task.add_split(split));
        if context.restored.then == AfterBarrier::Drain {
            task.assignment.end_restored();
        }
        if let Some(preparation) = context.added.take() {
            task.core.report(prepared(&preparation));
            task.core.prepare(preparation);
        }
        task
    }

    fn add_split(&mut self, split: R::Split) {
        self.assignment.added();
        let number = self.reader.add_split(split);
        if number >= NO_MORE_SPLITS {
            let hint = "the last three numbers stand for splits that are not there; number splits from 0 on";
            crate::fail(Fault::User, &self.operator, format!("the reader numbers a split {number}: {hint}"));
        }
        self.core.chain_mut().split_added(number);
    }

    /// The part of a step that depends on the input.
    fn step_input(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        if let Some(backpressured) = self.core.wait_for_room(now) {
            // The receivers finish with the same checkpoint, and may do so before they have granted any credit.
            let finishes = self.core.snapshots().may_finish() && !self.core.chain().has_rest();
            return if finishes { self.core.finish(events) } else { backpressured };
        }
        // Before a snapshot: the reader's position is already behind the record whose results are left. They are
        // in no state, so a restore would lose them.
        if self.core.resume(now) {
            return TaskStep::Worked;
        }
        // Before everything that makes a source wait: a source that has ended, is paused or is removed must take
        // part in checkpoints, because otherwise none would complete, and it waits for the last one.
        if let Some(checkpoint) = self.core.snapshots().pending_trigger() {
            self.at_trigger(now, checkpoint);
            return TaskStep::Worked;
        }
        // Before the phases and the pause, because the checkpoint with which the task finishes has paused it.
        if self.core.snapshots().may_finish()
            || matches!(self.core.phase(), Phase::Removed { complete: true, .. })
        {
            return self.core.finish(events);
        }
        match self.core.phase() {
            // A drained source: the savepoint is complete, so the end may now fire windows.
            Phase::Ended if !self.has_ended && !self.pause.is_active() => {
                self.end(events);
                return TaskStep::Worked;
            }
            Phase::Ended | Phase::Removed { .. } => return self.wait(now),
            _ => {}
        }
        // Before the end and the poll: records behind the barrier are not in the checkpoint with which the
        // attempt ends, so they would be processed here and again by the next attempt.
        if self.pause.is_active() {
            return self.wait(now);
        }
        if self.assignment.take_end() {
            self.end(events);
            return TaskStep::Worked;
        }
        if self.aligned.as_ref().is_some_and(|aligned| aligned.is_ahead(self.holds_back())) {
            return self.wait(now);
        }
        self.core.mark_latency(now);
        match self.poll(now) {
            Polled::More => {
                self.core.flush_if_due(now);
                TaskStep::Worked
            }
            Polled::Wait(wake) => self.after_poll(now, wake),
            Polled::End => {
                // The reader must not end before the other readers of its source, because a rescale may give it
                // their splits.
                if self.assignment.exhaust() {
                    events.push(SubtaskEvent::Exhausted.into());
                }
                self.after_poll(now, None)
            }
        }
    }

    /// Ends a step whose poll has emitted all available records.
    fn after_poll(&mut self, now: Instant, wake: Option<Instant>) -> TaskStep {
        // The watermark of these records is sent now, because the next record may come late.
        self.core.chain_mut().tick(now);
        self.core.flush(now);
        TaskStep::Idle(wake.into_iter().chain(self.core.chain().next_wakeup()).min())
    }

    /// A step without a poll.
    fn wait(&mut self, now: Instant) -> TaskStep {
        self.core.flush(now);
        self.core.idle()
    }

    /// The watermark by which the reader holds others back with which it is aligned.
    fn holds_back(&self) -> Timestamp {
        match self.core.phase() {
            Phase::Running => self.core.chain().aligned().map_or(MAX_WATERMARK, SplitTimes::holds_back),
            _ => MAX_WATERMARK,
        }
    }

    /// Reports event time, if that is due. Returns when it is due next.
    fn report_event_time(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> Option<Instant> {
        let watermark = self.holds_back();
        let aligned = self.aligned.as_mut()?;
        let report = aligned.report(now, watermark);
        events.extend(report.map(|report| TaskEvent::from(SubtaskEvent::EventTime(report))));
        Some(aligned.report_at())
    }

    /// Starts an added task, if the checkpoint is its cut.
    fn begin(&mut self, kind: &SnapshotKind) {
        let Some(cut) = &kind.cut else { return };
        if self.core.prepared().is_some_and(|next| next.version == cut.version) {
            let version = cut.version;
            self.core.take_prepared();
            let running = self.core.run();
            self.core.report(running);
            self.core.report(SubtaskEvent::Installed { version, installation: Installation::default() });
        }
    }

    fn end(&mut self, events: &mut Vec<TaskEvent>) {
        self.core.end(events);
        (self.watermark, self.has_ended) = (MAX_WATERMARK, true);
    }

    fn at_trigger(&mut self, now: Instant, checkpoint: CheckpointId) {
        if let AtBarrier::Begin(kind) = self.core.at_barrier(checkpoint) {
            if injected_fault::is_active("offset_after_barrier") && self.core.phase() == Phase::Running {
                self.core.chain_mut().barrier(checkpoint);
                self.poll(now);
            }
            self.snapshot(now, checkpoint, kind);
        }
        self.assign_deferred();
    }

    /// Takes the assignments that have waited for a snapshot.
    fn assign_deferred(&mut self) {
        if self.core.snapshots().pending_trigger().is_none() {
            for SplitAssignment { splits, states, more } in std::mem::take(&mut self.deferred) {
                self.assign(&splits, states, more);
            }
        }
    }

    fn assign(&mut self, splits: &[Bytes], states: Vec<OperatorState>, more: MoreSplits) {
        if !states.is_empty() {
            self.core.chain_mut().adopt(&mut AdoptedState(states));
        }
        for split in splits {
            let split = splits::decode(&self.operator, split);
            self.add_split(split);
        }
        // After the splits are added: with neither a split nor the placeholder, the watermark would rise past
        // records that are still to be read.
        if self.assignment.assigned(more) {
            self.core.chain_mut().split_ended(AWAITED_SPLIT);
        }
        if more == MoreSplits::None {
            self.reader.no_more_splits();
            self.core.chain_mut().split_added(NO_MORE_SPLITS);
        }
    }

    fn snapshot(&mut self, now: Instant, checkpoint: CheckpointId, kind: SnapshotKind) {
        let splits = self.reader.snapshot();
        let state = OperatorState {
            operator: self.operator.clone(),
            name: SPLITS.to_owned(),
            redistribution: Redistribution::Split,
            items: splits.iter().map(encode_split).collect(),
        };
        self.in_checkpoint = Some((checkpoint, splits));
        self.pause.begin(checkpoint, kind.then);
        let cut = kind.cut.clone().map(|cut| (self.core.take_prepared_for(&cut), cut));
        // A reader that continues may get splits with a lower event time than its own.
        let resets = self.core.phase() == Phase::Running
            && cut.as_ref().is_some_and(|(next, _)| self.readers_change(next))
            && !injected_fault::is_active("event_time_kept_at_the_cut");
        let fate = cut.as_ref().map(|(next, _)| next.fate()).unwrap_or_default();
        let barrier = Barrier { checkpoint, at: now, alignment: Duration::ZERO, watermark: self.watermark };
        self.core.begin_snapshot(barrier, kind, vec![state], AtCut { resets, fate, ..AtCut::default() });
        if resets {
            self.assignment.reopen();
            let chain = self.core.chain_mut();
            chain.split_added(AWAITED_SPLIT);
            chain.split_ended(NO_MORE_SPLITS);
        }
        if let Some((next, cut)) = cut {
            self.cut(checkpoint, &cut, next);
        }
    }

    /// Whether the next graph has this task and a different set of readers.
    fn readers_change(&self, next: &Preparation) -> bool {
        next.wiring.as_ref().is_some_and(|next| !next.has_same_subtasks(&self.wiring))
    }

    /// Switches to the next graph, after the snapshot of the cut has begun: releases the splits that move to
    /// other readers.
    fn cut(&mut self, checkpoint: CheckpointId, cut: &Cut, next: Preparation) {
        let own = self.wiring.subtask;
        let keep = cut.splits.iter().find(|(subtask, _)| *subtask == own).map(|(_, keep)| *keep as usize);
        let released = keep.map_or(Vec::new(), |keep| self.reader.release(keep));
        let mut splits = Vec::new();
        for (number, split) in released {
            splits.push(encode_split(&split));
            self.core.chain_mut().split_ended(number);
        }
        self.core.report_cut(next.version, splits);
        match next.wiring {
            Some(wiring) => {
                self.reader.rescaled(wiring.parallelism());
                self.core.chain_mut().rescaled(wiring.place());
                self.wiring = wiring;
            }
            None => self.core.remove(checkpoint),
        }
    }

    fn poll(&mut self, now: Instant) -> Polled {
        let most = self.core.step_records() as u64;
        let limit = self.aligned.as_ref().map(Aligned::limit);
        let mut out = Emitter::new(self.core.chain_mut(), (most, limit), std::mem::take(&mut self.starved));
        let polled = match self.reader.poll(now, &mut out) {
            Ok(polled) => polled,
            Err(error) => self.core.fail(Fault::External, with_sources(&*error)),
        };
        let Emitted { records, has_room, mut starved } = out.finish();
        let reader = &self.reader;
        match polled {
            // Without room, the poll may have left out records of any split.
            Polled::Wait(_) if !has_room => {}
            Polled::Wait(_) => {
                let splits = limit.and_then(|limit| Some((limit, self.core.chain().aligned()?)));
                let paused: Vec<u64> =
                    splits.map_or(Vec::new(), |(limit, splits)| splits.above(limit).collect());
                self.core
                    .starved(Starved::AllBut(&|split| paused.contains(&split) || reader.has_more(split)));
            }
            Polled::More | Polled::End => {
                let without = starved.iter().filter(|split| !reader.has_more(**split));
                without.for_each(|split| self.core.starved(Starved::Split(*split)));
            }
        }
        starved.clear();
        self.starved = starved;
        let mut end = now;
        if records > 0 {
            self.core.count_in(records);
            end = self.core.took_records(now, records as usize);
        }
        let wake = if let Polled::Wait(wake) = polled { wake } else { Some(end) };
        self.core.end_poll(now, end, wake);
        polled
    }
}

impl<R, C> Task for SourceTask<R, C>
where
    R: Reader,
    R::Split: Data,
    C: Stage<R::Item>,
{
    fn step(&mut self, now: Instant, events: &mut Vec<TaskEvent>) -> TaskStep {
        match self.core.phase() {
            Phase::Restoring => return self.core.restore(now, events),
            Phase::Added if self.core.take_reports(events) => return TaskStep::Worked,
            Phase::Added => return TaskStep::Idle(None),
            Phase::Finished => return TaskStep::Finished,
            Phase::Running | Phase::Ended | Phase::Removed { .. } => {}
        }
        self.core.begin_step(now, events);
        if injected_fault::is_active("idleness_in_wall_time") {
            self.core.starved(Starved::AllBut(&|_| false));
        }
        // Before the snapshot, which waits for answers of storage that sinks take in `tick`.
        self.core.chain_mut().tick(now);
        // Before the check for room, because a checkpoint would otherwise wait as long as the receivers do under
        // backpressure.
        let worked = self.core.write_snapshot(now, events);
        let step = self.step_input(now, events);
        events.extend(self.messages.take().into_iter().map(report));
        let step = step.until(self.report_event_time(now, events));
        if worked { step.or_worked() } else { step }
    }

    fn trigger(&mut self, now: Instant, checkpoint: CheckpointId, kind: &SnapshotKind) {
        if self.core.phase() == Phase::Added {
            return self.begin(kind);
        }
        if matches!(self.core.phase(), Phase::Restoring | Phase::Finished) {
            return;
        }
        self.core.triggered(checkpoint, kind);
        // The rest of a record's results must precede the barrier; a later step takes the snapshot.
        if !self.core.chain().has_rest() {
            self.at_trigger(now, checkpoint);
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        if self.core.completed(checkpoint)
            && let Some((_, splits)) = self.in_checkpoint.take_if(|(of, _)| *of == checkpoint)
        {
            self.reader.completed(checkpoint, &splits);
        }
        if self.pause.completed(checkpoint) {
            self.core.drain();
        }
    }

    fn aborted(&mut self, checkpoint: CheckpointId) {
        self.pause.aborted(checkpoint);
        self.core.aborted(checkpoint);
        self.assign_deferred();
    }

    fn assign_splits(&mut self, splits: &[Bytes], states: Vec<OperatorState>, more: MoreSplits) {
        if self.core.snapshots().pending_trigger().is_some() {
            self.deferred.push(SplitAssignment { splits: splits.to_vec(), states, more });
        } else {
            self.assign(splits, states, more);
        }
    }

    fn active_readers(&mut self, readers: u32) {
        self.reader.active_readers(readers);
    }

    fn end_source(&mut self) {
        self.assignment.end_source();
    }

    fn set_lowest_watermark(&mut self, lowest: Timestamp) {
        if let Some(aligned) = &mut self.aligned {
            aligned.set_lowest(lowest);
        }
    }

    fn prepare(&mut self, preparation: Preparation) {
        self.core.chain_mut().prepare(preparation.wiring.as_ref());
        self.core.report(prepared(&preparation));
        self.core.prepare(preparation);
    }

    fn catch_up(&mut self, checkpoint: CheckpointId, _: &Restore) {
        if let Some(version) = self.core.prepared().map(|preparation| preparation.version) {
            self.core.report(TaskEvent::Prepared { version, checkpoint });
        }
    }

    fn abandon(&mut self) {
        self.core.abandon();
    }

    fn hand_over(&mut self, _: SubtaskId, _: Part) {
        self.core.fail(Fault::Engine, "another subtask hands over key groups to a source".to_owned());
    }

    fn adopt(&mut self, states: Vec<OperatorState>) {
        self.core.adopt(states);
    }

    fn close(&mut self) -> Option<Failure> {
        self.core.close()
    }

    fn metrics(&self) -> SubtaskMetrics {
        let mut metrics = SubtaskMetrics {
            watermark: self.watermark,
            pending_records: self.reader.pending_records(),
            skipped_records: self.reader.skipped_records(),
            alignment_drift_ms: self.aligned.as_ref().and_then(|aligned| aligned.drift_ms(self.holds_back())),
            ..Default::default()
        };
        self.core.count(&mut metrics);
        metrics
    }

    fn position(&self) -> Option<String> {
        self.reader.position()
    }
}

fn report(message: ReaderMessage) -> TaskEvent {
    match message {
        ReaderMessage::Event(event) => SubtaskEvent::SourceEvent(event).into(),
        ReaderMessage::SplitRequest => SubtaskEvent::SplitRequested.into(),
    }
}

/// The answer to a preparation. A source has no state to prefetch.
fn prepared(preparation: &Preparation) -> TaskEvent {
    TaskEvent::Prepared { version: preparation.version, checkpoint: preparation.checkpoint }
}
