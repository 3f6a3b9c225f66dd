//! The members of the cluster: TaskManagers, their executors, and peers that have connected and not registered yet.
//!
//! Each TaskManager that registers gets one executor of the job, and another one when that executor is gone.
//! [`Members`] checks each message against the member that sends it, and passes it on as a [`MemberEvent`]. It
//! closes a connection that violates the protocol, and logs the reason.

mod commands;
mod inquiries;
mod settings;
mod violation;

pub(crate) use settings::MemberSettings;

use crate::executor::{Executor, Stage};
use crate::ids::Ids;
use crate::task_manager::TaskManager;
use bytes::Bytes;
use inquiries::Inquiries;
use reflow_coordination::event::Event;
use reflow_env::{ConnId, Output};
use reflow_protocol::ProtocolError;
use reflow_protocol::control::{FromExecutor, FromTaskManager, SubtaskMetrics, ToExecutor, ToTaskManager};
use reflow_protocol::deployment::StartExecutor;
use reflow_protocol::failure::Failure;
use reflow_protocol::hello::Hello;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, Instant, TaskManagerId};
use std::collections::BTreeMap;
use std::time::Duration;
use violation::ProtocolViolation;

/// How long a new connection may take to register.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);
/// The most connections that are open at a time: three for each of some thousand TaskManagers.
const MAX_CONNECTIONS: usize = 16_384;
/// How long an executor that a former leadership has started may take to register. It tries each second, and a try may
/// take ten.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long after an executor's connection has closed its TaskManager may take to report how the process ended.
const EXIT_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// A message of a member for other parts of the JobManager, or a change of the member.
#[derive(Debug, PartialEq)]
pub(crate) enum MemberEvent {
    /// For the scheduler.
    Job(Event),
    /// Metrics of subtasks.
    Metrics(Vec<SubtaskMetrics>),
}

/// The process at the other end of a connection.
enum Peer {
    /// It has not sent its hello.
    Unidentified {
        since: Instant,
    },
    /// It has sent its hello and not registered.
    Identified {
        hello: Hello,
        since: Instant,
    },
    TaskManager(TaskManagerId),
    Executor(ExecutorId),
}

/// The members and their connections.
///
/// # Invariants
/// - A TaskManager in `task_managers` has a connection that is [`Peer::TaskManager`] of its id; a registered
///   executor has one that is [`Peer::Executor`].
/// - An executor belongs to a TaskManager that is there and that names it as its own.
/// - The scheduler knows exactly the executors that are registered.
pub(crate) struct Members {
    settings: MemberSettings,
    peers: BTreeMap<ConnId, Peer>,
    task_managers: BTreeMap<TaskManagerId, TaskManager>,
    executors: BTreeMap<ExecutorId, Executor>,
    /// The source of ids for executors that are started.
    ids: Ids,
    inquiries: Inquiries,
    events: Vec<MemberEvent>,
}

impl Members {
    pub(crate) fn new(settings: MemberSettings, ids: Ids) -> Self {
        let (peers, task_managers, executors) = Default::default();
        let inquiries = Inquiries::default();
        Self { settings, peers, task_managers, executors, ids, inquiries, events: Vec::new() }
    }

    /// The TaskManagers in the order in which they are shown.
    pub(crate) fn task_managers(&self) -> impl Iterator<Item = (TaskManagerId, &TaskManager)> {
        self.task_managers.iter().map(|(id, task_manager)| (*id, task_manager))
    }

    pub(crate) fn executor(&self, id: ExecutorId) -> Option<&Executor> {
        self.executors.get(&id)
    }

