//! The reader of a Kafka source, which fetches its partitions side by side.

use super::partition::{Next, Partition};
use super::split::KafkaSplit;
use super::{OutOfRange, ReadError, Settings};
use crate::client::{
    Fetch, Fetched, KafkaAnswer, KafkaClient, KafkaError, KafkaRequest, LONG_POLL, OffsetOf,
    OffsetsInitializer,
};
use crate::deserialize::Deserializer;
use reflow_api::source::Malformed;
use reflow_api::{CallTicket, Emit, Io, Polled, Reader, UserError};
use reflow_env::{Call, CallError};
use reflow_types::{CheckpointId, Instant};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take, beside a long poll.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The least time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// The bounds of what is fetched of a partition at once.
const FETCH_BYTES: (usize, usize) = (64 << 10, 1 << 20);

/// Reads partitions.
#[doc(hidden)]
pub struct KafkaReader<D> {
    client: Arc<KafkaClient>,
    deserializer: D,
    settings: Settings,
    io: Io,
    partitions: Vec<Partition>,
    /// The partition that is read next.
    turn: usize,
    asked: Vec<Asked>,
    complete: bool,
    skipped: u64,
    last_logged: Option<Instant>,
    /// The partition and the offset of the last record.
    last: Option<(u64, i64)>,
}

/// A request under way, and the numbers of the partitions that it is for.
struct Asked {
    call: CallTicket<KafkaClient>,
    splits: Vec<u64>,
}

impl<D: Deserializer> KafkaReader<D> {
    pub(super) fn new(client: Arc<KafkaClient>, deserializer: D, settings: Settings, io: Io) -> Self {
        Self {
            client,
            deserializer,
            settings,
            io,
            partitions: Vec::new(),
            turn: 0,
            asked: Vec::new(),
            complete: false,
            skipped: 0,
            last_logged: None,
            last: None,
        }
    }

    fn warn(&mut self, now: Instant, text: impl std::fmt::Display) {
        if self.last_logged.is_none_or(|last| now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(now);
            tracing::warn!("{text}");
        }
    }

    /// Takes the answers that have arrived.
    fn take_answers(&mut self, now: Instant) -> Result<(), UserError> {
        let mut arrived = Vec::new();
        self.asked.retain_mut(|asked| match self.io.take_answer(&asked.call) {
            None => true,
            Some(answer) => {
                arrived.push((std::mem::take(&mut asked.splits), answer));
                false
            }
        });
        arrived.into_iter().try_for_each(|(splits, answer)| self.take_answer(now, &splits, answer))
    }

    fn take_answer(
        &mut self,
        now: Instant,
        splits: &[u64],
        answer: Result<KafkaAnswer, CallError>,
    ) -> Result<(), UserError> {
        match answer {
            Ok(KafkaAnswer::Fetched(fetched)) => {
                for (number, fetched) in splits.iter().zip(fetched) {
                    self.take_fetched(now, *number, fetched)?;
                }
            }
            Ok(KafkaAnswer::Offset(offset)) => {
                for partition in of_numbers(&mut self.partitions, splits) {
                    let KafkaSplit { topic, partition: index, next, .. } = &partition.split;
                    tracing::warn!(
                        "topic {topic}, partition {index} has no offset {next} any more; reading on from {offset}"
                    );
                    partition.reset(offset);
                }
            }
            Ok(other) => return Err(format!("the client answers a fetch with {other:?}").into()),
            Err(error) => {
                if error.client_error::<KafkaError>().is_some_and(|refused| !refused.may_pass()) {
                    return Err(error.into());
                }
                of_numbers(&mut self.partitions, splits).for_each(|partition| partition.failed(now));
                self.warn(now, format_args!("cannot read, trying again: {error}"));
            }
        }
        Ok(())
    }

    fn take_fetched(&mut self, now: Instant, number: u64, fetched: Fetched) -> Result<(), UserError> {
        let policy = self.settings.out_of_range;
        let mut partitions = self.partitions.iter_mut();
        // It may have been released meanwhile.
        let Some(partition) = partitions.find(|partition| partition.split.number == number) else {
            return Ok(());
        };
        if fetched == Fetched::NotFetched
            && self.client.leader(&partition.split.topic, partition.split.partition).is_some()
        {
            partition.fetch_again();
            return Ok(());
        }
        let refused = if let Fetched::Refused(error) = fetched { Some(error) } else { None };
        let at = partition.split.clone();
        match partition.fetched(now, fetched, policy)? {
            Next::Read => {}
            Next::Reset(to) => {
                let position = if to == OutOfRange::Latest {
                    OffsetsInitializer::Latest
                } else {
                    OffsetsInitializer::Earliest
                };
                let (partition, isolation) = ((at.topic.clone(), at.partition), self.settings.isolation);
                let request = KafkaRequest::Offset(OffsetOf { partition, position, isolation });
                let call = self.io.call(&self.client, request, TIME_LIMIT);
                self.asked.push(Asked { call, splits: vec![number] });
            }
        }
        if let Some(error) = refused {
            let KafkaSplit { topic, partition, next, .. } = at;
            self.warn(
                now,
                format_args!("cannot fetch topic {topic}, partition {partition} from {next}: {error}"),
            );
        }
        Ok(())
    }

