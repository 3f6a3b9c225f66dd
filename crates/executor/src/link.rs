//! The connection to the JobManager: registers, and looks for the next JobManager when the connection is lost.
//!
//! An executor that has never been registered has nothing to keep, so it does not look for another JobManager. One that has
//! follows leaderships in the order of their epochs only: it takes no message of a JobManager before that has said which
//! leadership it is.

use reflow_env::{ConnId, Output};
use reflow_protocol::control::FromExecutor;
use reflow_protocol::job_managers::{CONNECT_TIMEOUT, JobManagers};
use reflow_types::{Instant, LeaderEpoch};
use std::time::Duration;

/// The id of the first connection to a JobManager after the first one. Connections to other executors have lower ids.
const RECONNECTED: u64 = 1 << 40;
/// The time limit for a registration, after the first one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The state of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Down {
        retry_at: Instant,
    },
    Connecting,
    /// The connection is established, and the executor has not registered.
    Connected,
    /// The registration is not answered yet.
    Registering,
    Registered,
}

/// What follows the loss of a connection.
pub(super) enum Lost {
    /// The executor ends, because it has nothing to keep.
    End,
    /// It looks for another JobManager.
    LookForAnother,
}

/// The connection to the JobManager.
pub(super) struct Link {
    stage: Stage,
    conn: ConnId,
    /// The leadership with which it was registered last.
    followed: Option<LeaderEpoch>,
    heartbeat_interval: Duration,
    heartbeat_timeout: Duration,
    next_heartbeat: Option<Instant>,
    /// When the last message of the JobManager arrived.
    last_message_at: Instant,
    /// Since when it has had no JobManager.
    alone_since: Option<Instant>,
    /// How long it may have none.
    adoption_timeout: Duration,
    /// Where JobManagers listen.
    job_managers: JobManagers,
}

impl Link {
    pub(super) fn new(adoption_timeout: Duration, job_managers: JobManagers) -> Self {
        Self {
            stage: Stage::Connecting,
            conn: ConnId(0),
            followed: None,
            // The values until the JobManager has registered this executor.
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(60),
            next_heartbeat: None,
            last_message_at: Instant::default(),
            alone_since: None,
            adoption_timeout,
            job_managers,
        }
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, now: Instant, out: &mut Vec<Output>) {
        (self.stage, self.last_message_at) = (Stage::Connecting, now);
        let address = self.job_managers.current().to_owned();
        out.push(Output::Connect { conn: self.conn, address });
    }

    /// Whether this is the current connection.
    pub(super) fn is(&self, conn: ConnId) -> bool {
        self.conn == conn && !matches!(self.stage, Stage::Down { .. })
    }

    pub(super) fn connected(&mut self, now: Instant) {
        (self.stage, self.last_message_at) = (Stage::Connected, now);
    }

    /// Whether the executor has to register now. It then counts as registering.
    pub(super) fn begin_registration(&mut self) -> Option<ConnId> {
        (self.stage == Stage::Connected).then(|| {
            self.stage = Stage::Registering;
            self.conn
        })
    }

    /// Whether the registration is not answered yet.
    pub(super) fn is_registering(&self) -> bool {
        self.stage == Stage::Registering
    }

    /// The leadership with which it was registered last.
    pub(super) fn followed(&self) -> Option<LeaderEpoch> {
        self.followed
    }

    pub(super) fn is_registered(&self) -> bool {
        self.stage == Stage::Registered
    }

    /// The connection, if the executor is registered.
    pub(super) fn registered_conn(&self) -> Option<ConnId> {
        self.is_registered().then_some(self.conn)
    }

    /// A leadership has registered the executor. Returns whether the executor follows it: not if it has followed a later
    /// one.
    pub(super) fn registered(
        &mut self,
        now: Instant,
        epoch: LeaderEpoch,
        (interval, timeout): (Duration, Duration),
    ) -> bool {
        if self.followed > Some(epoch) {
            return false;
        }
        self.stage = Stage::Registered;
        self.followed = Some(epoch);
        (self.heartbeat_interval, self.heartbeat_timeout) = (interval, timeout);
        self.next_heartbeat = Some(now);
        self.alone_since = None;
        self.job_managers.reached();
        true
    }

    /// Notes the arrival of a message.
    pub(super) fn message_received(&mut self, now: Instant) {
        self.last_message_at = now;
    }

    /// This process was paused, so the JobManager has not kept it waiting for that long.
    pub(super) fn excuse(&mut self, pause: Duration) {
        self.last_message_at = self.last_message_at + pause;
    }

    /// Sends a message, if the executor is registered.
    pub(super) fn send(&self, out: &mut Vec<Output>, message: &FromExecutor) {
        if self.is_registered() {
            out.push(Output::Send { conn: self.conn, frame: reflow_protocol::encode(message) });
        }
    }

    /// Handles the loss of the connection, or a failed attempt. It is closed.
    pub(super) fn lost(&mut self, now: Instant, out: &mut Vec<Output>) -> Lost {
        if self.followed.is_none() || self.adoption_timeout.is_zero() {
            return Lost::End;
        }
        if !matches!(self.stage, Stage::Down { .. }) {
            out.push(Output::Close { conn: self.conn });
        }
        let alone = now.since(*self.alone_since.get_or_insert(now));
        self.stage = Stage::Down { retry_at: now + self.job_managers.try_next(alone) };
        self.next_heartbeat = None;
        Lost::LookForAnother
    }

    /// Whether the executor has had no JobManager for too long.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        self.alone_since.is_some_and(|since| now >= since + self.adoption_timeout)
    }

    pub(super) fn adoption_timeout(&self) -> Duration {
        self.adoption_timeout
    }

    /// How long the JobManager has been silent, if that is too long.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let silence = now.since(self.last_message_at);
        (self.answer_due().is_some_and(|due| now >= due)).then_some(silence)
    }

    fn answer_due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Down { .. } => None,
            Stage::Registered => Some(self.last_message_at + self.heartbeat_timeout),
            _ if self.followed.is_none() => Some(self.last_message_at + self.heartbeat_timeout),
            Stage::Connecting => Some(self.last_message_at + CONNECT_TIMEOUT),
            _ => Some(self.last_message_at + ANSWER_TIMEOUT),
        }
    }

    /// Whether to connect again now. The next connection then has another id.
    pub(super) fn begin_retry(&mut self, now: Instant) -> bool {
        let due = matches!(self.stage, Stage::Down { retry_at } if now >= retry_at);
        if due {
            self.conn = ConnId(self.conn.0.max(RECONNECTED) + 1);
        }
        due
    }

    /// Whether a heartbeat is due. It then counts as sent.
    pub(super) fn begin_heartbeat(&mut self, now: Instant) -> bool {
        let due = self.next_heartbeat.is_some_and(|due| now >= due);
        if due {
            self.next_heartbeat = Some(now + self.heartbeat_interval);
        }
        due
    }

    /// When the next action is due.
    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let retry = if let Stage::Down { retry_at } = self.stage { Some(retry_at) } else { None };
        let abandoned = self.alone_since.map(|since| since + self.adoption_timeout);
        [retry, abandoned, self.answer_due(), self.next_heartbeat].into_iter().flatten().min()
    }
}

/// Whether a connection of an executor leads to a JobManager.
#[must_use]
pub fn is_to_job_manager(conn: ConnId) -> bool {
    conn.0 == 0 || (RECONNECTED..ConnId::ACCEPTED).contains(&conn.0)
}
