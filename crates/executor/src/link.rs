//! The executor's connection to the JobManager.

use reflow_types::Instant;
use std::time::Duration;

pub(super) struct Link {
    pub(super) connected: bool,
    pub(super) registered: bool,
    pub(super) heartbeat_interval: Duration,
    pub(super) heartbeat_timeout: Duration,
    pub(super) next_heartbeat: Option<Instant>,
    /// When the last message of the JobManager arrived.
    pub(super) last_message_at: Instant,
}

impl Default for Link {
    /// The values until the JobManager has registered this executor.
    fn default() -> Self {
        Self {
            connected: false,
            registered: false,
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(60),
            next_heartbeat: None,
            last_message_at: Instant::default(),
        }
    }
}
