//! Carries out the troubles of a cluster when their time has come.

use super::{Cluster, JOB_MANAGER_HOST, Misplaced, Todo};
use crate::chaos::{Objects, Trouble};
use crate::faults::{FaultKind, Faults, RescalePhase, Step};
use crate::scenario::Scenario;
use crate::world::{Directions, ProcessId, Time, World};
use std::time::Duration;

/// The age in microseconds after which rules of the store delete objects.
const OLD: Time = 5_000_000;

impl Cluster {
    /// Aims trouble at the phase that a live rescale has entered, because random trouble would seldom meet one.
    pub(super) fn aim(&mut self) {
        let (phase, _) = self.watch.phase(self.world.now());
        let before = std::mem::replace(&mut self.world.strikes.phase, phase);
        if phase != before && Some(phase) == self.ends_in && self.programs.job.is_at_its_end() {
            let soon = Duration::from_micros(self.rng.skewed(1..=10_000));
            self.at(soon, Todo::LetEnd);
        }
        if phase != before {
            self.aim_directed(phase);
            self.aim_target(phase);
            if phase != RescalePhase::None && self.rng.chance(0.3) {
                self.fail_user_code(50);
            }
        }
        if phase == before || phase == RescalePhase::None || self.calm.is_some() || !self.rng.chance(self.aim)
        {
            return;
        }
        let trouble = crate::chaos::strike(&mut self.rng);
        let soon = Duration::from_micros(self.rng.skewed(1..=200_000));
        self.at(soon, Todo::Trouble(trouble));
    }

    pub(super) fn carry_out(&mut self, todo: Todo) {
        match todo {
            Todo::Trouble(trouble) => self.trouble(trouble),
            Todo::StartJobManager => self.start_job_manager(),
            Todo::StartStandby(host) => self.start_standby(host),
            Todo::StartSuccessor(lasts) => self.start_successor(lasts),
            Todo::Repoint(host) => self.world.point(Some(&host), JOB_MANAGER_HOST, &self.host),
            Todo::Mislead(host, former) => self.mislead(host, &former),
            Todo::Heal(a, b) => self.world.heal(&a, &b),
            Todo::Settle(faults) => self.world.faults = faults,
            // Nothing has struck yet. Strike once while records are in flight, so that the run proves something.
            Todo::Calm if self.must_strike && !self.world.strikes.any_in_flight() => {
                // There was no live rescale in which the inputs could end. Let them end, because otherwise no
                // records get in flight again.
                self.probe.let_end();
                if self.probe.in_flight() {
                    self.trouble(Trouble::KillTaskManager);
                }
                self.at(Duration::from_millis(100), Todo::Calm);
                if self.task_managers.is_empty() {
                    self.start_task_manager();
                }
            }
            Todo::Direct(left) => self.direct(left),
            Todo::CutOff => self.cut_off(),
            Todo::Overtake(cut_off) => self.overtake(&cut_off),
            Todo::LetEnd => self.probe.let_end(),
            Todo::Calm => {
                self.probe.let_end();
                self.calm = Some(self.world.now());
                self.world.faults = Faults::default();
            }
        }
    }

    pub(super) fn start_task_manager(&mut self) {
        self.hosts += 1;
        let host = format!("tm{}", self.hosts);
        let programs = &mut self.programs;
        let id = self.world.start(&host, |context| programs.task_manager(context));
        self.task_managers.push(id);
    }

    /// May kill the JobManager after a turn at one of the steps of its work.
    pub(super) fn aim_at_step(&mut self) {
        let turn = self.world.take_last_turn();
        if self.step_strikes == 0 || self.calm.is_some() || turn.is_none() || turn != self.job_manager() {
            return;
        }
        self.world.strikes.step = self.step();
        if self.world.strikes.step == Step::None || !self.rng.chance(self.step_aim) {
            return;
        }
        let down = Duration::from_millis(self.rng.skewed(1..=8_000));
        let trouble = match self.rng.within(0..=9) {
            0..7 => Trouble::KillJobManager { down },
            7 => Trouble::Freeze { lasts: down },
            _ if self.scenarios.contains(&Scenario::Successors) => crate::chaos::replacement(&mut self.rng),
            _ => Trouble::KillJobManager { down },
        };
        self.step_strikes -= 1;
        self.trouble(trouble);
        self.world.strikes.step = Step::None;
    }

    fn step(&self) -> Step {
        let epoch = self.leaders.last().and_then(|leader| leader.epoch);
        match self.watch.step(epoch) {
            Step::None if self.world.now() < self.savepoint_until => Step::Savepoint,
            step => step,
        }
    }

    fn delete_objects(&mut self, objects: Objects) {
        let storage = &self.world.storage;
        let epochs = storage.below("/checkpoints/").map(|(name, _)| name.to_owned());
        // The rules delete objects by age.
        let old = |name: &String| self.epoch_files.get(name).is_some_and(|at| at + OLD < self.world.now());
        let epochs: Vec<String> = epochs.filter(|name| name.contains("/epochs/") && old(name)).collect();
        let deleted: Vec<String> = match objects {
            Objects::Epochs => epochs,
            Objects::NewestEpoch => epochs.last().cloned().into_iter().collect(),
            Objects::OldestManifest => {
                self.checker.oldest_manifest().map(str::to_owned).into_iter().collect()
            }
            Objects::NewestManifest => {
                let newest = self.newest_manifest();
                let deleted = newest.iter().map(|newest| newest.name.clone()).collect();
                self.misplaced = newest.or_else(|| self.misplaced.take());
                deleted
            }
        };
        if !deleted.is_empty() {
            self.world.strikes.strike(FaultKind::ObjectsDeleted);
            deleted.iter().for_each(|name| self.world.storage.lose(name));
            self.watch.damaged |= matches!(objects, Objects::OldestManifest | Objects::NewestManifest);
        }
    }

