//! The writer of a Kafka sink.

use super::record::ProducerRecord;
use super::sender::{Sender, TIME_LIMIT};
use super::serialize::{Serializer, partition_of};
use super::transactions::WriterName;
use super::{DeliveryGuarantee, LostTransaction, Settings, WriteError};
use crate::client::{KafkaClient, KafkaError, KafkaRequest, Transaction};
use bytes::Bytes;
use reflow_api::sink::{Barrier, CommitFailure, FollowedBy, WriterContext, WriterOutput};
use reflow_api::{Io, UserError, Writer};
use reflow_env::{Request, RequestError};
use reflow_types::{CheckpointId, Instant, Timestamp, data};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Writes to topics.
#[doc(hidden)]
pub struct KafkaWriter<T, S> {
    client: Arc<KafkaClient>,
    settings: Arc<Settings>,
    io: Io,
    serializer: S,
    record: ProducerRecord,
    sender: Sender,
    /// Records for which a producer is missing, or for topics whose partitions are being looked for, and those that came
    /// behind, with their spans.
    waiting: VecDeque<(u64, T, Timestamp)>,
    /// What comes behind the last barrier.
    followed_by: FollowedBy,
}

impl<T, S: Serializer<T>> KafkaWriter<T, S> {
    pub(super) fn new(
        client: Arc<KafkaClient>,
        settings: Arc<Settings>,
        serializer: S,
        context: &WriterContext,
    ) -> Self {
        let name = WriterName::new(&settings.transactional_id_prefix, context);
        let io = context.io.clone();
        let sender = Sender::new(client.clone(), settings.clone(), io.clone(), name, context.opened);
        Self {
            client,
            settings,
            io,
            serializer,
            record: ProducerRecord::default(),
            sender,
            waiting: VecDeque::new(),
            followed_by: FollowedBy::Records,
        }
    }

    /// Writes a record, if the partitions of its topic are known.
    #[inline]
    fn try_write(&mut self, span: u64, value: &T, time: Timestamp) -> Result<bool, UserError> {
        let Self { record, serializer, sender, .. } = self;
        record.clear();
        serializer.serialize(value, record)?;
        let topic = match record.topic() {
            Some(name) => sender.topic(name),
            None if self.settings.topic.is_some() => 0,
            None => return Err(WriteError::NoTopic.into()),
        };
        let Some(count) = sender.partition_count(topic) else { return Ok(false) };
        let partition = match (record.partition(), serializer.partition(value, record, count), record.key()) {
            (Some(partition), ..) | (None, Some(partition), _) => partition,
            (None, None, Some(key)) => partition_of(key, count),
            (None, None, None) => sender.current_partition(topic),
        };
        let timestamp = match record.timestamp() {
            Some(timestamp) => timestamp,
            None if time >= 0 => time,
            None => sender.now().as_millis(),
        };
        sender.append((topic, partition), span, timestamp, record.encoded())?;
        Ok(true)
    }

    fn write_waiting(&mut self) -> Result<(), UserError> {
        while let Some((span, value, time)) = self.waiting.pop_front() {
            if !self.sender.transactions.begin(span) || !self.try_write(span, &value, time)? {
                self.waiting.push_front((span, value, time));
                break;
            }
        }
        Ok(())
    }

    fn request(&self, request: KafkaRequest) -> Request {
        Request::call(&self.client, request, TIME_LIMIT)
    }
}

