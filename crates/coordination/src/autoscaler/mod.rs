//! The autoscaler: how many slots a job should have, from what its subtasks measure.
//!
//! The model is DS2's (Kalavri et al., OSDI 2018), which Flink's autoscaler uses as well: a subtask that is busy for half of its
//! time could process twice as many records, so the measured rate divided by the share of busy time is its *true processing
//! rate*. The sources' arrival rate, and what they have not read yet divided by the catch-up duration, gives the rate that
//! each vertex should reach, and so the number of slots that it keeps busy ([`load`]). [`Policy`] decides when that changes the
//! parallelism: up as soon as the target parallelism would be too busy, down only when the highest demand of the last minute
//! fits into fewer slots. It does no I/O: an [`Observation`] each second in, a [`Decision`] out.
//!
//! ```text
//! observation ──► demand (slots kept busy, by slot sharing group) ──► bounds, rate limits ──► decision, with a sentence
//! ```
//!
//! [`provisioning`] decides when the number of TaskManagers is changed accordingly, and when it is left to others.

mod load;
mod policy;
pub mod provisioning;
mod settings;

pub use load::{Observation, VertexLoad};
pub use policy::{Assessment, Decision, Policy};
pub use settings::Settings;

#[cfg(test)]
mod tests;
