//! What every process of Reflow needs to start: logs on standard error, the properties of the machine, and the storage that
//! the configuration describes.
//!
//! It is a crate of its own so that the command line and TaskManagers do not contain the engine, which only the
//! executables of jobs need.

mod log_queue;
pub mod logging;
pub mod machine;
pub mod storage;
