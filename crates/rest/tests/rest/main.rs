//! The REST API over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod artifact;
mod authentication;
mod client;
mod connections;
mod contract;
mod external_metrics;
mod fixture;
mod logs;
mod metrics;
mod requests;
mod shape;
