//! The parts that every process of Reflow needs at its start: logs on standard error, the properties of the
//! machine, the configured storage, logs and threads for users who ask, and warnings about ports without protection.
//!
//! It is a crate of its own so that the command line and TaskManagers do not contain the engine, which only the
//! executables of jobs need.

pub mod exposure;
pub mod inspection;
mod log_queue;
pub mod logging;
pub mod machine;
pub mod storage;
pub mod tls;
