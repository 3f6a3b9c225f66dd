//! A source that reads text from a socket, for examples and tests.
//!
//! A socket cannot be asked for earlier data, so the source has no position, and its guarantee is at most once: what
//! was read but not processed when an attempt ends is lost, as in Flink.

mod client;

pub use client::{FromSocket, ReadSocket, SocketClient};

use crate::ConnectorError;
use client::TIME_LIMIT;
use memchr::memchr;
use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::{CallTicket, Emit, Enumerator, Io, Polled, Reader, Source, UserError};
use reflow_env::{CallError, Client};
use reflow_types::{Data, Instant, NO_TIMESTAMP};
use std::sync::Arc;
use std::time::Duration;

/// The default of the longest line.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Reads lines from a TCP connection, which it opens. One subtask reads.
///
/// It is for examples and tests: lines that were received when an attempt ends and are not part of a checkpoint are
/// lost, because nobody sends them again.
///
/// When the other side ends the stream, the input ends. With [`reconnect`](Self::reconnect) the source connects again
/// instead. A connection that cannot be opened or breaks fails the attempt, and the restart strategy decides.
///
/// Bytes that are not UTF-8 are replaced by `U+FFFD`. A carriage return before the line feed is removed.
///
/// ```
/// use reflow_connectors::SocketSource;
/// use std::time::Duration;
///
/// let lines = SocketSource::lines("localhost:9999").reconnect(10, Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
pub struct SocketSource {
    address: String,
    max_line_bytes: usize,
    /// How often in a row it connects again, and the pause before.
    reconnect: (u32, Duration),
}

impl SocketSource {
    /// Reads from `address`, which is `host:port`.
    pub fn lines(address: impl Into<String>) -> Self {
        Self { address: address.into(), max_line_bytes: MAX_LINE_BYTES, reconnect: (0, Duration::ZERO) }
    }

    /// Connects again when the stream has ended or the connection is lost, each time after `pause`, at most `times`
    /// without receiving anything in between. Then the source ends or fails as without it.
    #[must_use]
    pub fn reconnect(mut self, times: u32, pause: Duration) -> Self {
        self.reconnect = (times, pause);
        self
    }

    /// Sets the length of the longest line, 1 MiB by default. A longer one fails the attempt.
    ///
    /// ```
    /// let lines = reflow_connectors::SocketSource::lines("localhost:9999").max_line_bytes(1 << 10);
    /// ```
    #[must_use]
    pub fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.max_line_bytes = bytes;
        self
    }
}

/// The connection, which has no position.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct SocketSplit;

impl Source for SocketSource {
    type Item = String;
    type Split = SocketSplit;
    type Reader = SocketReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new([SocketSplit]))
    }

    fn reader(&self, context: &ReaderContext) -> SocketReader {
        SocketReader { source: self.clone(), io: context.io.clone(), active: None, complete: false }
    }
}

/// Reads a socket.
#[doc(hidden)]
pub struct SocketReader {
    source: SocketSource,
    io: Io,
    active: Option<Active>,
    complete: bool,
}

/// A connection that is read.
struct Active {
    client: Arc<SocketClient>,
    read: Option<CallTicket<SocketClient>>,
    /// What was received, and how much of it was emitted or has no line feed.
    received: Vec<u8>,
    emitted: usize,
    searched: usize,
    /// Whether the stream has ended for good.
    ended: bool,
    /// How often it has connected again since it received something, and when it will.
    tries: u32,
    due: Instant,
}

impl Active {
    fn new(source: &SocketSource) -> Self {
        Self {
            client: Arc::new(SocketClient::new(&source.address)),
            read: None,
            received: Vec::new(),
            emitted: 0,
            searched: 0,
            ended: false,
            tries: 0,
            due: Instant::default(),
        }
    }

