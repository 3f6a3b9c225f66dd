//! The client: requests of sources and sinks, and how brokers answer them.
//!
//! A request here is one step of a source or sink, such as finding partitions with their offsets, which may take several
//! messages. Code above it decides by requests and answers and does no I/O. Brokers answer the requests of a connection one
//! after the other, so a long poll has a connection for itself, and a connection is never used again after a request that
//! was given up.
//!
//! Reading order: this file (what can be asked), `connection`, `cluster` (who is asked), `offsets`, `fetch`,
//! `produce`; and `session` with `scram` (TLS and logins).

mod cluster;
mod connection;
mod fetch;
mod offsets;
mod produce;
#[cfg(feature = "tls")]
mod scram;
#[cfg(feature = "tls")]
mod session;

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;

use crate::batch::Aborted;
use crate::sink::WriterName;
use bytes::Bytes;
use cluster::Cluster;
use kafka_protocol::error::ResponseError;
use reflow_env::Client;
use reflow_types::Data;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a fetch waits for records.
pub(crate) const LONG_POLL: Duration = Duration::from_millis(500);

/// A partition of a topic.
pub type TopicPartition = (String, i32);

/// A client of a Kafka cluster. Clones of a source share one in each process, and its connections.
#[doc(hidden)]
pub struct KafkaClient {
    system: String,
    cluster: Cluster,
}

impl std::fmt::Debug for KafkaClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.system)
    }
}

/// Which topics are read.
#[derive(Clone, Debug)]
pub(crate) enum Topics {
    Named(Vec<String>),
    /// All whose whole names match.
    Matching(regex_lite::Regex),
}

/// The offsets at which partitions are read from, or up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OffsetsInitializer {
    /// That of the first record that is still there.
    Earliest,
    /// Behind the last record, or behind the last one whose transaction has ended.
    Latest,
    /// That of the first record at or after this time, in milliseconds since 1970. Behind the last one if there is none.
    Timestamp(i64),
    /// The offset that a consumer group has committed, and otherwise this.
    Committed {
        /// The consumer group.
        group: String,
        /// For partitions without a committed offset.
        otherwise: Box<OffsetsInitializer>,
    },
    /// These offsets, and for other partitions this.
    Offsets {
        /// Topics with partitions, and offsets.
        offsets: Vec<(TopicPartition, i64)>,
        /// For partitions that are not named.
        otherwise: Box<OffsetsInitializer>,
    },
    /// None: where [`Committed`](Self::Committed) finds no offset, the job fails.
    Fail,
}

/// Which records of transactions are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those of committed transactions. A record is read when its transaction and those that began before it have ended.
    #[default]
    ReadCommitted,
    /// All, also of transactions that are open or were aborted.
    ReadUncommitted,
}

impl Isolation {
    fn level(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// A request of a source or sink.
#[doc(hidden)]
#[derive(Debug)]
pub enum KafkaRequest {
    /// Finds partitions that are not known, and where to start and to stop reading them.
    Discover(Discover),
    /// Fetches records.
    Fetch(Fetch),
    /// Commits offsets, for others to see. Nothing depends on it, so a failure is only logged.
    CommitOffsets {
        /// The consumer group.
        group: String,
        /// Partitions, and the offsets of their next records.
        offsets: Vec<(TopicPartition, i64)>,
    },
    /// Where a partition begins or ends now.
    Offset(OffsetOf),
    /// How many partitions a topic has.
    Partitions(Arc<str>),
    /// Gets a producer id, for transactions if a transactional id is given.
    InitProducer {
        /// The transactional id.
        transactional_id: Option<String>,
        /// The time after which the broker aborts transactions.
        timeout: Duration,
    },
    /// Appends batches.
    Produce(Produce),
    /// Commits a transaction. It may be repeated.
    Commit(Transaction),
    /// Aborts a transaction.
    Abort(Transaction),
    /// Aborts what earlier attempts of a job have left open.
    AbortEarlier(AbortEarlier),
}

/// A producer id and its epoch.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// A transaction, by which any process can end it.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct Transaction {
    pub(crate) transactional_id: String,
    pub(crate) producer: Producer,
}

impl std::fmt::Display for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { transactional_id, producer: Producer { id, epoch } } = self;
        write!(f, "{transactional_id} (producer {id}, epoch {epoch})")
    }
}

/// See [`KafkaRequest::Produce`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Produce {
    pub(crate) transaction: Option<(Arc<str>, Producer)>,
    pub(crate) batches: Vec<ToProduce>,
}

/// A batch for a partition.
#[derive(Clone, Debug)]
pub(crate) struct ToProduce {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) bytes: Bytes,
    /// Whether it is the transaction's first one for the partition.
    pub(crate) is_first: bool,
}

/// What has become of a batch.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Produced {
    /// It is in the log.
    Appended,
    /// The broker's refusal.
    Refused {
        /// Kafka's error.
        error: ResponseError,
        /// What the broker says of it.
        reason: Option<String>,
    },
    /// The leader was not known and is now; or it does not answer.
    NotSent,
}

