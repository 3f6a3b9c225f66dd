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

    /// Asks the restart strategy what follows.
    pub(super) fn decide(&mut self, now: Instant, cause: Cause) -> Verdict {
        self.strategy.on_failure(now, cause)
    }

    /// Keeps a failure.
    pub(super) fn record(&mut self, exception: Exception) {
        self.history.record(exception);
    }

    /// Keeps a failure that came with the one before.
    pub(super) fn record_concurrent(&mut self, exception: Exception) {
        self.history.record_concurrent(exception);
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }
}
