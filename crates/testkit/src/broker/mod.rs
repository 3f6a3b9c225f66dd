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

/// A transaction of a sink's writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Data)]
pub struct TransactionId {
    /// The writer, by a name that is never used again.
    pub writer: String,
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
        writer: String,
        /// The number of its transactions.
        count: u64,
    },
    /// Drops the prepared transactions of a writer from this number on, and refuses later ones of it.
    AbortFrom {
        /// The writer's name.
        writer: String,
        /// The first number.
        number: u64,
    },
}

/// The answer of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BrokerReply {
    /// The request was carried out.
    Done,
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
    UnknownTransaction(String, u64),
    /// The transaction is committed.
    #[error("transaction {1} of writer '{0}' is committed already")]
    AlreadyCommitted(String, u64),
    /// The writer was replaced by one of a later attempt.
    #[error("writer '{0}' was replaced")]
    Fenced(String),
}
