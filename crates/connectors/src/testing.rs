//! Helpers for the tests of this crate: a store whose answers the test chooses, and an output with little room.

use bytes::{Bytes, BytesMut};
use reflow_api::sink::WriterContext;
use reflow_api::source::{ReaderContext, ToEnumerator, decode_split};
use reflow_api::{Emit, EnumeratorContext, Io, Polled, Reader, Source};
use reflow_env::{
    Location, ObjectMeta, PutMode, Request, StoreError, StoreOp, StoreReply, StoreResult, Ticket,
};
use reflow_types::{Attempt, Instant, JobId, SubtaskId, SubtaskIndex, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn reader_context() -> ReaderContext {
    let enumerator = ToEnumerator::default();
    ReaderContext { index: SubtaskIndex(0), parallelism: 1, io: Io::default(), enumerator }
}

pub(crate) fn writer_context() -> WriterContext {
    WriterContext {
        job: JobId(5),
        uid: "sink".to_owned(),
        attempt: Attempt::default(),
        subtask: SubtaskId(7),
        index: SubtaskIndex(0),
        parallelism: 1,
        opened: Instant(0xabc),
        io: Io::default(),
    }
}

/// The splits that an enumerator finds without requests.
pub(crate) fn splits_of<S: Source>(source: &S) -> Vec<S::Split> {
    let mut context = EnumeratorContext::new(Io::default());
    source.enumerator().poll(Instant(0), &mut context).unwrap();
    context.take_found().iter().map(|split| decode_split(split).unwrap()).collect()
}

/// An output that accepts a bounded number of records per poll.
pub(crate) struct Collected<T> {
    pub(crate) records: Vec<T>,
    /// The split of each record.
    pub(crate) splits: Vec<u64>,
    pub(crate) ended: BTreeSet<u64>,
    current: Option<u64>,
    room: usize,
}

impl<T> Collected<T> {
    pub(crate) fn with_room(room: usize) -> Self {
        Self { records: Vec::new(), splits: Vec::new(), ended: BTreeSet::new(), current: None, room }
    }

    /// Lets it accept `room` more records.
    pub(crate) fn make_room(&mut self, room: usize) {
        self.room = self.records.len() + room;
    }
}

impl<T> Emit<T> for Collected<T> {
    fn split(&mut self, split: u64) {
        assert!(!self.ended.contains(&split), "split {split} goes on after its end");
        self.current = Some(split);
    }

    fn end_split(&mut self, split: u64) {
        assert!(self.ended.insert(split), "split {split} ends twice");
    }

    fn emit(&mut self, value: T, _: Timestamp) {
        assert!(!self.is_full(), "a reader emits although the output is full");
        self.splits.push(self.current.expect("a reader names the split first"));
        self.records.push(value);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.room
    }
}

/// Polls a reader that needs no storage until its end, with room for `room` records each time.
pub(crate) fn read_to_the_end<R: Reader>(reader: &mut R, room: usize) -> Vec<R::Item> {
    let mut out = Collected::with_room(0);
    let mut now = Instant::from_millis(1);
    loop {
        out.make_room(room);
        match reader.poll(now, &mut out).unwrap() {
            Polled::More => {}
            Polled::Wait(until) => now = until.expect("nothing else can wake the reader"),
            Polled::End => return out.records,
        }
    }
}

/// An object store in memory. The test chooses the order of requests and which of them fail.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<String, Bytes>,
    uploads: BTreeMap<u64, BytesMut>,
    waiting: Vec<(Ticket, Request)>,
}