    /// Fetches what is due, in one request for each leader.
    fn fetch(&mut self, now: Instant) {
        let share = self.settings.max_bytes / (2 * self.partitions.len().max(1));
        let max_bytes = share.clamp(FETCH_BYTES.0, FETCH_BYTES.1);
        let mut leaders = BTreeMap::<Option<i32>, (Vec<_>, Vec<u64>)>::new();
        for partition in &mut self.partitions {
            let Some(from) = partition.fetch(now, max_bytes) else { continue };
            let leader = self.client.leader(&from.topic, from.partition);
            let (partitions, splits) = leaders.entry(leader).or_default();
            partitions.push(from);
            splits.push(partition.split.number);
        }
        for (partitions, splits) in leaders.into_values() {
            let request = KafkaRequest::Fetch(Fetch { partitions, isolation: self.settings.isolation });
            let call = self.io.call(&self.client, request, LONG_POLL + TIME_LIMIT);
            self.asked.push(Asked { call, splits });
        }
    }

    /// Emits records of the partition whose turn it is, until there are none or `out` is full.
    fn read(&mut self, now: Instant, out: &mut impl Emit<D::Item>) -> Result<(), UserError> {
        let number = self.partitions[self.turn].split.number;
        out.split(number);
        while !out.is_full() && !out.is_paused(number) {
            let (partition, deserializer) = (&mut self.partitions[self.turn], &mut self.deserializer);
            let read = partition.read(|record| {
                let item = deserializer.deserialize(record);
                (record.offset, record.timestamp, item)
            })?;
            let Some((offset, timestamp, item)) = read else { break };
            self.last = Some((number, offset));
            match item {
                Ok(Some(item)) => out.emit(item, timestamp),
                Ok(None) => {}
                Err(reason) => {
                    let KafkaSplit { topic, partition, .. } = partition.split.clone();
                    let reason = reason.to_string();
                    let error = ReadError::Malformed { topic, partition, offset, reason };
                    if self.settings.malformed == Malformed::Fail {
                        return Err(error.into());
                    }
                    self.skipped += 1;
                    let skipped = self.skipped;
                    self.warn(now, format_args!("skipped {skipped} records, the last one: {error}"));
                }
            }
        }
        Ok(())
    }
}

fn of_numbers<'a>(
    partitions: &'a mut [Partition],
    numbers: &'a [u64],
) -> impl Iterator<Item = &'a mut Partition> {
    partitions.iter_mut().filter(|partition| numbers.contains(&partition.split.number))
}

impl<D: Deserializer> Reader for KafkaReader<D> {
    type Item = D::Item;
    type Split = KafkaSplit;

    fn add_split(&mut self, split: KafkaSplit) -> u64 {
        let number = split.number;
        self.partitions.push(Partition::new(split));
        number
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, KafkaSplit)> {
        let released = self.partitions.split_off(keep.min(self.partitions.len()));
        // A request that is for others, too, goes on, and is fetched for nothing as far as it is for these.
        for partition in &released {
            self.asked.iter_mut().for_each(|asked| {
                // The place stays, because answers come in the order of the request.
                let of_released = asked.splits.iter_mut().filter(|number| **number == partition.split.number);
                of_released.for_each(|number| *number = u64::MAX);
            });
        }
        self.asked.retain(|asked| {
            let is_wanted = asked.splits.iter().any(|number| *number != u64::MAX);
            if !is_wanted {
                self.io.cancel(asked.call.untyped());
            }
            is_wanted
        });
        released.into_iter().map(|partition| (partition.split.number, partition.split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<D::Item>) -> Result<Polled, UserError> {
        self.take_answers(now)?;
        for _ in 0..self.partitions.len() {
            if out.is_full() {
                break;
            }
            self.turn = (self.turn + 1) % self.partitions.len();
            self.read(now, out)?;
        }
        self.partitions.retain(|partition| {
            if partition.split.is_read() {
                out.end_split(partition.split.number);
            }
            !partition.split.is_read()
        });
        // Only now, because nothing else would wake the reader.
        self.fetch(now);
        if self.partitions.is_empty() && self.complete {
            return Ok(Polled::End);
        }
        let is_ready = |partition: &Partition| partition.is_ready() && !out.is_paused(partition.split.number);
        if self.partitions.iter().any(is_ready) {
            return Ok(Polled::More);
        }
        Ok(Polled::Wait(self.partitions.iter().filter_map(Partition::due).min()))
    }

    fn snapshot(&self) -> Vec<KafkaSplit> {
        self.partitions.iter().map(|partition| partition.split.clone()).collect()
    }

    /// Commits the offsets, for others to see. Nothing depends on it, so it is not repeated.
    fn completed(&mut self, _: CheckpointId, splits: &[KafkaSplit]) {
        let Some(group) = self.settings.group.clone().filter(|_| !splits.is_empty()) else { return };
        let offsets =
            splits.iter().map(|split| ((split.topic.clone(), split.partition), split.next)).collect();
        let request = KafkaRequest::CommitOffsets { group, offsets };
        self.io.submit_and_forget(Call::new(&self.client, request, TIME_LIMIT));
    }

    /// Until a partition was fetched for the first time, it may have records.
    fn has_more(&self, split: u64) -> bool {
        let mut of_split = self.partitions.iter().filter(|partition| partition.split.number == split);
        of_split.any(|partition| partition.pending() != Some(0))
    }

    fn pending_records(&self) -> Option<u64> {
        self.partitions.iter().map(Partition::pending).sum()
    }

    fn position(&self) -> Option<String> {
        let (number, offset) = self.last?;
        let mut splits = self.partitions.iter().map(|partition| &partition.split);
        let KafkaSplit { topic, partition, .. } = splits.find(|split| split.number == number)?;
        Some(format!("topic {topic}, partition {partition}, offset {offset}"))
    }

    fn skipped_records(&self) -> u64 {
        self.skipped
    }
}
