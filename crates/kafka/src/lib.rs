//! A source that reads Apache Kafka and a sink that writes to it, and what they are made of.
//!
//! The client speaks Kafka's protocol by the message types of the crate `kafka-protocol`, over its own connections.
//! Clients with a consumer of their own were rejected, because they own threads, queues and positions, which here belong
//! to the engine (`docs/design/kafka.md`).
//!
//! Reading order: [`source`] (the builder; its enumerator and reader), [`deserialize`], [`sink`], `batch` and `compression`
//! (the bytes of records), `client` (requests to brokers), `security` (TLS and logins, with the feature `tls`).
#![warn(missing_docs)]

extern crate reflow_types as reflow; // the name in derived code

pub mod batch;
pub mod client;
pub mod deserialize;
pub mod sink;
pub mod source;

mod compression;
#[cfg(feature = "tls")]
mod security;

pub use client::{Isolation, KafkaError, Lost, OffsetsInitializer};
pub use compression::Compression;
pub use deserialize::{Deserializer, Json, KafkaRecord, Raw, Text};
pub use reflow_api::source::Malformed;
#[cfg(feature = "tls")]
pub use security::{KafkaSecurity, SecurityError};
pub use sink::{DeliveryGuarantee, KafkaSink, LostTransaction, ProducerRecord, Serializer};
pub use source::{KafkaSource, OutOfRange};