impl Store {
    pub(crate) fn with<'a>(objects: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let object = |(name, text): (&str, &str)| (name.to_owned(), Bytes::from(text.to_owned()));
        Self { objects: objects.into_iter().map(object).collect(), ..Self::default() }
    }

    /// A store with the same objects.
    pub(crate) fn copy(&self) -> Self {
        Self { objects: self.objects.clone(), ..Self::default() }
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        std::str::from_utf8(&self.objects[name]).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.objects.keys().map(String::as_str).collect()
    }

    /// Answers everything that was submitted, in order.
    pub(crate) fn answer_all(&mut self, io: &Io) {
        while self.answer_one(io, 0) {}
    }

    /// Answers the waiting request that `choice` selects. Returns false if there is none.
    pub(crate) fn answer_one(&mut self, io: &Io, choice: usize) -> bool {
        self.waiting.extend(io.drain_submitted());
        if self.waiting.is_empty() {
            return false;
        }
        let (ticket, op) = self.waiting.remove(choice % self.waiting.len());
        let result = self.carry_out(op);
        io.answer(ticket, result);
        true
    }

    /// Answers one of the waiting requests with a failure.
    pub(crate) fn fail_one(&mut self, io: &Io, choice: usize) {
        self.waiting.extend(io.drain_submitted());
        if !self.waiting.is_empty() {
            let (ticket, _) = self.waiting.remove(choice % self.waiting.len());
            let at = Location("the store".to_owned());
            io.answer(ticket, Err(StoreError::Failed { at, reason: "no connection".to_owned() }));
        }
    }

    /// Answers all waiting requests with failures.
    pub(crate) fn fail_all(&mut self, io: &Io) {
        self.waiting.extend(io.drain_submitted());
        for (ticket, _) in self.waiting.drain(..) {
            let at = Location("the store".to_owned());
            io.answer(ticket, Err(StoreError::Failed { at, reason: "no space left".to_owned() }));
        }
    }

    pub(crate) fn carry_out(&mut self, request: impl Into<Request>) -> StoreResult {
        match request.into().into_store().expect("there are no other systems") {
            StoreOp::Put { at, body, mode } => {
                if mode == PutMode::Create && self.objects.contains_key(&at.0) {
                    return Err(StoreError::AlreadyExists(at));
                }
                self.objects.insert(at.0, body);
            }
            StoreOp::Upload { upload, at, part, last } => {
                self.uploads.entry(upload).or_default().extend_from_slice(&part);
                if last {
                    let body = self.uploads.remove(&upload).expect("just extended");
                    self.objects.insert(at.0, body.freeze());
                }
            }
            StoreOp::CancelUpload { upload } => drop(self.uploads.remove(&upload)),
            StoreOp::Get { at, range } => {
                let Some(body) = self.objects.get(&at.0) else { return Err(StoreError::NotFound(at)) };
                let range = range.unwrap_or(0..body.len() as u64);
                if range.end > body.len() as u64 {
                    return Err(StoreError::OutOfRange { at, range, len: body.len() as u64 });
                }
                return Ok(StoreReply::Bytes(body.slice(range.start as usize..range.end as usize)));
            }
            StoreOp::List { below } => {
                let prefix = below.join("").0;
                let found = |(name, body): (&String, &Bytes)| {
                    let listed = name.starts_with(&prefix) || *name == below.0;
                    listed.then(|| ObjectMeta { at: Location(name.clone()), len: body.len() as u64 })
                };
                return Ok(StoreReply::Objects(self.objects.iter().filter_map(found).collect()));
            }
            StoreOp::Delete { at } => drop(self.objects.remove(&at.0)),
            StoreOp::Rename { from, to } => match self.objects.remove(&from.0) {
                Some(body) => drop(self.objects.insert(to.0, body)),
                None => return Err(StoreError::NotFound(from)),
            },
            StoreOp::Concat { at, pieces, tail } => {
                let mut body = BytesMut::new();
                for (piece, len) in pieces {
                    let read = StoreOp::Get { at: piece, range: Some(0..len) };
                    let StoreReply::Bytes(bytes) = self.carry_out(read)? else { continue };
                    body.extend_from_slice(&bytes);
                }
                body.extend_from_slice(&tail);
                self.objects.insert(at.0, body.freeze());
            }
            StoreOp::MakeExecutable { .. } => {}
        }
        Ok(StoreReply::Done)
    }
}
