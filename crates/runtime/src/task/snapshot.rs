//! The snapshots of a task, from the barrier to the acknowledgement.
//!
//! At the barrier, operator state is taken and tables are frozen, which costs next to nothing. The tables are
//! then written in bounded steps between batches of records, into one object that is uploaded part by part. The
//! acknowledgement is sent when the object and everything that a sink has prepared are in storage.
//!
//! At a cut, the same bytes also go to the new owners of outgoing key groups, which buffer the groups' records
//! until then. So slow or failing storage must not delay the hand-over.

use super::TaskEvent;
use super::handover_writer::{HandoverWriter, Tee};
use super::stateful_chain::StatefulChain;
use super::upload::{Buffers, Upload};
use crate::stage::{Fate, Release, SnapshotContext};
use reflow_api::Io;
use reflow_env::Location;
use reflow_protocol::command::SnapshotKind;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Fault;
use reflow_protocol::report::{SnapshotTiming, SubtaskEvent};
use reflow_protocol::rescale::Part;
use reflow_protocol::snapshot::{AfterBarrier, KeyedState, OperatorState, Run, StateFormat, SubtaskState};
use reflow_state::{Progress, RunKind, SnapshotWriter};
use reflow_types::{Bounds, CheckpointId, Instant, KeyGroupSet, SubtaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The task that writes, and its storage.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) subtask: SubtaskId,
    pub(super) attempt: Attempt,
    /// The key groups of the task, if it is keyed.
    pub(super) groups: Option<KeyGroupSet>,
    pub(super) io: Io,
    pub(super) bounds: Bounds,
}

/// The snapshots of one task.
pub(super) struct Snapshots {
    identity: Identity,
    /// The kinds of triggered checkpoints whose barrier has not arrived.
    triggered: BTreeMap<CheckpointId, SnapshotKind>,
    /// The highest aborted checkpoint.
    aborted: Option<CheckpointId>,
    writing: Option<Writing>,
    /// The buffers for the next snapshot, while none is being written.
    buffers: Buffers,
    /// The checkpoint with which the task finishes, and whether it is complete.
    finish: Option<(CheckpointId, bool)>,
    /// Savepoints after which the job continues. Recovery does not use them, so nothing is committed with them.
    savepoints: BTreeSet<CheckpointId>,
}

/// The barrier with which a snapshot begins.
#[derive(Clone, Copy)]
pub(super) struct Barrier {
    pub(super) checkpoint: CheckpointId,
    /// When the last channel delivered it.
    pub(super) at: Instant,
    /// How long the first channel waited for the last one.
    pub(super) alignment: Duration,
    /// The task's watermark.
    pub(super) watermark: Timestamp,
}

struct Writing {
    barrier: Barrier,
    operator: Vec<OperatorState>,
    object: String,
    writer: Option<SnapshotWriter<Upload>>,
    /// The index of the table that is being written.
    table: usize,
    done: Option<(Upload, Vec<Run>)>,
    /// The key groups that the snapshot contains. A cut changes those of the task meanwhile.
    groups: Option<KeyGroupSet>,
    /// At a cut, the state that goes to new owners.
    handover: Option<HandoverWriter>,
    /// The error of storage, while the hand-over still has to be written.
    broken: Option<String>,
    /// At a cut, the items of operator state that other subtasks take over.
    released: Vec<OperatorState>,
}

/// The additional work of the snapshot of a cut.
#[derive(Default)]
pub(super) struct AtCut {
    /// The state that goes to new owners.
    pub(super) handover: Option<HandoverWriter>,
    /// Whether the barrier resets the event time of its channels.
    pub(super) resets: bool,
    /// What becomes of the subtask.
    pub(super) fate: Fate,
    /// What is released, if the subtasks of the vertex change.
    pub(super) release: Option<Release>,
}

/// The action at a barrier.
pub(super) enum AtBarrier {
    /// Take the snapshot.
    Begin(SnapshotKind),
    /// Pass the barrier on without a snapshot, because the checkpoint was aborted.
    Pass,
    /// Wait for the trigger, which determines the kind of the checkpoint.
    Wait,
}

impl Snapshots {
    /// The snapshots of a task that is restored from a checkpoint. `then` is what sources do if the job ends with
    /// that checkpoint.
    pub(super) fn new(identity: Identity, restored: Option<CheckpointId>, then: AfterBarrier) -> Self {
        Self {
            identity,
            triggered: BTreeMap::new(),
            aborted: None,
            writing: None,
            buffers: Buffers::default(),
            finish: restored.filter(|_| then == AfterBarrier::Finish).map(|last| (last, true)),
            savepoints: BTreeSet::new(),
        }
    }

    pub(super) fn triggered(&mut self, checkpoint: CheckpointId, kind: &SnapshotKind) {
        self.triggered.insert(checkpoint, kind.clone());
    }

    /// The latest triggered checkpoint whose snapshot has not begun.
    pub(super) fn pending_trigger(&self) -> Option<CheckpointId> {
        self.triggered.keys().next_back().copied()
    }

