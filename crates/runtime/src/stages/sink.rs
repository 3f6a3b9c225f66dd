//! The sink stage, which ends a chain: a sink's writer and its transactions.
//!
//! At a barrier the writer's open transaction is prepared; it is committed when the checkpoint is complete. If
//! something cannot be stored for it, the checkpoint fails and the data stays here, to be stored with the next
//! checkpoint, so nothing is lost. When too much has accumulated, no more records are taken. Only data that the
//! writer has already given to storage cannot be stored again; if that is lost, the job restarts from its last
//! checkpoint.
//!
//! Until a commit is confirmed, the transaction is part of every later checkpoint (split state), so that after a
//! failure the subtask that gets it commits it again. Output that a writer leaves open at a checkpoint is split state,
//! too.

mod unstored;

use crate::failure::{OperatorName, with_sources};
use crate::stage::{Control, EndOfChain, Fate, OpenContext, SnapshotContext, Stage};
use bytes::Bytes;
use reflow_api::sink::{Barrier, CommitFailure, FollowedBy, OpenOutput, Owner, WriterContext, WriterOutput};
use reflow_api::{Io, Sink, Transaction, Writer};
use reflow_env::{RequestError, Ticket};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::Redistribution;
use reflow_state::SnapshotKind;
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, JobId, MAX_WATERMARK, SubtaskIndex, Timestamp, injected_fault,
};
use std::time::Duration;
use unstored::{Loss, Unstored};

const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The longest pause between two tries, as a multiple of the first one.
const MAX_PAUSE: u32 = 10;
/// The shortest interval between log messages about commits that fail.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The name of the state with the transactions that are not committed.
pub(crate) const TRANSACTIONS: &str = "transactions";
/// The name of the state with the writers' traces.
pub(crate) const WRITERS: &str = "writers";
/// The name of the state with the output that is open.
pub(crate) const OPEN: &str = "open output";
/// Requests that are not carried out. Beyond that the sink accepts no more records.
const MAX_UNSTORED: usize = 1_000;
/// Commits under way. Others wait, because each answer is looked for before each step.
const MAX_COMMITS: usize = 256;

/// What a writer leaves in a checkpoint, so that a later attempt can remove what it has left behind.
#[derive(Clone, Data)]
pub(crate) struct WriterTrace {
    job: u128,
    epoch: u64,
    number: u32,
    trace: Bytes,
}

impl WriterTrace {
    fn of(job: JobId, attempt: Attempt, trace: Bytes) -> Self {
        Self { job: job.0, epoch: attempt.epoch.0, number: attempt.number.0, trace }
    }
}

/// Output that a writer leaves open at a checkpoint.
#[derive(Data)]
pub(crate) struct OpenState {
    job: u128,
    state: Bytes,
}

/// A sink at the end of a chain.
pub struct SinkStage<S: Sink> {
    operator: OperatorName,
    sink: S,
    opened: Option<Opened<S::Writer>>,
    transactions: Vec<Pending>,
    /// Traces of the writers of ended attempts, until their leftovers are removed. In one subtask only, and part of its
    /// checkpoints.
    former: Vec<WriterTrace>,
    clean_up: CleanUp,
    /// The checkpoint whose barrier came last.
    barrier: CheckpointId,
    written: u64,
    ended: bool,
    /// What must be stored before checkpoints can be complete.
    unstored: Unstored,
    /// When the last message about waiting commits was logged.
    last_logged: Option<Instant>,
    bounds: Bounds,
    end: EndOfChain,
}

/// When the leftovers of former attempts are removed: when a checkpoint of this one is complete. Before, the job may still
/// return to a newer checkpoint than the restored one, if that was damaged and is repaired, and what it names would be
/// taken for a leftover.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CleanUp {
    /// It is done, or another subtask's.
    Done,
    NotDue,
    /// With this checkpoint, or a later one.
    With(CheckpointId),
    Due,
}

struct Opened<W> {
    job: JobId,
    attempt: Attempt,
    writer: W,
    io: Io,
    now: Instant,
}

struct Pending {
    of: Of,
    transaction: Transaction,
    commit: Commit,
}

/// The checkpoint that a transaction belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The one whose barrier comes next.
    NextCheckpoint,
    /// This one.
    Checkpoint(CheckpointId),
    /// One that is complete.
    Complete,
}

enum Commit {
    NotDue,
    Due { tries: Tries, at: Instant },
    UnderWay { tries: Tries, ticket: Ticket },
}

/// The tries of a commit.
#[derive(Clone, Copy)]
struct Tries {
    since: Instant,
    failed: u32,
}

impl Commit {
    fn due(now: Instant) -> Self {
        Self::Due { tries: Tries { since: now, failed: 0 }, at: now }
    }
}

