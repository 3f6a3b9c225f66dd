//! The TaskManager process and the task executor.

pub mod executor;
pub mod manager;
