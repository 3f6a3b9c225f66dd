//! A source that reads a topic. New partitions are found while it runs; each is a split, which is read by one fetch
//! after the other. The offsets of complete checkpoints are committed for the consumer group, to show its progress.

use super::{BrokerClient, BrokerError, BrokerReply, BrokerRequest};
use bytes::Bytes;
use reflow_api::source::{ReaderContext, decode_split, encode_split};
use reflow_api::{CallTicket, Emit, Enumerator, EnumeratorContext, Io, Polled, Reader, Source, UserError};
use reflow_env::CallError;
use reflow_types::{CheckpointId, Data, Instant, NO_TIMESTAMP};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may take, beside the time for which the broker waits for records.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long the broker waits for records.
const LONG_POLL: Duration = Duration::from_secs(2);
/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_millis(200);
/// The most records in a fetch.
const MOST_RECORDS: u32 = 100;

/// Reads the records of a topic, each with its partition and offset.
#[derive(Clone, Debug)]
pub struct BrokerSource {
    client: Arc<BrokerClient>,
    topic: String,
    group: String,
    discovery: Duration,
}

impl BrokerSource {
    /// Reads a topic of the broker at `address` for a consumer group. It ends when the topic and all of its partitions
    /// are complete.
    pub fn new(address: impl Into<String>, topic: impl Into<String>, group: impl Into<String>) -> Self {
        let client = Arc::new(BrokerClient::new(address));
        Self { client, topic: topic.into(), group: group.into(), discovery: Duration::from_millis(500) }
    }
}

/// A partition, and the offset of its next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct BrokerSplit {
    /// The partition's number.
    pub partition: u32,
    /// The offset of the next record.
    pub next: u64,
}

impl Source for BrokerSource {
    type Item = (BrokerSplit, String);
    type Split = BrokerSplit;
    type Reader = BrokerReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        let (source, found) = (self.clone(), Found::default());
        Box::new(BrokerEnumerator { source, found, call: None, due: Instant::default(), searched: false })
    }

    fn reader(&self, context: &ReaderContext) -> BrokerReader {
        BrokerReader { source: self.clone(), io: context.io.clone(), splits: Vec::new(), complete: false }
    }
}

/// Finds the partitions of a topic.
struct BrokerEnumerator {
    source: BrokerSource,
    found: Found,
    call: Option<CallTicket<BrokerClient>>,
    due: Instant,
    /// Whether it has found the partitions of the attempt's begin.
    searched: bool,
}

#[derive(Default, Data)]
struct Found {
    partitions: u32,
    complete: bool,
}

impl BrokerEnumerator {
    fn search(&mut self, io: &Io) {
        let request = BrokerRequest::Partitions { topic: self.source.topic.clone() };
        self.call = Some(io.call(&self.source.client, request, TIME_LIMIT));
    }
}

impl Enumerator for BrokerEnumerator {
    fn poll(&mut self, now: Instant, context: &mut EnumeratorContext) -> Result<Option<Instant>, UserError> {
        if let Some(answer) = self.call.as_ref().and_then(|call| context.io().take_answer(call)) {
            (self.call, self.due) = (None, now + self.source.discovery);
            if let Some(BrokerReply::Partitions { count, complete }) = passing(answer)? {
                for partition in self.found.partitions..count {
                    context.found(&BrokerSplit { partition, next: 0 });
                }
                self.found = Found { partitions: count.max(self.found.partitions), complete };
                self.searched = true;
            }
        }
        if self.found.complete {
            return Ok(None);
        }
        if self.call.is_none() && self.due <= now {
            self.search(context.io());
        }
        Ok(self.call.is_none().then_some(self.due))
    }

    fn is_searching(&self) -> bool {
        !self.searched && !self.found.complete
    }

    fn is_done(&self) -> bool {
        self.found.complete
    }

    fn snapshot(&self) -> Bytes {
        encode_split(&self.found)
    }

    /// Partitions are found by their number, so one that is not the next would be found again with those before it.
    fn assigned(&mut self, split: &[u8]) -> bool {
        let Ok(BrokerSplit { partition, .. }) = decode_split(split) else { return false };
        let is_next = partition == self.found.partitions;
        self.found.partitions += u32::from(is_next);
        is_next || partition < self.found.partitions
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), UserError> {
        self.found = decode_split(snapshot)?;
        (self.call, self.due, self.searched) = (None, Instant::default(), false);
        Ok(())
    }
}

