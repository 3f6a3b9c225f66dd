//! The end of a chain whose records leave the job: a sink's writer with its transactions.
//!
//! At a barrier the writer's open transaction is prepared; it commits when the checkpoint is complete. Until a
//! commit is confirmed, the transaction stays in every later checkpoint (split state), so that after a failure
//! whoever gets it commits it again.

use crate::stage::{Control, OpenContext, SnapshotContext, Stage};
use bytes::Bytes;
use reflow_api::{Io, Sink, Transaction, Writer, sink::WriterContext};
use reflow_env::Ticket;
use reflow_protocol::control::{Fault, SubtaskMetrics};
use reflow_protocol::snapshot::Redistribution;
use reflow_state::SnapshotTable;
use reflow_types::{CheckpointId, Instant, MAX_WATERMARK, Timestamp};
use std::time::Duration;

const RETRY_AFTER: Duration = Duration::from_millis(500);
const MAX_TRIES: u32 = 20;

/// A sink at the end of a chain.
pub struct SinkStage<S: Sink> {
    operator: String,
    sink: S,
    opened: Option<Opened<S::Writer>>,
    transactions: Vec<Pending>,
    written: u64,
    ended: bool,
}

struct Opened<W> {
    writer: W,
    io: Io,
    now: Instant,
}

struct Pending {
    /// The checkpoint that it belongs to; `None` if that is complete already.
    checkpoint: Option<CheckpointId>,
    transaction: Transaction,
    commit: Commit,
}

enum Commit {
    NotDue,
    Due { tries: u32, at: Instant },
    UnderWay { tries: u32, ticket: Ticket },
}

impl<S: Sink> SinkStage<S> {
    /// Writes to `sink`.
    pub fn new(operator: String, sink: S) -> Self {
        Self { operator, sink, opened: None, transactions: Vec::new(), written: 0, ended: false }
    }

    fn writer(&mut self) -> &mut S::Writer {
        &mut self.opened.as_mut().expect("a chain is opened before it gets records").writer
    }

    fn fail(&self, error: impl std::fmt::Display) -> ! {
        crate::fail(Fault::External, &self.operator, error)
    }

    /// Takes the next step of every commit that is due.
    fn commit(&mut self) {
        let Some(Opened { writer, io, now }) = &self.opened else { return };
        let mut failed = None;
        self.transactions.retain_mut(|pending| match pending.commit {
            Commit::NotDue => true,
            Commit::Due { at, .. } if at > *now => true,
            Commit::Due { tries, .. } => {
                match writer.commit(&pending.transaction) {
                    Ok(op) => pending.commit = Commit::UnderWay { tries, ticket: io.submit(op) },
                    Err(error) => failed = Some(error.to_string()),
                }
                true
            }
            Commit::UnderWay { tries, ticket } => match io.take(ticket) {
                None => true,
                Some(Ok(_)) => false,
                Some(Err(error)) if writer.was_committed(&error) => false,
                Some(Err(error)) if tries >= MAX_TRIES => {
                    failed = Some(format!("cannot commit after {MAX_TRIES} tries: {error}"));
                    true
                }
                Some(Err(_)) => {
                    pending.commit = Commit::Due { tries: tries + 1, at: *now + RETRY_AFTER };
                    true
                }
            },
        });
        if let Some(error) = failed {
            self.fail(error);
        }
    }
}

impl<S: Sink> Stage<S::Item> for SinkStage<S> {
    #[inline]
    fn push(&mut self, value: S::Item, time: Timestamp) {
        self.written += 1;
        if let Err(error) = self.writer().write(value, time) {
            self.fail(error);
        }
    }
}

impl<S: Sink> Control for SinkStage<S> {
    fn open(&mut self, context: &mut OpenContext<'_>) {
        let writer_context = WriterContext {
            subtask: context.subtask,
            index: context.index,
            parallelism: context.parallelism,
            opened: context.now,
            io: context.io.clone(),
        };
        match self.sink.writer(&writer_context) {
            Ok(writer) => {
                self.opened = Some(Opened { writer, io: context.io.clone(), now: context.now });
            }
            Err(error) => self.fail(error),
        }
        for transaction in context.take_list::<Bytes>(&self.operator, "transactions") {
            self.transactions.push(Pending {
                checkpoint: None,
                transaction: Transaction(transaction),
                commit: Commit::Due { tries: 0, at: context.now },
            });
        }
        self.commit();
    }

    fn split_added(&mut self, _: u64) {}
    fn split(&mut self, _: u64) {}
    fn split_ended(&mut self, _: u64) {}

    fn watermark(&mut self, time: Timestamp) {
        self.ended |= time == MAX_WATERMARK;
    }

    fn idle(&mut self, _: bool) {}

    fn tick(&mut self, now: Instant) {
        if let Some(opened) = &mut self.opened {
            opened.now = now;
        }
        if !self.transactions.is_empty() {
            self.commit();
        }
    }

    fn resume(&mut self) -> bool {
        false
    }

    #[inline]
    fn has_rest(&self) -> bool {
        false
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let due =
            |pending: &Pending| if let Commit::Due { at, .. } = pending.commit { Some(at) } else { None };
        self.transactions.iter().filter_map(due).min()
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) {
        match self.writer().prepare() {
            Ok(Some(prepared)) => {
                context.wait_for(prepared.wait_for);
                let commit = if cfg!(reflow_canary = "commit_before_complete") {
                    Commit::Due { tries: 0, at: Instant::default() }
                } else {
                    Commit::NotDue
                };
                let checkpoint = Some(context.checkpoint);
                self.transactions.push(Pending { checkpoint, transaction: prepared.transaction, commit });
            }
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
        let transactions = self.transactions.iter().map(|pending| &pending.transaction.0);
        context.put_list(&self.operator, "transactions", Redistribution::Split, transactions);
    }

    fn barrier(&mut self, _: CheckpointId) {}

    fn completed(&mut self, checkpoint: CheckpointId) {
        let now = self.opened.as_ref().map_or(Instant::default(), |opened| opened.now);
        for pending in &mut self.transactions {
            if pending.checkpoint.is_some_and(|of| of <= checkpoint)
                && matches!(pending.commit, Commit::NotDue)
            {
                pending.checkpoint = None;
                pending.commit = Commit::Due { tries: 0, at: now };
            }
        }
        self.commit();
    }

    /// The transaction stays prepared: the next checkpoint that completes commits it.
    fn aborted(&mut self, _: CheckpointId) {}

    fn end(&mut self) {}

    fn is_settled(&self) -> bool {
        self.transactions.is_empty()
    }

    fn has_room(&mut self) -> bool {
        self.writer().has_room()
    }

    fn room(&self) -> u64 {
        u64::MAX
    }

    fn flush(&mut self) {
        if let Err(error) = self.writer().flush() {
            self.fail(error);
        }
    }

    fn tables(&mut self, _: &mut dyn FnMut(&mut dyn SnapshotTable)) {}
    fn loaded(&mut self) {}
    fn count(&self, _: &mut SubtaskMetrics) {}
}