/// A commit that has failed and is tried again, or fails the attempt.
enum Failed {
    Again(RequestError),
    /// With the error's text.
    ForGood(String),
}

impl<S: Sink> SinkStage<S> {
    /// A stage that writes to `sink`.
    pub fn new(operator: OperatorName, sink: S) -> Self {
        Self {
            operator,
            sink,
            opened: None,
            transactions: Vec::new(),
            former: Vec::new(),
            clean_up: CleanUp::Done,
            barrier: CheckpointId::default(),
            written: 0,
            ended: false,
            unstored: Unstored::default(),
            last_logged: None,
            bounds: Bounds::default(),
            end: EndOfChain,
        }
    }

    fn writer(&mut self) -> &mut S::Writer {
        &mut self.opened.as_mut().expect("a chain is opened before it gets records").writer
    }

    fn fail(&self, error: impl std::fmt::Display) -> ! {
        crate::fail(Fault::External, &self.operator.to_string(), error)
    }

    /// Takes the answers to requests. Failed requests become due again after a pause.
    fn collect_stored(&mut self) {
        let Some(Opened { io, now, .. }) = &self.opened else { return };
        match self.unstored.collect(io, *now, RETRY_AFTER) {
            Ok(()) => {}
            Err(Loss::NotRepeatable(error)) => self.fail(format!(
                "cannot store the data that was written since the last checkpoint: {error}; a part of it cannot be \
                 submitted again, so the job must write it again from that checkpoint"
            )),
            Err(Loss::Removed(error)) => self.fail(format!(
                "data that was written before the last checkpoint has been removed from storage or cut off: {error}; \
                 put it back, or start the job from a savepoint"
            )),
        }
    }

    /// Takes what the writer has finished before a barrier.
    fn take_output(&mut self) {
        let output = self.writer().take_output();
        self.add_output(output);
    }

    /// Adds what belongs to the next checkpoint. Returns the state of what is open.
    fn add_output(&mut self, mut output: WriterOutput) -> Vec<Bytes> {
        let Some(Opened { io, .. }) = &self.opened else { return Vec::new() };
        self.unstored.add(&mut output, io);
        let pending = |transaction| Pending { of: Of::NextCheckpoint, transaction, commit: Commit::NotDue };
        self.transactions.extend(output.transactions.into_iter().map(pending));
        output.open
    }

    /// Takes the next step of every due commit. A commit that fails is tried again for as long as the writer allows.
    fn commit(&mut self) {
        let mut under_way = self.commits_under_way();
        let Some(Opened { writer, io, now, .. }) = &mut self.opened else { return };
        let mut failed = None;
        self.transactions.retain_mut(|pending| match pending.commit {
            Commit::NotDue => true,
            Commit::Due { at, .. } if at > *now || under_way >= MAX_COMMITS => true,
            Commit::Due { tries, .. } => {
                match writer.commit(&pending.transaction) {
                    Ok(request) => {
                        under_way += 1;
                        pending.commit = Commit::UnderWay { tries, ticket: io.submit(request) };
                    }
                    Err(error) => failed = Some(Failed::ForGood(with_sources(&*error))),
                }
                true
            }
            Commit::UnderWay { mut tries, ticket } => {
                let error = match io.take_outcome(ticket) {
                    None => return true,
                    Some(Ok(())) => {
                        writer.committed(&pending.transaction);
                        return false;
                    }
                    Some(Err(error)) => error,
                };
                let failure = writer.commit_failed(&error);
                if failure == CommitFailure::AlreadyCommitted {
                    writer.committed(&pending.transaction);
                    return false;
                }
                let tried = now.since(tries.since);
                if failure == CommitFailure::Lost || tried >= writer.commit_time_limit() {
                    let transaction = describe(&pending.transaction);
                    let text = format!("cannot commit {transaction}, tried for {tried:?}: {error}");
                    failed = Some(Failed::ForGood(text));
                } else if tries.failed > 0 && failed.is_none() {
                    failed = Some(Failed::Again(error));
                }
                tries.failed = tries.failed.saturating_add(1);
                let pause = RETRY_AFTER * tries.failed.min(MAX_PAUSE);
                pending.commit = Commit::Due { tries, at: *now + pause };
                true
            }
        });
        match failed {
            None => {}
            Some(Failed::ForGood(text)) => self.fail(text),
            Some(Failed::Again(error)) => self.log_waiting(&error),
        }
    }

    fn commits_under_way(&self) -> usize {
        let is_under_way = |pending: &&Pending| matches!(pending.commit, Commit::UnderWay { .. });
        self.transactions.iter().filter(is_under_way).count()
    }

