//! Sources: splits, the enumerator that finds them, and the readers that read them.
//!
//! A source's input is divided into *splits*. The JobManager runs the source's [`Enumerator`], which finds splits
//! and assigns them; each subtask runs a [`Reader`], which reads the splits that are assigned to it. A reader's
//! snapshot is the list of its unfinished splits with their positions; at another parallelism the splits are
//! redistributed. A split is read by one reader at a time, and after a restore from exactly its position in the
//! checkpoint.

use crate::{Io, UserError};
use bytes::Bytes;
use reflow_types::data::{self, DecodeError};
use reflow_types::{CheckpointId, Data, Instant, SubtaskId, SubtaskIndex, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A source of records.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::source::{FixedSplits, ReaderContext};
/// use reflow::{Emit, Enumerator, Polled, Reader, Source, UserError};
/// # use reflow_types::{Instant, NO_TIMESTAMP};
///
/// /// Counts from 0 to 999, in two splits that two subtasks can read. A split is the next number and the one after the last.
/// #[derive(Clone)]
/// struct Numbers;
///
/// impl Source for Numbers {
///     type Item = u64;
///     type Split = (u64, u64);
///     type Reader = NumberReader;
///
///     fn enumerator(&self) -> Box<dyn Enumerator> {
///         Box::new(FixedSplits::new([(0u64, 500u64), (500, 1_000)]))
///     }
///
///     fn reader(&self, _: &ReaderContext) -> NumberReader {
///         NumberReader::default()
///     }
/// }
///
/// #[derive(Default)]
/// struct NumberReader {
///     splits: Vec<(u64, u64)>,
///     complete: bool,
/// }
///
/// impl Reader for NumberReader {
///     type Item = u64;
///     type Split = (u64, u64);
///
///     fn add_split(&mut self, split: (u64, u64)) -> u64 {
///         self.splits.push(split);
///         split.1 // a number that identifies the split
///     }
///
///     fn no_more_splits(&mut self) {
///         self.complete = true;
///     }
///
///     fn release(&mut self, keep: usize) -> Vec<(u64, (u64, u64))> {
///         let released = self.splits.split_off(keep.min(self.splits.len()));
///         released.into_iter().map(|split| (split.1, split)).collect()
///     }
///
///     fn poll(&mut self, _: Instant, out: &mut impl Emit<u64>) -> Result<Polled, UserError> {
///         while let Some((next, end)) = self.splits.last_mut() {
///             out.split(*end);
///             while *next < *end {
///                 if out.is_full() {
///                     return Ok(Polled::More);
///                 }
///                 out.emit(*next, NO_TIMESTAMP);
///                 *next += 1;
///             }
///             out.end_split(*end);
///             self.splits.pop();
///         }
///         Ok(if self.complete { Polled::End } else { Polled::Wait(None) })
///     }
///
///     fn snapshot(&self) -> Vec<(u64, u64)> {
///         self.splits.clone()
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a source",
    label = "expected a source",
    note = "sources are `Collection::of(records)`, `Generator`, `FileSource`, `SocketSource` and your own types that implement `reflow::Source`"
)]
pub trait Source: Clone + Send + 'static {
    /// The type of its records.
    type Item: Send + 'static;
    /// A part of its input, with a position.
    type Split: Data + Clone;
    /// The reader, which runs on a slot's thread.
    type Reader: Reader<Item = Self::Item, Split = Self::Split>;

    /// Creates the enumerator, which runs in the JobManager.
    fn enumerator(&self) -> Box<dyn Enumerator>;

    /// Creates a reader for one subtask.
    fn reader(&self, context: &ReaderContext) -> Self::Reader;
}

/// The context of a reader.
#[derive(Clone)]
pub struct ReaderContext {
    /// The subtask's index.
    pub index: SubtaskIndex,
    /// How many subtasks read this source, until [`Reader::rescaled`] is called with another number.
    pub parallelism: u32,
    /// For requests to storage and to systems outside the cluster.
    pub io: Io,
    /// For messages to the source's enumerator.
    pub enumerator: ToEnumerator,
}

