//! The task executor: the child process of a TaskManager that runs one job's slots.
//!
//! [`Executor`] is its process: it carries out the JobManager's commands, and passes on frames between slots and
//! other executors, and storage requests. Each slot runs on a thread of its own, and the executor communicates
//! with it through a [`SlotPort`](reflow_runtime::SlotPort).

mod attempt;
mod builder;
mod fence;
mod link;
mod options;
mod peers;
mod process;
mod record;
mod rescale;
mod slots;
mod unsent;
mod watch;

pub use link::is_to_job_manager;
pub use options::ExecutorOptions;
pub use process::Executor;
pub use reflow_network::Bandwidth;