/// See [`KafkaRequest::AbortEarlier`].
#[doc(hidden)]
#[derive(Debug)]
pub struct AbortEarlier {
    /// The name of a writer of the present attempt.
    pub(crate) name: WriterName,
    /// Transactions that will be committed.
    pub(crate) but: Vec<Transaction>,
    pub(crate) timeout: Duration,
}

/// See [`KafkaRequest::Offset`].
#[doc(hidden)]
#[derive(Debug)]
pub struct OffsetOf {
    pub(crate) partition: TopicPartition,
    pub(crate) position: OffsetsInitializer,
    pub(crate) isolation: Isolation,
}

/// See [`KafkaRequest::Discover`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Discover {
    pub(crate) topics: Topics,
    pub(crate) known: BTreeSet<TopicPartition>,
    pub(crate) start: OffsetsInitializer,
    pub(crate) stop: Option<OffsetsInitializer>,
    pub(crate) isolation: Isolation,
}

/// See [`KafkaRequest::Fetch`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Fetch {
    pub(crate) partitions: Vec<FetchFrom>,
    pub(crate) isolation: Isolation,
}

/// A partition to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchFrom {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) max_bytes: usize,
}

/// The answer to a request.
#[doc(hidden)]
#[derive(Debug)]
pub enum KafkaAnswer {
    /// Partitions that were not known.
    Discovered(Vec<NewPartition>),
    /// For each partition of the request.
    Fetched(Vec<Fetched>),
    /// It was carried out.
    Done,
    /// An offset.
    Offset(i64),
    /// How many there are.
    Count(usize),
    /// A producer id.
    Producer(Producer),
    /// For each batch of the request.
    Produced(Vec<Produced>),
}

/// A partition that was found.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartition {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) start: i64,
    pub(crate) stop: Option<i64>,
}

/// What a fetch has brought of a partition.
#[doc(hidden)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Batches, perhaps none.
    Records {
        /// The bytes of the batches.
        bytes: Bytes,
        /// Which of them are left out.
        aborted: Vec<Aborted>,
        /// The offset behind the last record that can be read.
        end: i64,
    },
    /// The broker's refusal.
    Refused(ResponseError),
    /// The leader was not known and is now; or it does not answer.
    NotFetched,
}

/// A topic in the cluster's metadata.
#[derive(Debug)]
struct Topic {
    name: String,
    id: Uuid,
    is_internal: bool,
    partitions: Vec<i32>,
    error: Option<ResponseError>,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaError {
    /// No connection can be opened.
    #[error("cannot connect to the broker at {address}: {source}")]
    Unreachable {
        /// The broker.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// The connection was lost, or there was no answer in time.
    #[error("lost the connection to the broker at {address}: {source}")]
    Disconnected {
        /// The broker.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// A new connection was closed at its first request.
    #[error(
        "the broker at {address} closes the connection at its first request; if it does so again, this port expects another \
         security.protocol than {protocol}: correct the port, or the security of the source or sink"
    )]
    Closed {
        /// The broker.
        address: String,
        /// What the client speaks.
        protocol: &'static str,
    },
    /// The connection cannot be made safe.
    #[error("cannot make a connection with TLS to the broker at {address}: {reason}")]
    Tls {
        /// The broker.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The broker refuses the login.
    #[error("the broker at {address} refuses the login of user {user} by {mechanism}: {reason}")]
    Login {
        /// The broker.
        address: String,
        /// The user.
        user: String,
        /// The mechanism.
        mechanism: &'static str,
        /// The reason.
        reason: String,
    },
    /// The properties of the connections' security cannot be used.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Security(#[from] crate::security::SecurityError),
    /// No address is given.
    #[error("no address of a broker is given: name at least one as host:port")]
    NoAddress,
    /// The broker is too old or too new.
    #[error(
        "the broker at {address} knows no version of {api} that this client knows: Kafka 3.0 or later is needed"
    )]
    Version {
        /// The broker.
        address: String,
        /// The request.
        api: &'static str,
    },
    /// An answer cannot be read.
    #[error("the broker at {address} gave an answer to {api} that cannot be read: {reason}")]
    Protocol {
        /// The broker.
        address: String,
        /// The request.
        api: &'static str,
        /// The reason.
        reason: String,
    },
    /// The broker refuses.
    #[error("{step} failed for {subject}: {error}")]
    Refused {
        /// What was tried.
        step: &'static str,
        /// The object of it.
        subject: String,
        /// Kafka's error.
        error: ResponseError,
    },
    /// A topic is missing.
    #[error("there is no topic {0}: create it, or correct its name in the job")]
    NoTopic(String),
    /// No topic matches.
    #[error("no topic matches the pattern {0}")]
    NoMatch(String),
    /// The broker does not allow so long transactions.
    #[error(
        "the broker does not allow transactions of {0:?}: set a shorter transaction_timeout at the sink, or a longer \
         transaction.max.timeout.ms at the brokers"
    )]
    TransactionTimeout(Duration),
    /// A transaction cannot be committed any more.
    #[error("the transaction {transaction} is lost: {reason}")]
    TransactionLost {
        /// The transaction.
        transaction: Transaction,
        /// What has become of it.
        reason: Lost,
    },
    /// The group has no offset, and none is to be used otherwise.
    #[error(
        "group {group} has committed no offset of {topic}, partition {partition}, and the source names no other start"
    )]
    NothingCommitted {
        /// The consumer group.
        group: String,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
}