/// The answer to a request, or `None` if another try may help. A refusal is an error.
fn passing(answer: Result<BrokerReply, CallError>) -> Result<Option<BrokerReply>, UserError> {
    match answer {
        Ok(reply) => Ok(Some(reply)),
        Err(error) => match error.client_error() {
            Some(BrokerError::Refused(_)) => Err(error.into()),
            _ => Ok(None),
        },
    }
}

/// Reads partitions.
pub struct BrokerReader {
    source: BrokerSource,
    io: Io,
    splits: Vec<Active>,
    complete: bool,
}

/// A partition that is being read.
struct Active {
    split: BrokerSplit,
    /// Records that were fetched and not emitted.
    fetched: VecDeque<String>,
    fetch: Option<CallTicket<BrokerClient>>,
    /// When it is fetched again after a failure.
    due: Instant,
    /// Whether the broker had no further records when it last answered.
    at_end: bool,
    /// Whether the partition gets no further records.
    complete: bool,
}

impl Active {
    fn is_read(&self) -> bool {
        self.complete && self.at_end && self.fetched.is_empty()
    }

    /// Takes the records that have arrived, and fetches the next ones when those were emitted.
    fn fetch(&mut self, now: Instant, io: &Io, source: &BrokerSource) -> Result<(), UserError> {
        if let Some(answer) = self.fetch.as_ref().and_then(|fetch| io.take_answer(fetch)) {
            self.fetch = None;
            match passing(answer)? {
                Some(BrokerReply::Records { records, left, complete }) => {
                    (self.at_end, self.complete) = (left == 0, complete);
                    self.fetched = records.into();
                }
                _ => self.due = now + PAUSE,
            }
        }
        if self.fetch.is_none() && self.fetched.is_empty() && !self.is_read() && self.due <= now {
            let BrokerSplit { partition, next: offset } = self.split;
            let (topic, wait_ms) = (source.topic.clone(), LONG_POLL.as_millis() as u64);
            let request = BrokerRequest::Fetch { topic, partition, offset, most: MOST_RECORDS, wait_ms };
            self.fetch = Some(io.call(&source.client, request, LONG_POLL + TIME_LIMIT));
        }
        Ok(())
    }
}

impl Reader for BrokerReader {
    type Item = (BrokerSplit, String);
    type Split = BrokerSplit;

    fn add_split(&mut self, split: BrokerSplit) -> u64 {
        let (fetched, due) = (VecDeque::new(), Instant::default());
        self.splits.push(Active { split, fetched, fetch: None, due, at_end: false, complete: false });
        split.partition.into()
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, BrokerSplit)> {
        let released = self.splits.split_off(keep.min(self.splits.len()));
        released
            .iter()
            .filter_map(|active| active.fetch.as_ref())
            .for_each(|call| self.io.cancel(call.untyped()));
        released.iter().map(|active| (active.split.partition.into(), active.split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<Self::Item>) -> Result<Polled, UserError> {
        for active in &mut self.splits {
            active.fetch(now, &self.io, &self.source)?;
            out.split(active.split.partition.into());
            while !out.is_full()
                && !out.is_paused(active.split.partition.into())
                && let Some(record) = active.fetched.pop_front()
            {
                let at = active.split;
                active.split.next += 1;
                out.emit((at, record), NO_TIMESTAMP);
            }
            // The next fetch must not wait for another poll.
            active.fetch(now, &self.io, &self.source)?;
            if active.is_read() {
                out.end_split(active.split.partition.into());
            }
        }
        self.splits.retain(|active| !active.is_read());
        let is_left =
            |active: &Active| !active.fetched.is_empty() && !out.is_paused(active.split.partition.into());
        if self.splits.iter().any(is_left) {
            return Ok(Polled::More);
        }
        if self.complete && self.splits.is_empty() {
            return Ok(Polled::End);
        }
        let paused = self.splits.iter().filter(|active| active.fetch.is_none());
        Ok(Polled::Wait(paused.map(|active| active.due).min()))
    }

    fn snapshot(&self) -> Vec<BrokerSplit> {
        self.splits.iter().map(|active| active.split).collect()
    }

    fn has_more(&self, split: u64) -> bool {
        let mut splits = self.splits.iter();
        splits.any(|active| u64::from(active.split.partition) == split && !active.at_end)
    }

    /// Commits the offsets. Nothing depends on it, so it is not repeated.
    fn completed(&mut self, _: CheckpointId, splits: &[BrokerSplit]) {
        let (group, topic) = (self.source.group.clone(), self.source.topic.clone());
        let offsets = splits.iter().map(|split| (split.partition, split.next)).collect();
        let request = BrokerRequest::CommitOffsets { group, topic, offsets };
        self.io.submit_and_forget(reflow_env::Call::new(&self.source.client, request, TIME_LIMIT));
    }
}