/// The way from a reader to its source's enumerator. Clones are the same way.
///
/// A message arrives once, or not at all if the attempt ends or a rescale removes the reader. Messages are not part of
/// checkpoints, so after a restore a reader sends again what still matters.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::source::{ReaderMessage, ToEnumerator};
///
/// /// Reads splits one after the other.
/// struct Reading {
///     current: Option<u32>,
///     requested: bool,
///     enumerator: ToEnumerator,
/// }
///
/// impl Reading {
///     /// Called by the reader's `poll`.
///     fn request_split(&mut self) {
///         if self.current.is_none() && !self.requested {
///             self.enumerator.request_split();
///             self.requested = true;
///         }
///     }
///
///     /// Called by the reader's `poll` when a split has ended.
///     fn end(&mut self) {
///         // `Enumerator::on_event` receives it.
///         self.enumerator.send("a page was read".into());
///         self.current = None;
///     }
/// }
///
/// let enumerator = ToEnumerator::default();
/// let mut reading = Reading { current: None, requested: false, enumerator: enumerator.clone() };
/// reading.request_split();
/// reading.end();
/// // What the task does.
/// let sent = [ReaderMessage::SplitRequest, ReaderMessage::Event("a page was read".into())];
/// assert_eq!(enumerator.take(), sent);
/// ```
#[derive(Clone, Default)]
pub struct ToEnumerator(Arc<Mutex<Vec<ReaderMessage>>>);

/// A message of a reader to its source's enumerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReaderMessage {
    /// For [`Enumerator::on_event`].
    Event(Bytes),
    /// The reader has room for one more split, if splits are handed out [on request](HandOut::OnRequest).
    SplitRequest,
}

impl ToEnumerator {
    /// Sends an event, encoded as reader and enumerator agree. It must be small.
    pub fn send(&self, event: Bytes) {
        self.lock().push(ReaderMessage::Event(event));
    }

    /// Requests one more split, if splits are handed out [on request](HandOut::OnRequest).
    pub fn request_split(&self) {
        self.lock().push(ReaderMessage::SplitRequest);
    }

    /// For the task, and for tests: takes the messages since the last call.
    pub fn take(&self) -> Vec<ReaderMessage> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReaderMessage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads splits. All calls come from one thread; none may block.
pub trait Reader: Send {
    /// The type of its records.
    type Item;
    /// As in [`Source::Split`].
    type Split;

    /// Adds a split: a new one, or one with a position from a snapshot. Returns the number by which the reader
    /// names it to [`Emit::split`], at most `u64::MAX - 3`. Until it ends, the split holds the watermark back.
    fn add_split(&mut self, split: Self::Split) -> u64;

    /// No more splits will be added. May be called before any split was added, and is called again after splits of
    /// another reader were added.
    fn no_more_splits(&mut self);

    /// Releases splits for other readers, so that it keeps at most `keep`. Returns each with its number, at the
    /// position after the last record emitted.
    fn release(&mut self, keep: usize) -> Vec<(u64, Self::Split)>;

    /// The source has another number of readers after a live rescale, and this is one of them.
    fn rescaled(&mut self, _parallelism: u32) {}

    /// How many of the source's readers have unfinished splits. Called at the start, and whenever the number
    /// changes.
    fn active_readers(&mut self, _readers: u32) {}

    /// Emits records until `out` is full or there are none now. Must emit the records of a split in order.
    fn poll(&mut self, now: Instant, out: &mut impl Emit<Self::Item>) -> Result<Polled, UserError>;

    /// The unfinished splits, each at the position after the last record emitted.
    fn snapshot(&self) -> Vec<Self::Split>;

    /// A checkpoint is complete: what was read up to these splits' positions will not be read again. They are the
    /// [`snapshot`](Self::snapshot) of that checkpoint. A source that shows its progress outside, or acknowledges what
    /// it has read, does so here. The call may be missing if the attempt ends or the task is removed meanwhile, so the
    /// next one must include what it would have done.
    fn completed(&mut self, _checkpoint: CheckpointId, _splits: &[Self::Split]) {}

    /// Whether a split is known to have further records although the last [`poll`](Self::poll) emitted none of
    /// them: they are on their way from storage or wait for their turn. Such a split is not idle, however long it
    /// takes.
    fn has_more(&self, _split: u64) -> bool {
        false
    }

    /// How many records its splits still have, if that is known.
    fn pending_records(&self) -> Option<u64> {
        None
    }

    /// The position of the record that it emitted last, if there is one, for error messages: `/data/orders.csv,
    /// line 4, byte 93`.
    fn position(&self) -> Option<String> {
        None
    }

    /// How many records it has skipped because they could not be read.
    fn skipped_records(&self) -> u64 {
        0
    }
}

/// What a source does with records that cannot be read.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::UserError;
/// use reflow::source::Malformed;
///
/// /// For a source of one's own: `None` if the record is skipped.
/// fn number(text: &str, malformed: Malformed) -> Result<Option<u64>, UserError> {
///     match (text.parse(), malformed) {
///         (Ok(number), _) => Ok(Some(number)),
///         (Err(error), Malformed::Fail) => Err(format!("`{text}` is no number: {error}").into()),
///         (Err(_), Malformed::Skip) => Ok(None),
///     }
/// }
///
/// assert!(number("x", Malformed::Fail).is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Malformed {
    /// The job fails each time it reads the record. The error says where the record is (file and line, or topic, partition
    /// and offset) and what is wrong with it.
    #[default]
    Fail,
    /// The record is skipped, counted ([`Reader::skipped_records`]) and from time to time logged.
    Skip,
}

