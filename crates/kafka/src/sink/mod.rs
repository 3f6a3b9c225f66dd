//! The sink, which writes to topics: each record exactly once, at least once, or without a guarantee.
//!
//! A writer fills a batch for each partition and sends them while it writes. With transactions, all batches between two
//! barriers belong to one, which is left open at the barrier and committed when its checkpoint is complete. What a checkpoint
//! keeps of it lets any process commit it. Decisions: `docs/design/kafka.md`.
//!
//! Reading order: this file (the builder), `serialize`, `record`, `batch` (a batch's bytes), `transactions` (ids and their
//! reuse), `sender` (what is sent when), `writer`.

mod batch;
mod record;
mod sender;
mod serialize;
mod transactions;
mod writer;

#[cfg(test)]
mod tests;

pub use record::ProducerRecord;
pub use serialize::{Serializer, WithPartitioner, WithRecord};
pub use transactions::WriterName;
pub use writer::KafkaWriter;

use crate::batch::BatchError;
use crate::client::KafkaClient;
use crate::compression::Compression;
use crate::deserialize::{Json, Text};
use kafka_protocol::error::ResponseError;
use reflow_api::sink::WriterContext;
use reflow_api::{Sink, UserError};
use serde::Serialize;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// What is promised of each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeliveryGuarantee {
    /// Nothing: checkpoints do not wait for the broker, so a failure may lose records.
    None,
    /// It is in the topic. After a failure it may be there again.
    AtLeastOnce,
    /// It is in the topic once, for consumers with `isolation.level=read_committed`, who see it when the checkpoint after it is
    /// complete.
    #[default]
    ExactlyOnce,
}

/// What happens if a transaction that belongs to a complete checkpoint cannot be committed any more, because the broker has
/// aborted or forgotten it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LostTransaction {
    /// The job fails, because records are missing.
    #[default]
    Fail,
    /// The job goes on without them, and logs an error.
    Skip,
}

/// Writes to topics of Kafka 3.0 or later.
///
/// By default, each record is in its topic exactly once, whatever fails. Such a job needs nothing but checkpoints; its
/// consumers need `isolation.level=read_committed`.
///
/// ```
/// use reflow_kafka::{Compression, DeliveryGuarantee, KafkaSink};
/// use serde::Serialize;
/// use std::time::Duration;
///
/// #[derive(Serialize)]
/// struct Price {
///     product: String,
///     price: Option<f64>,
/// }
///
/// let prices = KafkaSink::json::<Price>("broker1:9092,broker2:9092", "prices")
///     .with_record(|price: &Price, record| {
///         record.set_key(&price.product);
///         if price.price.is_none() {
///             record.clear_value(); // deletes the product from a compacted topic
///         }
///     })
///     .transactional_id_prefix("shop")
///     .transaction_timeout(Duration::from_secs(600))
///     .compression(Compression::Zstd);
/// let lines = KafkaSink::text::<String>("localhost:9092", "lines")
///     .delivery_guarantee(DeliveryGuarantee::AtLeastOnce)
///     .partitioner(|line: &String, partitions| line.len() as u32 % partitions);
/// ```
#[derive(Debug)]
pub struct KafkaSink<T, S> {
    client: Arc<KafkaClient>,
    serializer: S,
    settings: Settings,
    item: PhantomData<fn(T)>,
}

impl<T, S: Clone> Clone for KafkaSink<T, S> {
    fn clone(&self) -> Self {
        let (client, settings) = (self.client.clone(), self.settings.clone());
        Self { client, serializer: self.serializer.clone(), settings, item: PhantomData }
    }
}

