//! What users ask of a TaskManager: its logs and threads, and to leave.

use super::{MemberEvent, Members};
use crate::executor::Executor;
use crate::handle::Asked;
use reflow_coordination::event::Event;
use reflow_env::Output;
use reflow_protocol::control::ToTaskManager;
use reflow_types::TaskManagerId;
use reflow_types::inspection::Inquiry;

impl Members {
    /// Passes an inquiry on to a TaskManager, whose answer is that to the command.
    pub(crate) fn inspect(
        &mut self,
        id: TaskManagerId,
        inquiry: Inquiry,
        asked: Asked,
        out: &mut Vec<Output>,
    ) {
        if let Some(number) = self.inquiries.add(id, asked) {
            self.send_to_task_manager(id, &ToTaskManager::Inspect { number, inquiry }, out);
        }
    }

    /// Asks a TaskManager to leave the cluster. Returns whether it is registered. Its answer needs no handling,
    /// because it is drained already.
    pub(crate) fn request_drain(&mut self, id: TaskManagerId, out: &mut Vec<Output>) -> bool {
        let there = self.task_managers.contains_key(&id);
        if there {
            self.send_to_task_manager(id, &ToTaskManager::Drain, out);
            self.drain(id, out);
        }
        there
    }

    /// Starts to move the job off a TaskManager. A TaskManager that the job does not use is released at once.
    pub(super) fn drain(&mut self, id: TaskManagerId, out: &mut Vec<Output>) {
        let Some(task_manager) = self.task_managers.get_mut(&id) else { return };
        if !task_manager.draining {
            tracing::info!(%id, "a TaskManager leaves");
        }
        task_manager.draining = true;
        task_manager.start_at = None;
        // One that has not registered with this leadership yet is drained when it does.
        let running = task_manager
            .executor
            .filter(|executor| self.executors.get(executor).is_some_and(Executor::may_run_the_job));
        match running {
            Some(executor) => self.events.push(MemberEvent::Job(Event::ExecutorDraining { executor })),
            None => self.send_to_task_manager(id, &ToTaskManager::Release, out),
        }
    }
}
