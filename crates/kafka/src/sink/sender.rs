//! What a writer sends: batches for partitions, one under way for each.
//!
//! A partition has one batch under way at a time, so its records keep their order, also over transactions and when a batch is
//! sent again. Batches that are due at the same time and have the same leader and producer share a request.

use super::batch::{BatchBuilder, Numbered};
use super::record::Encoded;
use super::transactions::{Transactions, WriterName};
use super::{DeliveryGuarantee, Settings, WriteError};
use crate::client::{
    AbortEarlier, KafkaAnswer, KafkaClient, KafkaError, KafkaRequest, Produce, Produced, ToProduce,
    Transaction, may_pass,
};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use reflow_api::io::Calls;
use reflow_api::{Io, UserError};
use reflow_env::{CallError, Ticket};
use reflow_types::Instant;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a call may take.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The pause before a request is sent again, and the longest one.
const PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often a topic is asked whether it has got more partitions.
const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// The least time between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Sends records.
pub(super) struct Sender {
    client: Arc<KafkaClient>,
    settings: Arc<Settings>,
    calls: Calls<KafkaClient>,
    under_way: BTreeMap<Ticket, Purpose>,
    pub(super) transactions: Transactions,
    topics: Vec<Topic>,
    /// The topics by their names.
    by_name: HashMap<Arc<str>, usize>,
    partitions: Vec<Partition>,
    /// The number of barriers that have passed.
    span: u64,
    /// How many batches of each span are not acknowledged.
    unacknowledged: BTreeMap<u64, usize>,
    /// The bytes of all batches.
    bytes: usize,
    now: Instant,
    /// Whether batches may have become due.
    is_due: bool,
    again_at: Option<Instant>,
    /// When a producer id is asked for again.
    ask_at: Option<Instant>,
    failures: u32,
    abort: Abort,
    last_logged: Option<Instant>,
}

/// What a call is for.
enum Purpose {
    Partitions { topic: usize },
    Producer,
    Batches { partitions: Vec<usize> },
    Abort,
}

/// The clean-up after earlier attempts.
enum Abort {
    NotAsked,
    UnderWay,
    At(Instant),
    Done,
}

struct Topic {
    name: Arc<str>,
    /// The indices of its partitions. Empty until they are known.
    partitions: Vec<usize>,
    /// The partition to which records without a key go.
    current: usize,
    /// When its partitions are looked for. `None`: that is under way.
    look_at: Option<Instant>,
    failures: u32,
}

struct Partition {
    topic: Arc<str>,
    number: i32,
    open: Option<Open>,
    queue: VecDeque<Batch>,
    is_under_way: bool,
    failures: u32,
    again_at: Option<Instant>,
}

/// The batch that is being filled.
struct Open {
    records: BatchBuilder,
    span: u64,
    since: Instant,
}

struct Batch {
    span: u64,
    /// Its length in the buffer.
    len: usize,
    count: i32,
    body: Body,
}

enum Body {
    Records(BatchBuilder),
    /// With its number and the time of the first try.
    Sent(Bytes, i32, Instant),
}

impl Sender {
    pub(super) fn new(
        client: Arc<KafkaClient>,
        settings: Arc<Settings>,
        io: Io,
        name: WriterName,
        now: Instant,
    ) -> Self {
        let transactions = Transactions::new(&settings, name);
        let mut sender = Self {
            client,
            calls: Calls::new(io),
            under_way: BTreeMap::new(),
            transactions,
            topics: Vec::new(),
            by_name: HashMap::new(),
            partitions: Vec::new(),
            span: 0,
            unacknowledged: BTreeMap::new(),
            bytes: 0,
            now,
            is_due: false,
            again_at: None,
            ask_at: None,
            failures: 0,
            abort: Abort::NotAsked,
            last_logged: None,
            settings,
        };
        if let Some(topic) = sender.settings.topic.clone() {
            sender.topic(&topic);
        }
        sender.ask();
        sender
    }

