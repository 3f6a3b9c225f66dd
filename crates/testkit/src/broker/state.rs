//! The broker as a state machine.

use super::{BrokerReply, BrokerRequest, Refusal, TransactionId, WriterName};
use std::collections::{BTreeMap, BTreeSet};

/// A broker. Everything that it has answered is durable.
#[derive(Debug, Default)]
pub struct Broker {
    topics: BTreeMap<String, Topic>,
    /// Offsets by consumer group, topic and partition.
    offsets: BTreeMap<(String, String, u32), u64>,
    prepared: BTreeMap<TransactionId, (String, Vec<String>)>,
    committed: BTreeSet<TransactionId>,
    /// For each writer, how many of its transactions savepoints name.
    kept: BTreeMap<WriterName, u64>,
    /// For each job, the attempt whose predecessors are replaced.
    replaced_by: BTreeMap<u128, (u64, u32)>,
}

#[derive(Debug, Default)]
struct Topic {
    partitions: Vec<Partition>,
    complete: bool,
}

#[derive(Debug, Default)]
struct Partition {
    records: Vec<String>,
    complete: bool,
}

impl Broker {
    /// Appends records to a partition, which is created with all before it.
    pub fn append(&mut self, topic: &str, partition: u32, records: impl IntoIterator<Item = String>) {
        self.partition(topic, partition).records.extend(records);
    }

    /// Ends a partition: it gets no further records.
    pub fn end_partition(&mut self, topic: &str, partition: u32) {
        self.partition(topic, partition).complete = true;
    }

    /// Ends a topic: it gets no further partitions.
    pub fn end_topic(&mut self, topic: &str) {
        self.topics.entry(topic.to_owned()).or_default().complete = true;
    }

    fn partition(&mut self, topic: &str, partition: u32) -> &mut Partition {
        let partitions = &mut self.topics.entry(topic.to_owned()).or_default().partitions;
        let count = partitions.len().max(partition as usize + 1);
        partitions.resize_with(count, Partition::default);
        &mut partitions[partition as usize]
    }

    /// The records of a topic, partition by partition.
    pub fn records(&self, topic: &str) -> impl Iterator<Item = &str> {
        let partitions = self.topics.get(topic).into_iter().flat_map(|topic| &topic.partitions);
        partitions.flat_map(|partition| &partition.records).map(String::as_str)
    }

    /// The offset that a consumer group has committed.
    pub fn offset(&self, group: &str, topic: &str, partition: u32) -> u64 {
        let key = (group.to_owned(), topic.to_owned(), partition);
        self.offsets.get(&key).copied().unwrap_or_default()
    }

    /// The transactions that are prepared and not committed.
    pub fn prepared(&self) -> impl Iterator<Item = &TransactionId> {
        self.prepared.keys()
    }

    /// Carries out a request. `None` if it is a fetch and there are no records yet.
    pub fn handle(&mut self, request: &BrokerRequest) -> Option<Result<BrokerReply, Refusal>> {
        if let BrokerRequest::Fetch { topic, partition, offset, most, .. } = request {
            return self.fetch(topic, *partition, *offset, *most).transpose();
        }
        Some(self.carry_out(request))
    }

    fn carry_out(&mut self, request: &BrokerRequest) -> Result<BrokerReply, Refusal> {
        match request {
            BrokerRequest::Fetch { .. } => {}
            BrokerRequest::Partitions { topic } => {
                let found = self.topics.get(topic).ok_or_else(|| Refusal::UnknownTopic(topic.clone()))?;
                let (count, complete) = (found.partitions.len() as u32, found.complete);
                return Ok(BrokerReply::Partitions { count, complete });
            }
            BrokerRequest::CommitOffsets { group, topic, offsets } => {
                for (partition, offset) in offsets {
                    let key = (group.clone(), topic.clone(), *partition);
                    let known = self.offsets.entry(key).or_default();
                    *known = (*known).max(*offset);
                }
            }
            BrokerRequest::Prepare { transaction, topic, records } => {
                let TransactionId { writer, number } = transaction;
                let is_kept = self.kept.get(writer).is_some_and(|count| number < count);
                let by = self.replaced_by.get(&writer.job);
                if !is_kept && by.is_some_and(|attempt| writer.attempt < *attempt) {
                    return Err(Refusal::Fenced(writer.clone()));
                }
                if !self.committed.contains(transaction) {
                    self.prepared.insert(transaction.clone(), (topic.clone(), records.clone()));
                }
            }
            BrokerRequest::Commit { transaction } => self.commit(transaction)?,
            BrokerRequest::Keep { writer, count } => {
                let kept = self.kept.entry(writer.clone()).or_default();
                *kept = (*kept).max(*count);
            }
            BrokerRequest::AbortEarlier { than, but } => {
                let by = self.replaced_by.entry(than.job).or_default();
                *by = (*by).max(than.attempt);
                let is_earlier =
                    |writer: &WriterName| writer.job == than.job && writer.attempt < than.attempt;
                let first_of = |writer: &WriterName| {
                    but.iter()
                        .filter(|(other, _)| other == writer)
                        .map(|(_, count)| *count)
                        .max()
                        .unwrap_or_default()
                };
                self.prepared.retain(|id, _| {
                    let kept = self.kept.get(&id.writer).copied().unwrap_or_default();
                    !is_earlier(&id.writer) || id.number < kept.max(first_of(&id.writer))
                });
                let stays = |id: &&TransactionId| is_earlier(&id.writer) && id.number < first_of(&id.writer);
                return Ok(BrokerReply::Left(self.prepared().filter(stays).count() as u64));
            }
        }
        Ok(BrokerReply::Done)
    }

    fn fetch(
        &self,
        topic: &str,
        partition: u32,
        offset: u64,
        most: u32,
    ) -> Result<Option<BrokerReply>, Refusal> {
        let found = self.topics.get(topic).and_then(|topic| topic.partitions.get(partition as usize));
        let found = found.ok_or_else(|| Refusal::UnknownTopic(topic.to_owned()))?;
        let rest = found.records.get(offset as usize..).unwrap_or_default();
        if rest.is_empty() && !found.complete {
            return Ok(None);
        }
        let records = rest[..rest.len().min(most as usize)].to_vec();
        let left = (rest.len() - records.len()) as u64;
        Ok(Some(BrokerReply::Records { records, left, complete: found.complete }))
    }

    fn commit(&mut self, transaction: &TransactionId) -> Result<(), Refusal> {
        let TransactionId { writer, number } = transaction;
        if self.committed.contains(transaction) {
            return Err(Refusal::AlreadyCommitted(writer.clone(), *number));
        }
        let prepared = self.prepared.remove(transaction);
        let (topic, records) =
            prepared.ok_or_else(|| Refusal::UnknownTransaction(writer.clone(), *number))?;
        self.append(&topic, 0, records);
        self.committed.insert(transaction.clone());
        Ok(())
    }
}
