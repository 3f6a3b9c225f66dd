//! A clock that only the test advances.

use reflow_env::Clock;
use reflow_types::Instant;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A clock whose clones show the same time. The test advances it, or a function under test that simulates slow
/// work.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// use reflow::testing::{Harness, ManualClock};
/// use std::time::Duration;
///
/// /// A minute passes, in which the machine is busy with something else: timers fire late.
/// fn freeze(job: &mut Harness<'_>) {
///     let clock: ManualClock = job.clock().clone();
///     clock.advance(Duration::from_secs(60));
///     job.settle();
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl Default for ManualClock {
    /// 1 000 000 s after the Unix epoch, a round time, so that a test can name absolute times.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000_000_000)))
    }
}

impl ManualClock {
    /// Advances by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    /// Advances to `moment` if that is later.
    #[doc(hidden)]
    pub fn advance_to(&self, moment: Instant) {
        self.0.fetch_max(moment.0, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::Relaxed))
    }
}
