//! The clock interface: processes are given the time and never read it themselves.

use reflow_types::Instant;

/// A clock. Machines are given the time with each input; only slots, which measure their own work, hold one.
pub trait Clock: Send + Sync {
    /// The moment.
    fn now(&self) -> Instant;
}
