//! An object store in memory, into which the test can inject faults.

use bytes::{Bytes, BytesMut};
use reflow_env::{Location, ObjectMeta, PutMode, StoreError, StoreOp, StoreReply, StoreResult};
use std::collections::BTreeMap;
use std::ops::Range;

/// Objects by name. Requests are carried out at once; the harness decides when the answer arrives.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// use reflow::testing::{Harness, MemoryStore};
///
/// /// While storage is full, checkpoints fail, and the job goes on.
/// fn storage_is_full_for_a_while(job: &mut Harness<'_>) {
///     job.store_mut().fail_writes("");
///     assert!(!job.checkpoint());
///     job.store_mut().heal();
///     assert!(job.checkpoint());
/// }
///
/// /// An object is damaged, another is lost.
/// fn damage(store: &mut MemoryStore) {
///     let names: Vec<String> = store.below("/checkpoints/").map(|(name, _)| name.to_owned()).collect();
///     let [first, second, ..] = &names[..] else { panic!("there are {} objects", names.len()) };
///     store.overwrite(first, "nonsense");
///     store.remove(second);
/// }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    objects: BTreeMap<String, Bytes>,
    /// Uploads in progress, by executor and number.
    uploads: BTreeMap<(usize, u64), BytesMut>,
    failing: Option<String>,
    /// The number of reads that will have a bit flipped.
    flipping: u32,
    bytes_read: u64,
}

impl MemoryStore {
    /// Makes all writes below `prefix` fail, or all writes with `""`.
    pub fn fail_writes(&mut self, prefix: &str) {
        self.failing = Some(prefix.to_owned());
    }

    /// Makes writes succeed again.
    pub fn heal(&mut self) {
        self.failing = None;
    }

    /// Flips a bit in the next `reads` reads of parts of objects.
    #[doc(hidden)]
    pub fn flip_reads(&mut self, reads: u32) {
        self.flipping = reads;
    }

    /// The number of bytes that have been read.
    #[doc(hidden)]
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The objects below `prefix`, by name.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Bytes)> {
        let from = self.objects.range(prefix.to_owned()..);
        from.take_while(move |(name, _)| name.starts_with(prefix)).map(|(name, body)| (name.as_str(), body))
    }

    /// Replaces an object's bytes, to damage it.
    pub fn overwrite(&mut self, name: &str, body: impl Into<Bytes>) {
        self.objects.insert(name.to_owned(), body.into());
    }

    /// Whether there is an object of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.objects.contains_key(name)
    }

    /// Removes an object, as if it were lost.
    pub fn remove(&mut self, name: &str) {
        self.objects.remove(name);
    }

    /// Drops the uploads of slots that are no more, as storage does.
    pub(crate) fn drop_uploads(&mut self) {
        self.uploads.clear();
    }

    /// Carries out a request of a slot.
    pub(crate) fn answer(&mut self, slot: usize, op: StoreOp) -> StoreResult {
        match op {
            StoreOp::Put { at, body, mode } => self.put(at, body, mode),
            StoreOp::Upload { upload, at, part, last } => {
                self.may_write(&at)?;
                self.uploads.entry((slot, upload)).or_default().extend_from_slice(&part);
                if last {
                    let body = self.uploads.remove(&(slot, upload)).unwrap_or_default();
                    self.objects.insert(at.0, body.freeze());
                }
                Ok(StoreReply::Done)
            }
            StoreOp::CancelUpload { upload } => {
                self.uploads.remove(&(slot, upload));
                Ok(StoreReply::Done)
            }
            StoreOp::Get { at, range } => self.get(at, range),
            StoreOp::List { below } => {
                let meta = |(name, body): (&str, &Bytes)| ObjectMeta {
                    at: Location(name.to_owned()),
                    len: body.len() as u64,
                };
                let prefix = format!("{}/", below.0.trim_end_matches('/'));
                Ok(StoreReply::Objects(self.below(&prefix).map(meta).collect()))
            }
            StoreOp::Delete { at } => {
                self.objects.remove(&at.0);
                Ok(StoreReply::Done)
            }
            StoreOp::Rename { from, to } => {
                self.may_write(&to)?;
                let body = self.objects.remove(&from.0).ok_or(StoreError::NotFound(from))?;
                self.objects.insert(to.0, body);
                Ok(StoreReply::Done)
            }
            StoreOp::Concat { at, pieces, tail } => {
                self.may_write(&at)?;
                let mut body = BytesMut::new();
                for (piece, len) in pieces {
                    let StoreReply::Bytes(bytes) = self.get(piece, Some(0..len))? else { continue };
                    body.extend_from_slice(&bytes);
                }
                body.extend_from_slice(&tail);
                self.put(at, body.freeze(), PutMode::Overwrite)
            }
            StoreOp::MakeExecutable { at } => Err(failed(at, "nothing in memory can be run")),
        }
    }

    fn put(&mut self, at: Location, body: Bytes, mode: PutMode) -> StoreResult {
        self.may_write(&at)?;
        if mode == PutMode::Create && self.objects.contains_key(&at.0) {
            return Err(StoreError::AlreadyExists(at));
        }
        self.objects.insert(at.0, body);
        Ok(StoreReply::Done)
    }

    fn get(&mut self, at: Location, range: Option<Range<u64>>) -> StoreResult {
        let Some(body) = self.objects.get(&at.0) else { return Err(StoreError::NotFound(at)) };
        let Some(Range { start, end }) = range else { return Ok(StoreReply::Bytes(body.clone())) };
        self.bytes_read += end.saturating_sub(start);
        if end > body.len() as u64 {
            return Err(StoreError::OutOfRange { at, range: start..end, len: body.len() as u64 });
        }
        let part = body.slice(start as usize..end as usize);
        if self.flipping == 0 || part.is_empty() {
            return Ok(StoreReply::Bytes(part));
        }
        self.flipping -= 1;
        let mut flipped = part.to_vec();
        flipped[part.len() / 2] ^= 1;
        Ok(StoreReply::Bytes(flipped.into()))
    }

    fn may_write(&self, at: &Location) -> Result<(), StoreError> {
        match &self.failing {
            Some(prefix) if at.0.starts_with(prefix) => Err(failed(at.clone(), "no space left")),
            _ => Ok(()),
        }
    }
}

fn failed(at: Location, reason: &str) -> StoreError {
    StoreError::Failed { at, reason: reason.to_owned() }
}
