//! The JobManagers of a cluster: usually one, sometimes with its successor at the same time.
//!
//! TaskManagers find the JobManager by a name, which is pointed at another host when a successor starts. Each
//! host may learn about that late.

use super::{Cluster, JOB_MANAGER_HOST, Misplaced, Todo};
use crate::chaos::Replacement;
use crate::faults::{FaultKind, Faults};
use crate::scenario::Scenario;
use crate::succession::Leader;
use crate::world::{Change, ChangeKind, Directions, ProcessId, Time};
use reflow_types::LeaderEpoch;
use std::time::Duration;

use super::programs::End;

/// The most JobManagers that run at once.
const MOST: usize = 3;
/// The longest turn of a slow JobManager.
const SLOW_TURN: Duration = Duration::from_millis(500);
/// How long JobManagers may run after the end of the job.
const LINGER: Duration = Duration::from_secs(100);

impl Cluster {
    /// The newest JobManager, if it runs.
    pub(super) fn job_manager(&self) -> Option<ProcessId> {
        self.newest
    }

    /// Whether the job has ended and nothing works on it any more.
    pub(super) fn is_done(&self) -> bool {
        let lingers = |since: Time| self.world.now() < since + LINGER.as_micros() as Time;
        self.over.as_ref().is_some_and(|(_, since)| self.leaders.is_empty() || !lingers(*since))
    }

    /// Starts a JobManager if none leads.
    pub(super) fn start_job_manager(&mut self) {
        // The last write of a killed JobManager may have taken effect meanwhile, so that another start would
        // begin another job.
        self.look_for_end();
        if self.newest.is_some() || self.over.is_some() {
            return;
        }
        let id = self.start_job_manager_on(&self.host.clone());
        self.newest = Some(id);
        if self.scenarios.contains(&Scenario::Adoption) && self.rng.chance(0.4) {
            // Executors register while much happens to them.
            let lasts = Duration::from_millis(self.rng.skewed(100..=5_000));
            self.world.slow_down(id, lasts, SLOW_TURN);
        }
    }

    /// Starts a JobManager on this host.
    pub(super) fn start_job_manager_on(&mut self, host: &str) -> ProcessId {
        let lease = self.connect_with_lease(host);
        let programs = &mut self.programs;
        let id = self.world.start(host, |context| programs.job_manager(context, lease));
        // A JobManager that was killed before the job ran may have decided that the job goes back.
        self.watch.allows_replay |= std::mem::take(&mut programs.allow_replay);
        self.leaders.push(Leader { id, epoch: None, order: 0, able_since: None });
        self.handles.extend(programs.handle.clone().map(|handle| (id, handle)));
        id
    }

    /// Prepares the start of a second JobManager.
    pub(super) fn replace(&mut self, because: Replacement, after: Duration, lasts: Duration) {
        let Some(id) = self.newest.filter(|_| self.leaders.len() < MOST) else { return };
        self.world.strikes.strike(FaultKind::JobManagerReplaced);
        match because {
            Replacement::CutOff => {
                for task_manager in self.task_managers.clone() {
                    let host = self.world.host(task_manager).to_owned();
                    self.world.partition(&self.host, &host, Directions::Both);
                    self.at(lasts, Todo::Heal(self.host.clone(), host));
                }
            }
            Replacement::Frozen => self.world.freeze(id, lasts),
            Replacement::Slow => self.world.slow_down(id, lasts, SLOW_TURN),
            Replacement::Mistake => {}
        }
        if self.has_standby() {
            return;
        }
        self.at(after, Todo::StartSuccessor(lasts));
    }

    /// Starts another JobManager, on another host. TaskManagers may follow the first one for a while.
    pub(super) fn start_successor(&mut self, lasts: Duration) {
        // Starting a job that has ended, other than by failing, runs it once more.
        let end = self.programs.find_end(&self.world.storage);
        if self.over.is_some() || matches!(end, Some((_, End::Finished | End::Canceled))) {
            return;
        }
        self.job_manager_hosts += 1;
        let former =
            std::mem::replace(&mut self.host, format!("{JOB_MANAGER_HOST}-{}", self.job_manager_hosts));
        self.world.point(None, JOB_MANAGER_HOST, &self.host);
        for task_manager in self.task_managers.clone() {
            if self.rng.chance(0.5) {
                let host = self.world.host(task_manager).to_owned();
                self.world.point(Some(&host), JOB_MANAGER_HOST, &former);
                let late = Duration::from_millis(self.rng.within(0..=lasts.as_millis() as u64));
                self.at(late, Todo::Repoint(host));
            } else if self.rng.chance(0.5) {
                let host = self.world.host(task_manager).to_owned();
                let soon = Duration::from_millis(self.rng.skewed(500..=20_000));
                self.at(soon, Todo::Mislead(host, former.clone()));
            }
        }
        self.newest = None;
        self.start_job_manager();
    }

    /// A host that knows the address of the successor gets the former address again, as from a name server that
    /// has not heard of the change, and its connections to the successor break.
    pub(super) fn mislead(&mut self, host: String, former: &str) {
        if former == self.host || self.calm.is_some() {
            return;
        }
        self.world.point(Some(&host), JOB_MANAGER_HOST, former);
        self.world.strikes.strike(FaultKind::Partition);
        self.world.partition(&self.host, &host, Directions::Both);
        let lasts = Duration::from_millis(self.rng.skewed(10..=3_000));
        self.at(lasts, Todo::Heal(self.host.clone(), host.clone()));
        let corrected = Duration::from_millis(self.rng.within(5_000..=30_000));
        self.at(corrected, Todo::Repoint(host));
    }

