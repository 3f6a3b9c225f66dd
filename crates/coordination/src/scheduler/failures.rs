//! The failures of a job: its restart strategy and its exception history.

use super::settings::Settings;
use crate::exceptions::{Exception, History};
use crate::restart::{Cause, Restarts, Verdict};
use reflow_types::Instant;

pub(super) struct Failures {
    strategy: Restarts,
    history: History,
}

impl Failures {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            strategy: Restarts::new(settings.restart, settings.lost_executor, settings.restart_seed),
            history: History::new(settings.exception_history_size),
        }
    }

    /// Decides by the restart strategy.
    pub(super) fn decide(&mut self, now: Instant, cause: Cause) -> Verdict {
        self.strategy.on_failure(now, cause)
    }

    /// Records a failure.
    pub(super) fn record(&mut self, exception: Exception) {
        self.history.record(exception);
    }

    /// Records a failure that followed the previous one.
    pub(super) fn record_concurrent(&mut self, exception: Exception) {
        self.history.record_concurrent(exception);
    }

    /// Sets the message of the last failure, once its consequences are decided.
    pub(super) fn explain(&mut self, message: &str) {
        self.history.explain(message);
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }
}
