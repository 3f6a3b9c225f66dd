//! The connectors: sources and sinks, one module each.
//!
//! Connectors implement the traits of `reflow-api` and use nothing else of the engine. They run on slots' threads
//! and never wait: they submit storage requests ([`Io`](reflow_api::Io)) and take the answers in a later call.
//!
//! Reading order: [`generator`], [`collection`], [`rate_limited`], [`socket_source`], [`mod@print`], [`mod@format`] (how records become
//! bytes), [`file_sink`], [`file_source`].
#![warn(missing_docs)]

extern crate reflow_types as reflow; // the name in derived code

pub mod collection;
pub mod error;
pub mod file_sink;
pub mod file_source;
pub mod format;
pub mod generator;
pub mod print;
pub mod rate_limited;
pub mod socket_source;

#[cfg(test)]
mod testing;

pub use collection::Collection;
pub use error::ConnectorError;
pub use file_sink::{BucketAssigner, FileSink, RollingPolicy};
pub use file_source::FileSource;
pub use format::{Csv, Format, JsonLines, Lines};
pub use generator::Generator;
pub use print::Print;
pub use rate_limited::RateLimited;
pub use reflow_api::source::Malformed;
pub use socket_source::SocketSource;
