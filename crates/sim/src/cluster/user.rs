//! Requests of users to the JobManager, at any time.

use super::Cluster;
use crate::check::SAVEPOINTS;
use crate::faults::FaultKind;
use crate::scenario::Scenario;
use crate::world::{Time, World};
use reflow_types::JobId;
use reflow_view::{Cluster as _, Command};
use reflow_view::{ClusterView, ParallelismBounds, SavepointFormat};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

/// About how long a savepoint takes.
const SAVEPOINT: Duration = Duration::from_secs(2);
/// The most stops of the job in a run.
const MOST_STOPS: u32 = 3;

impl Cluster {
    /// Drains a TaskManager.
    pub(super) fn drain(&mut self, force: bool) {
        let Some(view) = self.view() else { return };
        let there: Vec<_> = view.task_managers.iter().map(|task_manager| task_manager.id).collect();
        if let Some(&task_manager) = self.rng.pick(&there) {
            self.ask(FaultKind::TaskManagerDrained, Command::DrainTaskManager { task_manager, force });
            self.watch.plan(self.world.now());
        }
    }

    /// Limits the parallelism of all vertices.
    pub(super) fn require(&mut self, upper: u32) {
        let Some(view) = self.view() else { return };
        let Some(job) = view.jobs.first() else { return };
        let bounds = |max: u32| ParallelismBounds { lower: 1, upper: upper.min(max) };
        let requirements = job.vertices.iter().map(|v| (v.id, bounds(v.max_parallelism))).collect();
        self.ask(FaultKind::RequirementsChanged, Command::UpdateRequirements { job: job.id, requirements });
        self.watch.plan(self.world.now());
    }

    /// Takes a savepoint, after which the job continues.
    pub(super) fn take_savepoint(&mut self) {
        let Some(job) = self.job() else { return };
        self.savepoint_until = self.world.now() + SAVEPOINT.as_micros() as Time;
        let command = Command::TriggerSavepoint {
            job,
            request: None,
            target_directory: Some(SAVEPOINTS.to_owned()),
            cancel_job: false,
            format: SavepointFormat::Canonical,
        };
        self.ask(FaultKind::SavepointTaken, command);
        if self.scenarios.contains(&Scenario::RareCheckpoints) && self.calm.is_none() && self.rng.chance(0.5)
        {
            self.fail_storage_for_a_moment();
        }
    }

    /// Stops the job with a savepoint, from which it is started again.
    pub(super) fn stop_with_savepoint(&mut self, cancel: bool) {
        let Some(job) = self.job().filter(|_| self.programs.restored < MOST_STOPS) else { return };
        // The last watermark fires incomplete windows, so only a job without event time may continue afterwards.
        let drain = self.programs.job.is_timeless() && self.rng.chance(0.5);
        let (request, target_directory) = (None, Some(SAVEPOINTS.to_owned()));
        let format = SavepointFormat::Canonical;
        let command = if cancel {
            Command::TriggerSavepoint { job, request, target_directory, cancel_job: true, format }
        } else {
            Command::StopWithSavepoint { job, request, target_directory, drain, format }
        };
        self.ask(FaultKind::JobStopped, command);
    }

    /// Cancels the job.
    pub(super) fn cancel(&mut self) {
        if let Some(job) = self.job() {
            self.ask(FaultKind::JobCanceled, Command::Cancel { job });
        }
    }

    fn job(&self) -> Option<JobId> {
        self.view()?.jobs.first().map(|job| job.id)
    }

    fn view(&self) -> Option<Arc<ClusterView>> {
        self.programs.handle.as_ref().map(|handle| handle.view())
    }

    /// Sends a command and ignores the answer.
    fn ask(&mut self, kind: FaultKind, command: Command) {
        let (Some(id), Some(handle)) = (self.job_manager(), self.programs.handle.clone()) else { return };
        let mut asking = pin!(handle.command(command));
        let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.strike(Some(id), kind, World::signal);
    }
}
