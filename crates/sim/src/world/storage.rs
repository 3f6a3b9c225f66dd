//! The simulated object store, which all hosts share. It is slow, and sometimes loses answers or returns flipped
//! bits.

use super::ProcessId;
use bytes::{Bytes, BytesMut};
use reflow_env::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
use std::collections::BTreeMap;

/// The most flipped bits in successive reads of an intact object. The engine counts an object as damaged after a
/// few more.
const MOST_MISREADS: u32 = 3;

/// A request under way.
pub(super) struct Request {
    pub(super) process: ProcessId,
    pub(super) ticket: Ticket,
    pub(super) op: StoreOp,
    pub(super) fate: Fate,
    /// The time from the effect to the answer.
    pub(super) answer_after: u64,
}

/// The fate of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is carried out.
    Done,
    /// It fails without effect.
    Failed(&'static str),
    /// It is carried out but answered with an error.
    FailedAlthoughDone,
    /// Its answer has a flipped bit, which this number selects.
    BitFlipped(u64),
}

/// A change of the stored objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object's name.
    pub name: String,
    /// The process that requested it; `None` if it came from outside.
    pub by: Option<ProcessId>,
    pub kind: ChangeKind,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The object was created, or written again with the same content.
    Written,
    /// The object was replaced by another content.
    Replaced,
    /// The object was deleted.
    Deleted,
}

/// All objects.
#[derive(Default)]
pub struct Storage {
    objects: BTreeMap<String, Bytes>,
    /// The parts of uploads so far; `None` once a part has failed.
    uploads: BTreeMap<(ProcessId, u64), Option<BytesMut>>,
    /// Objects of which every read has a flipped bit until they are repaired. The number selects the bit.
    damaged: BTreeMap<String, u64>,
    /// The number of reads of each object with a bit that was flipped only once.
    misread: BTreeMap<String, u32>,
    changes: Vec<Change>,
    /// What was deleted, which a bucket with versions keeps.
    deleted: BTreeMap<String, Bytes>,
}

