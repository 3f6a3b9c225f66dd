//! Flink's monitoring REST API, version 1, and the web interface.
//!
//! The same paths, methods, status codes and field names as Flink 2.3, with and without the prefix `/v1`, so
//! that tools written for Flink work unchanged. The crate knows nothing of the JobManager: it reads a
//! [`view::ClusterView`] and sends [`Command`]s through the trait [`Cluster`], which the JobManager implements.
//!
//! Where Flink's answer tells of the JVM, the field is there and is 0 or -1. Errors are one clear sentence
//! instead of a Java stack trace, and a known path with the wrong method is 405 with an `Allow` header, where
//! Flink says 404.
//!
//! Reading order: [`view`] (what there is to show), [`cluster`] (the seam), `json` (how Flink spells it; pure
//! functions), [`summary`] (its statistics), `routes` (which path gives what), `server`, `connections`, `page`.

pub mod cluster;
mod connections;
pub mod id;
mod json;
mod page;
mod routes;
mod server;
pub mod summary;
pub mod view;

pub use cluster::{Cluster, Command, CommandError, OperationStatus, Reply};
pub use connections::Limits;
pub use id::{RequestId, RescaleId};
pub use server::{ServeError, serve};
