//! The clock interface. Processes are given the time and never read it themselves.

use reflow_types::Instant;

/// A clock. Processes are given the time with each input. Only slots have a clock, because they measure their
/// work.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Instant;
}
