//! What an executor needs from its surroundings.

use reflow_env::{Clock, Signal};
use reflow_protocol::deployment::ExecutorStart;
use reflow_stream::Job;
use reflow_types::Bounds;
use std::sync::Arc;

/// What an executor needs from its surroundings.
pub struct ExecutorOptions {
    /// What its TaskManager starts it with.
    pub start: ExecutorStart,
    /// The job, as the job function built it in this process.
    pub job: Job,
    /// For slots, which measure their own work.
    pub clock: Arc<dyn Clock>,
    /// Raised when a slot has events.
    pub signal: Signal,
    /// Resident memory of this process in bytes.
    pub memory: Box<dyn Fn() -> u64 + Send>,
    /// Gives memory that is free back to the system.
    pub give_back: fn(),
    /// The process id, for people.
    pub pid: u32,
    /// Whether state outlives an attempt in this process.
    pub from_local: bool,
    /// How much of something is done, kept or sent at a time.
    pub bounds: Bounds,
}
