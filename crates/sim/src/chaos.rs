//! What goes wrong, and when: a schedule that follows from the seed alone.
//!
//! Each seed picks some kinds of trouble and leaves the others out: many faults at once hide what two of them
//! do together.

use crate::faults::Faults;
use crate::rng::Rng;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
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
    /// Another JobManager is started although there is one.
    ReplaceJobManager {
        /// What is wrong with the one that there is.
        because: Replacement,
        /// How long it takes to start the other.
        after: Duration,
        /// How long the first one stays as it is, and TaskManagers may follow it.
        lasts: Duration,
    },
    /// A user takes a savepoint.
    Savepoint,
    /// A user stops the job with a savepoint, or cancels it with one, and starts it again from there.
    Stop {
        /// Whether it counts as cancelled.
        cancel: bool,
    },
    /// A user cancels the job.
    Cancel,
    /// Objects of the job are deleted from outside.
    DeleteObjects(Objects),
    /// An object of a checkpoint is damaged.
    Damage,
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

/// Why somebody starts a second JobManager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// TaskManagers do not reach the first one, which still reaches storage.
    CutOff,
    /// It stands still.
    Frozen,
    /// It takes a long time for everything.
    Slow,
    /// By mistake.
    Mistake,
}

/// What a rule of the store deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// The records of all leaderships.
    Epochs,
    /// The newest of them.
    NewestEpoch,
    /// The oldest manifest of a complete checkpoint, if there is a newer one.
    OldestManifest,
}

impl Objects {
    /// Any of them.
    pub fn random(rng: &mut Rng) -> Self {
        *rng.pick(&[Self::Epochs, Self::NewestEpoch, Self::OldestManifest]).expect("there are some")
    }
}

/// A schedule of trouble.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// When something is done, from the beginning of the run, in ascending order.
    pub schedule: Vec<(Duration, Trouble)>,
}

impl Chaos {
    /// Trouble from shortly after the beginning until `until`.
    pub fn random(rng: &mut Rng, until: Duration, scenarios: &BTreeSet<Scenario>) -> Self {
        let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|_| rng.chance(0.45)).collect();
        if kinds.is_empty() {
            kinds.extend(rng.pick(&Kind::ALL));
        }
        if scenarios.contains(&Scenario::DirectedRescales) {
            kinds.retain(|kind| !kind.changes_task_managers());
            kinds.push(Kind::Disturb);
        }
        kinds.extend(scenarios.iter().flat_map(|scenario| Kind::of(*scenario)));
        let gap_ms = rng.skewed(200..=5_000);
        let mut at = Duration::from_millis(rng.skewed(100..=4_000));
        let mut schedule = Vec::new();
        while at < until {
            let kind = *rng.pick(&kinds).expect("there is a kind");
            schedule.push((at, kind.trouble(rng)));
            // Often several things happen within the same moments.
            let gap = if rng.chance(0.2) { rng.within(0..=50) } else { rng.within(0..=gap_ms * 2) };
            at += Duration::from_millis(gap);
        }
        Self { schedule }
    }
}

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    StartTaskManager,
    StopTaskManager,
    KillTaskManager,
    KillExecutor,
    KillJobManager,
    StopJobManager,
    Partition,
    Freeze,
    DrainTaskManager,
    Require,
    Disturb,
    ReplaceJobManager,
    Savepoint,
    Stop,
    Cancel,
    DeleteObjects,
}

impl Kind {
    /// Those that any run may have.
    const ALL: [Self; 11] = [
        Self::StartTaskManager,
        Self::StopTaskManager,
        Self::KillTaskManager,
        Self::KillExecutor,
        Self::KillJobManager,
        Self::StopJobManager,
        Self::Partition,
        Self::Freeze,
        Self::DrainTaskManager,
        Self::Require,
        Self::Disturb,
    ];

    /// What a scenario adds.
    fn of(scenario: Scenario) -> Vec<Self> {
        match scenario {
            Scenario::Successors => vec![Self::ReplaceJobManager, Self::ReplaceJobManager],
            Scenario::OutsideDeletions => vec![Self::DeleteObjects, Self::KillJobManager],
            Scenario::Savepoints => vec![Self::Savepoint],
            Scenario::Stops => vec![Self::Stop],
            Scenario::Cancel => vec![Self::Cancel],
            Scenario::FewRestarts => vec![Self::KillExecutor, Self::KillTaskManager, Self::StartTaskManager],
            Scenario::Steps => vec![Self::Savepoint, Self::Stop],
            Scenario::FixedParallelism
            | Scenario::EndsInPhase
            | Scenario::UserFailures
            | Scenario::DirectedRescales
            | Scenario::LargeState
            | Scenario::RareCheckpoints => Vec::new(),
        }
    }

    fn changes_task_managers(self) -> bool {
        matches!(
            self,
            Self::StartTaskManager | Self::StopTaskManager | Self::KillTaskManager | Self::DrainTaskManager
        )
    }

    fn trouble(self, rng: &mut Rng) -> Trouble {
        match self {
            Self::StartTaskManager => Trouble::StartTaskManager,
            Self::StopTaskManager => Trouble::StopTaskManager,
            Self::KillTaskManager => Trouble::KillTaskManager,
            Self::KillExecutor => Trouble::KillExecutor,
            Self::KillJobManager => Trouble::KillJobManager { down: millis(rng, 1..=8_000) },
            Self::StopJobManager => Trouble::StopJobManager { down: millis(rng, 1..=5_000) },
            Self::Partition => Trouble::Partition { lasts: millis(rng, 10..=15_000) },
            Self::Freeze => Trouble::Freeze { lasts: millis(rng, 10..=15_000) },
            Self::DrainTaskManager => Trouble::DrainTaskManager { force: rng.chance(0.5) },
            Self::Require => Trouble::Require { upper: rng.within(1..=8) as u32 },
            Self::Disturb => Trouble::Disturb { faults: faults(rng), lasts: millis(rng, 100..=8_000) },
            Self::ReplaceJobManager => replacement(rng),
            Self::Savepoint => Trouble::Savepoint,
            Self::Stop => Trouble::Stop { cancel: rng.chance(0.3) },
            Self::Cancel => Trouble::Cancel,
            Self::DeleteObjects => Trouble::DeleteObjects(Objects::random(rng)),
        }
    }
}

/// Trouble of a kind that strikes at once, for a moment that was chosen.
pub fn strike(rng: &mut Rng) -> Trouble {
    let kind = *rng.pick(&Kind::ALL).expect("there is a kind");
    kind.trouble(rng)
}

/// A second JobManager: the first one stays as it is for seconds to minutes.
pub fn replacement(rng: &mut Rng) -> Trouble {
    let all = [Replacement::CutOff, Replacement::Frozen, Replacement::Slow, Replacement::Mistake];
    Trouble::ReplaceJobManager {
        because: *rng.pick(&all).expect("there are some"),
        after: millis(rng, 1..=8_000),
        lasts: millis(rng, 500..=120_000),
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
        let of =
            |seed| Chaos::random(&mut Rng::new(seed), Duration::from_secs(30), &BTreeSet::new()).schedule;
        assert!(of(1).is_sorted_by_key(|(at, _)| *at));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        assert!((0..100).map(of).map(|schedule| schedule.len()).sum::<usize>() > 500);
    }
}