    fn call(&mut self, request: KafkaRequest, purpose: Purpose) {
        let ticket = self.calls.call(&self.client, request, TIME_LIMIT);
        self.under_way.insert(ticket, purpose);
    }

    /// Asks for the producer of the next transaction.
    fn ask(&mut self) {
        if let Some(transactional_id) = self.transactions.ask() {
            let timeout = self.settings.transaction_timeout;
            self.call(KafkaRequest::InitProducer { transactional_id, timeout }, Purpose::Producer);
        }
        self.ask_at = None;
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn span(&self) -> u64 {
        self.span
    }

    pub(super) fn has_room(&self) -> bool {
        let is_known = self.topics.first().is_none_or(|topic| !topic.partitions.is_empty());
        is_known && self.bytes < self.settings.max_bytes && self.transactions.may_begin(self.span)
    }

    /// The index of a topic. Its partitions are looked for if nobody has done so.
    pub(super) fn topic(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.topics.len();
        let name: Arc<str> = name.into();
        self.by_name.insert(name.clone(), index);
        // So that the writers of a sink do not all begin with the same partition.
        let current = self.transactions.name().subtask() as usize;
        let topic = Topic { name, partitions: Vec::new(), current, look_at: None, failures: 0 };
        self.topics.push(topic);
        self.look(index);
        index
    }

    fn look(&mut self, topic: usize) {
        self.topics[topic].look_at = None;
        let name = self.topics[topic].name.clone();
        self.call(KafkaRequest::Partitions(name), Purpose::Partitions { topic });
    }

    /// How many partitions a topic has, if it is known.
    #[inline]
    pub(super) fn partition_count(&self, topic: usize) -> Option<u32> {
        let count = self.topics[topic].partitions.len() as u32;
        (count > 0).then_some(count)
    }

    /// The partition for the next record without a key: the same one until its batch is sent.
    pub(super) fn current_partition(&mut self, topic: usize) -> u32 {
        let topic = &mut self.topics[topic];
        topic.current %= topic.partitions.len();
        if self.partitions[topic.partitions[topic.current]].open.is_none() {
            topic.current = (topic.current + 1) % topic.partitions.len();
        }
        topic.current as u32
    }

    /// Appends a record to a partition of a topic.
    pub(super) fn append(
        &mut self,
        (topic, partition): (usize, u32),
        span: u64,
        timestamp: i64,
        record: Encoded<'_>,
    ) -> Result<(), WriteError> {
        let topic = &self.topics[topic];
        let Some(index) = topic.partitions.get(partition as usize).copied() else {
            let (topic, count) = (topic.name.to_string(), topic.partitions.len());
            return Err(WriteError::NoPartition { topic, partition, count });
        };
        let bound = record.bound();
        let is_full =
            |open: &Open| open.span != span || open.records.len() + bound > self.settings.batch_bytes;
        if self.partitions[index].open.as_ref().is_some_and(is_full) {
            self.close(index);
            self.is_due = true;
        }
        let since = self.now;
        let partition = &mut self.partitions[index];
        let open = partition.open.get_or_insert_with(|| {
            *self.unacknowledged.entry(span).or_default() += 1;
            let at = since + self.settings.linger;
            self.again_at = Some(self.again_at.map_or(at, |again| again.min(at)));
            Open { records: BatchBuilder::default(), span, since }
        });
        let before = open.records.len();
        open.records.append(timestamp, record);
        self.bytes += open.records.len() - before;
        Ok(())
    }

    /// Closes the batch that is being filled.
    fn close(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        if let Some(Open { records, span, .. }) = partition.open.take() {
            let (len, count) = (records.len(), records.count());
            partition.queue.push_back(Batch { span, len, count, body: Body::Records(records) });
        }
    }

    /// Closes all batches, because a barrier has come.
    pub(super) fn barrier(&mut self) {
        (0..self.partitions.len()).for_each(|index| self.close(index));
        self.span += 1;
        self.is_due = true;
        self.send(Duration::ZERO);
    }

    /// Whether all records before the last barrier are acknowledged.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.unacknowledged.range(..self.span).next().is_none()
    }

