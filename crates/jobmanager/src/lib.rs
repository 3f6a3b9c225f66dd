//! The JobManager process of one job: it leads the job, tracks the members of the cluster, and carries out the scheduler's
//! actions.
//!
//! All decisions are in `reflow-coordination`, all I/O is in the driver of the [`Process`](reflow_env::Process), and this
//! crate connects the two. The reasons are in `docs/design/processes.md`.
//!
//! Reading order: `process` (from start to end), `settings` (what it is given), `layout`, `leadership` and `lease` (how
//! it takes over the job), `leader` with `decisions` (how it runs it), `members` with `task_manager` and `executor` (who belongs
//! to the cluster), `enumerators` (who reads which split), `ending` (how it leaves), `commands` and
//! `operations` (what users ask), `requirements` (what of it outlives the process), `metrics` and `view` (what they see), `handle` (from which thread).

mod autoscaler;
mod commands;
mod decisions;
mod deletions;
mod ending;
mod enumerators;
mod error;
mod executor;
mod handle;
mod ids;
mod layout;
mod leader;
mod leadership;
mod lease;
mod members;
mod metrics;
mod operations;
mod process;
mod record;
mod requirements;
mod schedule;
mod settings;
mod standby;
mod storage;
mod task_manager;
#[cfg(test)]
mod test_manifest;
#[cfg(test)]
mod test_store;
mod timeline;
mod view;

pub use error::JobManagerError;
pub use handle::Handle;
pub use leadership::LeadershipError;
pub use lease::kubernetes::LeaseCalls;
pub use process::JobManager;
pub use settings::{JobSpec, Role, StartMode};
