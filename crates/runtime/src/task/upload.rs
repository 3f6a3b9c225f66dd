//! The upload of a snapshot: collects its bytes into parts, which are uploaded concurrently.
//!
//! The buffers of parts are reused for the next snapshot. Allocating them for each checkpoint would cause page
//! faults within the slot's steps, which were the longest of its pauses (docs/benchmarks.md).

use bytes::{Bytes, BytesMut};
use reflow_api::Io;
use reflow_env::{Location, StoreOp, Ticket};
use reflow_state::SnapshotSink;
use reflow_types::Bounds;

/// Empty buffers: at most one more than the parts under way, and never more than a snapshot has needed at a time.
#[derive(Default)]
pub(super) struct Buffers(Vec<BytesMut>);

impl Buffers {
    fn take(&mut self) -> BytesMut {
        self.0.pop().unwrap_or_default()
    }

    /// Takes back the buffer of an uploaded part, unless the store still has a reference to it.
    fn give_back(&mut self, part: Bytes, most: usize) {
        if let Ok(mut buffer) = part.try_into_mut()
            && self.0.len() <= most
        {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// An object that is being written. If it is dropped before its last part is sent, the upload is aborted.
pub(super) struct Upload {
    /// An `Io` of its own, which aborts what is under way when it is dropped.
    io: Io,
    at: Location,
    id: u64,
    bounds: Bounds,
    part: BytesMut,
    under_way: Vec<(Ticket, Bytes)>,
    buffers: Buffers,
    any: bool,
}

impl Upload {
    /// An upload to `at`, which starts with the first byte.
    pub(super) fn new(io: &Io, at: Location, mut buffers: Buffers, bounds: Bounds) -> Self {
        let (id, part) = (io.new_upload(), buffers.take());
        Self { io: io.for_task(), at, id, bounds, part, under_way: Vec::new(), buffers, any: false }
    }

    /// Whether anything was written. If not, there is no object.
    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// Sends the last part.
    pub(super) fn finish(&mut self) {
        if self.any {
            self.send(None);
        }
    }

    /// Whether another part may be written.
    pub(super) fn may_write(&mut self) -> Result<bool, String> {
        self.collect()?;
        Ok(self.under_way.len() < self.bounds.upload_parts)
    }

    /// Whether all that was sent is in storage.
    pub(super) fn settled(&mut self) -> Result<bool, String> {
        self.collect()?;
        Ok(self.under_way.is_empty())
    }

    /// Ends the upload, aborting it if it is not complete, and returns the free buffers.
    pub(super) fn end(mut self) -> Buffers {
        self.buffers.give_back(self.part.freeze(), self.bounds.upload_parts);
        self.buffers
    }

    /// Sends the current part. It is the last one if there is no buffer for the next.
    fn send(&mut self, next: Option<BytesMut>) {
        let last = next.is_none();
        let part = std::mem::replace(&mut self.part, next.unwrap_or_default()).freeze();
        let (upload, at) = (self.id, self.at.clone());
        let ticket = self.io.submit(StoreOp::Upload { upload, at, part: part.clone(), last });
        self.under_way.push((ticket, part));
    }

    /// Takes the answers of storage. An error of a part is an error of the upload.
    fn collect(&mut self) -> Result<(), String> {
        let mut failed = None;
        for (ticket, part) in std::mem::take(&mut self.under_way) {
            match self.io.take(ticket) {
                None => self.under_way.push((ticket, part)),
                Some(Ok(_)) => self.buffers.give_back(part, self.bounds.upload_parts),
                Some(Err(error)) => failed = Some(format!("cannot write a snapshot: {error}")),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

impl SnapshotSink for Upload {
    fn write(&mut self, mut bytes: &[u8]) {
        let part_bytes = self.bounds.upload_part_bytes;
        while !bytes.is_empty() {
            self.any = true;
            let (fits, rest) = bytes.split_at(bytes.len().min(part_bytes - self.part.len()));
            if self.part.len() + fits.len() > self.bounds.small_part_bytes {
                self.part.reserve(part_bytes - self.part.len());
            }
            self.part.extend_from_slice(fits);
            bytes = rest;
            if self.part.len() == part_bytes {
                let next = self.buffers.take();
                self.send(Some(next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_env::{Request, StoreError, StoreReply};

    const PART_BYTES: usize = 8 << 20;
    const MAX_PARTS: usize = 4;

    fn upload(io: &Io, buffers: Buffers) -> Upload {
        Upload::new(io, Location("object".to_owned()), buffers, Bounds::default())
    }

    /// The parts that were sent: their tickets, bytes, and whether they are the last.
    fn sent(io: &Io) -> Vec<(Ticket, Bytes, bool)> {
        let part =
            |(ticket, request): (_, Request)| match request.into_store().expect("uploads go to storage") {
                StoreOp::Upload { part, last, .. } => (ticket, part, last),
                other => panic!("{other:?}"),
            };
        io.drain_submitted().into_iter().map(part).collect()
    }

    #[test]
    fn parts_hold_all_bytes_in_order() {
        let (io, bytes) = (Io::default(), (0..3 * PART_BYTES / 2).map(|i| i as u8).collect::<Vec<_>>());
        let mut upload = upload(&io, Buffers::default());
        bytes.chunks(300_001).for_each(|chunk| upload.write(chunk));
        upload.finish();
        let sent = sent(&io);
        let shape: Vec<_> = sent.iter().map(|(_, part, last)| (part.len(), *last)).collect();
        assert_eq!(shape, [(PART_BYTES, false), (PART_BYTES / 2, true)]);
        assert!(sent.iter().flat_map(|(_, part, _)| part).eq(&bytes));
    }

    #[test]
    fn buffers_are_used_again_once_the_store_lets_go_of_them() {
        let io = Io::default();
        let mut buffers = Buffers::default();
        for store_keeps_it in [false, false, true, false] {
            let before: Vec<_> =
                buffers.0.iter().map(|buffer| (buffer.as_ptr(), buffer.capacity())).collect();
            let mut upload = upload(&io, buffers);
            upload.write(&[1; 100]);
            upload.finish();
            let (ticket, part, _) = sent(&io).remove(0);
            assert!(before.iter().all(|(at, _)| *at == part.as_ptr()));
            let kept = store_keeps_it.then_some(part);
            assert!(!upload.settled().unwrap());
            io.answer(ticket, Ok(StoreReply::Done));
            assert!(upload.settled().unwrap());
            buffers = upload.end();
            let capacities: Vec<_> = buffers.0.iter().map(BytesMut::capacity).filter(|&c| c > 0).collect();
            assert_eq!(capacities.len(), usize::from(kept.is_none()));
        }
    }

    #[test]
    fn a_part_that_fails_is_told_and_the_upload_can_be_given_up() {
        let io = Io::default();
        let mut upload = upload(&io, Buffers::default());
        upload.write(&vec![1; 2 * PART_BYTES]);
        let parts = sent(&io);
        io.answer(parts[0].0, Err(StoreError::NotFound(Location("object".to_owned()))));
        assert!(upload.may_write().unwrap_err().contains("cannot write a snapshot: "));
        upload.end();
        let ops = io.drain_submitted();
        assert!(matches!(ops[..], [(_, Request::Store(StoreOp::CancelUpload { .. }))]), "{ops:?}");
        io.answer(parts[1].0, Ok(StoreReply::Done));
        assert_eq!(io.take(parts[1].0), None);
    }

    #[test]
    fn an_upload_whose_task_is_gone_is_cancelled() {
        let io = Io::default();
        let mut upload = upload(&io, Buffers::default());
        upload.write(&vec![1; 2 * PART_BYTES]);
        assert_eq!(sent(&io).len(), 2);
        drop(upload);
        let ops = io.drain_submitted();
        assert!(matches!(ops[..], [(_, Request::Store(StoreOp::CancelUpload { .. }))]), "{ops:?}");
    }

    #[test]
    fn as_many_parts_are_under_way_as_are_allowed_and_as_many_buffers_kept() {
        let io = Io::default();
        let mut upload = upload(&io, Buffers::default());
        let mut parts = Vec::new();
        while upload.may_write().unwrap() {
            upload.write(&vec![1; PART_BYTES / 2]);
            parts.extend(sent(&io).into_iter().map(|(ticket, ..)| ticket));
        }
        assert_eq!(parts.len(), MAX_PARTS);
        upload.write(&[1; 100]);
        upload.finish();
        parts.extend(sent(&io).into_iter().map(|(ticket, ..)| ticket));
        parts.iter().for_each(|ticket| io.answer(*ticket, Ok(StoreReply::Done)));
        assert!(upload.settled().unwrap());
        assert!(upload.end().0.len() <= MAX_PARTS + 1);
    }
}
