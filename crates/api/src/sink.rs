//! Sinks with two-phase commit.
//!
//! A [`Writer`] takes records. At each barrier it closes what it has written so far into a [`Transaction`]:
//! prepared, in storage or in another system, but not visible. The transaction becomes part of the checkpoint, and is
//! committed when that checkpoint is complete, by the same subtask or, after a restore, by any other. A commit may be
//! repeated.
//!
//! A writer whose transactions may be open over several checkpoints, as parts of files are, implements
//! [`Writer::snapshot`] instead of [`Writer::prepare`].

use crate::{Io, UserError};
use bytes::Bytes;
use reflow_env::{Request, RequestError, StoreError, Ticket};
use reflow_types::{Attempt, CheckpointId, Instant, JobId, SubtaskId, SubtaskIndex, Timestamp};
use std::time::Duration;

/// A sink, which writes records to an external system.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::sink::WriterContext;
/// use reflow::{Sink, Transaction, UserError, Writer};
/// # use reflow_env::Request;
/// # type Timestamp = i64;
/// use std::fs::{File, OpenOptions};
/// use std::io::Write;
///
/// /// Appends lines to a file of each subtask. It prepares nothing, so lines may be written again after a failure.
/// #[derive(Clone)]
/// struct Log {
///     path: String,
/// }
///
/// impl Sink for Log {
///     type Item = String;
///     type Writer = LogWriter;
///
///     fn commits(&self) -> bool {
///         false
///     }
///
///     fn writer(&self, context: &WriterContext) -> Result<LogWriter, UserError> {
///         let path = format!("{}-{}", self.path, context.index.0);
///         Ok(LogWriter { file: OpenOptions::new().create(true).append(true).open(path)? })
///     }
/// }
///
/// struct LogWriter {
///     file: File,
/// }
///
/// impl Writer for LogWriter {
///     type Item = String;
///
///     fn write(&mut self, line: String, _: Timestamp) -> Result<(), UserError> {
///         Ok(writeln!(self.file, "{line}")?)
///     }
///
///     fn commit(&self, _: &Transaction) -> Result<Request, UserError> {
///         Err("nothing was prepared".into())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a sink",
    label = "expected a sink",
    note = "sinks are `Print::stdout()`, `FileSink::new(directory, format)` and your own types that implement `reflow::Sink`"
)]
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
    /// The job.
    pub job: JobId,
    /// The sink's uid, which is the same in every attempt.
    pub uid: String,
    /// The attempt in which the writer writes. Those of earlier attempts are less, so names with the job, the uid and the attempt
    /// tell what they have left behind from what is being written.
    pub attempt: Attempt,
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
///
/// A commit must be possible in the next process, so what it needs is in the transaction. This sink writes an object at
/// each checkpoint, hidden, and moves it to its place when the checkpoint is complete:
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; pub use reflow_types::*; }
/// use bytes::Bytes;
/// use reflow::sink::{CommitFailure, Prepared, WriterContext};
/// use reflow::store::{Location, PutMode, StoreError, StoreOp};
/// use reflow::{Request, RequestError, Sink, Timestamp, Transaction, UserError, Writer};
///
/// /// Writes words to objects below `directory`.
/// #[derive(Clone)]
/// struct Words {
///     directory: Location,
/// }
///
/// impl Sink for Words {
///     type Item = String;
///     type Writer = WordWriter;
///
///     fn writer(&self, context: &WriterContext) -> Result<WordWriter, UserError> {
///         // No other subtask of this or another job has the same name.
///         let name = format!("{}-{}", context.opened.0, context.subtask.0);
///         Ok(WordWriter { directory: self.directory.clone(), name, objects: 0, words: String::new() })
///     }
/// }
///
/// struct WordWriter {
///     directory: Location,
///     name: String,
///     objects: u32,
///     words: String,
/// }
///
/// impl Writer for WordWriter {
///     type Item = String;
///
///     fn write(&mut self, word: String, _: Timestamp) -> Result<(), UserError> {
///         self.words.push_str(&word);
///         self.words.push('\n');
///         Ok(())
///     }
///
///     fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
///         if self.words.is_empty() {
///             return Ok(None);
///         }
///         self.objects += 1;
///         let name = format!("{}-{}", self.name, self.objects);
///         let put = StoreOp::Put {
///             at: self.directory.join(".pending").join(&name),
///             body: Bytes::from(std::mem::take(&mut self.words)),
///             mode: PutMode::Overwrite, // it may be repeated
///         };
///         Ok(Some(Prepared {
///             transaction: Transaction(Bytes::from(name)),
///             requests: vec![put.into()],
///             wait_for: Vec::new(),
///         }))
///     }
///
///     fn commit(&self, Transaction(name): &Transaction) -> Result<Request, UserError> {
///         let name = std::str::from_utf8(name)?;
///         let from = self.directory.join(".pending").join(name);
///         Ok(StoreOp::Rename { from, to: self.directory.join(name) }.into())
///     }
///
///     fn commit_failed(&self, error: &RequestError) -> CommitFailure {
///         match error {
///             // The answer to an earlier commit was lost.
///             RequestError::Store(StoreError::NotFound(_)) => CommitFailure::AlreadyCommitted,
///             _ => CommitFailure::Transient,
///         }
///     }
/// }
/// ```
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
    /// complete and how to commit it; `None` if nothing was written. Not called if [`snapshot`](Self::snapshot) is
    /// implemented.
    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        Ok(None)
    }

    /// Takes part in a checkpoint. By default, [prepares](Self::prepare) everything that was written.
    ///
    /// A writer that leaves output open returns its state, from which the writers of a later attempt
    /// [continue](Self::restore). It must leave none open unless [`Barrier::may_leave_open`] is true.
    fn snapshot(&mut self, _barrier: Barrier) -> Result<WriterOutput, UserError> {
        let Some(Prepared { transaction, requests, wait_for }) = self.prepare()? else {
            return Ok(WriterOutput::default());
        };
        let transactions = vec![transaction];
        Ok(WriterOutput { transactions, requests, wait_for, ..WriterOutput::default() })
    }

    /// Takes what the writer has finished, or will not keep in memory, before a checkpoint asks for it. It belongs to the
    /// next checkpoint. Called before each step.
    fn take_output(&mut self) -> WriterOutput {
        WriterOutput::default()
    }

    /// Continues output that writers of an earlier attempt have left open. Called before the first record. Each open output
    /// of the checkpoint goes to one of the subtasks, whatever their number is.
    fn restore(&mut self, open: Vec<OpenOutput>) -> Result<(), UserError> {
        match open.len() {
            0 => Ok(()),
            count => {
                Err(format!("the checkpoint has {count} open outputs, which this sink does not have").into())
            }
        }
    }

    /// Called before each step with the wall clock.
    fn tick(&mut self, _now: Instant) -> Result<(), UserError> {
        Ok(())
    }

    /// When [`tick`](Self::tick) must be called at the latest.
    fn next_wakeup(&self) -> Option<Instant> {
        None
    }

    /// Whether everything that was written before the barrier of this checkpoint is prepared. For writers that send their
    /// data themselves, in an order of their own. Asked in each step after [`snapshot`](Self::snapshot) until it is true; the
    /// checkpoint is not complete before, and in a live rescale no key moves to another writer, so that its records keep
    /// their order.
    fn is_prepared(&mut self, _checkpoint: CheckpointId) -> bool {
        true
    }

    /// A checkpoint is complete, and what it has prepared is being committed.
    fn completed(&mut self, _checkpoint: CheckpointId) {}

    /// The commit of this transaction is confirmed. It may be that of another writer of an earlier attempt.
    fn committed(&mut self, _transaction: &Transaction) {}

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

    /// Removes what writers of ended attempts of this job have left behind. Called in one subtask when a checkpoint of this
    /// attempt is complete, repeatedly until it returns true. An attempt that ended without a complete checkpoint has left no
    /// trace, but perhaps something else, so the call comes also without traces.
    ///
    /// The traces are those in the restored checkpoint. What their writers had prepared by then is part of that checkpoint and
    /// must stay. It may still be uncommitted, because each subtask commits a share of it: return true only when nothing of
    /// it can be confused with a leftover any more, because the next attempt gets the traces only if this one still needed them.
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

