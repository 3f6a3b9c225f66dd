//! A split that is being read: its window, its decoder and the position of its records.

use super::decode::Decoder;
use super::framing::{Framing, LINE_ENDS, has_lone_carriage_return, without_line_end};
use super::split::FileSplit;
use super::window::{CHUNK_BYTES, Window};
use crate::error::{ConnectorError, MalformedRecord, place};
use reflow_api::{Emit, Io};
use reflow_types::{Instant, NO_TIMESTAMP};

/// How many records a reader emits of one split before it turns to the next.
const TURN_RECORDS: usize = 256;
/// The longest record. Documented in docs/jobs/sources.md.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// A split that is being read.
pub(super) struct Active<D> {
    pub(super) split: FileSplit,
    decoder: D,
    framing: Framing,
    /// The start of the file, until its header is read, if the split does not start there.
    header: Option<Window>,
    body: Window,
    /// The offset and line of the record that was emitted last.
    emitted: Option<(u64, Option<u64>)>,
}

/// The result of a turn.
pub(super) enum Turn {
    /// There are more records now.
    More,
    /// Everything in memory has been read.
    Starved,
    /// The split is finished.
    Ended,
    /// A record cannot be read and was skipped.
    Malformed(MalformedRecord),
}

impl<D: Decoder> Active<D> {
    pub(super) fn new(split: FileSplit, decoder: D, io: &Io) -> Self {
        let window = |from, limit: u64| Window::new(io.clone(), split.file.clone(), from, limit, split.len);
        let header = (decoder.has_header() && split.next > 0).then(|| window(0, split.len.min(CHUNK_BYTES)));
        let body = window(split.next, split.end);
        Self { header, body, framing: decoder.framing(), decoder, split, emitted: None }
    }

    /// The position of the record that was emitted last.
    pub(super) fn position(&self) -> Option<String> {
        self.emitted.map(|(offset, line)| place(&self.split.file, line, offset))
    }

    /// Takes answers from storage and reads ahead. Returns when it must be called again, if no answer arrives
    /// before.
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
            let (offset, line) = (self.split.next, self.split.line);
            let is_header = offset == 0 && self.decoder.has_header();
            let (mark, len) = match next_record(&mut self.body, self.framing, Start::at(offset)) {
                Next::Record { mark, len } => (mark, len),
                Next::Missing => return Ok(Turn::Starved),
                Next::TooLong if is_header => return Err(self.malformed_header()),
                Next::TooLong => return Ok(Turn::Malformed(self.pass_over_long_record())),
            };
            let record = &self.body.bytes()[..len];
            let lines = memchr::memchr_iter(b'\n', record).count() as u64;
            let record = without_line_end(&record[mark..]);
            let is_empty_file = mark > 0 && len == mark && len as u64 == self.split.len;
            let decoded = if is_empty_file {
                Ok(None)
            } else if is_header {
                take_header(&mut self.decoder, record, &self.split)?;
                Ok(None)
            } else if len as u64 == self.split.len && lines == 0 && self.ends_lines_otherwise(record) {
                Err(format!("the file has carriage returns and no line feed; {LINE_ENDS}"))
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

    /// Whether the lines of a file without line feeds, whose only record this is, end with carriage returns.
    fn ends_lines_otherwise(&self, record: &[u8]) -> bool {
        !self.decoder.takes_carriage_returns() && has_lone_carriage_return(record)
    }

    /// Reads the file's header, if it is not part of the split. Returns whether it is read.
    fn read_header(&mut self) -> Result<bool, ConnectorError> {
        let Some(window) = &mut self.header else { return Ok(true) };
        let (mark, len) = match next_record(window, self.framing, Start::OfFile) {
            Next::Record { mark, len } => (mark, len),
            Next::Missing => return Ok(false),
            Next::TooLong => return Err(self.malformed_header()),
        };
        let window = self.header.take().expect("just looked at");
        let header = without_line_end(&window.bytes()[mark..len]);
        take_header(&mut self.decoder, header, &self.split)?;
        Ok(true)
    }

    /// Skips only the line on which the next record begins, so that the lines after an unclosed quote are not lost.
    fn pass_over_long_record(&mut self) -> MalformedRecord {
        let (at, offset, line) = (self.split.file.clone(), self.split.next, self.split.line);
        self.split.seeking = true;
        self.seek();
        MalformedRecord { at, line, offset, reason: too_long() }
    }

    fn malformed_header(&self) -> ConnectorError {
        malformed_header(&self.split, too_long())
    }

    /// Skips the rest of the record that belongs to the previous split. Returns whether its end is found.
    fn seek(&mut self) -> bool {
        let bytes = self.body.bytes();
        let found = memchr::memchr(b'\n', bytes);
        let len = found.map_or(bytes.len(), |at| at + 1);
        self.body.consume(len);
        self.split.next += len as u64;
        self.split.line = self.split.line.map(|line| line + u64::from(found.is_some()));
        self.split.seeking = found.is_none();
        found.is_some()
    }
}

fn too_long() -> String {
    format!(
        "the record is longer than {MAX_RECORD_BYTES} bytes; is a quote not closed, or are there no line feeds?"
    )
}

/// A file cannot be read without its header, so an error fails the job even if malformed records are skipped.
fn take_header(decoder: &mut impl Decoder, header: &[u8], split: &FileSplit) -> Result<(), ConnectorError> {
    decoder.header(header).map_err(|reason| malformed_header(split, reason))
}

fn malformed_header(split: &FileSplit, reason: String) -> ConnectorError {
    let at = split.file.clone();
    ConnectorError::Malformed(Box::new(MalformedRecord { at, line: Some(1), offset: 0, reason }))
}

/// What is at the start of a window.
enum Next {
    /// A record of `len` bytes with its line end. The first `mark` of them are the file's byte order mark.
    Record { mark: usize, len: usize },
    /// A record whose end has not been read yet.
    Missing,
    /// A record that is too long.
    TooLong,
}

/// Where a record begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    OfFile,
    WithinFile,
}

impl Start {
    fn at(offset: u64) -> Self {
        if offset == 0 { Self::OfFile } else { Self::WithinFile }
    }
}

/// Text files may begin with U+FEFF.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds the end of the next record. A byte order mark is skipped first, because a quote behind it begins a field.
fn next_record(window: &mut Window, framing: Framing, start: Start) -> Next {
    if window.is_scanned() {
        return Next::Missing;
    }
    let bytes = window.bytes();
    let begins_file = start == Start::OfFile;
    let has_mark = begins_file && bytes.starts_with(BYTE_ORDER_MARK);
    let may_have_mark = begins_file && BYTE_ORDER_MARK.starts_with(bytes) && !has_mark && !window.is_last();
    let mark = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
    let end = if may_have_mark { None } else { framing.record_len(&bytes[mark..]).map(|len| mark + len) };
    match end.or(window.is_last().then_some(bytes.len())) {
        None if bytes.len() < MAX_RECORD_BYTES => {
            window.want_more();
            Next::Missing
        }
        Some(len) if len <= MAX_RECORD_BYTES => Next::Record { mark, len },
        _ => Next::TooLong,
    }
}