/// The result of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There are more records now.
    More,
    /// There are no records until the given time, an answer to a request or a new split. All splits count as read
    /// to their present end, except those that [have more](Reader::has_more).
    Wait(Option<Instant>),
    /// All splits are finished, and no more will be added.
    End,
}

/// Takes a reader's records.
pub trait Emit<T> {
    /// The following records belong to this split, by its number from [`Reader::add_split`]: any number that
    /// differs between a source's splits and stays the same for a split over restarts. If no record follows
    /// although there is room, the split has no records at present, unless it [has more](Reader::has_more). So a
    /// split can become idle while others are busy.
    fn split(&mut self, split: u64);

    /// A split is finished, and its watermark no longer counts.
    fn end_split(&mut self, split: u64);

    /// Emits a record with its timestamp, or [`NO_TIMESTAMP`](reflow_types::NO_TIMESTAMP).
    fn emit(&mut self, value: T, time: Timestamp);

    /// Whether a split is so far ahead of others in event time that it should not be read now
    /// ([`Watermarks::with_alignment`](crate::Watermarks::with_alignment)). A reader that reads all of its splits at once
    /// asks before each turn of a split; a paused split counts as one without records, and does not become idle. A reader
    /// that begins a split only when it is done with others must not ask: what is ahead would wait for what has not begun.
    fn is_paused(&self, _split: u64) -> bool {
        false
    }

    /// Whether the reader should return, because the step has emitted enough or an output is full.
    fn is_full(&self) -> bool;
}

/// Finds a source's splits. It runs in the JobManager, as a state machine that submits requests and takes their
/// answers.
///
/// All calls come from one thread, and none may block. The JobManager keeps the splits that are found, assigns them to
/// readers and includes those that are not assigned in checkpoints.
///
/// The splits of this source are the pages of a catalogue, which a call finds. Readers ask for one when they have none.
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_env::*; pub use reflow_types::*; }
/// use bytes::Bytes;
/// use reflow::source::{HandOut, decode_split, encode_split};
/// use reflow::{Answer, CallTicket, Client, Enumerator, EnumeratorContext, Instant, Io, UserError};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// /// Asks the catalogue for its number of pages.
/// struct Catalogue;
///
/// impl Client for Catalogue {
///     type Request = ();
///     type Answer = u32;
///     type Error = std::io::Error;
///
///     fn system(&self) -> &str {
///         "catalogue://shop"
///     }
///
///     async fn call(&self, _: &()) -> Result<u32, std::io::Error> {
///         Ok(3) // a request over the network
///     }
/// }
///
/// #[derive(Default)]
/// struct Pages {
///     /// The call under way.
///     call: Option<CallTicket<Catalogue>>,
///     is_done: bool,
/// }
///
/// impl Enumerator for Pages {
///     fn poll(&mut self, _: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
///         if self.is_done {
///             return Ok(None);
///         }
///         let io = context.io().clone();
///         let call = self.call.get_or_insert_with(|| io.call(&Arc::new(Catalogue), (), Duration::from_secs(10)));
///         if let Some(pages) = io.take_answer(call) {
///             (0..pages?).for_each(|page| context.found(&page));
///             self.is_done = true;
///         }
///         Ok(None) // it is polled when the call is answered
///     }
///
///     fn hand_out(&self) -> HandOut {
///         HandOut::OnRequest
///     }
///
///     fn is_done(&self) -> bool {
///         self.is_done
///     }
///
///     fn snapshot(&self) -> Bytes {
///         encode_split(&self.is_done)
///     }
///
///     fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
///         self.is_done = decode_split(snapshot)?;
///         Ok(())
///     }
/// }
///
/// // What the JobManager does.
/// let io = Io::default();
/// let mut context = EnumeratorContext::new(io.clone());
/// let mut pages = Pages::default();
/// pages.poll(Instant::default(), &mut context)?;
/// let (ticket, _) = io.drain_submitted().remove(0);
/// io.answer(ticket, Answer::External(Ok(Box::new(3u32))));
/// pages.poll(Instant::default(), &mut context)?;
/// assert_eq!(context.take_found().len(), 3);
/// let mut restored = Pages::default();
/// restored.restore(&pages.snapshot())?;
/// assert!(restored.is_done());
/// # Ok::<(), UserError>(())
/// ```
pub trait Enumerator: Send {
    /// Does what can be done now: takes answers, submits requests and reports splits that it has found. Returns when
    /// it is to be called again; it is also called at the start and whenever a request was answered. An error fails
    /// the job, and its restart strategy decides whether it restarts.
    fn poll(&mut self, now: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError>;

    /// Whether its search is under way, which may find splits for all readers. Readers without a split hold event time
    /// back until the first search of an attempt is over.
    fn is_searching(&self) -> bool {
        false
    }

    /// Receives an event of a reader, and is polled next. An error fails the job.
    fn on_event(&mut self, _reader: SubtaskId, _event: &[u8]) -> Result<(), UserError> {
        Ok(())
    }

    /// A split was assigned to a reader after the snapshot that was just restored, by a JobManager that is lost, and the
    /// reader goes on with it. Returns whether the enumerator will not find that split again. If it does not know, the job
    /// restarts from its last checkpoint. Splits that it had found before the snapshot are not passed.
    fn assigned(&mut self, _split: &[u8]) -> bool {
        false
    }

    /// When the splits that it finds are handed out. Must not change.
    fn hand_out(&self) -> HandOut {
        HandOut::AtOnce
    }

    /// Whether no further split will be found.
    fn is_done(&self) -> bool;

    /// Its state, including what it has already found.
    fn snapshot(&self) -> Bytes;

    /// Restores a snapshot. Splits that were reported before it are not found again. Requests that were under way
    /// are cancelled, and [`poll`](Self::poll) gets a new context.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError>;
}

/// When splits are handed out to readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOut {
    /// As soon as they are found, each to the reader with the fewest. For splits that are read side by side.
    AtOnce,
    /// Each to a reader that has [requested](ToEnumerator::request_split) one. For splits that are read one after the
    /// other and differ in their size. Splits that wait hold event time back no more than those not found yet.
    OnRequest,
}