    /// The next whole line, or the rest when the stream has ended.
    fn next_line(&mut self, most: usize) -> Result<Option<String>, ConnectorError> {
        let (line, next) = match memchr(b'\n', &self.received[self.searched..]) {
            Some(at) => (self.emitted..self.searched + at, self.searched + at + 1),
            None => {
                self.searched = self.received.len();
                (self.emitted..self.searched, self.searched)
            }
        };
        if line.len() > most {
            let address = self.client.system().to_owned();
            return Err(ConnectorError::LongLine { address, most });
        }
        if line.end == next && (!self.ended || line.is_empty()) {
            // Keeps what has no line feed yet.
            self.received.drain(..self.emitted);
            (self.searched, self.emitted) = (self.received.len(), 0);
            return Ok(None);
        }
        let line = &self.received[line];
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        (self.emitted, self.searched) = (next, next);
        Ok(Some(text))
    }

    /// Takes an answer, and reads on when all whole lines have been emitted.
    fn read(&mut self, now: Instant, source: &SocketSource, io: &Io) -> Result<(), UserError> {
        if let Some(answer) = self.read.as_ref().and_then(|read| io.take_answer(read)) {
            self.read = None;
            match answer {
                Ok(FromSocket::Bytes(bytes)) => {
                    if !bytes.is_empty() {
                        self.tries = 0;
                    }
                    self.received.extend_from_slice(&bytes);
                }
                Ok(FromSocket::End) if self.tries >= source.reconnect.0 => self.ended = true,
                Err(error) if self.tries >= source.reconnect.0 => {
                    return Err(ConnectorError::Socket { tries: self.tries + 1, error }.into());
                }
                Ok(FromSocket::End) => self.connect_again(now, source, None),
                Err(error) => self.connect_again(now, source, Some(&error)),
            }
        }
        let is_searched = self.searched == self.received.len();
        if self.read.is_none() && is_searched && !self.ended && self.due <= now {
            self.read = Some(io.call(&self.client, ReadSocket, TIME_LIMIT));
        }
        Ok(())
    }

    fn connect_again(&mut self, now: Instant, source: &SocketSource, error: Option<&CallError>) {
        // What has no line feed is a line if the stream has ended in order, and otherwise perhaps a part of one.
        let why = match error {
            Some(error) => {
                self.received.clear();
                self.searched = 0;
                error.to_string()
            }
            None => {
                if !self.received.is_empty() {
                    self.received.push(b'\n');
                }
                "the stream has ended".to_owned()
            }
        };
        tracing::warn!("connecting to {} again in {:?}: {why}", source.address, source.reconnect.1);
        self.tries += 1;
        self.due = now + source.reconnect.1;
    }
}

impl Reader for SocketReader {
    type Item = String;
    type Split = SocketSplit;

    fn add_split(&mut self, _: SocketSplit) -> u64 {
        self.active = Some(Active::new(&self.source));
        0
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, SocketSplit)> {
        let released = if keep == 0 { self.active.take() } else { None };
        if let Some(read) = released.as_ref().and_then(|active| active.read.as_ref()) {
            self.io.cancel(read.untyped());
        }
        released.into_iter().map(|_| (0, SocketSplit)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<String>) -> Result<Polled, UserError> {
        let Some(active) = &mut self.active else {
            return Ok(if self.complete { Polled::End } else { Polled::Wait(None) });
        };
        out.split(0);
        loop {
            while let Some(line) = {
                if out.is_full() {
                    return Ok(Polled::More);
                }
                active.next_line(self.source.max_line_bytes)?
            } {
                out.emit(line, NO_TIMESTAMP);
            }
            let before = active.received.len();
            active.read(now, &self.source, &self.io)?;
            if active.ended && active.received.is_empty() {
                out.end_split(0);
                self.active = None;
                return Ok(if self.complete { Polled::End } else { Polled::Wait(None) });
            }
            if active.received.len() == before && !active.ended {
                return Ok(Polled::Wait(active.read.is_none().then_some(active.due)));
            }
        }
    }

    fn snapshot(&self) -> Vec<SocketSplit> {
        self.active.iter().map(|_| SocketSplit).collect()
    }

    fn position(&self) -> Option<String> {
        Some(format!("socket://{}", self.source.address))
    }
}

#[cfg(test)]
mod tests;
