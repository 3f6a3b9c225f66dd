//! The window of a file: the part that is in memory and not yet consumed, and the read under way.

use crate::ConnectorError;
use bytes::Bytes;
use reflow_api::Io;
use reflow_env::{Location, StoreError, StoreOp, StoreReply, Ticket};
use reflow_types::Instant;
use std::time::Duration;

/// The size of a read, and how much is read ahead.
pub(super) const CHUNK_BYTES: u64 = 1 << 20;
/// How often a read is tried, for about five minutes. If storage is unavailable, a reader waits, because a restart
/// would not help. A file that can never be read, for example for lack of permission, must fail the job at some
/// time.
const MAX_TRIES: u32 = 36;
/// The time before the second try. It doubles each time, up to a bound.
const RETRY_AFTER: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// One in this many failures is logged. The first ones may be short.
const LOG_EACH: u32 = 5;

/// Reads a file ahead from an offset.
pub(super) struct Window {
    io: Io,
    file: Location,
    /// Data that was read; from `at` on it is not yet consumed.
    buffer: Vec<u8>,
    at: usize,
    /// How many bytes from `at` on were searched without a result.
    scanned: usize,
    /// One past the last byte read.
    fetched: u64,
    /// The offset up to which it reads.
    limit: u64,
    /// The file's length.
    len: u64,
    read: Read,
}

enum Read {
    None,
    UnderWay { ticket: Ticket, tries: u32 },
    Again { tries: u32, at: Instant },
}

impl Window {
    /// Reads `from..limit` ahead, and more of the file on request.
    pub(super) fn new(io: Io, file: Location, from: u64, limit: u64, len: u64) -> Self {
        Self { io, file, buffer: Vec::new(), at: 0, scanned: 0, fetched: from, limit, len, read: Read::None }
    }

    /// The bytes in memory that are not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Whether these are the last bytes of the file.
    pub(super) fn is_last(&self) -> bool {
        self.fetched >= self.len
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.at += len;
        self.scanned = 0;
    }

    /// Whether all bytes in memory were searched without a result.
    pub(super) fn is_scanned(&self) -> bool {
        self.scanned == self.bytes().len() && !self.is_last()
    }

    /// Marks all bytes in memory as searched without a result, so that more are read.
    pub(super) fn want_more(&mut self) {
        self.scanned = self.bytes().len();
        if self.fetched >= self.limit {
            self.limit = (self.limit + CHUNK_BYTES).min(self.len);
        }
    }

    /// Takes answers and requests more. Returns when it must be called again, if no answer arrives before.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Option<Instant>, ConnectorError> {
        if let Read::UnderWay { ticket, tries } = self.read
            && let Some(answer) = self.io.take(ticket)
        {
            self.read = Read::None;
            match answer {
                Ok(StoreReply::Bytes(bytes)) => self.append(&bytes)?,
                Ok(_) => {
                    return Err(self.error(failed(
                        &self.file,
                        "the storage answered a read with another kind of reply",
                    )));
                }
                Err(source @ (StoreError::NotFound(_) | StoreError::OutOfRange { .. })) => {
                    return Err(self.gone(source));
                }
                Err(error) if tries >= MAX_TRIES => return Err(self.error(error)),
                Err(source) => {
                    if tries.is_multiple_of(LOG_EACH) {
                        tracing::warn!("waiting for storage: {}", self.error(source));
                    }
                    self.read = Read::Again { tries, at: now + pause_after(tries) };
                }
            }
        }
        match self.read {
            Read::UnderWay { .. } => Ok(None),
            Read::Again { at, .. } if at > now => Ok(Some(at)),
            Read::Again { tries, .. } => {
                self.submit(tries + 1);
                Ok(None)
            }
            Read::None => {
                let ahead = self.bytes().len() as u64 >= CHUNK_BYTES && self.scanned < self.bytes().len();
                if self.fetched < self.limit && !ahead {
                    self.submit(1);
                }
                Ok(None)
            }
        }
    }

    fn submit(&mut self, tries: u32) {
        let range = self.fetched..self.limit.min(self.fetched + CHUNK_BYTES);
        let ticket = self.io.submit(StoreOp::Get { at: self.file.clone(), range: Some(range) });
        self.read = Read::UnderWay { ticket, tries };
    }

    fn append(&mut self, bytes: &Bytes) -> Result<(), ConnectorError> {
        if bytes.is_empty() {
            return Err(self.gone(failed(&self.file, "the file is shorter than when it was found")));
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
        self.fetched += bytes.len() as u64;
        Ok(())
    }

    fn gone(&self, source: StoreError) -> ConnectorError {
        ConnectorError::Gone { at: self.file.clone(), offset: self.fetched, source }
    }

    fn error(&self, source: StoreError) -> ConnectorError {
        ConnectorError::Read { at: self.file.clone(), offset: self.fetched, source }
    }
}

fn pause_after(tries: u32) -> Duration {
    RETRY_AFTER.saturating_mul(1_u32.checked_shl(tries - 1).unwrap_or(u32::MAX)).min(MAX_PAUSE)
}

fn failed(at: &Location, reason: &str) -> StoreError {
    StoreError::Failed { at: at.clone(), reason: reason.to_owned() }
}

impl Drop for Window {
    fn drop(&mut self) {
        if let Read::UnderWay { ticket, .. } = self.read {
            self.io.forget(ticket);
        }
    }
}
