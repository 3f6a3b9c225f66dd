//! The parts that every process of Reflow needs at its start: logs on standard error, the properties of the
//! machine, the configured storage, and warnings about ports without protection.
//!
//! It is a crate of its own so that the command line and TaskManagers do not contain the engine, which only the
//! executables of jobs need.

pub mod exposure;
mod log_queue;
pub mod logging;
pub mod machine;
pub mod storage;
pub mod tls;
