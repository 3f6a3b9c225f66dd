//! A toy broker: topics of partitioned records, and transactions that write to them. It shows how a connector talks to
//! a system outside the cluster, and tests that this is possible.
//!
//! [`Broker`] is the system itself, a state machine. [`BrokerServer`] serves it over TCP, and the simulator calls it
//! directly; both get the requests of the same [`BrokerSource`] and [`BrokerSink`].
//!
//! Reading order: this file (what can be asked), `state` (the answers), `client` and `server` (TCP), `source`, `sink`.

mod client;
mod server;
mod sink;
mod source;
mod state;

pub use client::{BrokerClient, BrokerError};
pub use server::{BrokerServer, Trouble};
pub use sink::{BrokerSink, BrokerWriter};
pub use source::{BrokerReader, BrokerSource, BrokerSplit};
pub use state::Broker;

use reflow_types::Data;
use serde::{Deserialize, Serialize};

/// A writer of a sink, which is never there again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Data)]
pub struct WriterName {
    /// The job.
    pub job: u128,
    /// The job's attempt: its leadership, and its number within that.
    pub attempt: (u64, u32),
    /// The subtask.
    pub subtask: u64,
}

impl std::fmt::Display for WriterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { job, attempt: (epoch, number), subtask } = self;
        write!(f, "{job:032x}-{epoch}.{number}-{subtask}")
    }
}

/// A transaction of a sink's writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Data)]
pub struct TransactionId {
    /// The writer.
    pub writer: WriterName,
    /// The number of the writer's transaction.
    pub number: u64,
}

/// A request to a broker. All of them can be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerRequest {
    /// The partitions of a topic.
    Partitions {
        /// The topic's name.
        topic: String,
    },
    /// The records of a partition from an offset on. If there are none, the answer comes when there are, or when
    /// `wait_ms` have passed.
    Fetch {
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: u32,
        /// The first record.
        offset: u64,
        /// The most records in the answer.
        most: u32,
        /// How long the broker waits for records.
        wait_ms: u64,
    },
    /// The consumer group does not need the records before these offsets any more.
    CommitOffsets {
        /// The consumer group's name.
        group: String,
        /// The topic's name.
        topic: String,
        /// Partitions and offsets.
        offsets: Vec<(u32, u64)>,
    },
    /// Stores records that become visible when the transaction is committed.
    Prepare {
        /// The transaction's id.
        transaction: TransactionId,
        /// The topic that they go to.
        topic: String,
        /// The records.
        records: Vec<String>,
    },
    /// Makes a prepared transaction visible.
    Commit {
        /// The transaction's id.
        transaction: TransactionId,
    },
    /// A savepoint names the first `count` transactions of a writer, so they are not aborted.
    Keep {
        /// The writer's name.
        writer: WriterName,
        /// The number of its transactions.
        count: u64,
    },
    /// Drops what writers of earlier attempts of a job have prepared, and refuses what they prepare later.
    AbortEarlier {
        /// A writer of the present attempt.
        than: WriterName,
        /// Writers whose first transactions are part of the restored checkpoint and stay, and how many those are.
        but: Vec<(WriterName, u64)>,
    },
}

/// The answer of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerReply {
    /// The request was carried out.
    Done,
    /// Earlier writers have left nothing but this number of transactions that stay, because they will be committed.
    Left(u64),
    /// The partitions are 0 … `count` − 1.
    Partitions {
        /// The number of partitions.
        count: u32,
        /// Whether the topic gets no other partitions.
        complete: bool,
    },
    /// Records of a partition.
    Records {
        /// The records in their order; empty if there were none in time.
        records: Vec<String>,
        /// How many further records there are.
        left: u64,
        /// Whether the partition gets no further records.
        complete: bool,
    },
}

/// The reason why a broker does not carry out a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// There is no such topic or partition.
    #[error("there is no topic '{0}', or no such partition of it")]
    UnknownTopic(String),
    /// The transaction is neither prepared nor committed.
    #[error("transaction {1} of writer '{0}' was never prepared, or was aborted")]
    UnknownTransaction(WriterName, u64),
    /// The transaction is committed.
    #[error("transaction {1} of writer '{0}' is committed already")]
    AlreadyCommitted(WriterName, u64),
    /// The writer was replaced by one of a later attempt.
    #[error("writer '{0}' was replaced")]
    Fenced(WriterName),
}