impl<T: Send + 'static, S: Serializer<T>> Writer for KafkaWriter<T, S> {
    type Item = T;

    #[inline]
    fn write(&mut self, value: T, time: Timestamp) -> Result<(), UserError> {
        let span = self.sender.span();
        // Timers fire although the sink has no room.
        let may_begin = self.waiting.is_empty() && self.sender.transactions.begin(span);
        if !may_begin || !self.try_write(span, &value, time)? {
            self.waiting.push_back((span, value, time));
        }
        Ok(())
    }

    fn has_room(&mut self) -> bool {
        self.waiting.is_empty() && self.sender.has_room()
    }

    fn snapshot(&mut self, barrier: Barrier) -> Result<WriterOutput, UserError> {
        let span = self.sender.span();
        // No barrier comes while the sink has no room, so a producer is there for what has come.
        let waits = self.waiting.iter().any(|(of, ..)| *of == span);
        if waits
            && self.settings.guarantee == DeliveryGuarantee::ExactlyOnce
            && !self.sender.transactions.begin(span)
        {
            return Err(WriteError::NoProducer.into());
        }
        self.sender.barrier();
        self.followed_by = barrier.followed_by;
        let mut output = WriterOutput::default();
        let transactions = &mut self.sender.transactions;
        if let Some(prepared) = transactions.prepare(span) {
            output.transactions.push(encode(&prepared)?);
        }
        match barrier.followed_by {
            FollowedBy::OtherJobs => {
                transactions.save();
                if transactions.uncommitted().next().is_some() {
                    tracing::info!(
                        "the savepoint of checkpoint {} names transactions that are not committed: if this job does not commit \
                         them, a job that starts from it must do so within {:?}",
                        barrier.checkpoint,
                        self.settings.transaction_timeout
                    );
                }
            }
            FollowedBy::Records | FollowedBy::OtherSubtasks | FollowedBy::Nothing => {
                transactions.snapshot(barrier.checkpoint);
            }
        }
        Ok(output)
    }

    fn is_prepared(&mut self, _: CheckpointId) -> bool {
        let waits = match self.settings.guarantee {
            DeliveryGuarantee::None => self.followed_by != FollowedBy::Records,
            DeliveryGuarantee::AtLeastOnce | DeliveryGuarantee::ExactlyOnce => true,
        };
        let is_before = |(span, ..): &(u64, T, Timestamp)| *span < self.sender.span();
        !waits || (self.sender.is_acknowledged() && !self.waiting.iter().any(is_before))
    }

    fn completed(&mut self, checkpoint: CheckpointId) {
        self.sender.transactions.completed(checkpoint);
    }

    fn committed(&mut self, transaction: &reflow_api::Transaction) {
        if let Ok(transaction) = decode(transaction) {
            self.sender.transactions.committed(&transaction);
        }
    }

    fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.sender.tick(now)?;
        self.write_waiting()
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.sender.next_wakeup()
    }

    fn flush(&mut self) -> Result<(), UserError> {
        self.sender.flush();
        Ok(())
    }

    fn commit(&self, transaction: &reflow_api::Transaction) -> Result<Request, UserError> {
        Ok(self.request(KafkaRequest::Commit(decode(transaction)?)))
    }

    fn commit_failed(&self, error: &RequestError) -> CommitFailure {
        let RequestError::External(error) = error else { return CommitFailure::Transient };
        match error.client_error() {
            Some(KafkaError::TransactionLost { .. }) => match self.settings.on_lost_transaction {
                LostTransaction::Fail => CommitFailure::Lost,
                LostTransaction::Skip => {
                    tracing::error!("going on without records, as the sink allows: {error}");
                    CommitFailure::AlreadyCommitted
                }
            },
            _ => CommitFailure::Transient,
        }
    }

    /// Shorter than the broker's, so that the job fails before its records are lost.
    fn commit_time_limit(&self) -> Duration {
        self.settings.transaction_timeout / 3 * 2
    }

    fn trace(&self) -> Option<Bytes> {
        let uncommitted: Vec<Transaction> = self.sender.transactions.uncommitted().collect();
        let encoded = data::to_vec(&uncommitted).expect("a list of transactions does not nest deep");
        (!uncommitted.is_empty()).then(|| encoded.into())
    }

    fn clean_up(&mut self, traces: &[Bytes]) -> bool {
        let decode = |trace: &Bytes| data::decode::<Vec<Transaction>>(trace);
        match traces.iter().map(decode).collect::<Result<Vec<_>, _>>() {
            Ok(uncommitted) => self.sender.clean_up(|| uncommitted.concat()),
            Err(error) => {
                tracing::warn!("cannot tell which transactions of earlier attempts to abort: {error}");
                true
            }
        }
    }
}

impl<T, S> Drop for KafkaWriter<T, S> {
    /// Aborts the transaction that no checkpoint names, because consumers would wait for its end.
    fn drop(&mut self) {
        if let Some(open) = self.sender.transactions.unprepared() {
            self.io.submit_and_forget(Request::call(&self.client, KafkaRequest::Abort(open), TIME_LIMIT));
        }
    }
}

fn encode(transaction: &Transaction) -> Result<reflow_api::Transaction, UserError> {
    Ok(reflow_api::Transaction(data::to_vec(transaction)?.into()))
}

fn decode(transaction: &reflow_api::Transaction) -> Result<Transaction, UserError> {
    let decoded = data::decode(&transaction.0);
    Ok(decoded
        .map_err(|error| format!("a transaction of the checkpoint is not one of this sink: {error}"))?)
}