/// Why a transaction is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It was aborted.
    #[error(
        "the broker has aborted it, because it was open for longer than transaction.timeout.ms, or somebody else has; its \
         records are missing in the output. Start the job from an older savepoint to write them again, or let the sink go on \
         without them (on_lost_transaction). To prevent it, set a transaction_timeout above the longest time for which \
         the job or the brokers may be down"
    )]
    Aborted,
    /// The broker does not know it.
    #[error(
        "the broker does not know its transactional id any more, which it forgets after transactional.id.expiration.ms; so \
         it was committed or aborted before. If it comes from an old savepoint whose job has committed it, let the sink go on \
         (on_lost_transaction)"
    )]
    Unknown,
}

impl KafkaError {
    /// Whether the same request may succeed later without anybody's help.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Disconnected { .. }
            | Self::Closed { .. }
            | Self::Protocol { .. } => true,
            Self::Refused { error, .. } => may_pass(*error),
            _ => false,
        }
    }
}

/// Whether a broker may give another answer later.
pub(crate) fn may_pass(error: ResponseError) -> bool {
    // Another end of the same transactional id is under way.
    error.is_retriable() || error == ResponseError::ConcurrentTransactions
}

fn refusal(step: &'static str, subject: String, error: ResponseError) -> KafkaError {
    KafkaError::Refused { step, subject, error }
}

impl KafkaClient {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Self { system: format!("kafka://{bootstrap}"), cluster: Cluster::new(bootstrap) }
    }

    /// A client of the same brokers, whose connections are secured.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(&self, security: crate::security::KafkaSecurity) -> Self {
        Self { system: self.system.clone(), cluster: self.cluster.secured(security) }
    }

    /// The leader of a partition, if it is known.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        self.cluster.leader(topic, partition)
    }
}

impl Client for KafkaClient {
    type Request = KafkaRequest;
    type Answer = KafkaAnswer;
    type Error = KafkaError;

    fn system(&self) -> &str {
        &self.system
    }

    async fn call(&self, request: &KafkaRequest) -> Result<KafkaAnswer, KafkaError> {
        match request {
            KafkaRequest::Discover(request) => {
                Ok(KafkaAnswer::Discovered(offsets::discover(&self.cluster, request).await?))
            }
            KafkaRequest::Fetch(request) => {
                Ok(KafkaAnswer::Fetched(fetch::fetch(&self.cluster, request).await?))
            }
            KafkaRequest::CommitOffsets { group, offsets } => {
                // The next checkpoint commits again, so only what does not pass by itself is worth a warning.
                match offsets::commit(&self.cluster, group, offsets).await {
                    Ok(()) => {}
                    Err(error) if error.may_pass() => {
                        tracing::debug!("cannot commit the offsets of group {group} now: {error}");
                    }
                    Err(error) => {
                        tracing::warn!(
                            "cannot commit the offsets of group {group} at {}: {error}",
                            self.system
                        );
                    }
                }
                Ok(KafkaAnswer::Done)
            }
            KafkaRequest::Offset(OffsetOf { partition, position, isolation }) => {
                let partitions = [partition.clone()].into();
                let found = offsets::resolve(&self.cluster, &partitions, position, *isolation).await?;
                Ok(KafkaAnswer::Offset(found.get(partition).copied().unwrap_or_default()))
            }
            KafkaRequest::Partitions(topic) => Ok(KafkaAnswer::Count(self.cluster.partitions(topic).await?)),
            KafkaRequest::InitProducer { transactional_id, timeout } => {
                let producer = produce::init(&self.cluster, transactional_id.as_deref(), *timeout).await?;
                Ok(KafkaAnswer::Producer(producer))
            }
            KafkaRequest::Produce(request) => {
                Ok(KafkaAnswer::Produced(produce::produce(&self.cluster, request).await?))
            }
            KafkaRequest::Commit(transaction) => {
                produce::commit(&self.cluster, transaction).await?;
                Ok(KafkaAnswer::Done)
            }
            KafkaRequest::Abort(transaction) => {
                produce::abort(&self.cluster, transaction).await?;
                Ok(KafkaAnswer::Done)
            }
            KafkaRequest::AbortEarlier(request) => {
                Ok(KafkaAnswer::Count(produce::abort_earlier(&self.cluster, request).await?))
            }
        }
    }
}
