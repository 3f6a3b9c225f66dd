//! Sources: splits, the enumerator that finds them, the readers that read them.
//!
//! A source's input is divided into *splits*. The JobManager runs the source's [`Enumerator`], which finds splits
//! and hands them out; each subtask runs a [`Reader`], which reads those that it was given. A reader's snapshot
//! is the list of its unfinished splits with their positions; at another parallelism the list is shared out
//! anew. A split is read by one reader at a time, from exactly where the last checkpoint left it.

use crate::{Io, UserError};
use bytes::Bytes;
use reflow_env::{Location, StoreResult};
use reflow_types::{Instant, SubtaskIndex, Timestamp};
use serde::{Serialize, de::DeserializeOwned};

/// A source of records.
pub trait Source: Clone + Send + 'static {
    /// What it reads.
    type Item: Send + 'static;
    /// A part of its input, with the position in it.
    type Split: Serialize + DeserializeOwned + Clone + Send + 'static;
    /// Reads splits on a slot's thread.
    type Reader: Reader<Item = Self::Item, Split = Self::Split>;

    /// Finds the splits. Runs in the JobManager.
    fn enumerator(&self) -> Box<dyn Enumerator>;

    /// A reader for one subtask.
    fn reader(&self, context: &ReaderContext) -> Self::Reader;
}

/// Where a reader runs.
#[derive(Clone)]
pub struct ReaderContext {
    /// The subtask's index.
    pub index: SubtaskIndex,
    /// How many subtasks read this source, until the reader is told of another [number](Reader::rescaled).
    pub parallelism: u32,
    /// The slot's storage.
    pub io: Io,
}

/// Reads splits. All calls come from one thread, none may block.
pub trait Reader: Send {
    /// What it reads.
    type Item;
    /// As in [`Source::Split`].
    type Split;

    /// Gives it a split: a new one, or one with a position from a snapshot. Returns the number by which the
    /// reader will name it to [`Emit::split`], at most `u64::MAX - 3`; until it ends, the split holds the watermark back.
    fn add_split(&mut self, split: Self::Split) -> u64;

    /// No further split will come. Called also before any split, and again after splits that came from another reader
    /// all the same.
    fn no_more_splits(&mut self);

    /// Lets go of splits for other readers, so that it keeps at most `keep`: gives each with its number, at the position
    /// after the last record emitted.
    fn release(&mut self, keep: usize) -> Vec<(u64, Self::Split)>;

    /// The source goes on with so many readers, of which this is one.
    fn rescaled(&mut self, _parallelism: u32) {}

    /// So many of the source's readers have been given splits and are not at the end of them. Called at the start, and
    /// whenever the number changes.
    fn active_readers(&mut self, _readers: u32) {}

    /// Emits records until `out` is full, or there are none now. Emits the records of one split in order.
    fn poll(&mut self, now: Instant, out: &mut impl Emit<Self::Item>) -> Result<Polled, UserError>;

    /// The unfinished splits, each at the position after the last record emitted.
    fn snapshot(&self) -> Vec<Self::Split>;

    /// Whether a split is known to hold further records although the last [`poll`](Self::poll) emitted none of it: they
    /// are on their way from storage, or wait for their turn. Such a split is not idle, however long it takes.
    fn has_more(&self, _split: u64) -> bool {
        false
    }

    /// How many records its splits still hold, if that is known.
    fn pending_records(&self) -> Option<u64> {
        None
    }

    /// Where the record that it emitted last comes from, if there is one, as a text for errors in what was made of it:
    /// `/data/orders.csv, line 4, byte 93`.
    fn position(&self) -> Option<String> {
        None
    }

    /// How many records it has left out because they could not be read.
    fn skipped_records(&self) -> u64 {
        0
    }
}

/// What a reader has to say after a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There is more at once.
    More,
    /// Nothing until the given moment, or until an answer from storage or a new split comes. All splits count as read
    /// to their present end, but for those that [have more](Reader::has_more).
    Wait(Option<Instant>),
    /// All splits are finished, and no more will come.
    End,
}

/// Takes a reader's records.
pub trait Emit<T> {
    /// What follows belongs to this split, as [`Reader::add_split`] numbered it: any number that differs between
    /// a source's splits and stays the same for one split over restarts. If nothing follows although there is room, the
    /// split has nothing at present, unless it [has more](Reader::has_more): that is how a split becomes idle while
    /// others are busy.
    fn split(&mut self, split: u64);

    /// A split is finished: its watermark does not count any more.
    fn end_split(&mut self, split: u64);

    /// Takes a record with its time, or [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP).
    fn emit(&mut self, value: T, time: Timestamp);

    /// Whether the reader should return: the step has done enough, or an output is full.
    fn is_full(&self) -> bool;
}

/// Finds a source's splits. Runs in the JobManager, as a state machine: it asks for listings and gets them.
pub trait Enumerator: Send {
    /// What it wants now. Called at start, after each listing, and at the moment it asked for.
    fn poll(&mut self, now: Instant) -> EnumeratorPoll;

    /// The answer to the listing that it asked for. An error fails the job.
    fn listed(&mut self, now: Instant, listing: StoreResult) -> Result<(), UserError>;

    /// Takes the splits found since the last call, encoded ([`encode_split`]).
    fn take_splits(&mut self) -> Vec<Bytes>;

    /// Whether no further split will be found.
    fn is_done(&self) -> bool;

    /// Its state: what it has found already.
    fn snapshot(&self) -> Bytes;

    /// Goes on from a snapshot. Splits that it had handed out are not found again.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError>;
}

/// What an enumerator wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnumeratorPoll {
    /// List what is below.
    pub list: Option<Location>,
    /// Ask again at this moment.
    pub wake: Option<Instant>,
}

/// Encodes a split for its way to the reader.
pub fn encode_split<S: Serialize>(split: &S) -> Bytes {
    Bytes::from(postcard::to_stdvec(split).expect("a split is plain data, which postcard can always encode"))
}

/// The enumerator of a source whose splits are known from the start.
pub struct FixedSplits {
    unassigned: Vec<Bytes>,
}

impl FixedSplits {
    /// Hands out these splits, once.
    pub fn new<S: Serialize>(splits: impl IntoIterator<Item = S>) -> Self {
        Self { unassigned: splits.into_iter().map(|split| encode_split(&split)).collect() }
    }
}

impl Enumerator for FixedSplits {
    fn poll(&mut self, _: Instant) -> EnumeratorPoll {
        EnumeratorPoll::default()
    }

    fn listed(&mut self, _: Instant, _: StoreResult) -> Result<(), UserError> {
        Ok(())
    }

    fn take_splits(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.unassigned)
    }

    fn is_done(&self) -> bool {
        true
    }

    fn snapshot(&self) -> Bytes {
        encode_split(&self.unassigned)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.unassigned = postcard::from_bytes(snapshot)?;
        Ok(())
    }
}
