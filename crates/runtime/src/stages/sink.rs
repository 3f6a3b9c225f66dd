//! The sink stage, which ends a chain: a sink's writer and its transactions.
//!
//! At a barrier the writer's open transaction is prepared; it is committed when the checkpoint is complete. If
//! something cannot be stored for it, the checkpoint fails and the data stays here, to be stored with the next
//! checkpoint, so nothing is lost. When too much has accumulated, no more records are taken. Only data that the
//! writer has already given to storage cannot be stored again; if that is lost, the job restarts from its last
//! checkpoint.
//!
//! Until a commit is confirmed, the transaction is part of every later checkpoint (split state), so that after a
//! failure the subtask that gets it commits it again.

use crate::failure::{OperatorName, with_sources};
use crate::stage::{Control, EndOfChain, OpenContext, SnapshotContext, Stage};
use bytes::Bytes;
use reflow_api::sink::{CommitFailure, WriterContext};
use reflow_api::{Io, Sink, Transaction, Writer};
use reflow_env::{Request, RequestError, Ticket};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::Redistribution;
use reflow_state::SnapshotKind;
use reflow_types::{
    Bounds, CheckpointId, Data, Instant, JobId, MAX_WATERMARK, SubtaskIndex, Timestamp, injected_fault,
};
use std::time::Duration;

const RETRY_AFTER: Duration = Duration::from_millis(500);
/// The longest pause between two tries, as a multiple of the first one.
const MAX_PAUSE: u32 = 10;
/// The shortest interval between log messages about commits that fail.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The name of the state with the transactions that are not committed.
pub(crate) const TRANSACTIONS: &str = "transactions";
/// The name of the state with the writers' traces.
pub(crate) const WRITERS: &str = "writers";

/// What a writer leaves in a checkpoint, so that a later attempt can remove what it has left behind.
#[derive(Data)]
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

/// A sink at the end of a chain.
pub struct SinkStage<S: Sink> {
    operator: OperatorName,
    sink: S,
    opened: Option<Opened<S::Writer>>,
    transactions: Vec<Pending>,
    /// Traces of the writers of ended attempts, until their leftovers are removed.
    former: Vec<Bytes>,
    written: u64,
    ended: bool,
    /// The error of something that could not be stored, until the checkpoint that waits for it is declined.
    store_error: Option<RequestError>,
    /// When failed requests are submitted again.
    store_again_at: Option<Instant>,
    /// When the last message about waiting commits was logged.
    last_logged: Option<Instant>,
    bounds: Bounds,
    end: EndOfChain,
}

struct Opened<W> {
    job: JobId,
    attempt: Attempt,
    writer: W,
    io: Io,
    now: Instant,
}

struct Pending {
    /// The checkpoint that it belongs to; `None` if that is complete.
    checkpoint: Option<CheckpointId>,
    transaction: Transaction,
    /// Requests that must succeed before that checkpoint can complete.
    unstored: Vec<Unstored>,
    commit: Commit,
}

/// A request, with its ticket while it is under way.
struct Unstored {
    /// `None` if it cannot be submitted again.
    request: Option<Request>,
    ticket: Option<Ticket>,
}

impl Unstored {
    fn submit(request: Request, io: &Io) -> Self {
        Self { ticket: Some(io.submit(request.clone())), request: Some(request) }
    }