/// What is the same for all record types.
#[derive(Clone, Debug)]
struct Settings {
    /// The topic of records that set none.
    topic: Option<Arc<str>>,
    guarantee: DeliveryGuarantee,
    transactional_id_prefix: String,
    transaction_timeout: Duration,
    on_lost_transaction: LostTransaction,
    delivery_timeout: Duration,
    compression: Compression,
    linger: Duration,
    batch_bytes: usize,
    max_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            topic: None,
            guarantee: DeliveryGuarantee::default(),
            transactional_id_prefix: "reflow".to_owned(),
            transaction_timeout: Duration::from_secs(15 * 60),
            on_lost_transaction: LostTransaction::default(),
            delivery_timeout: Duration::from_secs(2 * 60),
            compression: Compression::None,
            linger: Duration::from_millis(5),
            batch_bytes: 256 << 10,
            max_bytes: 32 << 20,
        }
    }
}

impl Settings {
    /// How long a batch is tried. The transaction must not have timed out by then.
    fn delivery_time_limit(&self) -> Duration {
        match self.guarantee {
            DeliveryGuarantee::ExactlyOnce => self.delivery_timeout.min(self.transaction_timeout / 2),
            DeliveryGuarantee::None | DeliveryGuarantee::AtLeastOnce => self.delivery_timeout,
        }
    }
}

impl KafkaSink<(), ()> {
    /// Writes JSON values to a topic.
    pub fn json<T: Serialize + Send + 'static>(
        bootstrap: impl AsRef<str>,
        topic: impl AsRef<str>,
    ) -> KafkaSink<T, Json<T>> {
        KafkaSink::new(bootstrap, topic, Json::new())
    }

    /// Writes text to a topic.
    pub fn text<T: AsRef<str> + Send + 'static>(
        bootstrap: impl AsRef<str>,
        topic: impl AsRef<str>,
    ) -> KafkaSink<T, Text> {
        KafkaSink::new(bootstrap, topic, Text)
    }
}

impl<T, S: Serializer<T>> KafkaSink<T, S> {
    /// Writes to a topic. `bootstrap` has addresses of brokers, `host:port`, separated by commas.
    pub fn new(bootstrap: impl AsRef<str>, topic: impl AsRef<str>, serializer: S) -> Self {
        let mut sink = Self::by_record(bootstrap, serializer);
        sink.settings.topic = Some(topic.as_ref().into());
        sink
    }

    /// Writes to the topics that the serializer sets.
    pub fn by_record(bootstrap: impl AsRef<str>, serializer: S) -> Self {
        let client = Arc::new(KafkaClient::new(bootstrap.as_ref()));
        Self { client, serializer, settings: Settings::default(), item: PhantomData }
    }

    /// How connections to the brokers are secured. They are not by default. With the feature `tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn security(mut self, security: crate::KafkaSecurity) -> Self {
        self.client = Arc::new(self.client.secured(security));
        self
    }

    /// Sets or changes fields of each record behind its serializer: key, headers, timestamp, topic, partition.
    #[must_use]
    pub fn with_record<F>(self, set: F) -> KafkaSink<T, WithRecord<S, F>>
    where
        F: Fn(&T, &mut ProducerRecord) + Clone + Send + 'static,
    {
        let Self { client, serializer, settings, item } = self;
        KafkaSink { client, serializer: WithRecord(serializer, set), settings, item }
    }

    /// Chooses the partition of each record, by the number of partitions. By default, records with the same key go to the same
    /// partition as with Kafka's own producer, and others fill one batch after the other.
    #[must_use]
    pub fn partitioner<F>(self, partition: F) -> KafkaSink<T, WithPartitioner<S, F>>
    where
        F: Fn(&T, u32) -> u32 + Clone + Send + 'static,
    {
        let Self { client, serializer, settings, item } = self;
        KafkaSink { client, serializer: WithPartitioner(serializer, partition), settings, item }
    }

    /// What is promised of each record: by default, that it is in the topic exactly once.
    #[must_use]
    pub fn delivery_guarantee(mut self, guarantee: DeliveryGuarantee) -> Self {
        self.settings.guarantee = guarantee;
        self
    }

    /// How transactional ids begin, `reflow` by default, for the brokers' access rules. Job, sink and attempt follow, so jobs may
    /// have the same prefix.
    #[must_use]
    pub fn transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.transactional_id_prefix = prefix.into();
        self
    }

    /// The time after which a broker aborts an open transaction, 15 minutes by default; a broker allows no longer one than its
    /// `transaction.max.timeout.ms`, which is 15 minutes by default. If a job is down for longer between a checkpoint and its
    /// commit, the records of that checkpoint are lost.
    #[must_use]
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.settings.transaction_timeout = timeout;
        self
    }

    /// What happens if records are lost because a transaction was open for too long.
    #[must_use]
    pub fn on_lost_transaction(mut self, lost: LostTransaction) -> Self {
        self.settings.on_lost_transaction = lost;
        self
    }

    /// How long a batch is tried until the job restarts from its last checkpoint, 2 minutes by default, and at most half of the
    /// transaction's time.
    #[must_use]
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.settings.delivery_timeout = timeout;
        self
    }

    /// How batches are compressed. They are not by default.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// How long a batch waits for more records while others come, 5 ms by default. When no input is there, it does not wait.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// The most bytes of a batch before compression, 256 KiB by default, unless one record has more. Brokers accept 1 MiB by
    /// default (`message.max.bytes`).
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.settings.batch_bytes = bytes;
        self
    }

    /// The bytes of records that a writer keeps until brokers have acknowledged them, 32 MiB by default. Beyond that it takes no
    /// more records.
    #[must_use]
    pub fn max_bytes_buffered(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }
}

