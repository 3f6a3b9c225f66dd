//! The parameters of an executor.

use reflow_env::{Clock, Signal};
use reflow_network::Bandwidth;
use reflow_protocol::deployment::ExecutorStart;
use reflow_stream::Job;
use reflow_types::Bounds;
use std::sync::Arc;
use std::time::Duration;

/// The parameters of an executor.
pub struct ExecutorOptions {
    /// The message of its TaskManager.
    pub start: ExecutorStart,
    /// The job, as the job function built it in this process.
    pub job: Job,
    /// The clock with which slots measure their work.
    pub clock: Arc<dyn Clock>,
    /// Raised when a slot has events.
    pub signal: Signal,
    /// Measures the resident memory of this process in bytes.
    pub memory: Box<dyn Fn() -> u64 + Send>,
    /// Returns free memory to the system.
    pub give_back: fn(),
    /// The process id, which is shown to users.
    pub pid: u32,
    /// Whether a later attempt may restore state from this process.
    pub from_local: bool,
    /// How long its tasks go on without a JobManager. Zero: it ends with its JobManager.
    pub adoption_timeout: Duration,
    /// The time between latency markers of a source; `None`: it sends none.
    pub latency_interval: Option<Duration>,
    /// With which its tasks together read state to prepare a live rescale; `None`: without a bound.
    pub prefetch_bandwidth: Option<Bandwidth>,
    /// Bounds on what is processed, kept or sent at a time. Tests use small ones.
    pub bounds: Bounds,
}
