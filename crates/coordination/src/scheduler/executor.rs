//! An executor of the job.

use reflow_types::{Instant, TaskManagerId};

/// An executor of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Whose child it is.
    pub task_manager: TaskManagerId,
    /// How many slots it runs.
    pub slots: u32,
    /// Its TaskManager wants to leave: when the job moves off it by a restart, if it is still on it.
    pub drain_by: Option<Instant>,
}

impl Executor {
    /// Whether its TaskManager wants to leave.
    pub fn draining(&self) -> bool {
        self.drain_by.is_some()
    }
}
