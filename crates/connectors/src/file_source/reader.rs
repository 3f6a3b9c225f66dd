//! The reader of a file source, which reads its splits in turn.

use super::active::{Active, Turn};
use super::decode::Decoder;
use super::split::FileSplit;
use crate::error::{ConnectorError, MalformedRecord};
use reflow_api::source::Malformed;
use reflow_api::{Emit, Io, Polled, Reader, UserError};
use reflow_types::Instant;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many splits are read in turn. Each needs about 2 MiB.
const MAX_ACTIVE: usize = 32;
/// The least time between two log lines about skipped records.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// When a reader must be called again, if no answer arrives before.
type Wake = Option<Instant>;

/// Reads one subtask's splits.
#[doc(hidden)]
pub struct FileReader<D> {
    decoder: D,
    malformed: Malformed,
    io: Io,
    /// Splits that are not yet being read, by number.
    waiting: BTreeMap<u64, FileSplit>,
    active: Vec<Active<D>>,
    /// The split that is read next, as an index into `active`.
    turn: usize,
    complete: bool,
    skipped: u64,
    last_logged: Option<Instant>,
}

impl<D: Decoder> FileReader<D> {
    pub(super) fn new(decoder: D, malformed: Malformed, io: Io) -> Self {
        Self {
            decoder,
            malformed,
            io,
            waiting: BTreeMap::new(),
            active: Vec::new(),
            turn: 0,
            complete: false,
            skipped: 0,
            last_logged: None,
        }
    }

    /// Starts to read waiting splits, in the order of their numbers.
    fn activate(&mut self) {
        while self.active.len() < MAX_ACTIVE
            && let Some((_, split)) = self.waiting.pop_first()
        {
            self.active.push(Active::new(split, self.decoder.clone(), &self.io));
        }
    }

    /// Takes answers and emits records of the split whose turn it is. Also returns when it must be called again.
    fn turn(&mut self, now: Instant, out: &mut impl Emit<D::Item>) -> Result<(Turn, Wake), ConnectorError> {
        let active = &mut self.active[self.turn];
        let again = active.advance(now)?;
        out.split(active.split.number);
        let turn = active.turn(out)?;
        // Request the missing bytes now, because nothing else would wake the reader.
        let wake = if matches!(turn, Turn::Starved) { active.advance(now)? } else { None };
        Ok((turn, wake.into_iter().chain(again).min()))
    }

    /// A file was deleted or became shorter after it was found. Its split ends, if unreadable records are skipped.
    fn take_gone(&mut self, error: ConnectorError) -> Result<Turn, ConnectorError> {
        if self.malformed == Malformed::Fail || !matches!(error, ConnectorError::Gone { .. }) {
            return Err(error);
        }
        self.skipped += 1;
        tracing::warn!(skipped = self.skipped, "skipped the rest of a file: {error}");
        Ok(Turn::Ended)
    }

    fn take_malformed(&mut self, now: Instant, record: MalformedRecord) -> Result<(), ConnectorError> {
        if self.malformed == Malformed::Fail {
            return Err(ConnectorError::Malformed(Box::new(record)));
        }
        self.skipped += 1;
        if self.last_logged.is_none_or(|last| now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(now);
            tracing::warn!(skipped = self.skipped, "skipped a malformed record: {record}");
        }
        Ok(())
    }
}

impl<D: Decoder> Reader for FileReader<D> {
    type Item = D::Item;
    type Split = FileSplit;

    fn add_split(&mut self, split: FileSplit) -> u64 {
        let number = split.number;
        self.waiting.insert(number, split);
        number
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, FileSplit)> {
        let mut released = Vec::new();
        while self.active.len() + self.waiting.len() > keep {
            // Waiting splits are released first, because nothing of them has been read ahead.
            let waits = self.waiting.pop_last().map(|(_, split)| split);
            let Some(split) = waits.or_else(|| self.active.pop().map(|active| active.split)) else { break };
            released.push((split.number, split));
        }
        released
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<D::Item>) -> Result<Polled, UserError> {
        let mut wake = None;
        let mut starved = 0; // so many splits in a row had nothing
        self.activate();
        while starved < self.active.len() {
            if out.is_full() {
                return Ok(Polled::More);
            }
            self.turn %= self.active.len();
            let (turn, again) = match self.turn(now, out) {
                Ok(turn) => turn,
                Err(error) => (self.take_gone(error)?, None),
            };
            match turn {
                Turn::More => starved = 0,
                Turn::Starved => {
                    starved += 1;
                    wake = again.into_iter().chain(wake).min();
                }
                Turn::Malformed(record) => {
                    self.take_malformed(now, record)?;
                    starved = 0;
                    continue;
                }
                Turn::Ended => {
                    out.end_split(self.active[self.turn].split.number);
                    self.active.remove(self.turn);
                    self.activate();
                    starved = 0;
                    continue;
                }
            }
            self.turn += 1;
        }
        let ended = self.active.is_empty() && self.complete;
        Ok(if ended { Polled::End } else { Polled::Wait(wake) })
    }

    fn snapshot(&self) -> Vec<FileSplit> {
        self.active.iter().map(|active| &active.split).chain(self.waiting.values()).cloned().collect()
    }

    /// A file is read up to its length. Until its split has ended, a read is under way or waits for its turn.
    fn has_more(&self, _: u64) -> bool {
        true
    }

    fn position(&self) -> Option<String> {
        self.active.get(self.turn)?.position()
    }

    fn skipped_records(&self) -> u64 {
        self.skipped
    }
}
