//! Directed rescales: rescales of given sizes, each in a given phase of the previous one, so that a new owner has
//! two or more old owners. And the failures of checkpoints that are aimed at a cut.

use super::{Cluster, Todo};
use crate::chaos::Trouble;
use crate::faults::{FaultKind, Faults, RescalePhase};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::world::{Directions, ProcessId, World};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The sequences of numbers of TaskManagers.
const PLANS: [&[usize]; 5] = [&[2, 3], &[3, 4], &[3, 5, 4], &[2, 3, 4, 3, 2], &[4, 5, 3]];
/// The longest time until the next number.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long storage fails at a cut or a savepoint, in milliseconds.
const OUTAGE_MS: std::ops::RangeInclusive<u64> = 100..=3_000;

/// The rest of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Directed {
    numbers: VecDeque<usize>,
    /// The phase of a rescale in which the next one begins.
    phase: RescalePhase,
}

impl Directed {
    /// A random plan, if the scenarios contain directed rescales.
    pub(super) fn random(rng: &mut Rng, scenarios: &BTreeSet<Scenario>) -> Self {
        let plan = rng.pick(&PLANS).expect("there are plans");
        let phase = *rng.pick(&RescalePhase::ALL).expect("there are phases");
        let wanted = scenarios.contains(&Scenario::DirectedRescales);
        Self { numbers: plan.iter().copied().filter(|_| wanted).collect(), phase }
    }
}

impl Cluster {
    /// Begins the plan. Returns the number of TaskManagers to start with.
    pub(super) fn begin_directed(&mut self) -> Option<u64> {
        let first = self.directed.numbers.pop_front()?;
        let after = Duration::from_millis(self.rng.within(2_000..=8_000));
        self.at(after, Todo::Direct(self.directed.numbers.len()));
        Some(first as u64)
    }

    /// A rescale has entered a phase.
    pub(super) fn aim_directed(&mut self, phase: RescalePhase) {
        if phase == self.directed.phase && !self.directed.numbers.is_empty() && self.calm.is_none() {
            let soon = Duration::from_micros(self.rng.skewed(1..=200_000));
            self.at(soon, Todo::Direct(self.directed.numbers.len()));
        }
        // The cut takes effect without its checkpoint, too. Then those who leave take part in the next one.
        let directs = self.scenarios.contains(&Scenario::DirectedRescales) && self.calm.is_none();
        if directs && phase == RescalePhase::CutTriggered && self.rng.chance(0.3) {
            self.fail_storage_for_a_moment();
        }
    }

    /// The checkpoint that is under way fails, most likely before all barriers have arrived.
    pub(super) fn fail_storage_for_a_moment(&mut self) {
        self.world.faults.store_error = 1.0;
        let outage = Duration::from_millis(self.rng.skewed(OUTAGE_MS));
        self.at(outage, Todo::Settle(Faults::default()));
    }

    /// Without periodic checkpoints, the remains of an abandoned checkpoint are seen only if nothing comes after
    /// it: another one, or a restart, would clear it away.
    pub(super) fn leave_alone_after_failure(&mut self) {
        let given_up = self.watch.take_given_up() && self.scenarios.contains(&Scenario::RareCheckpoints);
        if given_up && self.calm.is_none() && self.rng.chance(0.7) {
            self.agenda.retain(|_, todo| !matches!(todo, Todo::Trouble(_) | Todo::Direct(_) | Todo::Calm));
            self.at(Duration::ZERO, Todo::Calm);
        }
    }

    /// Plans that executors are overtaken by another attempt.
    pub(super) fn plan_cut_off(&mut self) {
        if self.scenarios.contains(&Scenario::Overtaken) {
            let after = Duration::from_millis(self.rng.within(3_000..=10_000));
            self.at(after, Todo::CutOff);
        }
    }

    /// Cuts all TaskManagers off from the JobManager, and starts another one, on which the job restarts.
    pub(super) fn cut_off(&mut self) {
        if self.calm.is_some() {
            return;
        }
        self.world.strikes.strike(FaultKind::Partition);
        // A TaskManager that is silent is lost after five seconds.
        let lasts = Duration::from_millis(self.rng.within(7_000..=20_000));
        let cut_off = self.task_managers.clone();
        for task_manager in &cut_off {
            let host = self.world.host(*task_manager).to_owned();
            self.world.partition(&self.host, &host, Directions::Both);
            self.at(lasts, Todo::Heal(self.host.clone(), host));
        }
        self.start_task_manager();
        self.at(lasts, Todo::Overtake(cut_off));
    }

    /// The JobManager and the TaskManagers that were not cut off are lost, so the next one finds the overtaken attempt only.
    pub(super) fn overtake(&mut self, cut_off: &[ProcessId]) {
        if self.calm.is_some() {
            return;
        }
        let others = self.task_managers.iter().filter(|id| !cut_off.contains(id)).copied();
        for other in others.collect::<Vec<_>>() {
            self.strike(Some(other), FaultKind::TaskManagerKilled, World::kill);
        }
        let down = Duration::from_millis(self.rng.skewed(1..=500));
        self.trouble(Trouble::KillJobManager { down });
    }

    /// Carries out the next step of the plan, if `left` steps remain.
    pub(super) fn direct(&mut self, left: usize) {
        if self.directed.numbers.len() != left || self.calm.is_some() {
            return;
        }
        let Some(wanted) = self.directed.numbers.pop_front() else { return };
        for _ in self.task_managers.len()..wanted {
            self.start_task_manager();
            self.world.strikes.strike(FaultKind::TaskManagerStarted);
        }
        for victim in self.task_managers.split_off(wanted.min(self.task_managers.len())) {
            self.strike(Some(victim), FaultKind::TaskManagerStopped, World::terminate);
        }
        self.at(PATIENCE, Todo::Direct(self.directed.numbers.len()));
    }

    /// Makes user code fail at one of its next calls, if it may.
    pub(super) fn fail_user_code(&mut self, most_calls: u64) {
        let (failed, most) = self.user_failures;
        if failed < most && self.calm.is_none() {
            self.probe.fail_after(self.rng.skewed(1..=most_calls));
        }
    }

    /// Counts failures of user code.
    pub(super) fn look_at_user_code(&mut self) {
        let failed = self.probe.user_failures();
        if failed > self.user_failures.0 {
            self.user_failures.0 = failed;
            self.world.strikes.strike(FaultKind::UserCodeFailed);
            self.fail_user_code(3_000);
        }
    }
}
