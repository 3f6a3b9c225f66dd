//! Checks of what a deposed JobManager still does, and for how long it runs.
//!
//! Each start of a JobManager creates an epoch. A leader is *deposed* from the moment at which a later epoch
//! exists in storage. It cannot know that at once, so the effects of its decisions are checked:
//!
//! - **It completes no checkpoint.** An executor that is notified that checkpoint *n* is complete commits output.
//!   So no attempt of a later epoch may begin from a checkpoint below *n*, whether the notification comes before
//!   or after the later attempt is deployed. The same holds for attempts of one leader.
//! - **It deletes nothing** that the newest complete checkpoints name, nor their manifests ([`crate::check`]).
//! - **It gets no TaskManager and no executor back.** A TaskManager that has registered with a later epoch starts no executor
//!   for it, and an executor that follows a later epoch takes no command of it.
//! - **It steps down** within [`STEP_DOWN`] of simulated time in which it is awake and storage answers.

use crate::world::{ProcessId, Time};
use reflow_env::ConnId;
use reflow_graph::RegionIndex;
use reflow_protocol::control::{ToExecutor, ToTaskManager};
use reflow_protocol::deployment::Attempt;
use reflow_types::{CheckpointId, ExecutorId, JobId, LeaderEpoch};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long a deposed JobManager may run while it is awake and storage answers.
pub const STEP_DOWN: Duration = Duration::from_secs(120);

/// The completed checkpoints of which executors were notified, and the checkpoints from which attempts began.
#[derive(Debug, Default)]
pub struct Completions {
    /// The highest checkpoint of whose completion executors were notified, by the attempt that completed it.
    completed: BTreeMap<Attempt, CheckpointId>,
    /// The same for each region of a job that has several: the highest checkpoint in which it took part.
    by_region: BTreeMap<RegionIndex, BTreeMap<Attempt, CheckpointId>>,
    /// The checkpoint from which the first attempt of each epoch began. An epoch that has adopted an attempt began from
    /// that attempt's last complete checkpoint.
    began: BTreeMap<LeaderEpoch, Option<CheckpointId>>,
}

impl Completions {
    /// A leader of this epoch has notified an executor that a checkpoint is complete. Returns the violation, if any.
    pub fn completed(
        &mut self,
        epoch: LeaderEpoch,
        attempt: Attempt,
        checkpoint: CheckpointId,
    ) -> Option<String> {
        let completed = self.completed.entry(attempt).or_default();
        *completed = checkpoint.max(*completed);
        let (later, began) = self.began.range(epoch.next()..).find(|(_, b)| **b < Some(checkpoint))?;
        let began = began.map_or("nothing".to_owned(), |checkpoint| format!("checkpoint {checkpoint}"));
        Some(format!(
            "the leader of epoch {epoch} completes checkpoint {checkpoint} of attempt {attempt}, but the leader of epoch {later} has begun from {began}"
        ))
    }

    /// These regions of a job that has several have taken part in a complete checkpoint.
    pub fn took_part(&mut self, attempt: Attempt, checkpoint: CheckpointId, regions: BTreeSet<RegionIndex>) {
        for region in regions {
            let completed = self.by_region.entry(region).or_default().entry(attempt).or_default();
            *completed = checkpoint.max(*completed);
        }
    }

    /// An attempt begins from a checkpoint, which is not known to be damaged. Returns the violation, if any.
    /// Attempts of a deposed leader may begin from any checkpoint, because it may find its checkpoints deleted
    /// and they have no effect. The message may arrive late, so only checkpoints that earlier attempts have
    /// completed count.
    pub fn began(&mut self, attempt: Attempt, from: Option<CheckpointId>) -> Option<String> {
        self.began.entry(attempt.epoch).or_insert(from);
        if self.began.range(attempt.epoch.next()..).next().is_some() {
            return None;
        }
        let (earlier, completed) =
            self.completed.range(..attempt).max_by_key(|(_, completed)| **completed)?;
        (Some(*completed) > from).then(|| {
            let from = from.map_or("nothing".to_owned(), |checkpoint| format!("checkpoint {checkpoint}"));
            format!(
                "attempt {attempt} begins from {from}, but executors were told in attempt {earlier} that {completed} is complete"
            )
        })
    }

    /// A region of an attempt begins with the state of a checkpoint in which it took part, which is not known to be damaged.
    /// Returns the violation, if any: it has committed more.
    pub fn restored(
        &self,
        attempt: Attempt,
        region: RegionIndex,
        from: Option<CheckpointId>,
    ) -> Option<String> {
        let is_deposed = self.began.range(attempt.epoch.next()..).next().is_some();
        let completed = self.by_region.get(&region)?;
        let (in_attempt, completed) = completed.range(..=attempt).max_by_key(|(_, completed)| **completed)?;
        (Some(*completed) > from && !is_deposed).then(|| {
            let from = from.map_or("nothing".to_owned(), |checkpoint| format!("checkpoint {checkpoint}"));
            format!(
                "region {region} of attempt {attempt} begins from {from}, but executors were told in attempt {in_attempt} that {completed} is complete"
            )
        })
    }