    fn bytes(&self) -> usize {
        self.request.as_ref().map_or(0, Request::bytes)
    }
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
            written: 0,
            ended: false,
            store_error: None,
            store_again_at: None,
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
        let now = *now;
        let (mut again, mut lost) = (None, None);
        for request in self.transactions.iter_mut().flat_map(|pending| &mut pending.unstored) {
            let Some(answer) = request.ticket.and_then(|ticket| io.take_outcome(ticket)) else { continue };
            request.ticket = None;
            match answer {
                Ok(()) => request.request = None,
                Err(error) if request.request.is_some() => again = Some(error),
                Err(error) => lost = Some(error),
            }
        }
        if let Some(error) = lost {
            self.fail(format!(
                "cannot store the data that was written since the last checkpoint: {error}; a part of it cannot be \
                 submitted again, so the job must write it again from that checkpoint"
            ));
        }
        for pending in &mut self.transactions {
            pending.unstored.retain(|request| request.request.is_some() || request.ticket.is_some());
        }
        if let Some(error) = again {
            self.store_error = Some(error);
            self.store_again_at.get_or_insert(now + RETRY_AFTER);
        }
    }

    /// Submits failed requests again.
    fn store_again(&mut self) {
        self.store_again_at = None;
        let Some(Opened { io, .. }) = &self.opened else { return };
        for request in self.transactions.iter_mut().flat_map(|pending| &mut pending.unstored) {
            if request.ticket.is_none() {
                request.ticket = request.request.clone().map(|request| io.submit(request));
            }
        }
    }

    /// Takes the next step of every due commit. A commit that fails is tried again for as long as the writer allows.
    fn commit(&mut self) {
        let Some(Opened { writer, io, now, .. }) = &self.opened else { return };
        let mut failed = None;
        self.transactions.retain_mut(|pending| match pending.commit {
            Commit::NotDue => true,
            Commit::Due { at, .. } if at > *now => true,
            Commit::Due { tries, .. } => {
                match writer.commit(&pending.transaction) {
                    Ok(request) => pending.commit = Commit::UnderWay { tries, ticket: io.submit(request) },
                    Err(error) => failed = Some(Failed::ForGood(with_sources(&*error))),
                }
                true
            }
            Commit::UnderWay { mut tries, ticket } => {
                let error = match io.take_outcome(ticket) {
                    None => return true,
                    Some(Ok(())) => return false,
                    Some(Err(error)) => error,
                };
                let failure = writer.commit_failed(&error);
                if failure == CommitFailure::AlreadyCommitted {
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
                checkpoint: None,
                transaction: Transaction(transaction),
                unstored: Vec::new(),
                commit: Commit::due(context.now),
            });
        }
        // One subtask cleans up for all. Leftovers of another job, whose checkpoint this job has restored, are
        // not removed, because that job may still run.
        let writers = context.take_list::<WriterTrace>(&self.operator.uid, WRITERS);
        if context.place.index == SubtaskIndex(0) {
            let now = WriterTrace::of(context.job, context.attempt, Bytes::new());
            let ended = |of: WriterTrace| {
                (of.job == now.job && (of.epoch, of.number) != (now.epoch, now.number)).then_some(of.trace)
            };
            self.former = writers.into_iter().filter_map(ended).collect();
        }
        self.commit();
    }

    fn watermark(&mut self, time: Timestamp) {
        self.ended |= time == MAX_WATERMARK;
    }

    fn tick(&mut self, now: Instant) {
        if let Some(opened) = &mut self.opened {
            opened.now = now;
        }
        if !self.transactions.is_empty() {
            // Not only at the next barrier: a sink with too much unstored data takes no records, so the barrier
            // behind them would never arrive.
            self.collect_stored();
            if self.store_again_at.is_some_and(|at| at <= now) {
                self.store_again();
            }
            self.commit();
        }
        if !self.former.is_empty() {
            let former = std::mem::take(&mut self.former);
            if !self.writer().clean_up(&former) {
                self.former = former;
            }
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let due =
            |pending: &Pending| if let Commit::Due { at, .. } = pending.commit { Some(at) } else { None };
        self.transactions.iter().filter_map(due).chain(self.store_again_at).min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        self.collect_stored();
        self.store_again();
        // The error belongs to earlier checkpoints.
        self.store_error = None;
        match self.writer().prepare() {
            Ok(Some(prepared)) => {
                let opened = self.opened.as_ref().expect("a chain is opened before its first barrier");
                let (io, now) = (&opened.io, opened.now);
                let given = prepared.wait_for.into_iter();
                let given = given.map(|ticket| Unstored { request: None, ticket: Some(ticket) });
                let unstored = prepared.requests.into_iter().map(|request| Unstored::submit(request, io));
                let commit = if injected_fault::is_active("commit_before_complete") {
                    Commit::due(now)
                } else {
                    Commit::NotDue
                };
                self.transactions.push(Pending {
                    checkpoint: Some(context.checkpoint),
                    transaction: prepared.transaction,
                    unstored: unstored.chain(given).collect(),
                    commit,
                });
            }
            Ok(None) => {}
            Err(error) => self.fail(with_sources(&*error)),
        }
        let transactions = self.transactions.iter().map(|pending| pending.transaction.0.clone());
        context.put_list(&self.operator.uid, TRANSACTIONS, Redistribution::Split, transactions);
        let Some(Opened { job, attempt, writer, io, .. }) = &self.opened else { return };
        match context.kind {
            SnapshotKind::Checkpoint | SnapshotKind::Full | SnapshotKind::Cut => {
                let trace = writer.trace().map(|trace| WriterTrace::of(*job, *attempt, trace));
                context.put_list(&self.operator.uid, WRITERS, Redistribution::Union, trace);
            }
            SnapshotKind::Savepoint => {
                // A savepoint without transactions refers to no data that a clean-up could remove.
                if let Some(last) = self.transactions.last_mut()
                    && let Some(request) = writer.keep()
                {
                    last.unstored.push(Unstored::submit(request, io));
                }
            }
        }
    }

    fn prepared(&mut self) -> Result<bool, String> {
        self.collect_stored();
        if let Some(error) = self.store_error.take() {
            return Err(format!("cannot store the output of '{}': {error}", self.operator.uid));
        }
        Ok(self.transactions.iter().all(|pending| pending.unstored.is_empty()))
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        let now = self.opened.as_ref().map_or(Instant::default(), |opened| opened.now);
        for pending in &mut self.transactions {
            if pending.checkpoint.is_some_and(|of| of <= checkpoint)
                && matches!(pending.commit, Commit::NotDue)
            {
                pending.checkpoint = None;
                pending.commit = Commit::due(now);
            }
        }
        self.commit();
    }

    /// The transaction stays prepared. The next checkpoint that completes commits it.
    fn aborted(&mut self, _: CheckpointId) {}

    fn is_settled(&self) -> bool {
        self.transactions.is_empty()
    }

    fn has_room(&mut self) -> bool {
        let unstored = self.transactions.iter().flat_map(|pending| &pending.unstored);
        unstored.map(Unstored::bytes).sum::<usize>() <= self.bounds.unstored_bytes && self.writer().has_room()
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
