//! Plain values that all layers use: ids, key groups, ownership tables, time.
//!
//! Nothing here does I/O, reads a clock or knows what a process is. Reading order: [`time`], [`id`],
//! [`parallelism`], [`key`] (how a key becomes a hash), [`canonical_float`] (floats as keys), [`key_group`] (how a hash becomes a group),
//! [`ownership`] (which subtask owns which group), [`metric`] (what users' functions count and measure), [`inspection`] (logs and threads of a process), [`job_parameters`].
#![warn(missing_docs)]

extern crate self as reflow; // the name in derived code

pub mod bounds;
pub mod canonical_float;
pub mod id;
pub mod injected_fault;
pub mod inspection;
pub mod job_parameters;
pub mod key;
pub mod key_group;
pub mod metric;
pub mod ownership;
pub mod parallelism;
pub mod splitmix64;
pub mod time;

pub use bounds::Bounds;
pub use canonical_float::CanonicalF64;
pub use id::{
    Attempt, AttemptNumber, CheckpointId, ExecutorId, GraphVersion, JobId, LeaderEpoch, SlotId, SubtaskId,
    SubtaskIndex, TaskManagerId, VertexId,
};
pub use job_parameters::{BadParameter, JobParameters};
pub use key::{Key, KeyWriter};
pub use key_group::{KeyGroup, KeyGroupSet, KeyHash};
pub use ownership::OwnershipTable;
pub use parallelism::MaxParallelism;
pub use reflow_data::{Adapter, Data, data};
pub use time::{Instant, MAX_WATERMARK, MIN_WATERMARK, NO_TIMESTAMP, Timestamp};
