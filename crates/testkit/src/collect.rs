//! A sink with two-phase commit that shows which records were written and which were committed.

use crate::Harness;
use bytes::Bytes;
use reflow_api::sink::{Prepared, WriterContext};
use reflow_api::{Io, Sink, Transaction, UserError, Writer};
use reflow_env::{Location, PutMode, Request, StoreOp};
use reflow_types::{CheckpointId, Data, SubtaskId, Timestamp, data};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the names of committed objects have behind the name of their sink.
pub const COMMITTED: &str = "/committed/";

/// A sink. Clones are the same sink.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// use reflow::testing::{Collect, Feed, Harness};
///
/// let (numbers, squares) = (Feed::new(1), Collect::new("squares"));
/// let mut job = Harness::new(|env| {
///     env.source("numbers", numbers.clone()).map(|n: u64| n * n).sink("squares", squares.clone());
/// });
/// job.start(1);
/// squares.block(); // the job is under backpressure
/// numbers.push(0, [1, 2, 3]);
/// job.settle();
/// assert!(squares.written().is_empty());
/// squares.unblock();
/// job.settle();
/// let written: Vec<u64> = squares.written().into_iter().map(|(square, _)| square).collect();
/// assert_eq!(written, [1, 4, 9]);
///
/// assert!(squares.committed(&job).is_empty());
/// assert!(job.checkpoint());
/// assert_eq!(squares.committed(&job), [1, 4, 9]);
///
/// squares.refuse("no space left");
/// numbers.push(0, [4]);
/// job.settle();
/// assert!(job.failures()[0].message.contains("no space left"));
/// ```
pub struct Collect<T> {
    name: String,
    shared: Arc<Mutex<Shared<T>>>,
}

struct Shared<T> {
    written: Vec<(T, Timestamp)>,
    refusing: Option<String>,
    full: bool,
    gives_away: bool,
    cleaned: Vec<String>,
    clean_ups: u32,
    confirmed: usize,
    unprepared: bool,
}

impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), shared: self.shared.clone() }
    }
}

impl<T> Collect<T> {
    /// A sink whose objects are below `name`. Each sink of a job needs its own name.
    pub fn new(name: &str) -> Self {
        let shared = Shared {
            written: Vec::new(),
            refusing: None,
            full: false,
            gives_away: false,
            cleaned: Vec::new(),
            clean_ups: 0,
            confirmed: 0,
            unprepared: false,
        };
        Self { name: name.to_owned(), shared: Arc::new(Mutex::new(shared)) }
    }

    /// Makes the sink submit its prepared data itself, like a sink that uploads while it writes, so that the
    /// runtime cannot submit it again.
    #[doc(hidden)]
    #[must_use]
    pub fn giving_away(self) -> Self {
        self.lock().gives_away = true;
        self
    }

    /// Takes what its writers were told, since the last call, of those that may have left something behind: the ids of
    /// their subtasks and how many transactions they had prepared.
    #[doc(hidden)]
    pub fn cleaned(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().cleaned)
    }

    /// How often its writers were told to clean up, with or without traces.
    #[doc(hidden)]
    pub fn clean_ups(&self) -> u32 {
        self.lock().clean_ups
    }

    /// How many transactions its writers were told to be committed.
    #[doc(hidden)]
    pub fn confirmed(&self) -> usize {
        self.lock().confirmed
    }

    /// From now on no checkpoint is prepared.
    #[doc(hidden)]
    pub fn hold_back(&self) {
        self.lock().unprepared = true;
    }

    /// What was written is prepared.
    #[doc(hidden)]
    pub fn release(&self) {
        self.lock().unprepared = false;
    }

    /// Takes the records written since the last call, with their timestamps, committed or not.
    pub fn written(&self) -> Vec<(T, Timestamp)> {
        std::mem::take(&mut self.lock().written)
    }

    /// From now on each write fails with this error.
    pub fn refuse(&self, error: &str) {
        self.lock().refusing = Some(error.to_owned());
    }

    /// From now on the sink has no room, so that its task reads no input.
    pub fn block(&self) {
        self.lock().full = true;
    }

    /// The sink has room again.
    pub fn unblock(&self) {
        self.lock().full = false;
    }

    fn lock(&self) -> MutexGuard<'_, Shared<T>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Data> Collect<T> {
    /// The prefix of the names of committed objects.
    #[doc(hidden)]
    pub fn committed_prefix(&self) -> String {
        format!("{}{COMMITTED}", self.name)
    }

    /// The records of the committed objects, one object after the other.
    ///
    /// # Panics
    /// If an object is damaged.
    #[doc(hidden)]
    pub fn decode<'a>(&self, committed: impl Iterator<Item = (&'a str, &'a Bytes)>) -> Vec<T> {
        let decode = |(name, body): (&str, &Bytes)| -> Vec<T> {
            data::decode(body).unwrap_or_else(|error| panic!("{name} is damaged: {error}"))
        };
        committed.flat_map(decode).collect()
    }
}