    /// Logs now and then that commits fail.
    fn log_waiting(&mut self, error: &RequestError) {
        let now = self.opened.as_ref().map_or(Instant::default(), |opened| opened.now);
        if self.last_logged.is_none_or(|last| now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(now);
            let (sink, waiting) = (&self.operator.uid, self.transactions.len());
            tracing::warn!(
                waiting,
                "cannot commit transactions of '{sink}', whose output stays invisible until then; trying again: {error}"
            );
        }
    }
}

/// A transaction in an error message: its bytes as text, as far as they are text.
fn describe(transaction: &Transaction) -> String {
    const MOST: usize = 200;
    let bytes = &transaction.0[..transaction.0.len().min(MOST)];
    let rest = if transaction.0.len() > MOST { "…" } else { "" };
    format!("transaction \"{}{rest}\"", bytes.escape_ascii())
}

impl<S: Sink> Stage<S::Item> for SinkStage<S> {
    #[inline]
    fn push(&mut self, value: S::Item, time: Timestamp) {
        self.written += 1;
        if let Err(error) = self.writer().write(value, time) {
            self.fail(with_sources(&*error));
        }
    }
}

impl<S: Sink> Control for SinkStage<S> {
    type Next = EndOfChain;

    fn next_stage(&self) -> &EndOfChain {
        &self.end
    }

    fn next_stage_mut(&mut self) -> &mut EndOfChain {
        &mut self.end
    }

    fn open(&mut self, context: &mut OpenContext<'_>) {
        self.bounds = context.bounds;
        let writer_context = WriterContext {
            job: context.job,
            uid: self.operator.uid.clone(),
            attempt: context.attempt,
            subtask: context.subtask,
            index: context.place.index,
            parallelism: context.place.parallelism,
            opened: context.now,
            io: context.io.clone(),
        };
        match self.sink.writer(&writer_context) {
            Ok(writer) => {
                let (job, attempt) = (context.job, context.attempt);
                self.opened = Some(Opened { job, attempt, writer, io: context.io.clone(), now: context.now });
            }
            Err(error) => self.fail(with_sources(&*error)),
        }
        for transaction in context.take_list::<Bytes>(&self.operator.uid, TRANSACTIONS) {
            self.transactions.push(Pending {
                of: Of::Complete,
                transaction: Transaction(transaction),
                commit: Commit::due(context.now),
            });
        }
        let open =
            context.take_list::<OpenState>(&self.operator.uid, OPEN).into_iter().map(|open| OpenOutput {
                owner: if open.job == context.job.0 { Owner::ThisJob } else { Owner::AnotherJob },
                state: open.state,
            });
        let open = open.collect();
        if let Err(error) = self.writer().restore(open) {
            self.fail(with_sources(&*error));
        }
        // One subtask cleans up for all. Leftovers of another job, whose checkpoint this job has restored, are
        // not removed, because that job may still run.
        let writers = context.take_list::<WriterTrace>(&self.operator.uid, WRITERS);
        if context.place.index == SubtaskIndex(0) {
            let now = WriterTrace::of(context.job, context.attempt, Bytes::new());
            let has_ended =
                |of: &WriterTrace| of.job == now.job && (of.epoch, of.number) != (now.epoch, now.number);
            self.former = writers.into_iter().filter(has_ended).collect();
            self.clean_up = CleanUp::NotDue;
        }
        self.commit();
    }

    fn watermark(&mut self, time: Timestamp) {
        self.ended |= time == MAX_WATERMARK;
    }

