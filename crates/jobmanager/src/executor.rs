//! The JobManager's record of an executor.

use reflow_env::ConnId;
use reflow_types::{Instant, TaskManagerId};
use std::time::Duration;

/// An executor.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    /// The TaskManager whose child it is.
    pub(crate) task_manager: TaskManagerId,
    pub(crate) slots: u32,
    /// The secret with which it authenticates: that of the leadership that has started it.
    pub(crate) token: u128,
    /// When its TaskManager was told to start it.
    pub(crate) started_at: Instant,
    pub(crate) stage: Stage,
    /// Its resident memory.
    pub(crate) memory_bytes: u64,
}

/// The stage of an executor.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// Its TaskManager was told to start it.
    Starting,
    /// A former leadership has started it. It has not registered with this one.
    Returning,
    /// It has registered.
    Registered {
        conn: ConnId,
        /// Where it listens for data connections.
        data_address: String,
        last_message_at: Instant,
    },
    /// Its connection has closed. If its process has ended as well, its TaskManager will soon report how.
    Disconnected { since: Instant, reason: String },
}

impl Executor {
    pub(crate) fn new(now: Instant, task_manager: TaskManagerId, slots: u32, token: u128) -> Self {
        Self { task_manager, slots, token, started_at: now, stage: Stage::Starting, memory_bytes: 0 }
    }

    /// An executor that a former leadership has started.
    pub(crate) fn returning(now: Instant, task_manager: TaskManagerId, slots: u32, token: u128) -> Self {
        Self { stage: Stage::Returning, ..Self::new(now, task_manager, slots, token) }
    }

    pub(crate) fn register(&mut self, now: Instant, conn: ConnId, data_address: String) {
        self.stage = Stage::Registered { conn, data_address, last_message_at: now };
    }

    pub(crate) fn disconnect(&mut self, now: Instant, reason: &str) {
        self.stage = Stage::Disconnected { since: now, reason: reason.to_owned() };
    }

    /// Whether it has registered, so that the scheduler knows it.
    pub(crate) fn has_registered(&self) -> bool {
        !matches!(self.stage, Stage::Starting | Stage::Returning)
    }

    /// Whether it runs a part of the job, or may run one that a former leadership has deployed.
    pub(crate) fn may_run_the_job(&self) -> bool {
        self.conn().is_some() || matches!(self.stage, Stage::Returning)
    }

    pub(crate) fn on_message(&mut self, now: Instant) {
        if let Stage::Registered { last_message_at, .. } = &mut self.stage {
            *last_message_at = now;
        }
    }

    /// The JobManager was paused, so the executor has not kept it waiting for that long.
    pub(crate) fn excuse(&mut self, pause: Duration) {
        if let Stage::Registered { last_message_at, .. } = &mut self.stage {
            *last_message_at = *last_message_at + pause;
        }
    }

    /// The reason for killing it when it is overdue.
    pub(crate) fn problem(&self) -> String {
        match &self.stage {
            Stage::Starting => "it did not register within taskmanager.registration.timeout".to_owned(),
            Stage::Returning => "it did not register with this JobManager".to_owned(),
            Stage::Registered { .. } => "no heartbeat within heartbeat.timeout".to_owned(),
            Stage::Disconnected { reason, .. } => {
                format!("its connection closed ({reason}), and its TaskManager does not report its end")
            }
        }
    }

    pub(crate) fn conn(&self) -> Option<ConnId> {
        if let Stage::Registered { conn, .. } = self.stage { Some(conn) } else { None }
    }

    pub(crate) fn data_address(&self) -> Option<&str> {
        if let Stage::Registered { data_address, .. } = &self.stage { Some(data_address) } else { None }
    }

    /// The time since its start.
    pub(crate) fn lifetime(&self, now: Instant) -> Duration {
        now.since(self.started_at)
    }
}