impl<T: Data + Ord> Collect<T> {
    /// All records that are committed, in ascending order.
    pub fn committed(&self, job: &Harness<'_>) -> Vec<T> {
        let mut records = self.decode(job.store().below(&self.committed_prefix()));
        records.sort();
        records
    }
}

impl<T: Data + Clone> Sink for Collect<T> {
    type Item = T;
    type Writer = CollectWriter<T>;

    fn writer(&self, context: &WriterContext) -> Result<CollectWriter<T>, UserError> {
        let (subtask, io) = (context.subtask, context.io.clone());
        Ok(CollectWriter { sink: self.clone(), subtask, io, open: Vec::new(), transactions: 0 })
    }
}

/// Writes to a [`Collect`].
pub struct CollectWriter<T> {
    sink: Collect<T>,
    subtask: SubtaskId,
    io: Io,
    open: Vec<T>,
    transactions: u64,
}

impl<T: Data + Clone> Writer for CollectWriter<T> {
    type Item = T;

    fn write(&mut self, value: T, time: Timestamp) -> Result<(), UserError> {
        let mut shared = self.sink.lock();
        if let Some(error) = &shared.refusing {
            return Err(error.clone().into());
        }
        shared.written.push((value.clone(), time));
        self.open.push(value);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Option<Prepared>, UserError> {
        if self.open.is_empty() {
            return Ok(None);
        }
        self.transactions += 1;
        let name = format!("{:06}-{:06}", self.subtask.0, self.transactions);
        let at = Location(format!("{}/prepared/{name}", self.sink.name));
        let body = Bytes::from(data::to_vec(&std::mem::take(&mut self.open))?);
        let put = Request::Store(StoreOp::Put { at, body, mode: PutMode::Overwrite });
        let (requests, wait_for) = match self.sink.lock().gives_away {
            false => (vec![put], Vec::new()),
            true => (Vec::new(), vec![self.io.submit(put)]),
        };
        Ok(Some(Prepared { transaction: Transaction(Bytes::from(name)), requests, wait_for }))
    }

    fn commit(&self, transaction: &Transaction) -> Result<Request, UserError> {
        let name = std::str::from_utf8(&transaction.0)?;
        let from = Location(format!("{}/prepared/{name}", self.sink.name));
        let to = Location(format!("{}{COMMITTED}{name}", self.sink.name));
        Ok(StoreOp::Rename { from, to }.into())
    }

    fn has_room(&mut self) -> bool {
        !self.sink.lock().full
    }

    fn trace(&self) -> Option<Bytes> {
        Some(Bytes::from(format!("{}: {}", self.subtask.0, self.transactions)))
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        let text = traces.iter().map(|trace| String::from_utf8_lossy(trace).into_owned());
        let mut shared = self.sink.lock();
        shared.cleaned.extend(text);
        shared.clean_ups += 1;
        true
    }

    fn is_prepared(&mut self, _: CheckpointId) -> bool {
        !self.sink.lock().unprepared
    }

    fn committed(&mut self, _: &Transaction) {
        self.sink.lock().confirmed += 1;
    }
}