    /// Handles new epochs. Decisions of a deposed leader count only if its successor finds them, which is not
    /// visible here, so they are removed from the changes.
    pub(super) fn look_at_epochs(&mut self, changes: &mut Vec<Change>) {
        self.look_at_leases(changes);
        for Change { name, by, kind } in changes.iter() {
            // Nothing tells executors of a job that has ended what became of a savepoint, and its JobManager may be
            // frozen for minutes.
            if *kind == ChangeKind::Written && name.contains("/ended/") {
                let leader = self.leaders.iter().find(|leader| Some(leader.id) == *by);
                self.watch.leader_ended(leader.and_then(|leader| leader.epoch));
            }
            let Some((_, epoch)) = name.split_once("/epochs/").filter(|_| *kind == ChangeKind::Written)
            else {
                continue;
            };
            self.epoch_files.insert(name.clone(), self.world.now());
            if let Some(leader) = self.leaders.iter_mut().find(|leader| Some(leader.id) == *by) {
                self.epochs_taken += 1;
                leader.order = self.epochs_taken;
                leader.epoch = epoch.parse().ok().map(LeaderEpoch);
            }
        }
        self.follow_leader();
        let deposed = |by: Option<ProcessId>| {
            let leader = self.leaders.iter().find(|leader| Some(leader.id) == by);
            // The last write of a JobManager may take effect when it has ended and its successor leads.
            let ended = || by.and_then(|by| self.ended_leaders.get(&by)).copied();
            leader.map(|leader| leader.order).or_else(ended).is_some_and(|order| order != self.epochs_taken)
        };
        let left_out = |change: &mut Change| {
            let Change { name, by, kind } = change;
            name.ends_with("/_metadata") && *kind == ChangeKind::Written && deposed(*by)
        };
        for Change { name, .. } in changes.extract_if(.., left_out) {
            self.checker.decided_by_deposed(&name, &self.world.storage);
        }
    }

    /// Handles JobManagers that have ended, and those that should have ended.
    pub(super) fn look_at_job_managers(&mut self) {
        let ended = |leader: &Leader| self.world.ended(leader.id).is_some();
        if let Some(place) = self.leaders.iter().position(ended) {
            let leader = self.leaders.remove(place);
            self.ended_leaders.insert(leader.id, leader.order);
            self.watch.leader_ended(leader.epoch);
            let exit = self.world.ended(leader.id).expect("it has just been looked at");
            self.programs.last_exit = Some(format!("{:?} {}", exit.code, exit.reason));
            // A deposed leader may fail because its checkpoints were deleted.
            let leads = leader.order == self.epochs_taken;
            let (code, reason) = (exit.code, exit.reason.clone());
            let asks = leads && code == Some(1) && self.answer(&reason);
            if leads && code == Some(1) && reason.contains("has failed:") && !asks && !self.may_fail() {
                self.checker.violate(reason);
            }
            self.look_for_end();
            if self.has_standby() {
                self.job_manager_ended(leader.id);
            } else if self.newest == Some(leader.id) {
                self.newest = None;
                if self.over.is_none() {
                    // The operator of the cluster starts it again.
                    let down = Duration::from_millis(self.rng.skewed(1..=5_000));
                    self.at(down, Todo::StartJobManager);
                }
            }
        }
        if self.leaders.len() < 2 {
            return;
        }
        let (now, newest, answers) =
            (self.world.now(), self.epochs_taken, self.world.faults == Faults::default());
        for leader in &mut self.leaders {
            let awake = answers && self.world.is_awake(leader.id);
            let wrong = leader.look(now, newest, awake);
            wrong.into_iter().for_each(|wrong| self.checker.violate(wrong));
        }
    }

    /// Handles a JobManager that has ended because a checkpoint is damaged: the user repairs the object, or lets
    /// the job continue from an older checkpoint if there is one. Returns whether that was the reason.
    fn answer(&mut self, reason: &str) -> bool {
        let is_damage = ["cannot be read: ", "can be read ("].iter().any(|text| reason.contains(text));
        let newest = self.checker.newest_manifest().map(|(newest, _)| newest);
        let is_missing = self.misplaced.as_ref().is_some_and(|misplaced| Some(misplaced.checkpoint) > newest);
        if !is_damage || !(self.world.storage.has_damage() || is_missing) {
            return false;
        }
        if reason.contains("--allow-replay") && self.rng.chance(0.6) {
            self.programs.allow_replay = true;
        } else {
            self.world.storage.repair();
            if let Some(Misplaced { name, body, .. }) = self.misplaced.take_if(|_| is_missing) {
                self.world.storage.put(&name, body);
            }
        }
        true
    }

    /// Whether the job may fail, because restarts may be used up or slots may be missing for too long.
    fn may_fail(&self) -> bool {
        [Scenario::FewRestarts, Scenario::FixedParallelism].iter().any(|may| self.scenarios.contains(may))
    }

    /// Handles the end of the job. A user may start it again from the savepoint with which it was stopped.
    fn look_for_end(&mut self) {
        if self.over.is_some() {
            return;
        }
        let Some((marker, end)) = self.programs.find_end(&self.world.storage) else { return };
        let savepoint = self.checker.newest_savepoint(|savepoint| self.watch.is_stop(savepoint));
        match (end, savepoint) {
            // The same command resumes the job.
            (End::Failed(_), _) if self.may_fail() => {}
            (End::Finished | End::Canceled, Some(directory)) => {
                self.programs.restore(marker, directory.to_owned());
                self.checker.begin_job(self.programs.shape.retained as usize);
                self.watch.forget_job();
                self.kill_standbys();
                let down = Duration::from_millis(self.rng.skewed(1..=8_000));
                self.at(down, Todo::StartJobManager);
            }
            (end, _) => self.over = Some((end, self.world.now())),
        }
    }
}
