//! An executor of the job.

use reflow_types::{Instant, TaskManagerId};

/// An executor of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executor {
    /// The TaskManager whose child it is.
    pub task_manager: TaskManagerId,
    /// The number of its slots.
    pub slots: u32,
    /// Set if it is being drained: when the job is moved off it by a restart, if it is still on it.
    pub drain_by: Option<Instant>,
}

impl Executor {
    /// Whether it is being drained.
    pub fn draining(&self) -> bool {
        self.drain_by.is_some()
    }
}
