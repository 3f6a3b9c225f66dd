//! What users ask of the JobManager over REST, in the middle of everything else.

use super::Cluster;
use crate::faults::FaultKind;
use crate::world::World;
use reflow_rest::view::{ClusterView, ParallelismBounds};
use reflow_rest::{Cluster as _, Command};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

impl Cluster {
    /// A TaskManager is to leave.
    pub(super) fn drain(&mut self, force: bool) {
        let Some(view) = self.view() else { return };
        let there: Vec<_> = view.task_managers.iter().map(|task_manager| task_manager.id).collect();
        if let Some(&task_manager) = self.rng.pick(&there) {
            self.ask(FaultKind::TaskManagerDrained, Command::DrainTaskManager { task_manager, force });
        }
    }

    /// No vertex is to have more subtasks.
    pub(super) fn require(&mut self, upper: u32) {
        let Some(view) = self.view() else { return };
        let Some(job) = view.jobs.first() else { return };
        let bounds = |max: u32| ParallelismBounds { lower: 1, upper: upper.min(max) };
        let requirements = job.vertices.iter().map(|v| (v.id, bounds(v.max_parallelism))).collect();
        self.ask(FaultKind::RequirementsChanged, Command::UpdateRequirements { job: job.id, requirements });
    }

    fn view(&self) -> Option<Arc<ClusterView>> {
        self.programs.handle.as_ref().map(|handle| handle.view())
    }

    /// Nobody reads the answer.
    fn ask(&mut self, kind: FaultKind, command: Command) {
        let (Some(id), Some(handle)) = (self.job_manager, self.programs.handle.clone()) else { return };
        let mut asking = pin!(handle.command(command));
        let _ = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.strike(Some(id), kind, World::rouse);
    }
}