impl<T: Send + 'static, S: Serializer<T>> Sink for KafkaSink<T, S> {
    type Item = T;
    type Writer = KafkaWriter<T, S>;

    fn commits(&self) -> bool {
        self.settings.guarantee == DeliveryGuarantee::ExactlyOnce
    }

    fn writer(&self, context: &WriterContext) -> Result<KafkaWriter<T, S>, UserError> {
        let settings = Arc::new(self.settings.clone());
        Ok(KafkaWriter::new(self.client.clone(), settings, self.serializer.clone(), context))
    }
}

/// Why a record cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The broker accepts no record of this size.
    #[error(
        "a record of {bytes} bytes is too large for topic {topic}, partition {partition}: raise max.message.bytes of the topic, \
         or send the broker less"
    )]
    TooLarge {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Its length in a batch of its own.
        bytes: usize,
    },
    /// Another writer has taken over, or the broker has aborted the transaction.
    #[error(
        "cannot write to topic {topic}, partition {partition}: {error}; the broker has aborted the transaction of \
         transactional id {transactional_id}, because it was open for longer than transaction_timeout, or another process uses \
         the id. Checkpoints must be complete within that time"
    )]
    Fenced {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The transactional id.
        transactional_id: String,
        /// Kafka's error.
        error: ResponseError,
    },
    /// The broker refuses for another reason.
    #[error("cannot write to topic {topic}, partition {partition}: {error}{reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Kafka's error.
        error: ResponseError,
        /// What the broker says of it, in parentheses.
        reason: String,
    },
    /// No broker has taken a batch for too long.
    #[error("cannot write to topic {topic}, partition {partition}, tried for {limit:?}: {error}")]
    TimedOut {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// For how long it was tried.
        limit: Duration,
        /// The last reason.
        error: String,
    },
    /// A batch cannot be divided.
    #[error(
        "cannot divide a batch for topic {topic}, partition {partition}, which the broker finds too large: {source}"
    )]
    Split {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The reason.
        source: BatchError,
    },
    /// The serializer or partitioner has named a partition that is not there.
    #[error("topic {topic} has no partition {partition}: it has {count}")]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// How many there are.
        count: usize,
    },
    /// Neither the sink nor the record names a topic.
    #[error("the record has no topic: the serializer must set it (set_topic), because the sink has none")]
    NoTopic,
    /// A barrier came although the sink had no room.
    #[error("a checkpoint began before the broker has given a producer id for its records")]
    NoProducer,
}
