//! What goes wrong, and when: a schedule that follows from the seed alone.
//!
//! Each seed picks some kinds of trouble and leaves the others out: many faults at once hide what two of them
//! do together.

use crate::faults::Faults;
use crate::rng::Rng;
use std::time::Duration;

/// Something that is done to the cluster. Whom it strikes is decided when it does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// A TaskManager comes.
    StartTaskManager,
    /// A TaskManager gets SIGTERM.
    StopTaskManager,
    /// A user drains a TaskManager.
    DrainTaskManager {
        /// Even if it is the last one.
        force: bool,
    },
    /// A user bounds the parallelism.
    Require {
        /// Of all vertices, at most.
        upper: u32,
    },
    /// A TaskManager gets SIGKILL.
    KillTaskManager,
    /// A task executor gets SIGKILL.
    KillExecutor,
    /// The JobManager gets SIGKILL; another is started after a while.
    KillJobManager {
        /// The while.
        down: Duration,
    },
    /// The JobManager gets SIGTERM; another is started a while after it has ended.
    StopJobManager {
        /// The while.
        down: Duration,
    },
    /// Two hosts do not reach each other.
    Partition {
        /// For how long.
        lasts: Duration,
    },
    /// A process stands still.
    Freeze {
        /// For how long.
        lasts: Duration,
    },
    /// Chances of faults rise.
    Disturb {
        /// To these.
        faults: Faults,
        /// For how long.
        lasts: Duration,
    },
}

/// A schedule of trouble.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// When something is done, from the beginning of the run, in ascending order.
    pub schedule: Vec<(Duration, Trouble)>,
}

impl Chaos {
    /// Trouble from shortly after the beginning until `until`.
    pub fn random(rng: &mut Rng, until: Duration) -> Self {
        let kinds: Vec<u64> = (0..KINDS).filter(|_| rng.chance(0.45)).collect();
        let kinds = if kinds.is_empty() { vec![rng.within(0..=KINDS - 1)] } else { kinds };
        let gap_ms = rng.skewed(200..=5_000);
        let mut at = Duration::from_millis(rng.skewed(100..=4_000));
        let mut schedule = Vec::new();
        while at < until {
            let kind = *rng.pick(&kinds).expect("there is a kind");
            schedule.push((at, trouble(kind, rng)));
            // Often several things happen within the same moments.
            let gap = if rng.chance(0.2) { rng.within(0..=50) } else { rng.within(0..=gap_ms * 2) };
            at += Duration::from_millis(gap);
        }
        Self { schedule }
    }
}

const KINDS: u64 = 11;

/// Trouble of a kind that strikes at once, for a moment that was chosen.
pub fn strike(rng: &mut Rng) -> Trouble {
    let kind = rng.within(0..=KINDS - 1);
    trouble(kind, rng)
}

fn trouble(kind: u64, rng: &mut Rng) -> Trouble {
    match kind {
        0 => Trouble::StartTaskManager,
        1 => Trouble::StopTaskManager,
        2 => Trouble::KillTaskManager,
        3 => Trouble::KillExecutor,
        4 => Trouble::KillJobManager { down: millis(rng, 1..=8_000) },
        5 => Trouble::StopJobManager { down: millis(rng, 1..=5_000) },
        6 => Trouble::Partition { lasts: millis(rng, 10..=15_000) },
        7 => Trouble::Freeze { lasts: millis(rng, 10..=15_000) },
        8 => Trouble::DrainTaskManager { force: rng.chance(0.5) },
        9 => Trouble::Require { upper: rng.within(1..=8) as u32 },
        _ => Trouble::Disturb { faults: faults(rng), lasts: millis(rng, 100..=8_000) },
    }
}

fn faults(rng: &mut Rng) -> Faults {
    let mut some = |often: f64, most: f64| {
        let strikes = rng.chance(often);
        let chance = rng.within(1..=1_000) as f64 / 1_000.0 * most;
        if strikes { chance } else { 0.0 }
    };
    Faults {
        store_error: some(0.5, 0.5),
        store_error_although_done: some(0.5, 0.5),
        store_slow: some(0.3, 0.5),
        store_bit_flip: some(0.2, 0.2),
        frame_slow: some(0.3, 0.1),
        disk_full: some(0.2, 1.0) > 0.0,
    }
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.skewed(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_in_order_and_differ() {
        let of = |seed| Chaos::random(&mut Rng::new(seed), Duration::from_secs(30)).schedule;
        assert!(of(1).is_sorted_by_key(|(at, _)| *at));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!((0..100).map(of).map(|schedule| schedule.len()).sum::<usize>() > 500);
    }
}
