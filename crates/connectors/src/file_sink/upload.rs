//! The upload of a large object in parts, while it is written.

use crate::ConnectorError;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Location, StoreError, StoreOp, Ticket};

/// The parts of an object that are on their way to storage.
pub(super) struct Upload {
    id: u64,
    at: Location,
    /// The bytes that were sent.
    bytes: u64,
    unanswered: Vec<Ticket>,
    failed: Option<StoreError>,
}

impl Upload {
    pub(super) fn new(at: Location, io: &Io) -> Self {
        Self { id: io.new_upload(), at, bytes: 0, unanswered: Vec::new(), failed: None }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of parts under way.
    pub(super) fn under_way(&mut self, io: &Io) -> usize {
        self.collect(io);
        self.unanswered.len()
    }

    /// Sends the next part.
    pub(super) fn send(&mut self, io: &Io, part: Bytes) -> Result<(), ConnectorError> {
        self.submit(io, part, false)
    }

    /// Sends the last part, with which the object is complete. Returns the requests under way.
    pub(super) fn finish(mut self, io: &Io, part: Bytes) -> Result<Vec<Ticket>, ConnectorError> {
        self.submit(io, part, true)?;
        Ok(self.unanswered)
    }

    /// Drops the upload of an object that will not be complete.
    pub(super) fn cancel(self, io: &Io) {
        io.submit_and_forget(StoreOp::CancelUpload { upload: self.id });
        self.unanswered.iter().for_each(|ticket| io.forget(*ticket));
    }

    fn submit(&mut self, io: &Io, part: Bytes, last: bool) -> Result<(), ConnectorError> {
        self.collect(io);
        if let Some(source) = self.failed.take() {
            return Err(ConnectorError::Write { at: self.at.clone(), source });
        }
        self.bytes += part.len() as u64;
        let at = self.at.clone();
        self.unanswered.push(io.submit(StoreOp::Upload { upload: self.id, at, part, last }));
        Ok(())
    }

    /// Takes the answers that have arrived.
    fn collect(&mut self, io: &Io) {
        self.unanswered.retain(|ticket| match io.take(*ticket) {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => {
                self.failed.get_or_insert(error);
                false
            }
        });
    }
}
