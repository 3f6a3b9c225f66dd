//! The clock of a simulated process.

use super::time::Time;
use crate::rng::Rng;
use reflow_env::Clock;
use reflow_types::Instant;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The world's time, off by a constant as machines' clocks are. While a slot steps, the world stands still; each
/// look at the clock then costs a little time, so that work takes some and slots that measure it see different
/// speeds.
pub(super) struct SimClock {
    world: Arc<AtomicU64>,
    /// By how much it differs from the world's, in microseconds.
    skew: i64,
    cost_us: RangeInclusive<u64>,
    state: Mutex<State>,
}

/// By which code in a process takes simulated time. That of no process takes none.
#[derive(Clone, Default)]
pub struct Work(Option<Arc<SimClock>>);

impl Work {
    pub(super) fn of(clock: Arc<SimClock>) -> Self {
        Self(Some(clock))
    }

    /// Takes so long.
    pub fn spend(&self, time: Duration) {
        self.0.iter().for_each(|clock| clock.spend(time));
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work of {} process", if self.0.is_some() { "a" } else { "no" })
    }
}

/// How often a clock may be looked at while the world stands still: more is a loop that does not end.
const MOST_LOOKS: u64 = 2_000_000;

struct State {
    ahead_to: Time,
    /// The world's time at the last look, and how many looks there were at that time.
    looks: (Time, u64),
    rng: Rng,
}

impl SimClock {
    pub(super) fn new(world: Arc<AtomicU64>, cost_us: RangeInclusive<u64>, mut rng: Rng) -> Self {
        let skew = rng.within(0..=20_000_000) as i64 - 10_000_000;
        Self { world, skew, cost_us, state: Mutex::new(State { ahead_to: 0, looks: (0, 0), rng }) }
    }

    /// The moment of the world up to which the process has spent its time.
    pub(super) fn spent_to(&self) -> Time {
        self.lock().ahead_to.max(self.world.load(Ordering::Relaxed))
    }

    /// What the clock shows, without a cost.
    pub(super) fn read(&self) -> Instant {
        Instant(self.spent_to().saturating_add_signed(self.skew))
    }

    /// The process is busy for so long.
    fn spend(&self, time: Duration) {
        let until = self.spent_to() + time.as_micros() as Time;
        self.lock().ahead_to = until;
    }

    /// The moment of the world at which the clock shows `at`.
    pub(super) fn world_time(&self, at: Instant) -> Time {
        at.0.saturating_add_signed(-self.skew)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        let now = self.spent_to();
        let world = self.world.load(Ordering::Relaxed);
        let mut state = self.lock();
        state.looks = if state.looks.0 == world { (world, state.looks.1 + 1) } else { (world, 1) };
        assert!(
            state.looks.1 < MOST_LOOKS,
            "a step does not end: it has looked at the clock {MOST_LOOKS} times"
        );
        state.ahead_to = now + state.rng.skewed(self.cost_us.clone());
        Instant(now.saturating_add_signed(self.skew))
    }
}
