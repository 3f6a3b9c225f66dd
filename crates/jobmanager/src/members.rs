//! Who belongs to the cluster: TaskManagers, their executors, and whoever has connected and not said who it is.
//!
//! Each TaskManager that registers gets one executor of the job, and another when that one is gone. What members
//! say is checked here, against who they are; what it means is for others ([`Said`]). A connection that says what
//! it may not say is closed, and the log says why.

use crate::executor::{Executor, Stage};
use crate::ids::Ids;
use crate::task_manager::TaskManager;
use bytes::Bytes;
use reflow_coordination::event::Event;
use reflow_env::{ConnId, Output};
use reflow_protocol::ProtocolError;
use reflow_protocol::control::{
    Failure, FromExecutor, FromTaskManager, StartExecutor, StorageProof, SubtaskMetrics, ToExecutor,
    ToTaskManager,
};
use reflow_protocol::hello::Hello;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, Instant, JobId, LeaderEpoch, TaskManagerId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a new connection may take to say who it is.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(10);
/// No more connections are held: three for each of some thousand TaskManagers.
const MAX_CONNECTIONS: usize = 16_384;
const MAX_SLOTS: u32 = 4_096;
/// How long after an executor's connection has closed its TaskManager may take to say how the process ended.
const EXIT_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// What members are measured by, and what executors are started with.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) job: JobId,
    pub(crate) executable: String,
    pub(crate) job_args: Vec<String>,
    /// The fingerprint of the job graph.
    pub(crate) fingerprint: u64,
    /// The SHA-256 of the executable.
    pub(crate) sha256: String,
    /// The platform that the executable runs on.
    pub(crate) target: String,
    pub(crate) epoch: LeaderEpoch,
    /// The file of this leadership's epoch, and what stands in it.
    pub(crate) written: String,
    pub(crate) record: Bytes,
    /// Where data objects of checkpoints are.
    pub(crate) data_dir: String,
    /// Opens this JobManager, and executors to each other.
    pub(crate) token: u128,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) executor_start_timeout: Duration,
}

/// What a member said, or what became of it.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// Something for the scheduler.
    Event(Event),
    /// Figures of subtasks.
    Metrics(Vec<SubtaskMetrics>),
    /// A TaskManager wants a part of the executable.
    Fetch { conn: ConnId, offset: u64 },
}

/// Who is at the other end of a connection.
enum Peer {
    /// It has not said so.
    Stranger {
        since: Instant,
    },
    /// It has, and has not registered.
    Introduced {
        hello: Hello,
        since: Instant,
    },
    TaskManager(TaskManagerId),
    Executor(ExecutorId),
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
enum Offense {
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("{0}")]
    Refused(String),
    #[error("it registered as another than it introduced itself")]
    Inconsistent,
    #[error("it registered twice")]
    RegisteredTwice,
    #[error("it is a task executor that wants records: those come from executors, not from the JobManager")]
    Receiver,
    #[error("it wants an executable that is not the job's ({0})")]
    UnknownArtifact(String),
}

/// The members and their connections.
///
/// # Invariants
/// - A TaskManager in `task_managers` has a connection that is [`Peer::TaskManager`] of its id; a registered
///   executor has one that is [`Peer::Executor`].
/// - An executor belongs to a TaskManager that is there and that names it as its own.
/// - The scheduler knows exactly the executors that are registered.
pub(crate) struct Members {
    terms: Terms,
    peers: BTreeMap<ConnId, Peer>,
    task_managers: BTreeMap<TaskManagerId, TaskManager>,
    executors: BTreeMap<ExecutorId, Executor>,
    /// For executors that are to be started.
    ids: Ids,
    said: Vec<Said>,
}

impl Members {
    pub(crate) fn new(terms: Terms, ids: Ids) -> Self {
        let (peers, task_managers, executors) = Default::default();
        Self { terms, peers, task_managers, executors, ids, said: Vec::new() }
    }