    fn tick(&mut self, now: Instant) {
        let Some(opened) = &mut self.opened else { return };
        opened.now = now;
        if let Err(error) = opened.writer.tick(now) {
            self.fail(with_sources(&*error));
        }
        self.take_output();
        if !self.unstored.is_empty() {
            // Not only at the next barrier: a sink with too much unstored data takes no records, so the barrier
            // behind them would never arrive.
            self.collect_stored();
            if let Some(Opened { io, .. }) = &self.opened {
                self.unstored.submit_due(io, now);
            }
        }
        if !self.transactions.is_empty() {
            self.commit();
        }
        if self.clean_up == CleanUp::Due {
            let traces: Vec<_> = self.former.iter().map(|former| former.trace.clone()).collect();
            if self.writer().clean_up(&traces) {
                self.former.clear();
                self.clean_up = CleanUp::Done;
            }
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let due =
            |pending: &Pending| if let Commit::Due { at, .. } = pending.commit { Some(at) } else { None };
        // Commits that wait for others are woken by the answers to those.
        let may_commit = self.transactions.len() <= MAX_COMMITS || self.commits_under_way() < MAX_COMMITS;
        let commit = self.transactions.iter().filter_map(due).filter(|_| may_commit).min();
        let writer = self.opened.as_ref().and_then(|opened| opened.writer.next_wakeup());
        [commit, writer, self.unstored.again_at()].into_iter().flatten().min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.collect_stored();
        if let Some(Opened { io, .. }) = &self.opened {
            self.unstored.submit_failed(io);
        }
        // The error belongs to earlier checkpoints.
        self.unstored.take_error();
        self.take_output();
        let followed_by = match context.kind {
            // Also behind the end of the input: the job does not return to a savepoint, so it is not the last checkpoint.
            SnapshotKind::Savepoint => FollowedBy::OtherJobs,
            _ if self.ended => FollowedBy::Nothing,
            _ if context.fate == Fate::IsRemoved => FollowedBy::OtherSubtasks,
            SnapshotKind::Checkpoint | SnapshotKind::Full | SnapshotKind::Cut => FollowedBy::Records,
        };
        self.barrier = context.checkpoint;
        if self.clean_up == CleanUp::NotDue && context.kind != SnapshotKind::Savepoint {
            self.clean_up = CleanUp::With(context.checkpoint);
        }
        let barrier = Barrier { checkpoint: context.checkpoint, followed_by };
        let open = match self.writer().snapshot(barrier) {
            Ok(output) => self.add_output(output),
            Err(error) => self.fail(with_sources(&*error)),
        };
        assert!(
            open.is_empty() || barrier.may_leave_open(),
            "the writer of sink '{}' has left output open at {barrier:?}",
            self.operator.uid
        );
        self.unstored.at_barrier(context.checkpoint);
        let now = self.opened.as_ref().map_or(Instant::default(), |opened| opened.now);
        for pending in self.transactions.iter_mut().filter(|pending| pending.of == Of::NextCheckpoint) {
            pending.of = Of::Checkpoint(context.checkpoint);
            if injected_fault::is_active("commit_before_complete") {
                pending.commit = Commit::due(now);
            }
        }
        let transactions = self.transactions.iter().map(|pending| pending.transaction.0.clone());
        context.put_list(&self.operator.uid, TRANSACTIONS, Redistribution::Split, transactions);
        let Some(Opened { job, attempt, writer, io, .. }) = &self.opened else { return };
        let open = open.into_iter().map(|state| OpenState { job: job.0, state });
        context.put_list(&self.operator.uid, OPEN, Redistribution::Split, open);
        match context.kind {
            SnapshotKind::Checkpoint | SnapshotKind::Full | SnapshotKind::Cut => {
                let own = writer.trace().map(|trace| WriterTrace::of(*job, *attempt, trace));
                let traces = self.former.iter().cloned().chain(own);
                context.put_list(&self.operator.uid, WRITERS, Redistribution::Union, traces);
            }
            SnapshotKind::Savepoint => {
                // A savepoint without transactions refers to no data that a clean-up could remove.
                if !self.transactions.is_empty() {
                    let requests = writer.keep().into_iter().collect();
                    self.unstored.add(&mut WriterOutput { requests, ..WriterOutput::default() }, io);
                    self.unstored.at_barrier(context.checkpoint);
                }
            }
        }
    }

    fn prepared(&mut self) -> Result<bool, String> {
        self.collect_stored();
        if let Some(error) = self.unstored.take_error() {
            return Err(format!("cannot store the output of '{}': {error}", self.operator.uid));
        }
        let barrier = self.barrier;
        Ok(self.unstored.is_stored() && self.writer().is_prepared(barrier))
    }

    /// Output that is stored in files has no order among writers, so it does not delay a key that moves.
    fn deliver(&mut self, now: Instant) -> bool {
        self.tick(now);
        let barrier = self.barrier;
        self.writer().is_prepared(barrier)
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        let now = self.opened.as_ref().map_or(Instant::default(), |opened| opened.now);
        for pending in &mut self.transactions {
            if matches!(pending.of, Of::Checkpoint(of) if of <= checkpoint)
                && matches!(pending.commit, Commit::NotDue)
            {
                pending.of = Of::Complete;
                pending.commit = Commit::due(now);
            }
        }
        if matches!(self.clean_up, CleanUp::With(first) if first <= checkpoint) {
            self.clean_up = CleanUp::Due;
        }
        self.writer().completed(checkpoint);
        self.commit();
    }

    /// The transaction stays prepared. The next checkpoint that completes commits it.
    fn aborted(&mut self, _: CheckpointId) {}

    fn is_settled(&self) -> bool {
        self.transactions.is_empty() && self.clean_up != CleanUp::Due
    }

    fn has_room(&mut self) -> bool {
        self.unstored.bytes() <= self.bounds.unstored_bytes
            && self.unstored.len() <= MAX_UNSTORED
            && self.writer().has_room()
    }

    fn flush(&mut self) {
        if let Err(error) = self.writer().flush() {
            self.fail(with_sources(&*error));
        }
    }

    fn count(&self, metrics: &mut SubtaskMetrics) {
        metrics.records_out += self.written;
    }
}
