//! Flink's monitoring REST API, version 1, and the web interface.
//!
//! The same paths, methods, status codes and field names as Flink 2.3, with and without the prefix `/v1`, so
//! that tools written for Flink work unchanged. The crate knows nothing of the JobManager: it reads a
//! [`ClusterView`](reflow_view::ClusterView) and sends commands through the trait
//! [`Cluster`](reflow_view::Cluster), which the JobManager implements.
//!
//! Where Flink's answer tells of the JVM, the field is there and is 0 or -1. Errors are one clear sentence
//! instead of a Java stack trace, and a known path with the wrong method is 405 with an `Allow` header, where
//! Flink says 404.
//!
//! How a view is spelled as JSON is `crates/schema`, where pure functions make the answers. Here, in reading order:
//! `routes` (which path gives what), `server`, `connections`, `page`.

mod connections;
mod page;
mod routes;
mod server;

pub use connections::Limits;
pub use server::{ServeError, serve};
