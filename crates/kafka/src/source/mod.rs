//! The source, which reads partitions of topics.
//!
//! The enumerator finds partitions and the offsets at which they are read; each is a split. A reader fetches its
//! partitions from their leaders, ahead of what it emits, and its position is the offset of the next record.
//!
//! Reading order: this file (the builder), `split`, `enumerator`, `partition` (one partition being read), `reader`.

mod enumerator;
mod partition;
mod reader;
mod split;

#[cfg(test)]
mod tests;

pub use reader::KafkaReader;
pub use split::KafkaSplit;

use crate::batch::BatchError;
use crate::client::{Isolation, KafkaClient, OffsetsInitializer, Topics};
use crate::deserialize::{Deserializer, Json, Text};
use enumerator::KafkaEnumerator;
use kafka_protocol::error::ResponseError;
use reflow_api::source::{Malformed, ReaderContext};
use reflow_api::{Enumerator, Source};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// What happens if the next record of a partition was deleted before it was read, because the topic keeps records for less
/// time than the job stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutOfRange {
    /// The job fails, because records are missing.
    #[default]
    Fail,
    /// The partition is read from its first record on, and a warning says so.
    Earliest,
    /// The partition is read from its end on, and a warning says so.
    Latest,
}

/// Reads topics of Kafka 3.0 or later.
///
/// Each partition is a split, with a watermark of its own. Offsets are part of checkpoints, so each record counts once.
/// Records carry their timestamps as event time. By default all partitions are read from their first record on, and only
/// records of committed transactions.
///
/// ```
/// use reflow_kafka::{Json, KafkaSource, Malformed, OffsetsInitializer};
/// use serde::Deserialize;
/// use std::time::Duration;
///
/// #[derive(Deserialize)]
/// struct Order {
///     product: String,
///     price: f64,
/// }
///
/// let orders = KafkaSource::json::<Order>("localhost:9092", ["orders"])
///     .group_id("billing")
///     .starting_offsets(OffsetsInitializer::Committed {
///         group: "billing".to_owned(),
///         otherwise: Box::new(OffsetsInitializer::Earliest),
///     })
///     .on_malformed(Malformed::Skip);
/// let history = KafkaSource::text("broker1:9092,broker2:9092", ["lines"]).bounded(OffsetsInitializer::Latest);
/// let all = KafkaSource::pattern("localhost:9092", "orders-.*", Json::<Order>::new())
///     .partition_discovery(Some(Duration::from_secs(30)));
/// ```
#[derive(Clone, Debug)]
pub struct KafkaSource<D> {
    client: Arc<KafkaClient>,
    deserializer: D,
    settings: Settings,
}

/// What is the same for all record types.
#[derive(Clone, Debug)]
struct Settings {
    topics: Topics,
    start: OffsetsInitializer,
    stop: Option<OffsetsInitializer>,
    group: Option<String>,
    discovery: Option<Duration>,
    isolation: Isolation,
    malformed: Malformed,
    out_of_range: OutOfRange,
    max_bytes: usize,
}

impl KafkaSource<()> {
    /// Reads JSON values.
    pub fn json<T: DeserializeOwned + Send + 'static>(
        bootstrap: impl AsRef<str>,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> KafkaSource<Json<T>> {
        KafkaSource::new(bootstrap, topics, Json::new())
    }

    /// Reads values as text.
    pub fn text(
        bootstrap: impl AsRef<str>,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> KafkaSource<Text> {
        KafkaSource::new(bootstrap, topics, Text)
    }
}

impl<D: Deserializer> KafkaSource<D> {
    /// Reads these topics. `bootstrap` has addresses of brokers, `host:port`, separated by commas.
    pub fn new(
        bootstrap: impl AsRef<str>,
        topics: impl IntoIterator<Item = impl Into<String>>,
        deserializer: D,
    ) -> Self {
        Self::of(
            bootstrap.as_ref(),
            Topics::Named(topics.into_iter().map(Into::into).collect()),
            deserializer,
        )
    }

    /// Reads all topics whose whole names match a regular expression. Kafka's own topics are left out.
    ///
    /// # Panics
    /// If it is not a regular expression.
    pub fn pattern(bootstrap: impl AsRef<str>, pattern: &str, deserializer: D) -> Self {
        let whole = regex_lite::Regex::new(&format!("^(?:{pattern})$"));
        let whole = whole.unwrap_or_else(|error| panic!("{pattern} is not a regular expression: {error}"));
        Self::of(bootstrap.as_ref(), Topics::Matching(whole), deserializer)
    }