    pub(super) fn at_barrier(&mut self, checkpoint: CheckpointId) -> AtBarrier {
        if self.aborted >= Some(checkpoint) {
            return AtBarrier::Pass;
        }
        match self.triggered.remove(&checkpoint) {
            Some(kind) => {
                self.triggered.retain(|other, _| *other > checkpoint);
                AtBarrier::Begin(kind)
            }
            None => AtBarrier::Wait,
        }
    }

    /// Sets the key groups of the task. A snapshot under way still contains the former ones.
    pub(super) fn own(&mut self, groups: Option<KeyGroupSet>) {
        self.identity.groups = groups;
    }

    /// The groups that the task owns, if it is keyed.
    pub(super) fn groups(&self) -> Option<&KeyGroupSet> {
        self.identity.groups.as_ref()
    }

    /// Whether the task has key groups.
    pub(super) fn is_keyed(&self) -> bool {
        self.identity.groups.is_some()
    }

    /// Takes the hand-over parts that are ready, and returns whether these are the last ones.
    pub(super) fn take_hand_overs(&mut self) -> (Vec<(SubtaskId, Part)>, bool) {
        match &mut self.writing {
            Some(Writing { handover: Some(handover), writer, .. }) => {
                (handover.take_parts(), writer.is_none())
            }
            _ => (Vec::new(), true),
        }
    }

    /// The state of the snapshot under way that other subtasks need: union and broadcast state, and released items.
    pub(super) fn take_state_for_others(&mut self) -> Vec<OperatorState> {
        let Some(writing) = &mut self.writing else { return Vec::new() };
        let common = |state: &&OperatorState| !state.redistribution.is_exclusive();
        let mut states: Vec<_> = writing.operator.iter().filter(common).cloned().collect();
        states.append(&mut writing.released);
        states
    }

    /// Begins a snapshot: `extra` is the task's own operator state.
    pub(super) fn begin(
        &mut self,
        barrier: Barrier,
        kind: SnapshotKind,
        extra: Vec<OperatorState>,
        at_cut: AtCut,
        chain: &mut dyn StatefulChain,
    ) {
        let AtCut { handover, resets, fate, release } = at_cut;
        let checkpoint = barrier.checkpoint;
        if let Some(unfinished) = self.writing.take() {
            self.drop_writing(unfinished, chain);
        }
        match kind.then {
            AfterBarrier::Finish => self.finish = Some((checkpoint, false)),
            _ if kind.format == StateFormat::Savepoint => drop(self.savepoints.insert(checkpoint)),
            _ => {}
        }
        let (mut operator, mut released) = (extra, Vec::new());
        let table_kind = match kind.format {
            StateFormat::Checkpoint if kind.cut.is_some() => reflow_state::SnapshotKind::Cut,
            StateFormat::Checkpoint if kind.full => reflow_state::SnapshotKind::Full,
            StateFormat::Checkpoint => reflow_state::SnapshotKind::Checkpoint,
            StateFormat::Savepoint => reflow_state::SnapshotKind::Savepoint,
        };
        chain.tables(&mut |table| table.freeze(checkpoint, table_kind));
        chain.snapshot(&mut SnapshotContext {
            checkpoint,
            kind: table_kind,
            resets,
            then: kind.then,
            fate,
            release,
            operator: &mut operator,
            released: &mut released,
        });
        let Identity { subtask, attempt, io, groups, bounds } = &self.identity;
        let object = format!("{}-{checkpoint}-{subtask}-{}", attempt.epoch, attempt.number);
        let at = Location(kind.directory).join(&object);
        let upload = Upload::new(io, at, std::mem::take(&mut self.buffers), *bounds);
        self.writing = Some(Writing {
            barrier,
            operator,
            object,
            writer: Some(SnapshotWriter::new(upload)),
            table: 0,
            done: None,
            groups: groups.clone(),
            handover,
            broken: None,
            released,
        });
    }

    /// Writes a bounded part of the snapshot under way. Returns whether there was something to do.
    pub(super) fn step(
        &mut self,
        now: Instant,
        chain: &mut dyn StatefulChain,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(mut writing) = self.writing.take() else { return false };
        match writing.step(self.identity.bounds.snapshot_step_bytes, chain) {
            Ok(Stepped::Worked) => {
                self.writing = Some(writing);
                true
            }
            Ok(Stepped::Waits) => match writing.settle(chain) {
                Ok(false) => {
                    self.writing = Some(writing);
                    false
                }
                Ok(true) => {
                    let Barrier { checkpoint, at, alignment, .. } = writing.barrier;
                    let timing = SnapshotTiming { alignment, writing: now.since(at) };
                    let (state, buffers) = writing.into_state();
                    self.buffers = buffers;
                    events.push(SubtaskEvent::Acknowledged { checkpoint, state, timing }.into());
                    true
                }
                Err(reason) => self.decline(writing, reason, chain, events),
            },
            Err(reason) => self.decline(writing, reason, chain, events),
        }
    }