/// The barrier at which a writer takes part in a checkpoint.
///
/// A writer that keeps its output open over checkpoints returns the state of it, and continues from that state:
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; pub use reflow_types::*; }
/// use bytes::Bytes;
/// use reflow::sink::{Barrier, FollowedBy, OpenOutput, Owner, WriterOutput};
/// use reflow::store::{Location, PutMode, StoreOp};
/// use reflow::{CheckpointId, Request, Timestamp, Transaction, UserError, Writer};
///
/// /// Writes a thousand order numbers at once, as an object with the name of the first. Each number comes once.
/// #[derive(Default)]
/// struct Batches {
///     orders: Vec<String>,
/// }
///
/// impl Batches {
///     fn transaction(&mut self) -> Transaction {
///         Transaction(Bytes::from(std::mem::take(&mut self.orders).join(" ")))
///     }
/// }
///
/// impl Writer for Batches {
///     type Item = String;
///
///     fn write(&mut self, order: String, _: Timestamp) -> Result<(), UserError> {
///         self.orders.push(order);
///         Ok(())
///     }
///
///     fn snapshot(&mut self, barrier: Barrier) -> Result<WriterOutput, UserError> {
///         let mut output = WriterOutput::default();
///         if self.orders.len() < 1_000 && barrier.may_leave_open() {
///             output.open.push(Bytes::from(self.orders.join(" ")));
///         } else {
///             output.transactions.push(self.transaction());
///         }
///         Ok(output)
///     }
///
///     fn restore(&mut self, open: Vec<OpenOutput>) -> Result<(), UserError> {
///         for OpenOutput { state, owner } in open {
///             // Nothing of it exists outside, so it does not matter whose it was.
///             assert!(matches!(owner, Owner::ThisJob | Owner::AnotherJob));
///             self.orders.extend(std::str::from_utf8(&state)?.split(' ').map(str::to_owned));
///         }
///         Ok(())
///     }
///
///     fn commit(&self, Transaction(orders): &Transaction) -> Result<Request, UserError> {
///         let first = std::str::from_utf8(orders)?.split(' ').next().unwrap_or_default();
///         let at = Location(format!("s3://shop/orders/{first}"));
///         // A commit may be repeated, and then changes nothing.
///         Ok(StoreOp::Put { at, body: orders.clone(), mode: PutMode::Overwrite }.into())
///     }
/// }
///
/// let mut writer = Batches::default();
/// writer.write("A17".to_owned(), 0)?;
/// let barrier = Barrier { checkpoint: CheckpointId(7), followed_by: FollowedBy::Records };
/// let state = writer.snapshot(barrier)?.open.remove(0);
/// // After a failure.
/// let mut writer = Batches::default();
/// writer.restore(vec![OpenOutput { state, owner: Owner::ThisJob }])?;
/// let last = Barrier { checkpoint: CheckpointId(8), followed_by: FollowedBy::Nothing };
/// assert_eq!(writer.snapshot(last)?.transactions, [Transaction(Bytes::from("A17"))]);
/// # Ok::<(), UserError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What comes behind it.
    pub followed_by: FollowedBy,
}

