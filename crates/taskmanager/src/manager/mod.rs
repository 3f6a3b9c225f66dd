//! The TaskManager process: it offers slots, and starts and stops the task executors that run them.
//!
//! It knows no job and runs no user code: a job that crashes takes down its executor only. Reading order:
//! [`settings`] (what it goes by), [`link`] (its connection to the JobManager), [`proof`] (whether it sees the storage of
//! checkpoints), [`artifact`] (how it comes by a job's executable), [`process`] (the process itself), [`error`] (why it gives up).

mod artifact;
mod error;
mod link;
mod process;
mod proof;
mod settings;

pub use error::TaskManagerError;
pub use process::TaskManager;
pub use settings::{Machine, Settings};
