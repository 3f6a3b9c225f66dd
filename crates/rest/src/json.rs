//! How Flink spells a view as JSON: one struct an answer, made from the view by a pure function.
//!
//! Field names follow Flink's, whose style varies from answer to answer. Values that Flink has not are -1 or
//! `null`, whichever Flink uses there; values that only a JVM has are 0.

pub(crate) mod checkpoint;
pub(crate) mod checkpoint_detail;
pub(crate) mod cluster;
pub(crate) mod exception;
pub(crate) mod job;
pub(crate) mod metrics;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod rescale;
pub(crate) mod statistics;
pub(crate) mod task_manager;
pub(crate) mod timeline;
pub(crate) mod vertex;

/// Flink's "not set" for times and bounds.
const UNSET: i64 = -1;

/// From `from` to `to`, or -1 if it has not begun.
fn duration_ms(from: Option<i64>, to: i64) -> i64 {
    from.map_or(UNSET, |from| to - from)
}