    /// In the order in which they are shown.
    pub(crate) fn task_managers(&self) -> impl Iterator<Item = (TaskManagerId, &TaskManager)> {
        self.task_managers.iter().map(|(id, task_manager)| (*id, task_manager))
    }

    pub(crate) fn executor(&self, id: ExecutorId) -> Option<&Executor> {
        self.executors.get(&id)
    }

    /// What was said since the last call.
    pub(crate) fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    pub(crate) fn accepted(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        if self.peers.len() >= MAX_CONNECTIONS {
            tracing::warn!("{MAX_CONNECTIONS} connections are open: a further one is turned away");
            out.push(Output::Close { conn });
        } else {
            self.peers.insert(conn, Peer::Stranger { since: now });
        }
    }

    pub(crate) fn received(&mut self, now: Instant, conn: ConnId, frame: &Bytes, out: &mut Vec<Output>) {
        let result = match self.peers.get(&conn) {
            None => return,
            Some(Peer::Stranger { .. }) => self.introduce(now, conn, frame),
            Some(Peer::Introduced { hello: Hello::TaskManager { id }, .. }) => {
                self.register_task_manager(now, conn, *id, frame, out)
            }
            Some(Peer::Introduced { hello: Hello::Executor { id, .. }, .. }) => {
                self.register_executor(now, conn, *id, frame, out)
            }
            Some(Peer::Introduced { hello: Hello::Receiver { .. } | Hello::Heir { .. }, .. }) => {
                Err(Offense::Receiver)
            }
            Some(Peer::TaskManager(id)) => self.task_manager_said(now, conn, *id, frame, out),
            Some(Peer::Executor(id)) => self.executor_said(now, conn, *id, frame, out),
        };
        if let Err(offense) = result {
            self.turn_away(now, conn, &offense, out);
        }
    }

    pub(crate) fn closed(&mut self, now: Instant, conn: ConnId, reason: &str, out: &mut Vec<Output>) {
        match self.peers.remove(&conn) {
            None | Some(Peer::Stranger { .. } | Peer::Introduced { .. }) => {}
            Some(Peer::TaskManager(id)) => self.lose_task_manager(id, reason, out),
            // Only its TaskManager knows whether the process is gone, and how it ended.
            Some(Peer::Executor(id)) => {
                if let Some(executor) = self.executors.get_mut(&id) {
                    executor.disconnect(now, reason);
                }
            }
        }
    }

