//! The schema of the REST API: the JSON form of its requests and answers, as one struct each.
//!
//! Three sides use these types: the server (`crates/rest`) builds the answers from a view by pure functions, the
//! command line and the benchmarks read them, and [`openapi`] derives the OpenAPI document from them, from which
//! the types of the web interface are generated.
//!
//! Field names are Flink's, whose style varies between answers. Values that Reflow does not have are -1 or
//! `null`, whichever Flink uses there; values that only a JVM has are 0. Ids are strings, as in JSON; code that
//! needs an id as a value parses it.

mod accumulator;
mod application;
mod autoscaler;
mod checkpoint;
mod checkpoint_detail;
mod cluster;
mod exception;
mod execution_result;
mod flame_graph;
mod inspection;
mod job;
mod leader;
pub mod metrics;
pub mod openapi;
mod operation;
mod plan;
mod request;
mod rescale;
mod statistics;
mod task_manager;
mod timeline;
mod vertex;
mod vertex_task_managers;

pub use accumulator::*;
pub use application::*;
pub use autoscaler::*;
pub use checkpoint::*;
pub use checkpoint_detail::*;
pub use cluster::*;
pub use exception::*;
pub use execution_result::*;
pub use flame_graph::*;
pub use inspection::*;
pub use job::*;
pub use leader::*;
pub use operation::*;
pub use plan::*;
pub use request::*;
pub use rescale::*;
pub use statistics::*;
pub use task_manager::*;
pub use timeline::*;
pub use vertex::*;
pub use vertex_task_managers::*;

/// Flink's "not set" for times and bounds.
const UNSET: i64 = -1;

/// The time from `from` to `to`; -1 if `from` is unknown.
fn duration_ms(from: Option<i64>, to: i64) -> i64 {
    from.map_or(UNSET, |from| to - from)
}
