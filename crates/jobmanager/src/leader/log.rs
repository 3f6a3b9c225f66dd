//! The log of changes of the job's status.

use reflow_coordination::scheduler::{JobStatus, Takeover, View};

/// The last logged values.
pub(super) struct ChangeLog {
    status: JobStatus,
    warnings: usize,
    damaged_checkpoints: usize,
    takeover: Option<Takeover>,
}

impl ChangeLog {
    pub(super) fn new() -> Self {
        Self { status: JobStatus::Initializing, warnings: 0, damaged_checkpoints: 0, takeover: None }
    }

    /// Logs what has changed since the last call.
    pub(super) fn log(&mut self, view: &View<'_>) {
        for warning in view.warnings.iter().skip(self.warnings) {
            tracing::warn!("{warning}");
        }
        for (checkpoint, damage) in view.checkpoints.rejected.iter().skip(self.damaged_checkpoints) {
            tracing::error!(%checkpoint, damage, "a checkpoint is damaged");
        }
        if let Some(Takeover::NewAttempt { former, reason }) =
            view.takeover.filter(|takeover| self.takeover.as_ref() != Some(*takeover))
        {
            tracing::warn!(attempt = %former, reason, "the attempt of the former JobManager cannot go on: the job restarts");
        }
        self.takeover = view.takeover.cloned();
        if view.status != self.status {
            tracing::info!(from = ?self.status, to = ?view.status, state = %view.state, "job status");
        }
        self.status = view.status;
        self.warnings = view.warnings.len();
        self.damaged_checkpoints = view.checkpoints.rejected.len();
    }
}