/// What comes behind a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowedBy {
    /// More records for the same subtask, or a restart from the checkpoint.
    Records,
    /// Records for other subtasks: a live rescale removes this one.
    OtherSubtasks,
    /// Perhaps several jobs, which start from it: it is a savepoint.
    OtherJobs,
    /// Nothing: the input has ended.
    Nothing,
}

impl Barrier {
    /// Whether output may stay open behind the barrier.
    #[must_use]
    pub fn may_leave_open(self) -> bool {
        self.followed_by == FollowedBy::Records
    }
}

/// What a writer gives to the runtime, for the checkpoint under way or the next one.
#[derive(Debug, Default)]
pub struct WriterOutput {
    /// The transactions that the checkpoint commits.
    pub transactions: Vec<Transaction>,
    /// As [`Prepared::requests`]. They are carried out at the same time, in any order.
    pub requests: Vec<Request>,
    /// As [`Prepared::wait_for`].
    pub wait_for: Vec<Ticket>,
    /// As `requests`, but submitted only when these and all earlier ones have been carried out.
    pub then: Vec<Request>,
    /// The state of each output that stays open. Ignored except in [`Writer::snapshot`].
    pub open: Vec<Bytes>,
}

/// Output that a writer has left open at a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOutput {
    /// Its state, as the writer has given it.
    pub state: Bytes,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose job has made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This job.
    ThisJob,
    /// Another job, from whose checkpoint this one was started. It may still run, so nothing of it must be removed.
    AnotherJob,
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