    fn decline(
        &mut self,
        writing: Writing,
        reason: String,
        chain: &mut dyn StatefulChain,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let checkpoint = writing.barrier.checkpoint;
        self.drop_writing(writing, chain);
        events.push(SubtaskEvent::Declined { checkpoint, reason }.into());
        true
    }

    /// A checkpoint is complete. Returns whether sinks commit with it: not with a savepoint after which the job
    /// continues.
    pub(super) fn completed(&mut self, checkpoint: CheckpointId, chain: &mut dyn StatefulChain) -> bool {
        if let Some((with, complete)) = &mut self.finish {
            *complete |= *with == checkpoint;
        }
        chain.tables(&mut |table| table.complete(checkpoint));
        let commits = !self.savepoints.remove(&checkpoint);
        if commits {
            chain.completed(checkpoint);
        }
        commits
    }

    /// Whether the checkpoint with which the task finishes is complete.
    pub(super) fn may_finish(&self) -> bool {
        matches!(self.finish, Some((_, true)))
    }

    pub(super) fn aborted(&mut self, checkpoint: CheckpointId, chain: &mut dyn StatefulChain) {
        self.aborted = self.aborted.max(Some(checkpoint));
        self.triggered.remove(&checkpoint);
        self.savepoints.remove(&checkpoint);
        self.finish.take_if(|(with, _)| *with == checkpoint);
        match self.writing.take() {
            Some(writing) if writing.barrier.checkpoint == checkpoint => self.drop_writing(writing, chain),
            other => {
                self.writing = other;
                chain.tables(&mut |table| table.abort(checkpoint));
            }
        }
        chain.aborted(checkpoint);
    }

    fn drop_writing(&mut self, writing: Writing, chain: &mut dyn StatefulChain) {
        chain.tables(&mut |table| table.abort(writing.barrier.checkpoint));
        let upload =
            writing.writer.map(|writer| writer.into_sink()).or(writing.done.map(|(upload, _)| upload));
        self.buffers = upload.map(Upload::end).unwrap_or_default();
    }
}

enum Stepped {
    Worked,
    Waits,
}

impl Writing {
    fn step(&mut self, step_bytes: usize, chain: &mut dyn StatefulChain) -> Result<Stepped, String> {
        let Some(writer) = &mut self.writer else {
            return self.broken.take().map_or(Ok(Stepped::Waits), Err);
        };
        match writer.sink_mut().may_write() {
            Ok(true) => {}
            Ok(false) if self.handover.is_some() => {}
            Ok(false) => return Ok(Stepped::Waits),
            Err(reason) if self.handover.is_some() => self.broken = Some(reason),
            Err(reason) => return Err(reason),
        }
        let (mut at, mut progress) = (0, None);
        let wanted = self.table;
        chain.tables(&mut |table| {
            if at == wanted {
                progress = Some(match &mut self.handover {
                    Some(handover) => table.snapshot_step(step_bytes, &mut Tee { writer, handover }),
                    None => table.snapshot_step(step_bytes, writer),
                });
            }
            at += 1;
        });
        match progress {
            Some(Ok(Progress::Done)) => self.table += 1,
            Some(Ok(Progress::More)) => {}
            // The new owners need this state, so the attempt fails, not only the checkpoint.
            Some(Err(error)) if self.handover.is_some() => crate::fail(Fault::User, "state", error),
            Some(Err(error)) => return Err(error.to_string()),
            None => self.written(),
        }
        Ok(Stepped::Worked)
    }

    /// Whether everything is in storage.
    fn settle(&mut self, chain: &mut dyn StatefulChain) -> Result<bool, String> {
        let prepared = chain.prepared()?;
        let uploaded = match &mut self.done {
            Some((upload, _)) => upload.settled()?,
            None => false,
        };
        Ok(uploaded && prepared)
    }

    /// All tables are written: sends the last parts.
    fn written(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        if let Some(handover) = &mut self.handover {
            handover.finish();
        }
        let (mut upload, runs) = writer.finish();
        upload.finish();
        let run = |run: &reflow_state::Run| Run {
            table: run.table.0,
            segment: run.segment,
            full: run.kind == RunKind::Full,
            offset: run.offset,
            len: u32::try_from(run.len).expect("a table writes no longer run"),
        };
        self.done = Some((upload, runs.iter().map(run).collect()));
    }

    /// The acknowledgement, and the buffers for the next snapshot.
    fn into_state(self) -> (SubtaskState, Buffers) {
        let (upload, runs) = self.done.expect("a snapshot that is settled has been written");
        let keyed = self.groups.map(|groups| KeyedState {
            groups,
            object: upload.is_any().then_some(self.object),
            bytes: runs.iter().map(|run| u64::from(run.len)).sum(),
            runs,
        });
        (SubtaskState { keyed, operator: self.operator, watermark: self.barrier.watermark }, upload.end())
    }
}