    /// The leader of an epoch has adopted an attempt. No earlier leader completes a later checkpoint than `from`, the one
    /// that it would otherwise have begun from.
    pub fn adopted(&mut self, epoch: LeaderEpoch, from: Option<CheckpointId>) {
        self.began.entry(epoch).or_insert(from);
    }

    /// The job goes back to this checkpoint or an older one, as a user has allowed.
    pub fn go_back(&mut self, to: Option<CheckpointId>) {
        let to = to.unwrap_or_default();
        let of_regions = self.by_region.values_mut().flat_map(BTreeMap::values_mut);
        self.completed.values_mut().chain(of_regions).for_each(|completed| *completed = to.min(*completed));
    }

    /// A user has started another job.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// The leadership epochs that TaskManagers follow.
#[derive(Debug, Default)]
pub struct Followers {
    /// The latest epoch with which each TaskManager has registered.
    followed: BTreeMap<String, (JobId, LeaderEpoch)>,
    /// Connections on which an earlier epoch has answered.
    void_connections: BTreeSet<(String, ConnId)>,
    /// Executors whose start was requested on those connections. A message may arrive after the TaskManager has
    /// closed the connection, so only the start of an executor counts.
    void_executors: BTreeSet<ExecutorId>,
}

impl Followers {
    /// A TaskManager has received a message of a JobManager.
    pub fn received(&mut self, task_manager: &str, conn: ConnId, message: &ToTaskManager) {
        let connection = (task_manager.to_owned(), conn);
        match message {
            ToTaskManager::Registered { job, epoch, .. } => {
                let followed = self.followed.entry(task_manager.to_owned()).or_insert((*job, *epoch));
                if followed.0 == *job && followed.1 > *epoch {
                    self.void_connections.insert(connection);
                } else {
                    *followed = (*job, *epoch);
                }
            }
            ToTaskManager::StartExecutor(start) if self.void_connections.contains(&connection) => {
                self.void_executors.insert(start.executor);
            }
            _ => {}
        }
    }

    /// An executor has started. Returns the violation, if any.
    pub fn started(&self, executor: ExecutorId) -> Option<String> {
        let void = self.void_executors.contains(&executor);
        void.then(|| {
            format!("executor {executor} has started for a deposed JobManager, on a TaskManager that has followed a later one")
        })
    }
}

/// The leaderships that executors follow. None goes back to an earlier one.
#[derive(Debug, Default)]
pub struct Registrations {
    followed: BTreeMap<String, LeaderEpoch>,
    /// Connections on which the JobManager of an earlier leadership has answered.
    deposed: BTreeSet<(String, ConnId)>,
}

impl Registrations {
    /// An executor has received a message of a JobManager. Returns the violation, if any: the executor has not closed the
    /// connection to a deposed one.
    pub fn received(&mut self, executor: &str, conn: ConnId, message: &ToExecutor) -> Option<String> {
        let connection = (executor.to_owned(), conn);
        if self.deposed.contains(&connection) {
            let followed = self.followed.get(executor).copied().unwrap_or_default();
            return Some(format!(
                "{executor} has followed leadership {followed}, and obeys an earlier one again"
            ));
        }
        if let ToExecutor::Registered { epoch, .. } = message {
            let followed = self.followed.entry(executor.to_owned()).or_insert(*epoch);
            if *followed > *epoch {
                self.deposed.insert(connection);
            }
            *followed = (*followed).max(*epoch);
        }
        None
    }

    /// The leadership that an executor follows.
    pub fn followed(&self, executor: &str) -> Option<LeaderEpoch> {
        self.followed.get(executor).copied()
    }
}

/// A JobManager that leads or has led.
#[derive(Debug)]
pub struct Leader {
    pub id: ProcessId,
    /// The epoch that it has taken.
    pub epoch: Option<LeaderEpoch>,
    /// The ordinal number of that epoch among all that were taken; 0 before it has one.
    pub order: u64,
    /// The time since which it is deposed, awake and able to reach storage.
    pub able_since: Option<Time>,
}

impl Leader {
    /// Checks a leader. `awake` is whether it runs and storage answers. Returns the violation, if any.
    pub fn look(&mut self, now: Time, newest: u64, awake: bool) -> Option<String> {
        let epoch = self.epoch.filter(|_| self.order != newest && awake);
        let Some(epoch) = epoch else {
            self.able_since = None;
            return None;
        };
        let since = *self.able_since.get_or_insert(now);
        (now - since > STEP_DOWN.as_micros() as Time).then(|| {
            format!("the JobManager of epoch {epoch} still runs {STEP_DOWN:?} after a later epoch was taken")
        })
    }
}