    fn of(bootstrap: &str, topics: Topics, deserializer: D) -> Self {
        let settings = Settings {
            topics,
            start: OffsetsInitializer::Earliest,
            stop: None,
            group: None,
            discovery: Some(Duration::from_secs(5 * 60)),
            isolation: Isolation::default(),
            malformed: Malformed::default(),
            out_of_range: OutOfRange::default(),
            max_bytes: 64 << 20,
        };
        Self { client: Arc::new(KafkaClient::new(bootstrap)), deserializer, settings }
    }

    /// How connections to the brokers are secured. They are not by default. With the feature `tls`.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn security(mut self, security: crate::KafkaSecurity) -> Self {
        self.client = Arc::new(self.client.secured(security));
        self
    }

    /// Where partitions are read from that exist when the job is started for the first time. Those that are found later
    /// are read from their first record on, so that nothing is missed.
    #[must_use]
    pub fn starting_offsets(mut self, start: OffsetsInitializer) -> Self {
        self.settings.start = start;
        self
    }

    /// Ends the input at these offsets, which are looked up when the job is started for the first time.
    #[must_use]
    pub fn bounded(mut self, stop: OffsetsInitializer) -> Self {
        self.settings.stop = Some(stop);
        self
    }

    /// Commits the offsets of each complete checkpoint for this consumer group, so that others see the progress. The job
    /// does not depend on it, and is no member of the group.
    #[must_use]
    pub fn group_id(mut self, group: impl Into<String>) -> Self {
        self.settings.group = Some(group.into());
        self
    }

    /// How often it looks for new partitions and topics, every five minutes by default. `None`: never again.
    #[must_use]
    pub fn partition_discovery(mut self, interval: Option<Duration>) -> Self {
        self.settings.discovery = interval;
        self
    }

    /// Which records of transactions are read.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.settings.isolation = isolation;
        self
    }

    /// What happens to records that cannot be read. To keep them, let the deserializer return a `Result`, which an operator
    /// sends to a side output.
    #[must_use]
    pub fn on_malformed(mut self, malformed: Malformed) -> Self {
        self.settings.malformed = malformed;
        self
    }

    /// What happens if records were deleted before they were read.
    #[must_use]
    pub fn on_out_of_range(mut self, out_of_range: OutOfRange) -> Self {
        self.settings.out_of_range = out_of_range;
        self
    }

    /// The most bytes that a reader fetches ahead, 64 MiB by default. It may be more if single batches are large, and 128 KiB
    /// for each of more than 512 partitions: one that had no room would hold up those that wait for its watermark.
    #[must_use]
    pub fn max_bytes_ahead(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }
}

impl<D: Deserializer> Source for KafkaSource<D> {
    type Item = D::Item;
    type Split = KafkaSplit;
    type Reader = KafkaReader<D>;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(KafkaEnumerator::new(self.client.clone(), self.settings.clone()))
    }

    fn reader(&self, context: &ReaderContext) -> KafkaReader<D> {
        let (client, io) = (self.client.clone(), context.io.clone());
        KafkaReader::new(client, self.deserializer.clone(), self.settings.clone(), io)
    }
}

/// Why a partition cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A record cannot be deserialized.
    #[error("cannot read the record at offset {offset} of topic {topic}, partition {partition}: {reason}")]
    Malformed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// The reason.
        reason: String,
    },
    /// The bytes of a batch are damaged or in an old format.
    #[error("cannot read topic {topic}, partition {partition}: {source}")]
    Batch {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The reason.
        source: BatchError,
    },
    /// Records were deleted before they were read, or the partition has lost its end.
    #[error(
        "topic {topic}, partition {partition} has no offset {offset} any more: records were deleted before they were \
         read, or the topic was made anew; keep them longer (retention.ms), or allow to go on without them (on_out_of_range)"
    )]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset of the next record.
        offset: i64,
    },
    /// The topic was deleted.
    #[error(
        "topic {topic} was deleted, or deleted and made anew: its partition {partition} is gone at offset {offset}; start \
         the job without this source's state to read the new topic"
    )]
    Gone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset of the next record.
        offset: i64,
    },
    /// The broker refuses for another reason.
    #[error("cannot fetch topic {topic}, partition {partition} from offset {offset}: {error}")]
    Refused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset of the next record.
        offset: i64,
        /// Kafka's error.
        error: ResponseError,
    },
}