    /// Sends what was written.
    pub(super) fn flush(&mut self) {
        if self.bytes > 0 {
            self.send(Duration::ZERO);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) -> Result<(), UserError> {
        self.now = now;
        while let Some((ticket, answer)) = self.calls.next_answer() {
            if let Some(purpose) = self.under_way.remove(&ticket) {
                self.is_due = true;
                self.answered(purpose, answer)?;
            }
        }
        if self.ask_at.is_none_or(|at| at <= now) {
            self.ask();
        }
        for topic in 0..self.topics.len() {
            if self.topics[topic].look_at.is_some_and(|at| at <= now) {
                self.look(topic);
            }
        }
        if self.is_due || self.again_at.is_some_and(|at| at <= now) {
            self.send(self.settings.linger);
        }
        Ok(())
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let look_at = self.topics.iter().filter_map(|topic| topic.look_at).min();
        let abort = if let Abort::At(at) = self.abort { Some(at) } else { None };
        [self.again_at, self.ask_at, look_at, abort].into_iter().flatten().min()
    }

    /// Sends a batch of each partition that has none under way: the next full one, or the one that is being filled if it is as
    /// old as this.
    fn send(&mut self, linger: Duration) {
        (self.is_due, self.again_at) = (false, None);
        let mut requests = BTreeMap::<_, (Vec<usize>, Vec<ToProduce>)>::new();
        for index in 0..self.partitions.len() {
            let partition = &mut self.partitions[index];
            let again_at = partition.again_at.filter(|at| *at > self.now);
            let open_until = partition.open.as_ref().map(|open| open.since + linger);
            let due = match partition.queue.is_empty() {
                _ if partition.is_under_way => continue,
                true if open_until.is_none() => continue,
                true => again_at.max(open_until.filter(|at| *at > self.now)),
                false => again_at,
            };
            if let Some(due) = due {
                self.again_at = Some(self.again_at.map_or(due, |at| at.min(due)));
                continue;
            }
            if partition.queue.is_empty() {
                self.close(index);
            }
            let (number, batch) = self.next_batch(index);
            let leader = self.client.leader(&batch.topic, batch.partition);
            let (indices, batches) = requests.entry((number, leader)).or_default();
            indices.push(index);
            batches.push(batch);
            self.partitions[index].is_under_way = true;
        }
        for ((number, _), (partitions, batches)) in requests {
            let of = self.transactions.get_mut(number);
            let transaction = of.transactional_id.clone().map(|id| (id, of.producer));
            let request = KafkaRequest::Produce(Produce { transaction, batches });
            self.call(request, Purpose::Batches { partitions });
        }
    }

    /// The first batch of a partition, and the number of its transaction.
    fn next_batch(&mut self, index: usize) -> (u64, ToProduce) {
        let partition = &mut self.partitions[index];
        let batch = partition.queue.front_mut().expect("the caller has put one there");
        let number = self.transactions.of_span(batch.span);
        if let Body::Records(records) = &mut batch.body {
            let of = self.transactions.get_mut(number);
            let sequence = of.number(index, batch.count);
            let is_transactional = of.transactional_id.is_some();
            let numbered = Numbered { producer: of.producer, sequence, is_transactional };
            let bytes = std::mem::take(records).finish(self.settings.compression, numbered);
            batch.body = Body::Sent(bytes, sequence, self.now);
        }
        let Body::Sent(bytes, sequence, _) = &batch.body else { unreachable!("it was just encoded") };
        let (topic, is_first) = (partition.topic.clone(), *sequence == 0);
        (number, ToProduce { topic, partition: partition.number, bytes: bytes.clone(), is_first })
    }

    fn answered(
        &mut self,
        purpose: Purpose,
        answer: Result<KafkaAnswer, CallError>,
    ) -> Result<(), UserError> {
        if let Err(error) = &answer {
            // While brokers start, they may not know a topic that was there. If it was deleted, its batches time out.
            let may_wait =
                matches!(purpose, Purpose::Partitions { topic } if !self.topics[topic].partitions.is_empty());
            if !may_wait && error.client_error::<KafkaError>().is_some_and(|refused| !refused.may_pass()) {
                return Err(error.clone().into());
            }
            self.warn(error);
        }
        match (purpose, answer) {
            (Purpose::Partitions { topic }, Ok(KafkaAnswer::Count(count))) => self.found(topic, count),
            (Purpose::Partitions { topic }, _) => {
                let topic = &mut self.topics[topic];
                topic.failures += 1;
                topic.look_at = Some(self.now + pause(topic.failures));
            }
            (Purpose::Producer, Ok(KafkaAnswer::Producer(producer))) => {
                self.failures = 0;
                self.transactions.answered(Some(producer));
            }
            (Purpose::Producer, _) => {
                self.failures += 1;
                self.transactions.answered(None);
                self.ask_at = Some(self.now + pause(self.failures));
            }
            (Purpose::Batches { partitions }, Ok(KafkaAnswer::Produced(results))) => {
                for (index, result) in partitions.into_iter().zip(results) {
                    self.partitions[index].is_under_way = false;
                    self.produced(index, result)?;
                }
            }
            (Purpose::Batches { partitions }, answer) => {
                let error = answer.err().map(|error| error.to_string()).unwrap_or_default();
                for index in partitions {
                    self.partitions[index].is_under_way = false;
                    self.again(index, &error)?;
                }
            }
            (Purpose::Abort, Ok(KafkaAnswer::Count(0))) => self.abort = Abort::Done,
            (Purpose::Abort, _) => self.abort = Abort::At(self.now + PAUSE * 5),
        }
        Ok(())
    }

    fn found(&mut self, topic: usize, count: usize) {
        let topic = &mut self.topics[topic];
        topic.failures = 0;
        topic.look_at = Some(self.now + REFRESH_AFTER);
        for number in topic.partitions.len()..count {
            topic.partitions.push(self.partitions.len());
            self.partitions.push(Partition {
                topic: topic.name.clone(),
                number: number as i32,
                open: None,
                queue: VecDeque::new(),
                is_under_way: false,
                failures: 0,
                again_at: None,
            });
        }
    }

    fn produced(&mut self, index: usize, result: Produced) -> Result<(), WriteError> {
        let partition = &mut self.partitions[index];
        match result {
            Produced::Appended => {
                (partition.failures, partition.again_at) = (0, None);
                let Some(batch) = partition.queue.pop_front() else { return Ok(()) };
                self.bytes -= batch.len;
                self.acknowledge(batch.span);
                Ok(())
            }
            Produced::NotSent => match self.client.leader(&partition.topic, partition.number) {
                Some(_) => Ok(()),
                None => self.again(index, "no leader is known"),
            },
            Produced::Refused { error, reason } => self.refused(index, error, reason),
        }
    }

    fn acknowledge(&mut self, span: u64) {
        if let Some(count) = self.unacknowledged.get_mut(&span) {
            *count -= 1;
            if *count == 0 {
                self.unacknowledged.remove(&span);
            }
        }
    }

    fn refused(
        &mut self,
        index: usize,
        error: ResponseError,
        reason: Option<String>,
    ) -> Result<(), WriteError> {
        use ResponseError as Of;
        if may_pass(error) {
            return self.again(index, &error.to_string());
        }
        let Partition { topic, number: partition, queue, .. } = &self.partitions[index];
        let (topic, partition) = (topic.to_string(), *partition);
        let Some(batch) = queue.front() else { return Ok(()) };
        match error {
            Of::MessageTooLarge | Of::RecordListTooLarge if batch.count > 1 => self.split(index),
            Of::MessageTooLarge | Of::RecordListTooLarge => {
                Err(WriteError::TooLarge { topic, partition, bytes: batch.len })
            }
            Of::InvalidProducerEpoch
            | Of::ProducerFenced
            | Of::InvalidTxnState
            | Of::InvalidProducerIdMapping
            | Of::TransactionAbortable => {
                let of = self.transactions.of_span(batch.span);
                let transactional_id = self.transactions.get_mut(of).transactional_id.clone();
                let transactional_id = transactional_id.map_or("none".to_owned(), |id| id.to_string());
                Err(WriteError::Fenced { topic, partition, transactional_id, error })
            }
            error => {
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                Err(WriteError::Refused { topic, partition, error, reason })
            }
        }
    }

    /// Sends a refused batch again as two.
    fn split(&mut self, index: usize) -> Result<(), WriteError> {
        let partition = &mut self.partitions[index];
        let Some(Batch { span, len, body: Body::Sent(bytes, sequence, _), .. }) = partition.queue.pop_front()
        else {
            return Ok(());
        };
        let (topic, number) = (partition.topic.to_string(), partition.number);
        let halves = BatchBuilder::halves(bytes).map_err(|source| WriteError::Split {
            topic,
            partition: number,
            source,
        })?;
        self.bytes -= len;
        for records in halves.into_iter().rev() {
            let (len, count) = (records.len(), records.count());
            self.bytes += len;
            partition.queue.push_front(Batch { span, len, count, body: Body::Records(records) });
        }
        *self.unacknowledged.entry(span).or_default() += 1;
        let of = self.transactions.of_span(span);
        self.transactions.get_mut(of).renumber(index, sequence);
        Ok(())
    }

    /// Sends a partition's batch again after a pause, if there is time left.
    fn again(&mut self, index: usize, error: &str) -> Result<(), WriteError> {
        let limit = self.settings.delivery_time_limit();
        let partition = &mut self.partitions[index];
        partition.failures += 1;
        partition.again_at = Some(self.now + pause(partition.failures));
        if let Some(Batch { body: Body::Sent(_, _, since), .. }) = partition.queue.front()
            && self.now.since(*since) >= limit
        {
            let (topic, partition) = (partition.topic.to_string(), partition.number);
            return Err(WriteError::TimedOut { topic, partition, limit, error: error.to_owned() });
        }
        let text = format!("topic {}, partition {}: {error}", partition.topic, partition.number);
        self.warn(text);
        Ok(())
    }

    fn warn(&mut self, text: impl std::fmt::Display) {
        if self.last_logged.is_none_or(|last| self.now.since(last) >= LOG_INTERVAL) {
            self.last_logged = Some(self.now);
            tracing::warn!(
                "cannot write to {}, trying again: {text}",
                reflow_env::Client::system(&*self.client)
            );
        }
    }

    /// Ends what earlier attempts have left open, except transactions that will be committed. Returns whether nothing is
    /// left, not even of those.
    pub(super) fn clean_up(&mut self, but: impl FnOnce() -> Vec<Transaction>) -> bool {
        if self.settings.guarantee != DeliveryGuarantee::ExactlyOnce {
            return true;
        }
        match self.abort {
            Abort::Done => return true,
            Abort::UnderWay => {}
            Abort::At(at) if at > self.now => {}
            Abort::NotAsked | Abort::At(_) => {
                self.abort = Abort::UnderWay;
                let name = self.transactions.name().clone();
                let timeout = self.settings.transaction_timeout;
                let request = KafkaRequest::AbortEarlier(AbortEarlier { name, but: but(), timeout });
                self.call(request, Purpose::Abort);
            }
        }
        false
    }
}

/// The pause after a number of failures.
fn pause(failures: u32) -> Duration {
    (PAUSE * 2u32.saturating_pow(failures.saturating_sub(1)).min(1 << 10)).min(MAX_PAUSE)
}