    /// The newest manifest, if it is recorded that its checkpoint is complete. If it is not, nobody can know.
    fn newest_manifest(&self) -> Option<Misplaced> {
        let (checkpoint, name) = self.checker.newest_manifest()?;
        let recorded = format!("\"checkpoint\":{checkpoint},");
        let mut records =
            self.world.storage.below("/checkpoints/").filter(|(name, _)| name.contains("/completed/"));
        let is_recorded = records.any(|(_, body)| String::from_utf8_lossy(body).contains(&recorded));
        let body = self.world.storage.get(name).filter(|_| is_recorded)?.clone();
        Some(Misplaced { checkpoint, name: name.to_owned(), body })
    }

    pub(super) fn trouble(&mut self, trouble: Trouble) {
        let task_manager = self.rng.pick(&self.task_managers).copied();
        match trouble {
            Trouble::StartTaskManager
                if self.task_managers.len() < self.programs.shape.most_task_managers =>
            {
                self.start_task_manager();
                self.world.strikes.strike(FaultKind::TaskManagerStarted);
            }
            Trouble::StartTaskManager => {}
            Trouble::StopTaskManager => {
                self.strike(task_manager, FaultKind::TaskManagerStopped, World::terminate)
            }
            Trouble::DrainTaskManager { force } => self.drain(force),
            Trouble::Require { upper } => self.require(upper),
            Trouble::KillTaskManager => self.strike(task_manager, FaultKind::TaskManagerKilled, World::kill),
            Trouble::KillExecutor => {
                let executors = task_manager.map_or(Vec::new(), |id| self.world.children(id));
                let executor = self.rng.pick(&executors).copied();
                self.strike(executor, FaultKind::ExecutorKilled, World::kill);
            }
            Trouble::KillJobManager { down } => {
                if let Some(id) = self.job_manager() {
                    self.strike(Some(id), FaultKind::JobManagerKilled, World::kill);
                    self.look_at_job_managers();
                    if self.over.is_none() {
                        self.at(down, Todo::StartJobManager);
                    }
                }
            }
            Trouble::StopJobManager { .. } => {
                self.strike(self.job_manager(), FaultKind::JobManagerStopped, World::terminate);
            }
            Trouble::ReplaceJobManager { because, after, lasts } => self.replace(because, after, lasts),
            Trouble::Savepoint => self.take_savepoint(),
            Trouble::Stop { cancel } => self.stop_with_savepoint(cancel),
            Trouble::Cancel => self.cancel(),
            Trouble::DeleteObjects(objects) => self.delete_objects(objects),
            Trouble::MeddleWithLease(how) => {
                if self.lease_server.borrow_mut().meddle(how) {
                    self.world.strikes.strike(FaultKind::LeaseMeddledWith);
                    self.leases.forget();
                }
            }
            Trouble::Damage => self.world.damage_any(),
            Trouble::Partition { lasts } => self.partition(lasts),
            Trouble::Freeze { lasts } => {
                let mut candidates = Vec::from_iter(self.job_manager());
                for id in &self.task_managers {
                    candidates.push(*id);
                    candidates.extend(self.world.children(*id));
                }
                let victim = self.rng.pick(&candidates).copied();
                self.strike(victim, FaultKind::Freeze, |world, id| world.freeze(id, lasts));
            }
            Trouble::Disturb { faults, lasts } => {
                self.world.faults = faults;
                self.at(lasts, Todo::Settle(Faults::default()));
            }
        }
    }

    pub(super) fn strike(
        &mut self,
        victim: Option<ProcessId>,
        kind: FaultKind,
        how: impl FnOnce(&mut World, ProcessId),
    ) {
        if let Some(victim) = victim {
            self.world.strikes.strike(kind);
            how(&mut self.world, victim);
        }
    }

    /// Cuts two hosts off from each other, or a TaskManager from all others, which it may still reach in one direction.
    fn partition(&mut self, lasts: Duration) {
        let mut hosts = vec![self.host.clone()];
        hosts.extend(self.task_managers.iter().map(|id| self.world.host(*id).to_owned()));
        if hosts.len() > 3 && self.rng.chance(0.3) {
            let isolated = hosts.swap_remove(self.rng.within(1..=hosts.len() as u64 - 1) as usize);
            let directions = [Directions::Both, Directions::One];
            let directions = *self.rng.pick(&directions).expect("there are two");
            let hears = self.rng.chance(0.5);
            self.world.strikes.strike(FaultKind::Partition);
            for other in hosts.split_off(1) {
                let (from, to) = if hears { (&isolated, &other) } else { (&other, &isolated) };
                self.world.partition(from, to, directions);
                self.at(lasts, Todo::Heal(isolated.clone(), other));
            }
            return;
        }
        let (Some(a), Some(b)) = (self.rng.pick(&hosts).cloned(), self.rng.pick(&hosts).cloned()) else {
            return;
        };
        if a != b {
            self.world.strikes.strike(FaultKind::Partition);
            let directions = if self.rng.chance(0.3) { Directions::One } else { Directions::Both };
            self.world.partition(&a, &b, directions);
            self.at(lasts, Todo::Heal(a, b));
        }
    }

    pub(super) fn describe(&self) -> String {
        let running: Vec<&str> = self.world.running().map(|(_, name)| name).collect();
        let highest = self.checker.highest;
        let (phase, _) = self.watch.phase(self.world.now());
        let exit = self.programs.last_exit.as_deref().unwrap_or("none");
        format!(
            "running: {running:?}; last complete checkpoint: {highest:?}; {}; rescale: {phase:?}; last exit of a \
             JobManager: {exit}",
            self.watch.describe()
        )
    }
}
