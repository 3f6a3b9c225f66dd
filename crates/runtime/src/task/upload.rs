//! A snapshot's way into storage: collected into parts, which are uploaded side by side.
//!
//! The buffers of parts are kept from one snapshot to the next. Memory that is fetched anew for each checkpoint
//! costs page faults within the slot's steps, which were the longest of its pauses (docs/benchmarks.md).

use bytes::{Bytes, BytesMut};
use reflow_api::Io;
use reflow_env::{Location, StoreOp, Ticket};
use reflow_state::SnapshotSink;

/// The least that object stores take as a part.
const PART_BYTES: usize = 8 << 20;
/// So many parts may be under way; then writing waits for the store.
const MAX_PARTS: usize = 4;
/// A part that has grown so far by doubling gets room for all of [`PART_BYTES`]: grown further it would be copied
/// up to 4 MiB within one step.
const SMALL_PART_BYTES: usize = 1 << 20;

/// Empty buffers, at most one more than may be under way, and never more than a snapshot has needed at a time.
#[derive(Default)]
pub(super) struct Buffers(Vec<BytesMut>);

impl Buffers {
    fn take(&mut self) -> BytesMut {
        self.0.pop().unwrap_or_default()
    }

    /// Takes a part back that was uploaded, unless the store still holds on to it.
    fn give_back(&mut self, part: Bytes) {
        if let Ok(mut buffer) = part.try_into_mut()
            && self.0.len() <= MAX_PARTS
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// An object that is being written.
pub(super) struct Upload {
    io: Io,
    at: Location,
    id: u64,
    part: BytesMut,
    under_way: Vec<(Ticket, Bytes)>,
    buffers: Buffers,
    any: bool,
}

impl Upload {
    /// An upload to `at`, which begins with the first byte.
    pub(super) fn new(io: &Io, at: Location, mut buffers: Buffers) -> Self {
        let (id, part) = (io.new_upload(), buffers.take());
        Self { io: io.clone(), at, id, part, under_way: Vec::new(), buffers, any: false }
    }

    /// Whether there is an object at all: nothing is uploaded if nothing was written.
    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// Sends the last part.
    pub(super) fn finish(&mut self) {
        if self.any {
            self.send(true);
        }
    }

    /// Whether there is room for more parts.
    pub(super) fn may_write(&mut self) -> Result<bool, String> {
        self.collect()?;
        Ok(self.under_way.len() < MAX_PARTS)
    }

    /// Whether all that was sent is in storage.
    pub(super) fn settled(&mut self) -> Result<bool, String> {
        self.collect()?;
        Ok(self.under_way.is_empty())
    }

    /// Gives the upload up if it is under way still, and the buffers back that are free.
    pub(super) fn end(mut self) -> Buffers {
        self.buffers.give_back(self.part.freeze());
        self.buffers
    }

    /// Gives the upload up.
    pub(super) fn cancel(self) -> Buffers {
        self.io.submit_and_forget(StoreOp::CancelUpload { upload: self.id });
        self.under_way.iter().for_each(|(ticket, _)| self.io.forget(*ticket));
        self.end()
    }

    fn send(&mut self, last: bool) {
        let next = if last { BytesMut::new() } else { self.buffers.take() };
        let part = std::mem::replace(&mut self.part, next).freeze();
        let (upload, at) = (self.id, self.at.clone());
        let ticket = self.io.submit(StoreOp::Upload { upload, at, part: part.clone(), last });
        self.under_way.push((ticket, part));
    }

    /// Looks at what was answered; an error of any part is that of the whole.
    fn collect(&mut self) -> Result<(), String> {
        let mut failed = None;
        for (ticket, part) in std::mem::take(&mut self.under_way) {
            match self.io.take(ticket) {
                None => self.under_way.push((ticket, part)),
                Some(Ok(_)) => self.buffers.give_back(part),
                Some(Err(error)) => failed = Some(format!("cannot write a snapshot: {error}")),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl SnapshotSink for Upload {
    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.any = true;
            let (fits, rest) = bytes.split_at(bytes.len().min(PART_BYTES - self.part.len()));
            if self.part.len() + fits.len() > SMALL_PART_BYTES {
                self.part.reserve(PART_BYTES - self.part.len());
            }
            self.part.extend_from_slice(fits);
            bytes = rest;
            if self.part.len() == PART_BYTES {
                self.send(false);
            }
        }
    }
}