impl Storage {
    /// The object with this path, without a scheme.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.objects.get(name)
    }

    /// Stores an object from outside.
    pub fn put(&mut self, name: &str, body: Bytes) {
        self.write(None, name.to_owned(), body);
    }

    /// Deletes an object from outside, as a rule of the store or a person does.
    pub fn lose(&mut self, name: &str) {
        self.delete(None, name);
    }

    /// A user puts back an object that was deleted. Returns whether it is there now.
    pub fn put_back(&mut self, name: &str) -> bool {
        if let Some(body) = self.deleted.remove(name) {
            self.put(name, body);
        }
        self.objects.contains_key(name)
    }

    /// All objects whose names begin with `prefix`.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Bytes)> {
        let from = self.objects.range(prefix.to_owned()..);
        from.take_while(move |(name, _)| name.starts_with(prefix)).map(|(name, body)| (name.as_str(), body))
    }

    /// Takes the changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Damages an object: from now on, every read has a flipped bit, as from a failing disk.
    pub fn damage(&mut self, name: &str, number: u64) {
        let name = name.strip_prefix("file://").unwrap_or(name);
        self.damaged.insert(name.to_owned(), number);
    }

    /// Whether this object is damaged.
    pub fn is_damaged(&self, name: &str) -> bool {
        self.damaged.contains_key(name)
    }

    /// Whether any object is damaged.
    pub fn has_damage(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Repairs all damaged objects.
    pub fn repair(&mut self) {
        self.damaged.clear();
    }

    /// Whether a read of an object may have a bit flipped once, which must not happen so often that the object
    /// would count as damaged.
    pub(super) fn may_misread(&mut self, name: &str) -> bool {
        let misread = self.misread.entry(name.to_owned()).or_default();
        *misread += 1;
        *misread <= MOST_MISREADS
    }

    /// Drops the uploads of a killed process.
    pub(super) fn forget(&mut self, process: ProcessId) {
        self.uploads.retain(|(owner, _), _| *owner != process);
    }

    /// Carries out a request according to its fate.
    pub(super) fn carry_out(&mut self, process: ProcessId, op: StoreOp, fate: Fate) -> StoreResult {
        let at = location(&op);
        let damage = self.damaged.get(path(&at)).copied().filter(|_| matches!(op, StoreOp::Get { .. }));
        let failed = |reason: &str| Err(StoreError::Failed { at, reason: reason.to_owned() });
        if let (StoreOp::Upload { upload, last, .. }, true) = (&op, fate != Fate::Done)
            && !(*last && fate == Fate::FailedAlthoughDone)
        {
            self.uploads.insert((process, *upload), None);
        }
        let fate = match (fate, damage) {
            (Fate::Done | Fate::BitFlipped(_), Some(number)) => Fate::BitFlipped(number),
            (fate, _) => fate,
        };
        match fate {
            Fate::Done => self.apply(process, op),
            Fate::Failed(reason) => failed(reason),
            Fate::FailedAlthoughDone => {
                // If the request cannot be carried out, the store's own error is returned.
                self.apply(process, op)?;
                failed("the connection was lost before the answer came")
            }
            Fate::BitFlipped(number) => Ok(match self.apply(process, op)? {
                StoreReply::Bytes(bytes) if !bytes.is_empty() => StoreReply::Bytes(flipped(&bytes, number)),
                reply => reply,
            }),
        }
    }

    fn apply(&mut self, process: ProcessId, op: StoreOp) -> StoreResult {
        match op {
            StoreOp::Put { at, body, mode } => {
                let name = path(&at).to_owned();
                if mode == PutMode::Create && self.objects.contains_key(&name) {
                    return Err(StoreError::AlreadyExists(at));
                }
                self.write(Some(process), name, body);
            }
            StoreOp::Upload { upload, at, part, last } => {
                let name = path(&at).to_owned();
                let Some(body) =
                    self.uploads.entry((process, upload)).or_insert_with(|| Some(BytesMut::new()))
                else {
                    let reason = "an earlier part of the upload failed".to_owned();
                    return Err(StoreError::Failed { at, reason });
                };
                body.extend_from_slice(&part);
                if last && let Some(Some(body)) = self.uploads.remove(&(process, upload)) {
                    self.write(Some(process), name, body.freeze());
                }
            }
            StoreOp::CancelUpload { upload } => drop(self.uploads.remove(&(process, upload))),
            StoreOp::Get { at, range } => return self.read(at, range),
            StoreOp::List { below } => return Ok(StoreReply::Objects(self.list(&below))),
            StoreOp::Delete { at } => self.delete(Some(process), path(&at)),
            StoreOp::Rename { from, to } => match self.objects.get(path(&from)).cloned() {
                Some(body) => {
                    self.delete(Some(process), path(&from));
                    self.write(Some(process), path(&to).to_owned(), body);
                }
                None => return Err(StoreError::NotFound(from)),
            },
            StoreOp::Concat { at, pieces, tail } => {
                let mut body = BytesMut::new();
                for (piece, len) in pieces {
                    let StoreReply::Bytes(bytes) = self.read(piece, Some(0..len))? else { continue };
                    body.extend_from_slice(&bytes);
                }
                body.extend_from_slice(&tail);
                self.write(Some(process), path(&at).to_owned(), body.freeze());
            }
            StoreOp::MakeExecutable { at } => {
                if !self.objects.contains_key(path(&at)) {
                    return Err(StoreError::NotFound(at));
                }
            }
        }
        Ok(StoreReply::Done)
    }

    fn read(&self, at: Location, range: Option<std::ops::Range<u64>>) -> StoreResult {
        let Some(body) = self.objects.get(path(&at)) else { return Err(StoreError::NotFound(at)) };
        match range {
            None => Ok(StoreReply::Bytes(body.clone())),
            Some(range) if range.start <= range.end && range.end <= body.len() as u64 => {
                Ok(StoreReply::Bytes(body.slice(range.start as usize..range.end as usize)))
            }
            Some(range) => Err(StoreError::OutOfRange { at, range, len: body.len() as u64 }),
        }
    }

    fn list(&self, below: &Location) -> Vec<ObjectMeta> {
        let prefix = format!("{}/", path(below).trim_end_matches('/'));
        if let Some(body) = self.objects.get(path(below)) {
            return vec![ObjectMeta { at: below.clone(), len: body.len() as u64 }];
        }
        let found = self.below(&prefix);
        found
            .map(|(name, body)| ObjectMeta { at: below.join(&name[prefix.len()..]), len: body.len() as u64 })
            .collect()
    }

    fn write(&mut self, by: Option<ProcessId>, name: String, body: Bytes) {
        let replaced = self.objects.get(&name).is_some_and(|before| *before != body);
        self.objects.insert(name.clone(), body);
        let kind = if replaced { ChangeKind::Replaced } else { ChangeKind::Written };
        self.changes.push(Change { name, by, kind });
    }

    fn delete(&mut self, by: Option<ProcessId>, name: &str) {
        if let Some(body) = self.objects.remove(name) {
            self.deleted.insert(name.to_owned(), body);
            self.changes.push(Change { name: name.to_owned(), by, kind: ChangeKind::Deleted });
        }
    }
}

/// The object of a request.
fn location(op: &StoreOp) -> Location {
    match op {
        StoreOp::Put { at, .. }
        | StoreOp::Upload { at, .. }
        | StoreOp::Get { at, .. }
        | StoreOp::Delete { at }
        | StoreOp::Concat { at, .. }
        | StoreOp::MakeExecutable { at } => at.clone(),
        StoreOp::List { below } => below.clone(),
        StoreOp::Rename { from, .. } => from.clone(),
        StoreOp::CancelUpload { upload } => Location(format!("upload {upload}")),
    }
}

/// A location without its scheme.
fn path(at: &Location) -> &str {
    at.0.strip_prefix("file://").unwrap_or(&at.0)
}

fn flipped(body: &Bytes, number: u64) -> Bytes {
    let mut body = BytesMut::from(&body[..]);
    let bit = (number % (body.len() as u64 * 8)) as usize;
    body[bit / 8] ^= 1 << (bit % 8);
    body.freeze()
}