    /// Gives up who is silent for too long, and starts executors that are due.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        let late = |since: &Instant| now >= *since + INTRODUCTION_TIMEOUT;
        let strangers = self.peers.iter().filter(|(_, peer)| match peer {
            Peer::Stranger { since } | Peer::Introduced { since, .. } => late(since),
            _ => false,
        });
        for conn in strangers.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            let offense = Offense::Refused("it did not register within 10 s".to_owned());
            self.turn_away(now, conn, &offense, out);
        }
        let timeout = self.terms.heartbeat_timeout;
        let silent = self.task_managers.iter().filter(|(_, tm)| now >= tm.heard_at + timeout);
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
            Peer::Stranger { since } | Peer::Introduced { since, .. } => Some(*since + INTRODUCTION_TIMEOUT),
            _ => None,
        });
        let timeout = self.terms.heartbeat_timeout;
        let task_managers =
            self.task_managers.values().flat_map(|tm| [Some(tm.heard_at + timeout), tm.start_at]).flatten();
        let executors = self.executors.values().map(|executor| self.deadline(executor));
        peers.chain(task_managers).chain(executors).min()
    }

    /// Sends a message to a registered executor. Says whether there is one.
    pub(crate) fn send(&self, executor: ExecutorId, message: &ToExecutor, out: &mut Vec<Output>) -> bool {
        let conn = self.executors.get(&executor).and_then(Executor::conn);
        out.extend(conn.map(|conn| Output::Send { conn, frame: reflow_protocol::encode(message) }));
        conn.is_some()
    }

    /// Ends an executor's process; its TaskManager gets another one.
    pub(crate) fn stop_executor(
        &mut self,
        now: Instant,
        id: ExecutorId,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        if let Some(executor) = self.executors.get(&id) {
            self.tell(executor.task_manager, &ToTaskManager::StopExecutor { executor: id }, out);
            self.executor_gone(now, id, reason, out);
        }
    }

    /// The job has left an executor: its TaskManager may end.
    pub(crate) fn release(&mut self, id: ExecutorId, out: &mut Vec<Output>) {
        if let Some(executor) = self.executors.get(&id) {
            tracing::info!(task_manager = %executor.task_manager, "the job has left the TaskManager");
            self.tell(executor.task_manager, &ToTaskManager::Release, out);
        }
    }

    /// The job is over: ends all executors. TaskManagers stay.
    pub(crate) fn stop_all(&mut self, out: &mut Vec<Output>) {
        for (id, executor) in std::mem::take(&mut self.executors) {
            self.tell(executor.task_manager, &ToTaskManager::StopExecutor { executor: id }, out);
            if let Some(conn) = executor.conn() {
                self.close(conn, out);
            }
        }
        for task_manager in self.task_managers.values_mut() {
            task_manager.executor = None;
            task_manager.start_at = None;
        }
    }

    fn introduce(&mut self, now: Instant, conn: ConnId, frame: &[u8]) -> Result<(), Offense> {
        let hello = Hello::decode(frame)?;
        if let Hello::Executor { id, job, token } = &hello {
            let expected =
                self.executors.get(id).is_some_and(|executor| matches!(executor.stage, Stage::Starting));
            if *job != self.terms.job || *token != self.terms.token || !expected {
                let reason = format!("executor {id} of job {job} was not started by this JobManager");
                return Err(Offense::Refused(reason));
            }
        }
        self.peers.insert(conn, Peer::Introduced { hello, since: now });
        Ok(())
    }

    fn register_task_manager(
        &mut self,
        now: Instant,
        conn: ConnId,
        introduced: TaskManagerId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Offense> {
        let message: FromTaskManager = reflow_protocol::decode(frame)?;
        let FromTaskManager::Register { id, host, slots, release, target, pid, hardware } = message else {
            return Err(Offense::Refused("it did not register first".to_owned()));
        };
        if id != introduced {
            return Err(Offense::Inconsistent);
        }
        self.check_task_manager(slots, &release, &target)?;
        if let Some(former) = self.task_managers.get(&id).map(|tm| tm.conn) {
            self.close(former, out);
            self.lose_task_manager(id, "it has registered again", out);
        }
        tracing::info!(%id, host, slots, pid, "a TaskManager has registered");
        self.peers.insert(conn, Peer::TaskManager(id));
        self.task_managers.insert(id, TaskManager::new(now, conn, host, slots, hardware));
        let Terms { heartbeat_interval, heartbeat_timeout, job, epoch, .. } = self.terms;
        let storage = StorageProof {
            written: self.terms.written.clone(),
            content: self.terms.record.clone(),
            creates: format!("{}/seen-by-{id}", self.terms.data_dir),
        };
        let registered =
            ToTaskManager::Registered { heartbeat_interval, heartbeat_timeout, storage, job, epoch };
        self.tell(id, &registered, out);
        self.start_executor(now, id, out);
        Ok(())
    }

    fn check_task_manager(&self, slots: u32, release: &str, target: &str) -> Result<(), Offense> {
        let (ours, platform) = (env!("CARGO_PKG_VERSION"), &self.terms.target);
        let problem = if release != ours {
            format!("it is of release {release}, the JobManager of {ours}: run the same release")
        } else if target != platform {
            format!("it runs on {target}, the job's executable on {platform}: build the job for its platform")
        } else if !(1..=MAX_SLOTS).contains(&slots) {
            format!("it offers {slots} slots: taskmanager.numberOfTaskSlots must be 1 to {MAX_SLOTS}")
        } else {
            return Ok(());
        };
        Err(Offense::Refused(problem))
    }

    fn register_executor(
        &mut self,
        now: Instant,
        conn: ConnId,
        introduced: ExecutorId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Offense> {
        let message: FromExecutor = reflow_protocol::decode(frame)?;
        let FromExecutor::Register { id, data_address, fingerprint, pid } = message else {
            return Err(Offense::Refused("it did not register first".to_owned()));
        };
        if id != introduced {
            return Err(Offense::Inconsistent);
        }
        if fingerprint != self.terms.fingerprint {
            let ours = self.terms.fingerprint;
            return Err(Offense::Refused(format!(
                "the executable builds another job graph there ({fingerprint:016x}) than here ({ours:016x}): the \
                 job function must depend on its arguments only, not on the machine's files, variables or time"
            )));
        }
        let Some(executor) = self.executors.get_mut(&id).filter(|executor| !executor.has_registered()) else {
            return Err(Offense::Refused(format!("executor {id} has been given up")));
        };
        executor.register(now, conn, data_address);
        let (task_manager, slots) = (executor.task_manager, executor.slots);
        self.peers.insert(conn, Peer::Executor(id));
        tracing::info!(executor = %id, %task_manager, slots, pid, "an executor has registered");
        let (heartbeat_interval, heartbeat_timeout) =
            (self.terms.heartbeat_interval, self.terms.heartbeat_timeout);
        self.send(id, &ToExecutor::Registered { heartbeat_interval, heartbeat_timeout }, out);
        self.said.push(Said::Event(Event::ExecutorAdded { executor: id, task_manager, slots }));
        if self.task_managers.get(&task_manager).is_some_and(|tm| tm.draining) {
            self.said.push(Said::Event(Event::ExecutorDraining { executor: id }));
        }
        Ok(())
    }

    fn task_manager_said(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: TaskManagerId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Offense> {
        let message: FromTaskManager = reflow_protocol::decode(frame)?;
        let task_manager =
            self.task_managers.get_mut(&id).expect("a peer that is a TaskManager is registered");
        task_manager.heard_at = now;
        match message {
            FromTaskManager::Register { .. } => return Err(Offense::RegisteredTwice),
            FromTaskManager::Heartbeat { memory_bytes } => {
                task_manager.memory_bytes = memory_bytes;
                self.tell(id, &ToTaskManager::Heartbeat, out);
            }
            FromTaskManager::FetchArtifact { sha256, offset } => {
                if sha256 != self.terms.sha256 {
                    return Err(Offense::UnknownArtifact(sha256));
                }
                self.said.push(Said::Fetch { conn, offset });
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
        }
        Ok(())
    }

    /// Tells a TaskManager to leave; says whether it is there. What it answers changes nothing any more.
    pub(crate) fn tell_to_leave(&mut self, id: TaskManagerId, out: &mut Vec<Output>) -> bool {
        let there = self.task_managers.contains_key(&id);
        if there {
            self.tell(id, &ToTaskManager::Drain, out);
            self.drain(id, out);
        }
        there
    }

    /// The job is asked to move off a TaskManager; one that it is not on may go at once.
    fn drain(&mut self, id: TaskManagerId, out: &mut Vec<Output>) {
        let Some(task_manager) = self.task_managers.get_mut(&id) else { return };
        if !task_manager.draining {
            tracing::info!(%id, "a TaskManager leaves");
        }
        task_manager.draining = true;
        task_manager.start_at = None;
        let registered = task_manager
            .executor
            .filter(|executor| self.executors.get(executor).is_some_and(|e| e.conn().is_some()));
        match registered {
            Some(executor) => self.said.push(Said::Event(Event::ExecutorDraining { executor })),
            None => self.tell(id, &ToTaskManager::Release, out),
        }
    }

    fn executor_said(
        &mut self,
        now: Instant,
        conn: ConnId,
        id: ExecutorId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Offense> {
        let message: FromExecutor = reflow_protocol::decode(frame)?;
        let executor = self.executors.get_mut(&id).expect("a peer that is an executor is registered");
        executor.heard(now);
        let event = match message {
            FromExecutor::Register { .. } => return Err(Offense::RegisteredTwice),
            FromExecutor::Heartbeat { memory_bytes, subtasks } => {
                executor.memory_bytes = memory_bytes;
                out.push(Output::Send { conn, frame: reflow_protocol::encode(&ToExecutor::Heartbeat) });
                self.said.push(Said::Metrics(subtasks));
                return Ok(());
            }
            FromExecutor::SubtaskReport(report) => {
                log_report(&report);
                Event::SubtaskReported(report)
            }
            FromExecutor::Report(report) => Event::ExecutorReported { executor: id, report },
        };
        self.said.push(Said::Event(event));
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
        self.executors.insert(executor, Executor::new(now, id, task_manager.slots));
        let start = StartExecutor {
            executor,
            job: self.terms.job,
            executable: self.terms.executable.clone(),
            sha256: self.terms.sha256.clone(),
            job_args: self.terms.job_args.clone(),
            token: self.terms.token,
            slots: task_manager.slots,
        };
        self.tell(id, &ToTaskManager::StartExecutor(start), out);
    }

    /// An executor is no more. Its TaskManager, if it lives and stays, gets another one.
    fn executor_gone(&mut self, now: Instant, id: ExecutorId, reason: &str, out: &mut Vec<Output>) {
        let Some(executor) = self.executors.remove(&id) else { return };
        if let Some(conn) = executor.conn() {
            self.close(conn, out);
        }
        if executor.has_registered() {
            let reason = reason.to_owned();
            self.said.push(Said::Event(Event::ExecutorLost { executor: id, reason }));
        }
        let task_manager = executor.task_manager;
        let Some(owner) = self.task_managers.get_mut(&task_manager) else { return };
        owner.executor = None;
        if owner.draining {
            return self.tell(task_manager, &ToTaskManager::Release, out);
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
        let Some(executor) = task_manager.executor else { return };
        let Some(gone) = self.executors.remove(&executor).filter(Executor::has_registered) else { return };
        if let Some(conn) = gone.conn() {
            self.close(conn, out);
        }
        let reason = format!("its TaskManager {id} on {} is gone: {reason}", task_manager.host);
        self.said.push(Said::Event(Event::ExecutorLost { executor, reason }));
    }

    fn overdue_executors(&self, now: Instant) -> Vec<(ExecutorId, String)> {
        let overdue = self.executors.iter().filter(|(_, executor)| now >= self.deadline(executor));
        overdue.map(|(id, executor)| (*id, executor.problem())).collect()
    }

    fn deadline(&self, executor: &Executor) -> Instant {
        match executor.stage {
            Stage::Starting => executor.started_at + self.terms.executor_start_timeout,
            Stage::Registered { heard_at, .. } => heard_at + self.terms.heartbeat_timeout,
            Stage::Disconnected { since, .. } => since + EXIT_REPORT_TIMEOUT,
        }
    }

    /// Closes a connection that said what it may not say. A refusal is told: in this and in all earlier protocols it
    /// has the same form to TaskManagers and executors.
    fn turn_away(&mut self, now: Instant, conn: ConnId, offense: &Offense, out: &mut Vec<Output>) {
        tracing::warn!(conn = conn.0, reason = %offense, "a connection is closed");
        let told = matches!(offense, Offense::Refused(_) | Offense::Protocol(ProtocolError::Version { .. }));
        if told {
            let frame = reflow_protocol::encode(&ToTaskManager::Refused { reason: offense.to_string() });
            out.push(Output::Send { conn, frame });
        }
        let reason = offense.to_string();
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

    fn tell(&self, id: TaskManagerId, message: &ToTaskManager, out: &mut Vec<Output>) {
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
