//! The TaskManager process: it offers slots, and starts and stops the task executors that run them.
//!
//! It runs no user code, so a job that crashes ends only its executor. Reading order: [`settings`], [`link`] (its connection
//! to the JobManager), [`proof`] (whether it can use the checkpoint storage), [`artifact`] (how it gets a job's executable),
//! [`process`] (the process itself), [`health`] (what probes ask), [`error`] (why it exits).

mod artifact;
mod error;
mod health;
mod link;
mod process;
mod proof;
mod settings;

pub use error::TaskManagerError;
pub use health::{Health, Watch};
pub use process::TaskManager;
pub use settings::{Executables, Machine, Settings};
