//! Two JobManagers of which one leads and the other stands by. One that ends is started again on its host.

use super::{Cluster, JOB_MANAGER_HOST, STANDBY_HOST, Todo, lease_server};
use crate::world::{Change, ChangeKind, ProcessId};
use reflow_jobmanager::{LeaseCalls, Role};
use std::time::Duration;

impl Cluster {
    /// Whether there is a standby.
    pub(super) fn has_standby(&self) -> bool {
        self.programs.shape.lease_ms.is_some()
    }

    /// Plans the start of the second JobManager.
    pub(super) fn plan_standby(&mut self) {
        if self.has_standby() {
            let after = Duration::from_millis(self.rng.skewed(1..=5_000));
            self.at(after, Todo::StartStandby(STANDBY_HOST));
        }
    }

    /// Starts a JobManager on this host, unless there is one.
    pub(super) fn start_standby(&mut self, host: &'static str) {
        let is_there = self.leaders.iter().any(|leader| self.world.host(leader.id) == host);
        if self.over.is_some() || is_there {
            return;
        }
        let id = self.start_job_manager_on(host);
        self.newest.get_or_insert(id);
        self.follow_leader();
    }

    /// The JobManager of the newest leadership is the one that faults strike and users ask.
    pub(super) fn follow_leader(&mut self) {
        if !self.has_standby() {
            return;
        }
        let running = self.leaders.iter().filter(|leader| self.world.ended(leader.id).is_none());
        let leading = running.max_by_key(|leader| leader.order).map(|leader| leader.id);
        self.newest = leading;
        if let Some(id) = leading {
            self.host = self.world.host(id).to_owned();
            self.programs.handle = self.handles.get(&id).cloned();
        }
    }

    /// A JobManager has ended: it is started again on its host.
    pub(super) fn job_manager_ended(&mut self, id: ProcessId) {
        self.handles.remove(&id);
        self.follow_leader();
        if self.over.is_none() {
            let host = if self.world.host(id) == STANDBY_HOST { STANDBY_HOST } else { JOB_MANAGER_HOST };
            let code = self.world.ended(id).and_then(|exit| exit.code);
            if let Some(role) = code.and_then(Role::after) {
                self.programs.roles.insert(host.to_owned(), role);
            }
            let down = Duration::from_millis(self.rng.skewed(1..=5_000));
            self.at(down, Todo::StartStandby(host));
        }
    }

    /// A user who starts the job with another build ends the standbys of the former one.
    pub(super) fn kill_standbys(&mut self) {
        if self.has_standby() {
            for id in self.leaders.iter().map(|leader| leader.id).collect::<Vec<_>>() {
                self.world.kill(id);
            }
        }
    }

    /// The client of the lease for a JobManager that starts on this host, if it is kept in Kubernetes.
    pub(super) fn connect_with_lease(&mut self, host: &str) -> Option<LeaseCalls> {
        let shape = &self.programs.shape;
        let duration = shape.lease_ms.filter(|_| shape.lease_in_kubernetes).map(Duration::from_millis)?;
        let identity = format!("{host}_{}", self.programs.started());
        Some(lease_server::connect(&mut self.world, &self.lease_server, &identity, duration))
    }

    /// Whether no JobManager can lead TaskManagers: the newest leader is frozen or cut off from one of them, for up to two
    /// minutes. The other JobManager may be so, too, and no third one starts.
    pub(super) fn has_no_able_leader(&self) -> bool {
        let newest =
            self.leaders.iter().filter(|leader| leader.epoch.is_some()).max_by_key(|leader| leader.order);
        newest.is_none_or(|newest| {
            let (host, world) = (self.world.host(newest.id), &self.world);
            let mut hosts = self.task_managers.iter().map(|task_manager| world.host(*task_manager));
            !world.is_awake(newest.id) || hosts.any(|other| world.are_cut_off(host, other))
        })
    }

    /// Whether not exactly one JobManager leads, or may lead soon.
    pub(super) fn leaders_compete(&self) -> bool {
        match self.has_standby() {
            true => self.leaders.iter().filter(|leader| leader.epoch.is_some()).count() != 1,
            false => self.leaders.len() != 1,
        }
    }

    /// Checks what becomes of leases, and who claims the job.
    pub(super) fn look_at_leases(&mut self, changes: &[Change]) {
        if !self.has_standby() {
            return;
        }
        let now = self.world.now();
        for Change { name, by, kind } in changes {
            let Some((directory, epoch)) = name.rsplit_once('/') else { continue };
            let Ok(epoch) = epoch.parse::<u64>() else { continue };
            let storage = &self.world.storage;
            let violation = match (directory.rsplit_once('/'), kind) {
                (Some((_, "epochs")), ChangeKind::Deleted) if by.is_none() => {
                    self.leases.forget();
                    None
                }
                (Some((root, "epochs")), ChangeKind::Written) => {
                    let is_damaged = |epoch| storage.is_damaged(&format!("{root}/leases/{epoch:020}"));
                    self.leases.claimed(now, epoch, *by, is_damaged)
                }
                (Some((_, "leases")), ChangeKind::Written | ChangeKind::Replaced) => {
                    storage.get(name).and_then(|body| self.leases.written(now, epoch, body))
                }
                _ => None,
            };
            violation.into_iter().for_each(|violation| self.checker.violate(violation));
        }
    }
}
