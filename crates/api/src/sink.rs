//! Sinks with two-phase commit.
//!
//! A [`Writer`] takes records. At each barrier it closes what it has written so far into a [`Transaction`]:
//! prepared, in storage, but not visible. The transaction becomes part of the checkpoint, and is committed when
//! that checkpoint is complete: by the same subtask, or after a restore by any other, again and again without
//! harm.

use crate::{Io, UserError};
use bytes::Bytes;
use reflow_env::{StoreError, StoreOp, Ticket};
use reflow_types::{Instant, SubtaskId, SubtaskIndex, Timestamp};

/// Where records leave the job.
pub trait Sink: Clone + Send + 'static {
    /// What it takes.
    type Item;
    /// Writes on a slot's thread.
    type Writer: Writer<Item = Self::Item>;

    /// Whether output becomes visible by [`Writer::commit`]. What was committed cannot be taken back: a job with such a
    /// sink goes on from an older checkpoint than its last complete one only if its user allows it.
    fn commits(&self) -> bool {
        true
    }

    /// A writer for one subtask.
    fn writer(&self, context: &WriterContext) -> Result<Self::Writer, UserError>;
}

/// Where a writer runs.
#[derive(Clone)]
pub struct WriterContext {
    /// The subtask: a name that is never used again, for names of objects.
    pub subtask: SubtaskId,
    /// The subtask's index.
    pub index: SubtaskIndex,
    /// How many subtasks write to this sink.
    pub parallelism: u32,
    /// When the writer is made: keeps names of objects apart from those of other jobs.
    pub opened: Instant,
    /// The slot's storage.
    pub io: Io,
}

/// Writes records. All calls come from one thread, none may block.
pub trait Writer: Send + 'static {
    /// What it takes.
    type Item;

    /// Takes a record.
    fn write(&mut self, value: Self::Item, time: Timestamp) -> Result<(), UserError>;

    /// Whether it takes more records now. If not, the slot asks again when storage has answered.
    fn has_room(&mut self) -> bool {
        true
    }

    /// Everything written so far is to be prepared. Says what must be in storage before the checkpoint can be
    /// complete, and how it is committed; `None` if there is nothing.
    fn prepare(&mut self) -> Result<Option<Prepared>, UserError>;

    /// What makes a prepared transaction visible. Must be harmless when it was done before, wholly or in part.
    fn commit(&self, transaction: &Transaction) -> Result<StoreOp, UserError>;

    /// Whether a commit that was answered with this error was done before.
    fn was_committed(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::NotFound(_))
    }

    /// What a later attempt has to know of this writer to remove what it leaves behind, should its attempt fail now;
    /// part of each checkpoint. `None` if it leaves nothing.
    fn trace(&self) -> Option<Bytes> {
        None
    }

    /// Removes what writers of ended attempts of this job have left behind, by their traces in the checkpoint that
    /// the job was restored from. What they had prepared by then is in that checkpoint and stays. Called in one
    /// subtask, again and again until it says that it is done.
    fn clean_up(&mut self, _traces: &[Bytes]) -> bool {
        true
    }

    /// Keeps [`clean_up`](Self::clean_up) from removing what has been prepared so far: a savepoint names it, to which
    /// somebody may come back at any time.
    fn keep(&self) -> Option<StoreOp> {
        None
    }

    /// Passes on what need not wait for a checkpoint. Called when the input pauses.
    fn flush(&mut self) -> Result<(), UserError> {
        Ok(())
    }
}

/// A transaction, and what must be in storage before it counts.
#[derive(Debug)]
pub struct Prepared {
    /// How it is committed.
    pub transaction: Transaction,
    /// What the runtime is to store. If that fails, so does the checkpoint and nothing else: it is kept, and submitted
    /// again at the next one. So it must be harmless when it was carried out before. Meanwhile it takes memory: what
    /// is large is better uploaded while it is written.
    pub store: Vec<StoreOp>,
    /// Requests under way that nobody could submit again. If one fails, the job goes back to its last checkpoint.
    pub wait_for: Vec<Ticket>,
}

/// What a commit needs to know, encoded by the writer; part of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction(pub Bytes);