    /// Events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<MemberEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn accepted(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        if self.peers.len() >= MAX_CONNECTIONS {
            tracing::warn!("{MAX_CONNECTIONS} connections are open: a further one is rejected");
            out.push(Output::Close { conn });
        } else {
            self.peers.insert(conn, Peer::Unidentified { since: now });
        }
    }

    pub(crate) fn received(&mut self, now: Instant, conn: ConnId, frame: &Bytes, out: &mut Vec<Output>) {
        let result = match self.peers.get(&conn) {
            None => return,
            Some(Peer::Unidentified { .. }) => self.identify(now, conn, frame),
            Some(Peer::Identified { hello: Hello::TaskManager { id }, .. }) => {
                self.register_task_manager(now, conn, *id, frame, out)
            }
            Some(Peer::Identified { hello: Hello::Executor { id, .. }, .. }) => {
                self.register_executor(now, conn, *id, frame, out)
            }
            Some(Peer::Identified { hello: Hello::Receiver { .. } | Hello::NewOwner { .. }, .. }) => {
                Err(ProtocolViolation::Receiver)
            }
            Some(Peer::TaskManager(id)) => self.on_task_manager_message(now, *id, frame, out),
            Some(Peer::Executor(id)) => self.on_executor_message(now, conn, *id, frame, out),
        };
        if let Err(violation) = result {
            self.reject(now, conn, &violation, out);
        }
    }

    pub(crate) fn closed(&mut self, now: Instant, conn: ConnId, reason: &str, out: &mut Vec<Output>) {
        match self.peers.remove(&conn) {
            None | Some(Peer::Unidentified { .. } | Peer::Identified { .. }) => {}
            Some(Peer::TaskManager(id)) => self.lose_task_manager(id, reason, out),
            // Only its TaskManager knows whether the process is gone, and how it ended.
            Some(Peer::Executor(id)) => {
                if let Some(executor) = self.executors.get_mut(&id) {
                    executor.disconnect(now, reason);
                }
            }
        }
    }

    /// This process was paused, so nobody has kept it waiting for that long.
    pub(crate) fn excuse(&mut self, pause: Duration) {
        for peer in self.peers.values_mut() {
            if let Peer::Unidentified { since } | Peer::Identified { since, .. } = peer {
                *since = *since + pause;
            }
        }
        for task_manager in self.task_managers.values_mut() {
            task_manager.last_message_at = task_manager.last_message_at + pause;
        }
        self.executors.values_mut().for_each(|executor| executor.excuse(pause));
    }

    /// The peer of a connection has given no sign of life. An executor that hangs is stopped at once: its TaskManager would
    /// wait in vain for its end. A TaskManager is lost when its connection closes, which follows.
    pub(crate) fn silent(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        if let Some(Peer::Executor(id)) = self.peers.get(&conn) {
            self.stop_executor(now, *id, "no sign of life within heartbeat.silence-timeout", out);
        }
    }

    /// Removes members that have been silent for too long, and starts executors that are due.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        let late = |since: &Instant| now >= *since + REGISTRATION_TIMEOUT;
        let unregistered = self.peers.iter().filter(|(_, peer)| match peer {
            Peer::Unidentified { since } | Peer::Identified { since, .. } => late(since),
            _ => false,
        });
        for conn in unregistered.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            let violation = ProtocolViolation::Refused("it did not register within 10 s".to_owned());
            self.reject(now, conn, &violation, out);
        }
        let timeout = self.settings.heartbeat_timeout;
        let silent = self.task_managers.iter().filter(|(_, tm)| now >= tm.last_message_at + timeout);
        for (id, conn) in silent.map(|(id, tm)| (*id, tm.conn)).collect::<Vec<_>>() {
            self.close(conn, out);
            self.lose_task_manager(id, "no heartbeat within heartbeat.timeout", out);
        }
        for (id, problem) in self.overdue_executors(now) {
            self.stop_executor(now, id, &problem, out);
        }
        let due = self.task_managers.iter().filter(|(_, tm)| tm.start_at.is_some_and(|at| at <= now));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.start_executor(now, id, out);
        }
    }

    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let peers = self.peers.values().filter_map(|peer| match peer {
            Peer::Unidentified { since } | Peer::Identified { since, .. } => {
                Some(*since + REGISTRATION_TIMEOUT)
            }
            _ => None,
        });
        let timeout = self.settings.heartbeat_timeout;
        let task_managers = self
            .task_managers
            .values()
            .flat_map(|tm| [Some(tm.last_message_at + timeout), tm.start_at])
            .flatten();
        let executors = self.executors.values().map(|executor| self.deadline(executor));
        peers.chain(task_managers).chain(executors).min()
    }

    /// Sends a message to an executor. Returns whether that is registered.
    pub(crate) fn send(&self, executor: ExecutorId, message: &ToExecutor, out: &mut Vec<Output>) -> bool {
        let conn = self.executors.get(&executor).and_then(Executor::conn);
        out.extend(conn.map(|conn| Output::Send { conn, frame: reflow_protocol::encode(message) }));
        conn.is_some()
    }

    /// Stops an executor's process. Its TaskManager gets another one.
    pub(crate) fn stop_executor(
        &mut self,
        now: Instant,
        id: ExecutorId,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(executor) = self.executors.get(&id) {
            self.send_to_task_manager(
                executor.task_manager,
                &ToTaskManager::StopExecutor { executor: id },
                out,
            );
            self.executor_gone(now, id, reason, out);
        }
    }

    /// Allows the TaskManager of an executor that the job does not use any more to end.
    pub(crate) fn release(&mut self, id: ExecutorId, out: &mut Vec<Output>) {
        if let Some(executor) = self.executors.get(&id) {
            tracing::info!(task_manager = %executor.task_manager, "the job has left the TaskManager");
            self.send_to_task_manager(executor.task_manager, &ToTaskManager::Release, out);
        }
    }

    /// Stops all executors, because the job has ended. TaskManagers stay.
    pub(crate) fn stop_all(&mut self, out: &mut Vec<Output>) {
        for (id, executor) in std::mem::take(&mut self.executors) {
            self.send_to_task_manager(
                executor.task_manager,
                &ToTaskManager::StopExecutor { executor: id },
                out,
            );
            if let Some(conn) = executor.conn() {
                self.close(conn, out);
            }
        }
        self.inquiries = Inquiries::default(); // their answers would not be taken any more
        for task_manager in self.task_managers.values_mut() {
            task_manager.executor = None;
            task_manager.start_at = None;
        }
    }

    /// Whether no TaskManager and no executor is connected.
    pub(crate) fn is_alone(&self) -> bool {
        self.peers.is_empty()
    }

    fn identify(&mut self, now: Instant, conn: ConnId, frame: &[u8]) -> Result<(), ProtocolViolation> {
        let hello = Hello::decode(frame)?;
        if let Hello::Executor { id, job, token } = &hello {
            // A later leader may have given it another token. It is not this one's, and must not end because of it.
            let executor = self.executors.get(id).filter(|executor| executor.token == *token);
            if executor.is_none() && *job == self.settings.job {
                return Err(ProtocolViolation::UnknownExecutor(*id));
            }
            let expected = executor.is_some_and(|executor| !executor.has_registered());
            if *job != self.settings.job || !expected {
                let reason = format!("executor {id} of job {job} was not started by this JobManager");
                return Err(ProtocolViolation::Refused(reason));
            }
        }
        self.peers.insert(conn, Peer::Identified { hello, since: now });
        Ok(())
    }

    fn register_task_manager(
        &mut self,
        now: Instant,
        conn: ConnId,
        identified: TaskManagerId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), ProtocolViolation> {
        let message: FromTaskManager = reflow_protocol::decode(frame)?;
        let FromTaskManager::Register { id, host, slots, release, target, pid, hardware, executors } =
            message
        else {
            return Err(ProtocolViolation::Refused("it did not register first".to_owned()));
        };
        if id != identified {
            return Err(ProtocolViolation::Inconsistent);
        }
        self.settings.check_task_manager(slots, &release, &target)?;
        if let Some(former) = self.task_managers.get(&id).map(|tm| tm.conn) {
            self.close(former, out);
            self.lose_task_manager(id, "it has registered again", out);
        }
        tracing::info!(%id, host, slots, pid, "a TaskManager has registered");
        self.peers.insert(conn, Peer::TaskManager(id));
        self.task_managers.insert(id, TaskManager::new(now, conn, host, slots, hardware));
        let MemberSettings { heartbeat_interval, heartbeat_timeout, job, epoch, .. } = self.settings;
        let storage = self.settings.storage_proof(id);
        let registered =
            ToTaskManager::Registered { heartbeat_interval, heartbeat_timeout, storage, job, epoch };
        self.send_to_task_manager(id, &registered, out);
        self.keep_executors(now, id, executors, out);
        self.start_executor(now, id, out);
        Ok(())
    }

    /// A TaskManager has registered with executors that former leaderships have started. One that runs this job is kept: it
    /// will register, too.
    fn keep_executors(
        &mut self,
        now: Instant,
        id: TaskManagerId,
        executors: Vec<StartExecutor>,
        out: &mut Vec<Output>,
    ) {
        for start in executors {
            let Some(task_manager) = self.task_managers.get_mut(&id) else { return };
            let (executor, slots) = (start.executor, task_manager.slots);
            if task_manager.executor.is_none() && self.settings.is_ours(&start, slots) {
                task_manager.executor = Some(executor);
                self.executors.insert(executor, Executor::returning(now, id, slots, start.token));
            } else {
                self.send_to_task_manager(id, &ToTaskManager::StopExecutor { executor }, out);
            }
        }
    }

    fn register_executor(
        &mut self,
        now: Instant,
        conn: ConnId,
        identified: ExecutorId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), ProtocolViolation> {
        let message: FromExecutor = reflow_protocol::decode(frame)?;
        let FromExecutor::Register { id, data_address, fingerprint, pid, followed, attempt } = message else {
            return Err(ProtocolViolation::Refused("it did not register first".to_owned()));
        };
        if id != identified {
            return Err(ProtocolViolation::Inconsistent);
        }
        self.settings.check_fingerprint(fingerprint)?;
        let epoch = self.settings.epoch;
        if followed > Some(epoch) {
            return Err(ProtocolViolation::UnknownExecutor(id)); // it belongs to a later leader
        }
        if followed == Some(epoch) {
            // What was sent to it and by it meanwhile is lost.
            return Err(ProtocolViolation::Refused(format!("executor {id} has lost its connection")));
        }
        let Some(executor) = self.executors.get_mut(&id).filter(|executor| !executor.has_registered()) else {
            return Err(ProtocolViolation::Refused(format!("executor {id} has been given up")));
        };
        executor.register(now, conn, data_address);
        let (task_manager, slots) = (executor.task_manager, executor.slots);
        self.peers.insert(conn, Peer::Executor(id));
        tracing::info!(executor = %id, %task_manager, slots, pid, "an executor has registered");
        let (heartbeat_interval, heartbeat_timeout) =
            (self.settings.heartbeat_interval, self.settings.heartbeat_timeout);
        let token = self.settings.token;
        self.send(id, &ToExecutor::Registered { heartbeat_interval, heartbeat_timeout, epoch, token }, out);
        // Before it is added, so that its slots are not used for another attempt.
        let reported = attempt.map(|report| Event::AttemptReported { executor: id, report });
        self.events.extend(reported.map(MemberEvent::Job));
        self.events.push(MemberEvent::Job(Event::ExecutorAdded { executor: id, task_manager, slots }));
        if self.task_managers.get(&task_manager).is_some_and(|tm| tm.draining) {
            self.events.push(MemberEvent::Job(Event::ExecutorDraining { executor: id }));
        }
        Ok(())
    }

    fn on_task_manager_message(
        &mut self,
        now: Instant,
        id: TaskManagerId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), ProtocolViolation> {
        let message: FromTaskManager = reflow_protocol::decode(frame)?;
        let task_manager =
            self.task_managers.get_mut(&id).expect("a peer that is a TaskManager is registered");
        task_manager.last_message_at = now;
        match message {
            FromTaskManager::Register { .. } => return Err(ProtocolViolation::RegisteredTwice),
            FromTaskManager::Heartbeat { memory_bytes } => {
                task_manager.memory_bytes = memory_bytes;
                self.send_to_task_manager(id, &ToTaskManager::Heartbeat, out);
            }
            FromTaskManager::ExecutorExited { executor, reason } => {
                if task_manager.executor == Some(executor) {
                    self.executor_gone(now, executor, &reason, out);
                }
            }
            FromTaskManager::StorageUnseen { reason } => {
                let host = &task_manager.host;
                tracing::error!(
                    %id, host, "a TaskManager does not see the storage of the job's checkpoints and ends: {reason}"
                );
            }
            FromTaskManager::Draining => self.drain(id, out),
            FromTaskManager::Inspected { number, inspection } => {
                self.inquiries.answer(id, number, inspection);
            }
        }
        Ok(())
    }

    fn on_executor_message(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: ExecutorId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), ProtocolViolation> {
        let message: FromExecutor = reflow_protocol::decode(frame)?;
        let executor = self.executors.get_mut(&id).expect("a peer that is an executor is registered");
        executor.on_message(now);
        let event = match message {
            FromExecutor::Register { .. } => return Err(ProtocolViolation::RegisteredTwice),
            FromExecutor::Heartbeat { memory_bytes, subtasks } => {
                executor.memory_bytes = memory_bytes;
                out.push(Output::Send { conn, frame: reflow_protocol::encode(&ToExecutor::Heartbeat) });
                self.events.push(MemberEvent::Metrics(subtasks));
                return Ok(());
            }
            FromExecutor::SubtaskReport(report) => {
                log_report(&report);
                Event::SubtaskReported(report)
            }
            FromExecutor::Report(report) => Event::ExecutorReported { executor: id, report },
        };
        self.events.push(MemberEvent::Job(event));
        Ok(())
    }

    fn start_executor(&mut self, now: Instant, id: TaskManagerId, out: &mut Vec<Output>) {
        let task_manager =
            self.task_managers.get_mut(&id).expect("only a TaskManager that is there gets one");
        task_manager.start_at = None;
        if task_manager.draining || task_manager.executor.is_some() {
            return;
        }
        let executor = ExecutorId(self.ids.next());
        task_manager.executor = Some(executor);
        let token = self.settings.token;
        self.executors.insert(executor, Executor::new(now, id, task_manager.slots, token));
        let start = self.settings.start_executor(executor, task_manager.slots);
        self.send_to_task_manager(id, &ToTaskManager::StartExecutor(start), out);
    }

    /// Removes an executor that is gone. Its TaskManager gets another one, unless it is gone too or is being
    /// drained.
    fn executor_gone(&mut self, now: Instant, id: ExecutorId, reason: &str, out: &mut Vec<Output>) {
        let Some(executor) = self.executors.remove(&id) else { return };
        if let Some(conn) = executor.conn() {
            self.close(conn, out);
        }
        if executor.has_registered() {
            let reason = reason.to_owned();
            self.events.push(MemberEvent::Job(Event::ExecutorLost { executor: id, reason }));
        }
        let task_manager = executor.task_manager;
        let Some(owner) = self.task_managers.get_mut(&task_manager) else { return };
        owner.executor = None;
        if owner.draining {
            return self.send_to_task_manager(task_manager, &ToTaskManager::Release, out);
        }
        let delay = owner.restart_delay(executor.lifetime(now));
        owner.start_at = Some(now + delay);
        if delay.is_zero() {
            tracing::warn!(executor = %id, %task_manager, reason, "an executor is gone, starting another");
            self.start_executor(now, task_manager, out);
        } else {
            let seconds = delay.as_secs_f64();
            tracing::warn!(
                executor = %id, %task_manager, reason,
                "executors of this TaskManager end soon after their start: it is not eligible for {seconds} s"
            );
        }
    }

    fn lose_task_manager(&mut self, id: TaskManagerId, reason: &str, out: &mut Vec<Output>) {
        let Some(task_manager) = self.task_managers.remove(&id) else { return };
        tracing::warn!(%id, host = task_manager.host, reason, "a TaskManager is gone");
        self.inquiries.fail(id, reason);
        let Some(executor) = task_manager.executor else { return };
        let Some(gone) = self.executors.remove(&executor).filter(Executor::has_registered) else { return };
        if let Some(conn) = gone.conn() {
            self.close(conn, out);
        }
        let reason = format!("its TaskManager {id} on {} is gone: {reason}", task_manager.host);
        self.events.push(MemberEvent::Job(Event::ExecutorLost { executor, reason }));
    }

    fn overdue_executors(&self, now: Instant) -> Vec<(ExecutorId, String)> {
        let overdue = self.executors.iter().filter(|(_, executor)| now >= self.deadline(executor));
        overdue.map(|(id, executor)| (*id, executor.problem())).collect()
    }

    fn deadline(&self, executor: &Executor) -> Instant {
        match executor.stage {
            Stage::Starting => executor.started_at + self.settings.executor_start_timeout,
            Stage::Returning => executor.started_at + RETURN_TIMEOUT,
            Stage::Registered { last_message_at, .. } => last_message_at + self.settings.heartbeat_timeout,
            Stage::Disconnected { since, .. } => since + EXIT_REPORT_TIMEOUT,
        }
    }

    /// Closes a connection that violates the protocol. The peer gets the reason of a refusal, which has the same form for
    /// TaskManagers and executors in this protocol version and in all earlier ones.
    fn reject(&mut self, now: Instant, conn: ConnId, violation: &ProtocolViolation, out: &mut Vec<Output>) {
        tracing::warn!(conn = conn.0, reason = %violation, "a connection is closed");
        let is_sent = matches!(
            violation,
            ProtocolViolation::Refused(_) | ProtocolViolation::Protocol(ProtocolError::Version { .. })
        );
        if is_sent {
            let frame = reflow_protocol::encode(&ToTaskManager::Refused { reason: violation.to_string() });
            out.push(Output::Send { conn, frame });
        }
        let reason = violation.to_string();
        match self.peers.get(&conn) {
            Some(Peer::Executor(id)) => self.stop_executor(now, *id, &reason, out),
            _ => {
                out.push(Output::Close { conn });
                self.closed(now, conn, &reason, out);
            }
        }
    }

    fn close(&mut self, conn: ConnId, out: &mut Vec<Output>) {
        if self.peers.remove(&conn).is_some() {
            out.push(Output::Close { conn });
        }
    }

    fn send_to_task_manager(&self, id: TaskManagerId, message: &ToTaskManager, out: &mut Vec<Output>) {
        if let Some(task_manager) = self.task_managers.get(&id) {
            let conn = task_manager.conn;
            out.push(Output::Send { conn, frame: reflow_protocol::encode(message) });
        }
    }
}

/// Logs the reports after which users look for a reason.
fn log_report(report: &SubtaskReport) {
    let SubtaskReport { attempt, subtask, event } = report;
    match event {
        SubtaskEvent::Failed(Failure { operator, message, .. }) => {
            tracing::warn!(%attempt, %subtask, operator, message, "failed");
        }
        SubtaskEvent::Declined { checkpoint, reason } => {
            tracing::warn!(%checkpoint, %subtask, reason, "a subtask cannot take part in a checkpoint");
        }
        _ => {}
    }
}
