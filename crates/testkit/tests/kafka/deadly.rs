//! A sink that dies at a given point, once, with its whole process.

use bytes::Bytes;
use reflow::sink::{Barrier, CommitFailure, WriterContext, WriterOutput};
use reflow::{CheckpointId, Instant, Request, RequestError, Sink, Timestamp, Transaction, UserError, Writer};
use std::path::PathBuf;
use std::time::Duration;

/// Where a process can die.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Death {
    /// A transaction is prepared, and its checkpoint is not complete.
    Prepared,
    /// The checkpoint of a transaction is complete, and the commit was not sent.
    Completed,
    /// The transaction is committed, and no checkpoint knows it.
    Committed,
}

impl Death {
    /// The name of the file that orders it.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }
}

#[derive(Clone)]
pub(crate) struct Deadly<S> {
    pub(crate) sink: S,
    /// Where the files are that order deaths.
    pub(crate) deaths: Option<PathBuf>,
}

impl<S: Sink> Sink for Deadly<S> {
    type Item = S::Item;
    type Writer = DeadlyWriter<S::Writer>;

    fn commits(&self) -> bool {
        self.sink.commits()
    }

    fn writer(&self, context: &WriterContext) -> Result<DeadlyWriter<S::Writer>, UserError> {
        let (writer, deaths) = (self.sink.writer(context)?, self.deaths.clone());
        Ok(DeadlyWriter { writer, deaths, has_prepared: false })
    }
}

pub(crate) struct DeadlyWriter<W> {
    writer: W,
    deaths: Option<PathBuf>,
    /// Whether the last checkpoint has a transaction of this writer.
    has_prepared: bool,
}

impl<W> DeadlyWriter<W> {
    fn may_die(&self, death: Death) {
        if let Some(deaths) = &self.deaths
            && std::fs::remove_file(deaths.join(death.name())).is_ok()
        {
            std::process::abort();
        }
    }
}

impl<W: Writer> Writer for DeadlyWriter<W> {
    type Item = W::Item;

    fn write(&mut self, value: W::Item, time: Timestamp) -> Result<(), UserError> {
        self.writer.write(value, time)
    }

    fn has_room(&mut self) -> bool {
        self.writer.has_room()
    }

    fn snapshot(&mut self, barrier: Barrier) -> Result<WriterOutput, UserError> {
        let output = self.writer.snapshot(barrier)?;
        self.has_prepared = !output.transactions.is_empty();
        Ok(output)
    }

    fn is_prepared(&mut self, checkpoint: CheckpointId) -> bool {
        let is_prepared = self.writer.is_prepared(checkpoint);
        if is_prepared && self.has_prepared {
            self.may_die(Death::Prepared);
        }
        is_prepared
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        if self.has_prepared {
            self.may_die(Death::Completed);
        }
        self.writer.completed(checkpoint);
    }

    fn committed(&mut self, transaction: &Transaction) {
        self.may_die(Death::Committed);
        self.writer.committed(transaction);
    }

    fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.writer.tick(now)
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.writer.next_wakeup()
    }

    fn flush(&mut self) -> Result<(), UserError> {
        self.writer.flush()
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        self.writer.commit(transaction)
    }

    fn commit_failed(&self, error: &RequestError) -> CommitFailure {
        self.writer.commit_failed(error)
    }

    fn commit_time_limit(&self) -> Duration {
        self.writer.commit_time_limit()
    }

    fn trace(&self) -> Option<Bytes> {
        self.writer.trace()
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        self.writer.clean_up(traces)
    }
}
