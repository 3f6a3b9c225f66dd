//! The task executor: the child process of a TaskManager that runs one job's slots.
//!
//! [`Executor`] is its process: it talks to the JobManager, moves frames between the slots and other executors,
//! and carries storage requests. The slots run on threads of their own and are reached through
//! [`SlotPort`](reflow_runtime::SlotPort)s.

mod attempt;
mod builder;
mod fence;
mod link;
mod options;
mod peers;
mod process;
mod rescale;
mod slots;
mod watch;

pub use options::ExecutorOptions;
pub use process::Executor;
