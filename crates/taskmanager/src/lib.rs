//! The TaskManager process and the task executor.

pub mod manager;