/// The surroundings of an enumerator in one attempt.
pub struct EnumeratorContext {
    io: Io,
    found: Vec<Bytes>,
}

impl EnumeratorContext {
    /// A context whose requests go to `io`. For the JobManager, and for tests.
    #[must_use]
    pub fn new(io: Io) -> Self {
        Self { io, found: Vec::new() }
    }

    /// For requests to storage and to systems outside the cluster.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// Reports a split that was found. From now on it is not part of the enumerator's state.
    pub fn found<S: Data>(&mut self, split: &S) {
        self.found.push(encode_split(split));
    }

    /// For the JobManager, and for tests: takes the splits found since the last call, encoded.
    pub fn take_found(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.found)
    }
}

/// Encodes a split for its reader, or another value of a source.
///
/// # Panics
/// If the value nests too deeply to be encoded.
pub fn encode_split<S: Data>(split: &S) -> Bytes {
    Bytes::from(data::to_vec(split).expect("a split is shallow"))
}

/// Decodes a value that [`encode_split`] has encoded.
///
/// # Errors
/// If the bytes do not encode a value of this type.
pub fn decode_split<S: Data>(bytes: &[u8]) -> Result<S, DecodeError> {
    data::decode(bytes)
}

/// The enumerator of a source whose splits are known from the start.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::source::{FixedSplits, HandOut};
///
/// // Twelve months, of which some take longer to read than others.
/// let months = FixedSplits::new(1..=12u32).hand_out(HandOut::OnRequest);
/// ```
pub struct FixedSplits {
    unassigned: Vec<Bytes>,
    hand_out: HandOut,
}

impl FixedSplits {
    /// Returns these splits once.
    pub fn new<S: Data>(splits: impl IntoIterator<Item = S>) -> Self {
        let unassigned = splits.into_iter().map(|split| encode_split(&split)).collect();
        Self { unassigned, hand_out: HandOut::AtOnce }
    }

    /// Sets when they are handed out. By default that is at once.
    #[must_use]
    pub fn hand_out(self, hand_out: HandOut) -> Self {
        Self { hand_out, ..self }
    }
}

impl Enumerator for FixedSplits {
    fn assigned(&mut self, split: &[u8]) -> bool {
        let place = self.unassigned.iter().position(|unassigned| unassigned == split);
        place.map(|place| self.unassigned.remove(place)).is_some()
    }

    fn poll(&mut self, _: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        context.found.append(&mut self.unassigned);
        Ok(None)
    }

    fn hand_out(&self) -> HandOut {
        self.hand_out
    }

    fn is_done(&self) -> bool {
        true
    }

    fn snapshot(&self) -> Bytes {
        encode_split(&self.unassigned)
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.unassigned = decode_split(snapshot)?;
        Ok(())
    }
}
