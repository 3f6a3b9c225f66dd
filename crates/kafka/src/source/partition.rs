//! One partition that is being read: what was fetched of it, and when it is fetched again. It does no I/O.

use super::split::KafkaSplit;
use super::{OutOfRange, ReadError};
use crate::batch::{Batch, Batches};
use crate::client::{FetchFrom, Fetched};
use crate::deserialize::KafkaRecord;
use kafka_protocol::error::ResponseError;
use reflow_types::Instant;
use std::time::Duration;
use uuid::Uuid;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long brokers may say that there is no such partition. They say so, too, while they start.
const MISSING_FOR: Duration = Duration::from_secs(30);

/// A partition.
///
/// # Invariants
/// `split.next` is the offset behind the last record that was emitted or skipped. Records before it are left out of what was
/// fetched. At most two fetches are in memory: the one that is being read, and the next.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) split: KafkaSplit,
    batch: Option<(Batch, i64)>,
    batches: Option<Batches>,
    ahead: Option<Batches>,
    /// The offset from which it is fetched next.
    fetch_from: i64,
    /// Whether a fetch or a search for its offset is under way.
    is_asked: bool,
    due: Instant,
    pause: Duration,
    /// The offset behind the last record that can be read, as far as is known.
    end: Option<i64>,
    missing_since: Option<Instant>,
}

/// What follows from the answer to a fetch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It goes on.
    Read,
    /// Its offset is no longer there, and it is read from its first offset, or its last one.
    Reset(OutOfRange),
}

impl Partition {
    pub(super) fn new(split: KafkaSplit) -> Self {
        Self {
            fetch_from: split.next,
            split,
            batch: None,
            batches: None,
            ahead: None,
            is_asked: false,
            due: Instant::default(),
            pause: FIRST_PAUSE,
            end: None,
            missing_since: None,
        }
    }

    /// The next fetch, if one is due.
    pub(super) fn fetch(&mut self, now: Instant, max_bytes: usize) -> Option<FetchFrom> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        self.is_asked = true;
        let KafkaSplit { topic, topic_id, partition, .. } = &self.split;
        let (topic, topic_id) = (topic.clone(), Uuid::from_u128(*topic_id));
        Some(FetchFrom { topic, topic_id, partition: *partition, offset: self.fetch_from, max_bytes })
    }

    /// When it is to be fetched, if it is: not while a fetch is under way or unread, and not behind its stop.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_behind_stop = self.split.stop.is_some_and(|stop| self.fetch_from >= stop);
        (!self.is_asked && self.ahead.is_none() && !is_behind_stop).then_some(self.due)
    }

    /// Handles what a fetch has brought.
    pub(super) fn fetched(
        &mut self,
        now: Instant,
        fetched: Fetched,
        policy: OutOfRange,
    ) -> Result<Next, ReadError> {
        self.is_asked = false;
        match fetched {
            Fetched::Records { bytes, aborted, end } => {
                (self.pause, self.missing_since, self.end) = (FIRST_PAUSE, None, Some(end));
                if let Some(behind) = Batches::end(&bytes) {
                    self.fetch_from = behind.max(self.fetch_from);
                    self.ahead = Some(Batches::new(bytes, aborted));
                }
            }
            Fetched::NotFetched => self.failed(now),
            Fetched::Refused(error) => return self.refused(now, error, policy),
        }
        Ok(Next::Read)
    }

    fn refused(&mut self, now: Instant, error: ResponseError, policy: OutOfRange) -> Result<Next, ReadError> {
        let (topic, partition, offset) = (self.split.topic.clone(), self.split.partition, self.fetch_from);
        match error {
            ResponseError::OffsetOutOfRange => match policy {
                OutOfRange::Fail => return Err(ReadError::OutOfRange { topic, partition, offset }),
                _ => {
                    self.is_asked = true;
                    return Ok(Next::Reset(policy));
                }
            },
            ResponseError::UnknownTopicOrPartition
            | ResponseError::UnknownTopicId
            | ResponseError::InconsistentTopicId => {
                let since = *self.missing_since.get_or_insert(now);
                if now.since(since) >= MISSING_FOR {
                    return Err(ReadError::Gone { topic, partition, offset });
                }
            }
            error if error.is_retriable() => self.missing_since = None,
            error => return Err(ReadError::Refused { topic, partition, offset, error }),
        }
        self.failed(now);
        Ok(Next::Read)
    }

    /// Handles a fetch that has failed, or has to be repeated.
    pub(super) fn failed(&mut self, now: Instant) {
        self.is_asked = false;
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// Its leader is known now.
    pub(super) fn fetch_again(&mut self) {
        self.is_asked = false;
    }

    /// Reads on from another offset, because the next record is gone.
    pub(super) fn reset(&mut self, offset: i64) {
        self.is_asked = false;
        (self.split.next, self.fetch_from) = (offset, offset);
        (self.batch, self.batches, self.ahead) = (None, None, None);
    }

    /// Passes the next record to `read`, and goes behind it. `None`: nothing was fetched, or it is read to its stop.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&KafkaRecord<'_>) -> T,
    ) -> Result<Option<T>, ReadError> {
        let mut read = Some(read);
        while !self.split.is_read() {
            let Some((batch, behind)) = &mut self.batch else {
                if !self.next_batch()? {
                    return Ok(None);
                }
                continue;
            };
            let KafkaSplit { topic, partition, next, stop, .. } = &mut self.split;
            let failed = |source| ReadError::Batch { topic: topic.clone(), partition: *partition, source };
            match batch.next().map_err(failed)? {
                None => {
                    *next = (*behind).max(*next);
                    self.batch = None;
                }
                Some(record) if record.offset < *next => {}
                Some(record) if stop.is_some_and(|stop| record.offset >= stop) => *next = record.offset,
                Some(record) => {
                    *next = record.offset + 1;
                    let read = read.take().expect("it returns with the first record");
                    return Ok(Some(read(&KafkaRecord {
                        topic,
                        partition: *partition,
                        offset: record.offset,
                        timestamp: record.timestamp,
                        key: record.key,
                        value: record.value,
                        headers: record.headers,
                    })));
                }
            }
        }
        Ok(None)
    }

    /// Begins the next batch. Whether there is one.
    fn next_batch(&mut self) -> Result<bool, ReadError> {
        let Some(batches) = &mut self.batches else {
            self.batches = self.ahead.take();
            return if self.batches.is_some() { self.next_batch() } else { Ok(false) };
        };
        let (topic, partition) = (&self.split.topic, self.split.partition);
        let failed = |source| ReadError::Batch { topic: topic.clone(), partition, source };
        match batches.next().map_err(failed)? {
            Some((Some(batch), behind)) => self.batch = Some((batch, behind)),
            // Nothing in it is to be read.
            Some((None, behind)) => self.split.next = behind.max(self.split.next),
            None => self.batches = None,
        }
        Ok(true)
    }

    /// Whether something that was fetched has not been read.
    pub(super) fn is_ready(&self) -> bool {
        let is_left = |batches: &Option<Batches>| batches.as_ref().is_some_and(|batches| batches.len() > 0);
        !self.split.is_read() && (self.batch.is_some() || is_left(&self.batches) || self.ahead.is_some())
    }

    /// How many records it has, as far as is known.
    pub(super) fn pending(&self) -> Option<u64> {
        let end = self.end?;
        let end = self.split.stop.map_or(end, |stop| stop.min(end));
        Some(u64::try_from(end - self.split.next).unwrap_or(0))
    }
}
