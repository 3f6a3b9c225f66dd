//! The clock of a simulated process, which also determines what work costs.

use super::time::Time;
use crate::rng::Rng;
use reflow_env::Clock;
use reflow_types::Instant;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The world's time with a constant offset, as the clocks of machines have. During a step of a slot, the world's
/// time stands still; each reading of the clock then costs a little time, so that work takes time and slots
/// measure different speeds.
pub(super) struct SimClock {
    world: Arc<AtomicU64>,
    /// The offset from the world's time, in microseconds.
    skew: i64,
    cost_us: RangeInclusive<u64>,
    state: Mutex<State>,
}

/// A handle by which code in a process uses simulated time. Outside of a process it has no effect.
#[derive(Clone, Default)]
pub struct Work(Option<Arc<SimClock>>);

impl Work {
    pub(super) fn of(clock: Arc<SimClock>) -> Self {
        Self(Some(clock))
    }

    /// Uses this much time.
    pub fn spend(&self, time: Duration) {
        self.0.iter().for_each(|clock| clock.spend(time));
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work of {} process", if self.0.is_some() { "a" } else { "no" })
    }
}

/// How often a clock may be read while the world's time does not advance. More reads mean an endless loop.
const MOST_LOOKS: u64 = 2_000_000;

struct State {
    ahead_to: Time,
    /// The world's time at the last reading, and the number of readings at that time.
    looks: (Time, u64),
    rng: Rng,
}

impl SimClock {
    pub(super) fn new(world: Arc<AtomicU64>, cost_us: RangeInclusive<u64>, mut rng: Rng) -> Self {
        let skew = rng.within(0..=20_000_000) as i64 - 10_000_000;
        Self { world, skew, cost_us, state: Mutex::new(State { ahead_to: 0, looks: (0, 0), rng }) }
    }

    /// The world's time up to which the process has used its time.
    pub(super) fn spent_to(&self) -> Time {
        self.lock().ahead_to.max(self.world.load(Ordering::Relaxed))
    }

    /// Reads the clock at no cost.
    pub(super) fn read(&self) -> Instant {
        Instant(self.spent_to().saturating_add_signed(self.skew))
    }

    /// The process is busy for this long.
    fn spend(&self, time: Duration) {
        let until = self.spent_to() + time.as_micros() as Time;
        self.lock().ahead_to = until;
    }

    /// The world's time at which the clock shows `at`.
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
        assert!(state.looks.1 < MOST_LOOKS, "a step does not end: it has read the clock {MOST_LOOKS} times");
        state.ahead_to = now + state.rng.skewed(self.cost_us.clone());
        Instant(now.saturating_add_signed(self.skew))
    }
}
