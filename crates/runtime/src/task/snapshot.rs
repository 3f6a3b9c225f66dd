//! A task's snapshots: from the barrier to the acknowledgement.
//!
//! At the barrier operator state is taken and tables are frozen; that costs next to nothing. The tables are then
//! written in bounded steps between batches of records, into one object that is uploaded part by part. The
//! acknowledgement goes out when the object, and whatever a sink prepared, is in storage.

use super::TaskEvent;
use super::upload::{Buffers, Upload};
use crate::stage::{Control, SnapshotContext};
use reflow_api::Io;
use reflow_env::{Location, Ticket};
use reflow_protocol::control::{AfterBarrier, Fault, SnapshotKind, SnapshotTiming};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{Codec, KeyedState, OperatorState, Run, SubtaskState};
use reflow_state::{Progress, RunKind, SnapshotWriter};
use reflow_types::{CheckpointId, Instant, KeyGroupSet, SubtaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// About a millisecond's work.
const STEP_BYTES: usize = 512 << 10;

/// Who writes.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) subtask: SubtaskId,
    pub(super) attempt: Attempt,
    /// For keyed tasks.
    pub(super) groups: Option<KeyGroupSet>,
    pub(super) io: Io,
}

/// The snapshots of one task.
pub(super) struct Snapshots {
    identity: Identity,
    /// Kinds of checkpoints that were triggered and whose barrier has not come.
    triggered: BTreeMap<CheckpointId, SnapshotKind>,
    /// The highest checkpoint that was given up.
    aborted: Option<CheckpointId>,
    writing: Option<Writing>,
    /// For the next snapshot, while none is being written.
    buffers: Buffers,
    /// The checkpoint with which the task finishes, and whether it is complete.
    finish: Option<(CheckpointId, bool)>,
    /// Savepoints of a job that goes on: recovery never comes back to them, so nothing is committed with them.
    savepoints: BTreeSet<CheckpointId>,
    /// Requests of sinks from snapshots that were given up.
    carried: Vec<Ticket>,
}

struct Writing {
    checkpoint: CheckpointId,
    since: Instant,
    alignment: Duration,
    operator: Vec<OperatorState>,
    watermark: Timestamp,
    wait_for: Vec<Ticket>,
    object: String,
    writer: Option<SnapshotWriter<Upload>>,
    /// Which table is being written.
    table: usize,
    done: Option<(Upload, Vec<Run>)>,
}

/// What is to be done about a barrier.
pub(super) enum AtBarrier {
    /// Take the snapshot.
    Begin(SnapshotKind),
    /// Pass the barrier on: the checkpoint was given up.
    Pass,
    /// The trigger, which says what kind it is, has not come yet.
    Wait,
}

