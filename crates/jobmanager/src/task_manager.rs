//! The JobManager's record of a registered TaskManager.

use reflow_env::ConnId;
use reflow_protocol::control::Hardware;
use reflow_types::{ExecutorId, Instant};
use std::time::Duration;

/// An executor that ends within this time after its start counts as ended quickly.
const QUICK: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LAST_DELAY: Duration = Duration::from_secs(30);

/// A registered TaskManager.
#[derive(Clone, Debug)]
pub(crate) struct TaskManager {
    pub(crate) conn: ConnId,
    pub(crate) host: String,
    pub(crate) slots: u32,
    pub(crate) hardware: Hardware,
    /// When its last message arrived.
    pub(crate) last_message_at: Instant,
    /// The resident memory of it and its executors.
    pub(crate) memory_bytes: u64,
    /// Whether it is being drained.
    pub(crate) draining: bool,
    /// Its executor of the job.
    pub(crate) executor: Option<ExecutorId>,
    /// When it gets another executor.
    pub(crate) start_at: Option<Instant>,
    /// The number of consecutive executors that ended quickly.
    quick_ends: u32,
}

impl TaskManager {
    pub(crate) fn new(now: Instant, conn: ConnId, host: String, slots: u32, hardware: Hardware) -> Self {
        Self {
            conn,
            host,
            slots,
            hardware,
            last_message_at: now,
            memory_bytes: 0,
            draining: false,
            executor: None,
            start_at: None,
            quick_ends: 0,
        }
    }

    /// The delay until it gets another executor: none, unless executors repeatedly end quickly.
    pub(crate) fn restart_delay(&mut self, lifetime: Duration) -> Duration {
        let former = if lifetime < QUICK { self.quick_ends } else { 0 };
        self.quick_ends = former + u32::from(lifetime < QUICK);
        match former {
            0 => Duration::ZERO,
            n => (FIRST_DELAY * 2u32.saturating_pow(n - 1).min(1 << 10)).min(LAST_DELAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_that_end_quickly_are_started_ever_later() {
        let (conn, hardware) = (ConnId(1), Hardware::default());
        let mut task_manager = TaskManager::new(Instant(0), conn, "h".into(), 1, hardware);
        let mut delay_ms =
            |lifetime_s| task_manager.restart_delay(Duration::from_secs(lifetime_s)).as_millis();
        assert_eq!([1, 1, 1, 1].map(&mut delay_ms), [0, 500, 1_000, 2_000]);
        assert_eq!([60, 1, 1].map(&mut delay_ms), [0, 0, 500], "a long life is forgiven");
        assert_eq!((0..100).map(|_| delay_ms(0)).max(), Some(30_000));
    }
}
