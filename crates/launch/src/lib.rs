//! The parts that every process of Reflow needs at its start: logs on standard error, the properties of the
//! machine, and the configured storage.
//!
//! It is a crate of its own so that the command line and TaskManagers do not contain the engine, which only the
//! executables of jobs need.

mod log_queue;
pub mod logging;
pub mod machine;
pub mod storage;
