//! The connection to the JobManager: connects, registers, sends heartbeats, and reconnects.

use reflow_env::ConnId;
use reflow_protocol::job_managers::CONNECT_TIMEOUT;
use reflow_types::Instant;
use std::time::Duration;

/// The time limit for a registration.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two warnings that no JobManager can be reached.
const WARN_EVERY: Duration = Duration::from_secs(5);

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no connection. The next attempt is at `retry_at`.
    Down { retry_at: Instant },
    /// The connection is being established.
    Connecting { conn: ConnId, since: Instant },
    /// The connection is established, and the registration is not answered yet.
    Registering { conn: ConnId, since: Instant },
    /// The TaskManager is registered.
    Up { conn: ConnId, received_at: Instant, heartbeat_at: Instant, interval: Duration, timeout: Duration },
}

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Connect,
    Heartbeat(ConnId),
    /// Close the connection, because the JobManager has been silent for too long.
    Lost(&'static str),
    /// Exit, because no JobManager was reached for too long.
    GiveUp,
}

/// The connection, and since when there has been none.
pub(super) struct Link {
    pub(super) stage: Stage,
    give_up_after: Duration,
    /// When the TaskManager started or lost its registration.
    alone_since: Instant,
    warned_at: Option<Instant>,
    /// The outcome of the last attempt.
    pub(super) last_problem: String,
}

impl Link {
    pub(super) fn new(give_up_after: Duration) -> Self {
        Self {
            stage: Stage::Down { retry_at: Instant(0) },
            give_up_after,
            alone_since: Instant(0),
            warned_at: None,
            last_problem: "not tried yet".to_owned(),
        }
    }

    /// Starts the link. The first attempt is due at once.
    pub(super) fn start(&mut self, now: Instant) {
        self.alone_since = now;
        self.stage = Stage::Down { retry_at: now };
    }

    pub(super) fn conn(&self) -> Option<ConnId> {
        match self.stage {
            Stage::Down { .. } => None,
            Stage::Connecting { conn, .. } | Stage::Registering { conn, .. } | Stage::Up { conn, .. } => {
                Some(conn)
            }
        }
    }

    /// The connection, if the TaskManager is registered.
    pub(super) fn registered(&self) -> Option<ConnId> {
        if let Stage::Up { conn, .. } = self.stage { Some(conn) } else { None }
    }

    pub(super) fn up(&mut self, now: Instant, conn: ConnId, interval: Duration, timeout: Duration) {
        self.stage = Stage::Up { conn, received_at: now, heartbeat_at: now + interval, interval, timeout };
        self.warned_at = None;
    }

    /// Notes the arrival of a message.
    pub(super) fn message_received(&mut self, now: Instant) {
        if let Stage::Up { received_at, .. } = &mut self.stage {
            *received_at = now;
        }
    }

    /// The time between two heartbeats, if the TaskManager is registered.
    pub(super) fn interval(&self) -> Option<Duration> {
        if let Stage::Up { interval, .. } = self.stage { Some(interval) } else { None }
    }

    /// This process was paused, so the JobManager has not kept it waiting for that long.
    pub(super) fn excuse(&mut self, pause: Duration) {
        if let Stage::Up { received_at, .. } = &mut self.stage {
            *received_at = *received_at + pause;
        }
    }

    /// How long there has been no JobManager.
    pub(super) fn alone(&self, now: Instant) -> Duration {
        if self.registered().is_some() { Duration::ZERO } else { now.since(self.alone_since) }
    }

    /// Handles the loss of the connection, or a failed attempt. The next one follows after a pause. Returns whether to log a
    /// warning.
    pub(super) fn down(&mut self, now: Instant, pause: Duration, problem: &str) -> bool {
        let was_up = self.registered().is_some();
        if was_up {
            self.alone_since = now;
        }
        self.stage = Stage::Down { retry_at: now + pause };
        self.last_problem = problem.to_owned();
        let warn = was_up || self.warned_at.is_none_or(|at| now.since(at) >= WARN_EVERY);
        if warn {
            self.warned_at = Some(now);
        }
        warn
    }

    /// The action that is due now, if any. A heartbeat that is returned counts as sent.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if self.registered().is_none() && now >= self.alone_since + self.give_up_after {
            return Some(Due::GiveUp);
        }
        match &mut self.stage {
            Stage::Down { retry_at } => (now >= *retry_at).then_some(Due::Connect),
            Stage::Connecting { since, .. } => {
                (now >= *since + CONNECT_TIMEOUT).then_some(Due::Lost("it cannot be reached in time"))
            }
            Stage::Registering { since, .. } => {
                (now >= *since + ANSWER_TIMEOUT).then_some(Due::Lost("no answer in 10 s"))
            }
            Stage::Up { received_at, timeout, .. } if now >= *received_at + *timeout => {
                Some(Due::Lost("no heartbeat within heartbeat.timeout"))
            }
            Stage::Up { conn, heartbeat_at, interval, .. } => (now >= *heartbeat_at).then(|| {
                *heartbeat_at = now + *interval;
                Due::Heartbeat(*conn)
            }),
        }
    }

    /// When the next action is due.
    pub(super) fn next_wakeup(&self) -> Instant {
        let give_up_at = self.alone_since + self.give_up_after;
        match self.stage {
            Stage::Down { retry_at } => retry_at.min(give_up_at),
            Stage::Connecting { since, .. } => (since + CONNECT_TIMEOUT).min(give_up_at),
            Stage::Registering { since, .. } => (since + ANSWER_TIMEOUT).min(give_up_at),
            Stage::Up { received_at, heartbeat_at, timeout, .. } => heartbeat_at.min(received_at + timeout),
        }
    }
}
