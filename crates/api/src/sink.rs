//! Sinks with two-phase commit.
//!
//! A [`Writer`] takes records. At each barrier it closes what it has written so far into a [`Transaction`]:
//! prepared, in storage or in another system, but not visible. The transaction becomes part of the checkpoint, and is
//! committed when that checkpoint is complete, by the same subtask or, after a restore, by any other. A commit may be
//! repeated.

use crate::{Io, UserError};
use bytes::Bytes;
use reflow_env::{Request, RequestError, StoreError, Ticket};
use reflow_types::{Instant, SubtaskId, SubtaskIndex, Timestamp};
use std::time::Duration;

/// A sink, which writes records to an external system.
pub trait Sink: Clone + Send + 'static {
    /// The type of its records.
    type Item;
    /// Writes on a slot's thread.
    type Writer: Writer<Item = Self::Item>;

    /// Whether output becomes visible by [`Writer::commit`]. Committed output cannot be withdrawn, so a job with
    /// such a sink continues from an older checkpoint than its last complete one only if the user allows it.
    fn commits(&self) -> bool {
        true
    }

    /// A writer for one subtask.
    fn writer(&self, context: &WriterContext) -> Result<Self::Writer, UserError>;
}

/// The context of a writer.
#[derive(Clone)]
pub struct WriterContext {
    /// The subtask's id, which is never used again and so can be part of the names of objects.
    pub subtask: SubtaskId,
    /// The subtask's index.
    pub index: SubtaskIndex,
    /// How many subtasks write to this sink.
    pub parallelism: u32,
    /// When the writer is created. It distinguishes names of objects from those of other jobs.
    pub opened: Instant,
    /// For requests to storage and to systems outside the cluster.
    pub io: Io,
}

/// Writes records. All calls come from one thread, none may block.
pub trait Writer: Send + 'static {
    /// The type of its records.
    type Item;

    /// Writes a record.
    fn write(&mut self, value: Self::Item, time: Timestamp) -> Result<(), UserError>;

    /// Whether it accepts more records now. If not, the slot asks again when a request was answered.
    fn has_room(&mut self) -> bool {
        true
    }

    /// Prepares everything written since the last call. Returns what must be carried out before the checkpoint can be
    /// complete and how to commit it; `None` if nothing was written.
    fn prepare(&mut self) -> Result<Option<Prepared>, UserError>;

    /// The request that makes a prepared transaction visible. It may be repeated after it was carried out, wholly or
    /// in part, because its answer can be lost.
    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError>;

    /// What an error of a commit means. By default, a moved object that does not exist was moved before, and any other
    /// error may pass.
    fn commit_failed(&self, error: &RequestError) -> CommitFailure {
        match error {
            RequestError::Store(StoreError::NotFound(_)) => CommitFailure::AlreadyCommitted,
            _ => CommitFailure::Transient,
        }
    }

    /// How long a commit is tried before the attempt fails. The next attempt tries as long again. It must be shorter
    /// than the time after which the system drops prepared transactions, so that the failure comes before the loss.
    fn commit_time_limit(&self) -> Duration {
        Duration::from_secs(15 * 60)
    }

    /// The information by which a later attempt can remove what this writer leaves behind if its attempt fails. It
    /// is part of each checkpoint. `None` if the writer leaves nothing behind.
    fn trace(&self) -> Option<Bytes> {
        None
    }

    /// Removes what writers of ended attempts of this job have left behind, by their traces in the restored
    /// checkpoint. What they had prepared by then is part of that checkpoint and stays. Called in one subtask,
    /// repeatedly until it returns true.
    fn clean_up(&mut self, _traces: &[Bytes]) -> bool {
        true
    }

    /// Prevents [`clean_up`](Self::clean_up) from removing what has been prepared so far, because a savepoint names
    /// it, which may be restored at any time.
    fn keep(&self) -> Option<Request> {
        None
    }

    /// Writes out data that need not wait for a checkpoint. Called when no input is available.
    fn flush(&mut self) -> Result<(), UserError> {
        Ok(())
    }
}

/// A transaction, and what must be carried out before its checkpoint can be complete.
#[derive(Debug)]
pub struct Prepared {
    /// The transaction, which commits the data.
    pub transaction: Transaction,
    /// Requests that the runtime submits. If one fails, only the checkpoint fails; the request is kept and
    /// submitted again at the next checkpoint. So it must be possible to repeat it. Meanwhile it takes memory;
    /// send large data while it is written.
    pub requests: Vec<Request>,
    /// Requests in progress that cannot be submitted again. If one fails, the job restarts from its last
    /// checkpoint.
    pub wait_for: Vec<Ticket>,
}

/// What an error of a commit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFailure {
    /// It is not known whether the commit was carried out, or it may succeed later: it is tried again.
    Transient,
    /// The commit had been carried out before, and its answer was lost.
    AlreadyCommitted,
    /// The system has lost or refused the transaction, so its records are missing: the attempt fails at once.
    Lost,
}

/// The data that a commit needs, encoded by the writer. Part of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction(pub Bytes);
