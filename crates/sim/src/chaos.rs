//! The chaos of a run: a schedule of troubles, which follows from the seed alone.
//!
//! Each seed chooses some kinds of trouble and leaves out the others, because many faults at once hide what two
//! of them cause together.

use crate::faults::Faults;
use crate::rng::Rng;
use crate::scenario::Scenario;
use std::collections::BTreeSet;
use std::time::Duration;

/// Something that is done to the cluster. Its target is chosen when it strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// A TaskManager starts.
    StartTaskManager,
    /// A TaskManager gets SIGTERM.
    StopTaskManager,
    /// A user drains a TaskManager.
    DrainTaskManager {
        /// Whether even the last TaskManager is drained.
        force: bool,
    },
    /// A user limits the parallelism.
    Require {
        /// The upper bound for all vertices.
        upper: u32,
    },
    /// A TaskManager gets SIGKILL.
    KillTaskManager,
    /// A task executor gets SIGKILL.
    KillExecutor,
    /// The JobManager gets SIGKILL, and another one is started later.
    KillJobManager {
        /// The time until then.
        down: Duration,
    },
    /// The JobManager gets SIGTERM, and another one is started after its end.
    StopJobManager {
        /// The time between the two.
        down: Duration,
    },
    /// Another JobManager is started while one runs.
    ReplaceJobManager {
        /// The reason.
        because: Replacement,
        /// The time until the other one starts.
        after: Duration,
        /// How long the first one stays in its condition, and TaskManagers may follow it.
        lasts: Duration,
    },
    /// A user takes a savepoint.
    Savepoint,
    /// A user stops the job with a savepoint, or cancels it with one, and starts it again from that savepoint.
    Stop {
        /// Whether the job is cancelled.
        cancel: bool,
    },
    /// A user cancels the job.
    Cancel,
    /// Something outside deletes objects of the job.
    DeleteObjects(Objects),
    /// Someone changes the lease in Kubernetes.
    MeddleWithLease(Meddling),
    /// An object of a checkpoint is damaged.
    Damage,
    /// Two hosts cannot reach each other.
    Partition {
        /// For this long.
        lasts: Duration,
    },
    /// A process is frozen.
    Freeze {
        /// For this long.
        lasts: Duration,
    },
    /// The probabilities of faults rise.
    Disturb {
        /// The probabilities.
        faults: Faults,
        /// For this long.
        lasts: Duration,
    },
}

/// The reason why a second JobManager is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// TaskManagers cannot reach the first one, which can still reach storage.
    CutOff,
    /// The first one is frozen.
    Frozen,
    /// The first one is slow.
    Slow,
    /// There is no reason.
    Mistake,
}

/// What someone else does to a lease in Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// It is deleted.
    Delete,
    /// It gets another holder, which is none of the JobManagers.
    Take,
    /// It gets no holder.
    Release,
}

/// The objects that a rule of the store deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objects {
    /// The files of all leadership epochs.
    Epochs,
    /// The file of the latest epoch.
    NewestEpoch,
    /// The oldest manifest of a complete checkpoint, if there is a newer one.
    OldestManifest,
    /// The newest manifest of a complete checkpoint, once the JobManager has recorded that it is complete.
    NewestManifest,
}

impl Objects {
    /// Random objects.
    pub fn random(rng: &mut Rng) -> Self {
        let all = [Self::Epochs, Self::NewestEpoch, Self::OldestManifest, Self::NewestManifest];
        *rng.pick(&all).expect("there are some")
    }
}

/// A schedule of troubles.
#[derive(Clone, Debug)]
pub struct Chaos {
    /// The troubles with their times from the beginning of the run, in ascending order.
    pub schedule: Vec<(Duration, Trouble)>,
}

impl Chaos {
    /// Random troubles from shortly after the beginning until `until`.
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
            // Often several troubles strike at nearly the same time.
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
    MeddleWithLease,
}

impl Kind {
    /// The kinds that any run may have.
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

    /// The kinds that a scenario adds.
    fn of(scenario: Scenario) -> Vec<Self> {
        match scenario {
            Scenario::Successors => vec![Self::ReplaceJobManager, Self::ReplaceJobManager],
            Scenario::OutsideDeletions => vec![Self::DeleteObjects, Self::KillJobManager],
            Scenario::Savepoints => vec![Self::Savepoint],
            Scenario::Stops => vec![Self::Stop],
            Scenario::Cancel => vec![Self::Cancel],
            Scenario::FewRestarts => vec![Self::KillExecutor, Self::KillTaskManager, Self::StartTaskManager],
            Scenario::Steps => vec![Self::Savepoint, Self::Stop],
            Scenario::Adoption => vec![Self::KillJobManager, Self::ReplaceJobManager],
            Scenario::Standby => vec![
                Self::KillJobManager,
                Self::StopJobManager,
                Self::ReplaceJobManager,
                Self::MeddleWithLease,
            ],
            Scenario::FixedParallelism
            | Scenario::EndsInPhase
            | Scenario::Overtaken
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
            Self::MeddleWithLease => {
                let all = [Meddling::Delete, Meddling::Take, Meddling::Release];
                Trouble::MeddleWithLease(*rng.pick(&all).expect("there are some"))
            }
        }
    }
}

/// A random trouble that strikes at once, for a moment that was chosen.
pub fn strike(rng: &mut Rng) -> Trouble {
    let kind = *rng.pick(&Kind::ALL).expect("there is a kind");
    kind.trouble(rng)
}

/// The start of a second JobManager, while the first one stays in its condition for seconds to minutes.
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
        call_lost: some(0.5, 0.5),
        call_answer_lost: some(0.5, 0.5),
        call_twice: some(0.3, 0.5),
        call_slow: some(0.3, 0.2),
        systems_down: some(0.2, 1.0) > 0.0,
    }
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.skewed(range))
}
