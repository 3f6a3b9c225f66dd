//! The real clock. No other code reads the system's time, so the simulator controls time completely.

use reflow_types::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wall clock at the start of the process plus monotonic time. It never goes back, even if the machine's
/// clock is set. Copies are the same clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Instant,
    monotonic: std::time::Instant,
}

impl Clock {
    /// Starts a clock. Only this function reads the wall clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is given")]
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { wall: Instant::default() + since_epoch, monotonic: std::time::Instant::now() }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.wall + self.monotonic.elapsed()
    }
}

impl crate::Clock for Clock {
    fn now(&self) -> Instant {
        Clock::now(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_after_2020_and_never_go_back() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(first > Instant::from_millis(1_577_836_800_000));
        assert!(clock.now() >= first);
    }
}
