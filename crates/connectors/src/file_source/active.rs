//! A split that is being read.

use super::decode::Decoder;
use super::framing::{Framing, without_line_end};
use super::split::FileSplit;
use super::window::{CHUNK_BYTES, Window};
use crate::error::{ConnectorError, MalformedRecord, place};
use reflow_api::{Emit, Io};
use reflow_types::{Instant, NO_TIMESTAMP};

/// How many records a split yields before the next one has its turn.
const TURN_RECORDS: usize = 256;
/// The longest record.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A split that is being read.
pub(super) struct Active<D> {
    pub(super) split: FileSplit,
    decoder: D,
    framing: Framing,
    /// The beginning of the file, until its header was read, if the split does not begin with it.
    header: Option<Window>,
    body: Window,
    /// Where the record begins that was emitted last, and on which line.
    emitted: Option<(u64, Option<u64>)>,
}

/// What has become of a turn.
pub(super) enum Turn {
    /// There is more at once.
    More,
    /// What is in memory is read.
    Starved,
    /// The split is finished.
    Ended,
    /// A record cannot be read. It is passed over.
    Malformed(MalformedRecord),
}

impl<D: Decoder> Active<D> {
    pub(super) fn new(split: FileSplit, decoder: D, io: &Io) -> Self {
        let window = |from, limit: u64| Window::new(io.clone(), split.file.clone(), from, limit, split.len);
        let header = (decoder.has_header() && split.next > 0).then(|| window(0, split.len.min(CHUNK_BYTES)));
        let body = window(split.next, split.end);
        Self { header, body, framing: decoder.framing(), decoder, split, emitted: None }
    }

    /// Where the record begins that was emitted last.
    pub(super) fn position(&self) -> Option<String> {
        self.emitted.map(|(offset, line)| place(&self.split.file, line, offset))
    }

    /// Takes what storage has brought and reads ahead. Returns when it wants to be called again, if not by an
    /// answer.
    pub(super) fn advance(&mut self, now: Instant) -> Result<Option<Instant>, ConnectorError> {
        let header = self.header.as_mut().map_or(Ok(None), |window| window.advance(now))?;
        Ok(header.into_iter().chain(self.body.advance(now)?).min())
    }

    /// Emits some records.
    pub(super) fn turn(&mut self, out: &mut impl Emit<D::Item>) -> Result<Turn, ConnectorError> {
        if !self.read_header()? || (self.split.seeking && !self.seek()) {
            return Ok(if self.split.is_finished() { Turn::Ended } else { Turn::Starved });
        }
        for _ in 0..TURN_RECORDS {
            if self.split.is_finished() {
                return Ok(Turn::Ended);
            }
            if out.is_full() {
                return Ok(Turn::More);
            }
            let Some(len) = self.record_len()? else { return Ok(Turn::Starved) };
            let record = &self.body.bytes()[..len];
            let lines = memchr::memchr_iter(b'\n', record).count() as u64;
            let (offset, line) = (self.split.next, self.split.line);
            let record = without_byte_order_mark(without_line_end(record), offset);
            let decoded = if offset == 0 && self.decoder.has_header() {
                take_header(&mut self.decoder, record, &self.split)?;
                Ok(None)
            } else {
                self.decoder.decode(record)
            };
            self.body.consume(len);
            self.split.next += len as u64;
            self.split.line = line.map(|line| line + lines);
            match decoded {
                Ok(Some(value)) => {
                    self.emitted = Some((offset, line));
                    out.emit(value, NO_TIMESTAMP);
                }
                Ok(None) => {}
                Err(reason) => {
                    let at = self.split.file.clone();
                    return Ok(Turn::Malformed(MalformedRecord { at, line, offset, reason }));
                }
            }
        }
        Ok(if self.split.is_finished() { Turn::Ended } else { Turn::More })
    }

    /// The length of the next record, if it is there.
    fn record_len(&mut self) -> Result<Option<usize>, ConnectorError> {
        next_record_len(&mut self.body, self.framing).map_err(|most| self.too_long(self.split.next, most))
    }

    /// Reads the file's header, if that is not part of the split. Says whether it is read.
    fn read_header(&mut self) -> Result<bool, ConnectorError> {
        let Some(window) = &mut self.header else { return Ok(true) };
        let found = next_record_len(window, self.framing);
        let Some(len) = found.map_err(|most| self.too_long(0, most))? else { return Ok(false) };
        let window = self.header.take().expect("just looked at");
        let header = without_byte_order_mark(without_line_end(&window.bytes()[..len]), 0);
        take_header(&mut self.decoder, header, &self.split)?;
        Ok(true)
    }

    /// Passes over the rest of the record that the split before reads. Says whether its end is found.
    fn seek(&mut self) -> bool {
        let bytes = self.body.bytes();
        let found = memchr::memchr(b'\n', bytes);
        let len = found.map_or(bytes.len(), |at| at + 1);
        self.body.consume(len);
        self.split.next += len as u64;
        self.split.seeking = found.is_none();
        found.is_some()
    }

    fn too_long(&self, offset: u64, most: usize) -> ConnectorError {
        ConnectorError::TooLong { at: self.split.file.clone(), offset, most }
    }
}

/// Without its header a file cannot be read: an error fails the job, whatever becomes of malformed records.
fn take_header(decoder: &mut impl Decoder, header: &[u8], split: &FileSplit) -> Result<(), ConnectorError> {
    decoder.header(header).map_err(|reason| {
        let at = split.file.clone();
        ConnectorError::Malformed(Box::new(MalformedRecord { at, line: Some(1), offset: 0, reason }))
    })
}

/// The length of the record at the beginning of a window, if it is there. Fails with the most that a record may
/// have if it is longer.
fn next_record_len(window: &mut Window, framing: Framing) -> Result<Option<usize>, usize> {
    if window.is_scanned() {
        return Ok(None);
    }
    let bytes = window.bytes();
    let len = framing.record_len(bytes).or(window.is_last().then_some(bytes.len()));
    match len {
        None if bytes.len() < MAX_RECORD_BYTES => {
            window.want_more();
            Ok(None)
        }
        Some(len) if len <= MAX_RECORD_BYTES => Ok(Some(len)),
        _ => Err(MAX_RECORD_BYTES),
    }
}

/// Text files may begin with U+FEFF.
fn without_byte_order_mark(record: &[u8], offset: u64) -> &[u8] {
    match record.strip_prefix(b"\xef\xbb\xbf") {
        Some(record) if offset == 0 => record,
        _ => record,
    }
}