impl Snapshots {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity,
            triggered: BTreeMap::new(),
            aborted: None,
            writing: None,
            buffers: Buffers::default(),
            finish: None,
            savepoints: BTreeSet::new(),
            carried: Vec::new(),
        }
    }

    pub(super) fn triggered(&mut self, checkpoint: CheckpointId, kind: &SnapshotKind) {
        self.triggered.insert(checkpoint, kind.clone());
    }

    /// The newest checkpoint that was triggered, whose barrier cannot come any more.
    pub(super) fn owed(&self) -> Option<CheckpointId> {
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

    /// Begins a snapshot: `extra` is the task's own operator state.
    pub(super) fn begin(
        &mut self,
        (now, alignment, watermark): (Instant, Duration, Timestamp),
        (checkpoint, kind): (CheckpointId, SnapshotKind),
        extra: Vec<OperatorState>,
        chain: &mut impl Control,
    ) {
        if let Some(unfinished) = self.writing.take() {
            self.drop_writing(unfinished, chain);
        }
        match kind.then {
            AfterBarrier::Finish => self.finish = Some((checkpoint, false)),
            _ if kind.codec == Codec::Savepoint => drop(self.savepoints.insert(checkpoint)),
            _ => {}
        }
        let (mut operator, mut wait_for) = (extra, std::mem::take(&mut self.carried));
        let table_kind = match kind.codec {
            Codec::Exchange => reflow_state::SnapshotKind::Checkpoint,
            Codec::Savepoint => reflow_state::SnapshotKind::Savepoint,
        };
        chain.tables(&mut |table| table.freeze(checkpoint, table_kind));
        chain.snapshot(&mut SnapshotContext {
            checkpoint,
            kind: table_kind,
            operator: &mut operator,
            wait_for: &mut wait_for,
        });
        let Identity { subtask, attempt, io, .. } = &self.identity;
        let object = format!("{}-{checkpoint}-{subtask}-{}", attempt.epoch, attempt.number);
        let at = Location(kind.directory).join(&object);
        let upload = Upload::new(io, at, std::mem::take(&mut self.buffers));
        self.writing = Some(Writing {
            checkpoint,
            since: now,
            alignment,
            operator,
            watermark,
            wait_for,
            object,
            writer: Some(SnapshotWriter::new(upload)),
            table: 0,
            done: None,
        });
    }

    /// Writes a bounded part of the snapshot under way; says whether it did something.
    pub(super) fn step(
        &mut self,
        now: Instant,
        chain: &mut impl Control,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let Some(mut writing) = self.writing.take() else { return false };
        match writing.step(chain) {
            Ok(Stepped::Worked) => {
                self.writing = Some(writing);
                true
            }
            Ok(Stepped::Waits) => match self.settle(&mut writing) {
                Ok(false) => {
                    self.writing = Some(writing);
                    false
                }
                Ok(true) => {
                    let (checkpoint, timing) = (
                        writing.checkpoint,
                        SnapshotTiming { alignment: writing.alignment, writing: now.since(writing.since) },
                    );
                    let (state, buffers) = writing.into_state(&self.identity);
                    self.buffers = buffers;
                    events.push(TaskEvent::Acknowledged { checkpoint, state, timing });
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
        chain: &mut impl Control,
        events: &mut Vec<TaskEvent>,
    ) -> bool {
        let checkpoint = writing.checkpoint;
        self.drop_writing(writing, chain);
        events.push(TaskEvent::Declined { checkpoint, reason });
        true
    }

    /// Whether all is in storage. A sink's transaction that cannot be prepared fails the task: its records are
    /// nowhere else.
    fn settle(&self, writing: &mut Writing) -> Result<bool, String> {
        let io = &self.identity.io;
        writing.wait_for.retain(|ticket| match io.take(*ticket) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => {
                crate::fail(Fault::External, "sink", format!("cannot prepare a transaction: {error}"))
            }
        });
        let uploaded = match &mut writing.done {
            Some((upload, _)) => upload.settled()?,
            None => false,
        };
        Ok(uploaded && writing.wait_for.is_empty())
    }

    pub(super) fn completed(&mut self, checkpoint: CheckpointId, chain: &mut impl Control) {
        if let Some((with, complete)) = &mut self.finish {
            *complete |= *with == checkpoint;
        }
        chain.tables(&mut |table| table.complete(checkpoint));
        if !self.savepoints.remove(&checkpoint) {
            chain.completed(checkpoint);
        }
    }

    /// Whether the checkpoint with which the task finishes is complete.
    pub(super) fn may_finish(&self) -> bool {
        matches!(self.finish, Some((_, true)))
    }

    pub(super) fn aborted(&mut self, checkpoint: CheckpointId, chain: &mut impl Control) {
        self.aborted = self.aborted.max(Some(checkpoint));
        self.triggered.remove(&checkpoint);
        self.savepoints.remove(&checkpoint);
        self.finish.take_if(|(with, _)| *with == checkpoint);
        match self.writing.take() {
            Some(writing) if writing.checkpoint == checkpoint => self.drop_writing(writing, chain),
            other => {
                self.writing = other;
                chain.tables(&mut |table| table.abort(checkpoint));
            }
        }
        chain.aborted(checkpoint);
    }

    fn drop_writing(&mut self, writing: Writing, chain: &mut impl Control) {
        chain.tables(&mut |table| table.abort(writing.checkpoint));
        // What a sink prepared goes with the next checkpoint, which has to wait for it in turn.
        self.carried.extend(writing.wait_for);
        let upload =
            writing.writer.map(|writer| writer.into_sink()).or(writing.done.map(|(upload, _)| upload));
        self.buffers = upload.map(Upload::cancel).unwrap_or_default();
    }
}

enum Stepped {
    Worked,
    Waits,
}

impl Writing {
    fn step(&mut self, chain: &mut impl Control) -> Result<Stepped, String> {
        let Some(writer) = &mut self.writer else { return Ok(Stepped::Waits) };
        if !writer.sink_mut().may_write()? {
            return Ok(Stepped::Waits);
        }
        let (mut at, mut progress) = (0, None);
        let wanted = self.table;
        chain.tables(&mut |table| {
            if at == wanted {
                progress = Some(table.snapshot_step(STEP_BYTES, writer));
            }
            at += 1;
        });
        match progress {
            Some(Ok(Progress::Done)) => self.table += 1,
            Some(Ok(Progress::More)) => {}
            Some(Err(error)) => return Err(error.to_string()),
            None => self.written(),
        }
        Ok(Stepped::Worked)
    }

    /// All tables are written: the rest is sent.
    fn written(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (mut upload, runs) = writer.finish();
        upload.finish();
        let run = |run: &reflow_state::Run| Run {
            table: run.table.0,
            segment: run.segment,
            full: run.kind == RunKind::Full,
            offset: run.offset,
            len: run.len as u32,
        };
        self.done = Some((upload, runs.iter().map(run).collect()));
    }

    /// The acknowledgement, and the buffers for the next snapshot.
    fn into_state(self, identity: &Identity) -> (SubtaskState, Buffers) {
        let (upload, runs) = self.done.expect("a snapshot that is settled has been written");
        let keyed = identity.groups.as_ref().map(|groups| KeyedState {
            groups: groups.clone(),
            object: upload.is_any().then_some(self.object),
            bytes: runs.iter().map(|run| u64::from(run.len)).sum(),
            runs,
        });
        (SubtaskState { keyed, operator: self.operator, watermark: self.watermark }, upload.end())
    }
}
