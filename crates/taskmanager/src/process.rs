//! The TaskManager as a [`Process`]: inputs in, outputs out, on one thread.

use super::artifact::{Artifacts, Step};
use super::error::TaskManagerError;
use super::link::{Due, Link, Stage};
use super::proof::{Proof, Verdict};
use super::settings::Settings;
use bytes::Bytes;
use reflow_env::{
    CallResult, ChildCommand, ChildId, ConnId, Input, Output, Pauses, Process, StoreOp, StoreResult, Ticket,
    inspection,
};
use reflow_protocol::control::{FromTaskManager, StorageProof, ToTaskManager};
use reflow_protocol::deployment::{ExecutorStart, StartExecutor};
use reflow_protocol::hello::Hello;
use reflow_types::{ExecutorId, Instant, JobId, LeaderEpoch, TaskManagerId, injected_fault};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// A TaskManager.
///
/// It registers with the JobManager under one id for its whole lifetime, checks that it can use the job's
/// checkpoint storage, starts an executor when the JobManager requests it, and reports when an executor is gone.
/// When it loses its JobManager its executors process on, and it registers with the next one, which keeps or stops them. On
/// SIGTERM, or when the JobManager requests it, it waits until the job has been moved off it, and then exits; over a change of the
/// leader as well.
///
/// # Invariants
/// - Every executor in `executors` waits for its executable or runs as one child. A child of no executor was
///   killed, and its exit is ignored.
/// - After `ended`, there are no outputs.
pub struct TaskManager {
    id: TaskManagerId,
    settings: Settings,
    /// The address of this machine for other executors, as the connection to the JobManager shows it.
    host: String,
    link: Link,
    executors: BTreeMap<ExecutorId, Executor>,
    artifacts: Artifacts,
    requests: BTreeMap<Ticket, Purpose>,
    /// Inquiries that are being answered, with their numbers and the connections on which they came.
    inquiries: BTreeMap<Ticket, (ConnId, u64)>,
    /// The last leadership that has registered it, and the job of that leadership.
    followed: Option<(JobId, LeaderEpoch)>,
    /// The check of the checkpoint storage, until it has succeeded. It is repeated for each JobManager.
    proof: Option<Proof>,
    /// When it stops waiting for the job to leave.
    drain_until: Option<Instant>,
    pauses: Pauses,
    ended: bool,
    next_conn: u64,
    next_ticket: u64,
    next_child: u64,
}

/// The purpose of a storage request.
enum Purpose {
    /// The search for the executable with this SHA-256.
    Artifact(String),
    /// The listing of the cache. The executable with this SHA-256 stays.
    Cache(String),
    /// The removal of an executable, or of a part of one, that is not needed any more.
    Removal,
    Proof,
}

struct Executor {
    start: StartExecutor,
    /// `None` while storage is being checked and the executable fetched.
    child: Option<ChildId>,
}

impl TaskManager {
    /// A TaskManager with this id, which must be new with each start of the process.
    pub fn new(id: TaskManagerId, settings: Settings) -> Self {
        Self {
            id,
            host: settings.host_for(""),
            link: Link::new(settings.registration_timeout),
            artifacts: Artifacts::new(settings.executables.clone()),
            settings,
            executors: BTreeMap::new(),
            requests: BTreeMap::new(),
            inquiries: BTreeMap::new(),
            followed: None,
            proof: None,
            drain_until: None,
            pauses: Pauses::default(),
            ended: false,
            next_conn: 0,
            next_ticket: 0,
            next_child: 0,
        }
    }

    fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.drain_until.is_some_and(|until| now >= until) {
            let waited = self.settings.drain_timeout.as_secs_f64() * 2.0;
            tracing::warn!(
                "the job has not left within {waited} s (twice taskmanager.drain.timeout): ending all the same"
            );
            return self.end(out);
        }
        self.advance_proof(now, out);
        for (sha256, step) in self.artifacts.due(now) {
            self.take(&sha256, Some(step), out);
        }
        match self.link.due(now) {
            None => {}
            Some(Due::Connect) => self.connect(now, out),
            Some(Due::Heartbeat(conn)) => {
                send(
                    conn,
                    &FromTaskManager::Heartbeat { memory_bytes: (self.settings.memory_in_use)() },
                    out,
                );
            }
            Some(Due::Lost(problem)) => {
                out.extend(self.link.conn().map(|conn| Output::Close { conn }));
                self.on_lost(now, problem, out);
            }
            Some(Due::GiveUp) => {
                let address = self.settings.job_managers.all();
                let last = self.link.last_problem.clone();
                let timeout = self.settings.registration_timeout;
                self.fail(&TaskManagerError::Unreachable { address, timeout, last }, out);
            }
        }
    }

    fn connect(&mut self, now: Instant, out: &mut Vec<Output>) {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.link.stage = Stage::Connecting { conn, since: now };
        out.push(Output::Connect { conn, address: self.settings.job_managers.current().to_owned() });
    }

    fn register(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        self.link.stage = Stage::Registering { conn, since: now };
        out.push(Output::Send { conn, frame: Hello::TaskManager { id: self.id }.encode() });
        let register = FromTaskManager::Register {
            id: self.id,
            host: self.host.clone(),
            slots: self.settings.slots,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            target: self.settings.target.clone(),
            pid: self.settings.pid,
            hardware: self.settings.hardware.clone(),
            executors: self.executors.values().map(|executor| executor.start.clone()).collect(),
        };
        send(conn, &register, out);
    }

    /// Handles the loss of the JobManager, or a failed attempt to reach it.
    fn on_lost(&mut self, now: Instant, problem: &str, out: &mut Vec<Output>) {
        // Those that wait for their executable are not started: their JobManager's requests are void.
        self.executors.retain(|_, executor| executor.child.is_some());
        if self.settings.adoption_timeout.is_zero() {
            self.stop_executors(out);
        }
        self.proof = None;
        self.requests.clear(); // an answer to a former request must not be taken for that to the next one
        for removal in self.artifacts.give_up() {
            self.ask(Purpose::Removal, removal, out);
        }
        if self.is_left(problem) {
            return self.end(out);
        }
        let address = self.settings.job_managers.current().to_owned();
        let pause = self.settings.job_managers.try_next(self.link.alone(now));
        if self.link.down(now, pause, problem) {
            tracing::warn!(%address, problem, "no connection to the JobManager, trying again");
        }
    }

    fn on_frame(&mut self, now: Instant, conn: ConnId, frame: &[u8], out: &mut Vec<Output>) {
        let message = match reflow_protocol::decode(frame) {
            Ok(message) => message,
            Err(error) => {
                out.push(Output::Close { conn });
                return self.on_lost(now, &error.to_string(), out);
            }
        };
        self.link.message_received(now);
        match message {
            ToTaskManager::Registered { job, epoch, .. } if self.has_followed_later(job, epoch) => {
                out.push(Output::Close { conn });
                let problem =
                    format!("a JobManager that another one has replaced answers (leadership {epoch})");
                self.on_lost(now, &problem, out);
            }
            ToTaskManager::Registered { heartbeat_interval, heartbeat_timeout, storage, job, epoch } => {
                self.followed = Some((job, epoch));
                let of_another = |executor: &mut Executor| executor.start.job != job;
                let others = self.executors.extract_if(.., |_, executor| of_another(executor));
                let children = others.filter_map(|(_, executor)| executor.child);
                out.extend(children.map(|child| Output::KillChild { child }));
                self.settings.job_managers.reached();
                tracing::info!(id = %self.id, address = self.settings.job_managers.current(), "registered");
                self.link.up(now, conn, heartbeat_interval, heartbeat_timeout);
                if self.drain_until.is_some() {
                    // The next leader moves the job off it.
                    send(conn, &FromTaskManager::Draining, out);
                }
                self.try_storage(now, storage, out);
            }
            ToTaskManager::Refused { reason } => {
                let address = self.settings.job_managers.current().to_owned();
                self.fail(&TaskManagerError::Refused { address, reason }, out);
            }
            ToTaskManager::Heartbeat => {}
            ToTaskManager::StartExecutor(start) => self.start_executor(start, out),
            ToTaskManager::StopExecutor { executor } => {
                if let Some(executor) = self.executors.remove(&executor) {
                    out.extend(executor.child.map(|child| Output::KillChild { child }));
                }
            }
            ToTaskManager::Drain if self.drain_until.is_none() => {
                tracing::info!("told by the JobManager to leave");
                self.drain(now, conn, out);
            }
            ToTaskManager::Drain => {}
            ToTaskManager::Release if self.drain_until.is_some() => {
                tracing::info!("the job has left: ending");
                self.end(out);
            }
            ToTaskManager::Release => {}
            ToTaskManager::Inspect { number, inquiry } => {
                let ticket = self.new_ticket();
                self.inquiries.insert(ticket, (conn, number));
                let call = inspection::call(self.settings.inspect, inquiry);
                out.push(Output::Call { ticket, call });
            }
        }
    }

    fn on_inspected(&mut self, ticket: Ticket, result: CallResult, out: &mut Vec<Output>) {
        let Some((conn, number)) = self.inquiries.remove(&ticket) else { return };
        // The next JobManager has not asked.
        if self.link.conn() == Some(conn) {
            let inspection = inspection::answer(result);
            send(conn, &FromTaskManager::Inspected { number, inspection }, out);
        }
    }

    /// Whether it has followed a later leadership of the job, so that requests of this one are void. A leadership
    /// of another job is followed whatever its number.
    fn has_followed_later(&self, job: JobId, epoch: LeaderEpoch) -> bool {
        self.followed.is_some_and(|(followed, later)| followed == job && later > epoch)
            && !injected_fault::is_active("orders_of_a_deposed_leader_carried_out")
    }

    fn start_executor(&mut self, start: StartExecutor, out: &mut Vec<Output>) {
        if self.drain_until.is_some() {
            return; // the JobManager hears of the draining as we hear of this
        }
        let executor = start.executor;
        self.executors.insert(executor, Executor { start, child: None });
        if self.proof.is_none() {
            self.search(executor, out);
        }
    }

    /// Searches for the executable of a waiting executor.
    fn search(&mut self, executor: ExecutorId, out: &mut Vec<Output>) {
        let start = &self.executors.get(&executor).expect("only executors that wait are searched for").start;
        let artifact = start.artifact.clone();
        tracing::info!(%executor, job = %start.job, name = artifact.name, "starting an executor");
        let step = self.artifacts.search(&artifact, self.settings.job_managers.current_host());
        self.take(&artifact.sha256, step, out);
    }

    fn try_storage(&mut self, now: Instant, storage: StorageProof, out: &mut Vec<Output>) {
        self.proof = Some(Proof::new(now, storage, self.settings.registration_timeout));
        self.advance_proof(now, out);
    }

    fn advance_proof(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(op) = self.proof.as_mut().and_then(|proof| proof.ask(now)) {
            self.ask(Purpose::Proof, op, out);
        }
    }

    fn on_proof_answered(&mut self, now: Instant, result: StoreResult, out: &mut Vec<Output>) {
        let Some(proof) = &mut self.proof else { return };
        match proof.answered(now, result) {
            Verdict::GoOn => self.advance_proof(now, out),
            Verdict::TryAgain(problem) => {
                tracing::warn!(problem, "the storage of the job's checkpoints cannot be used, trying again");
            }
            Verdict::Seen => {
                self.proof = None;
                let waiting = self.executors.values().filter(|executor| executor.child.is_none());
                for executor in waiting.map(|executor| executor.start.executor).collect::<Vec<_>>() {
                    self.search(executor, out);
                }
            }
            Verdict::Unseen(reason) => {
                if let Some(conn) = self.link.registered() {
                    send(conn, &FromTaskManager::StorageUnseen { reason: reason.clone() }, out);
                }
                self.fail(&TaskManagerError::StorageUnseen { reason }, out);
            }
        }
    }

    fn ask(&mut self, purpose: Purpose, op: StoreOp, out: &mut Vec<Output>) {
        let ticket = self.new_ticket();
        self.requests.insert(ticket, purpose);
        out.push(Output::Store { ticket, op });
    }

    fn new_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// Carries out the next step of a search for an executable.
    fn take(&mut self, sha256: &str, step: Option<Step>, out: &mut Vec<Output>) {
        match step {
            None => {}
            Some(Step::Store(op)) => self.ask(Purpose::Artifact(sha256.to_owned()), op, out),
            Some(Step::Found(path)) => {
                for executor in self.waiting_for(sha256) {
                    self.run(executor, path.clone(), out);
                }
                if let Some(list) = self.artifacts.clean() {
                    self.ask(Purpose::Cache(sha256.to_owned()), list, out);
                }
            }
            Some(Step::Missing(reason)) => {
                for executor in self.waiting_for(sha256) {
                    self.executors.remove(&executor);
                    self.report_exit(executor, format!("cannot be started: {reason}"), out);
                }
            }
        }
    }

    fn waiting_for(&self, sha256: &str) -> Vec<ExecutorId> {
        let waiting =
            |executor: &&Executor| executor.child.is_none() && executor.start.artifact.sha256 == sha256;
        self.executors.values().filter(waiting).map(|executor| executor.start.executor).collect()
    }

    fn run(&mut self, executor: ExecutorId, program: PathBuf, out: &mut Vec<Output>) {
        let executor = self.executors.get_mut(&executor).expect("only executors that wait are run");
        let child = ChildId(self.next_child);
        self.next_child += 1;
        executor.child = Some(child);
        let start = ExecutorStart {
            start: executor.start.clone(),
            job_managers: self.settings.job_managers.clone(),
            task_manager: self.id,
            host: self.host.clone(),
            bind_host: self.settings.bind_host.clone(),
            data_port: self.settings.data_port,
            memory_limit: self.settings.executor_memory,
            properties: self.settings.properties.clone(),
        };
        let args = vec!["executor".to_owned()];
        out.push(Output::StartChild {
            child,
            command: ChildCommand { program, args, stdin: start.encode() },
        });
    }

    fn on_child_exited(&mut self, child: ChildId, status: &str, out: &mut Vec<Output>) {
        let gone = self.executors.values().find(|executor| executor.child == Some(child));
        let Some(executor) = gone.map(|executor| executor.start.executor) else { return };
        self.executors.remove(&executor);
        tracing::warn!(%executor, status, "an executor is gone");
        self.report_exit(executor, status.to_owned(), out);
        if self.link.registered().is_none() && self.is_left(status) {
            self.end(out);
        }
    }

    fn report_exit(&self, executor: ExecutorId, reason: String, out: &mut Vec<Output>) {
        if let Some(conn) = self.link.registered() {
            send(conn, &FromTaskManager::ExecutorExited { executor, reason }, out);
        }
    }

    fn on_stored(&mut self, now: Instant, ticket: Ticket, result: StoreResult, out: &mut Vec<Output>) {
        match self.requests.remove(&ticket) {
            None => {}
            Some(Purpose::Proof) => self.on_proof_answered(now, result, out),
            Some(Purpose::Cache(used)) => {
                for removal in self.artifacts.unused(&used, result) {
                    self.ask(Purpose::Removal, removal, out);
                }
            }
            Some(Purpose::Removal) => {
                if let Err(error) = result {
                    tracing::warn!(%error, "an executable that is not needed any more cannot be removed");
                }
            }
            Some(Purpose::Artifact(sha256)) => {
                let step = self.artifacts.stored(now, &sha256, result);
                self.take(&sha256, step, out);
            }
        }
    }

    fn on_terminate(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.link.registered() {
            _ if self.drain_until.is_some() => {
                tracing::warn!("told to end for the second time: not waiting for the job to leave");
                self.end(out);
            }
            Some(conn) => {
                tracing::info!("told to end: asking the JobManager to move the job off this TaskManager");
                self.drain(now, conn, out);
            }
            None if !self.executors.is_empty() => {
                tracing::info!(
                    "told to end: asking the next JobManager to move the job off this TaskManager"
                );
                self.drain_until = Some(now + self.settings.drain_timeout.saturating_mul(2));
            }
            None => self.end(out),
        }
    }

    /// Leaves the cluster. The JobManager moves the job off this TaskManager. If that takes longer than
    /// `taskmanager.drain.timeout`, the JobManager restarts the job without it, and has as much time again for
    /// that.
    fn drain(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Output>) {
        self.drain_until = Some(now + self.settings.drain_timeout.saturating_mul(2));
        send(conn, &FromTaskManager::Draining, out);
    }

    /// Whether it has lost its JobManager while it leaves, and runs nothing that the next one could move off it.
    fn is_left(&self, problem: &str) -> bool {
        let is_left = self.drain_until.is_some() && self.executors.is_empty();
        if is_left {
            tracing::info!(problem, "the JobManager is gone, and nothing runs here: ending");
        }
        is_left
    }

    /// Whether it can run a part of the job.
    fn is_ready(&self) -> bool {
        self.link.registered().is_some() && self.proof.is_none() && self.drain_until.is_none() && !self.ended
    }

    fn stop_executors(&mut self, out: &mut Vec<Output>) {
        let children =
            std::mem::take(&mut self.executors).into_values().filter_map(|executor| executor.child);
        out.extend(children.map(|child| Output::KillChild { child }));
    }

    fn end(&mut self, out: &mut Vec<Output>) {
        self.exit(0, String::new(), out);
    }

    fn fail(&mut self, error: &TaskManagerError, out: &mut Vec<Output>) {
        self.exit(1, error.to_string(), out);
    }

    fn exit(&mut self, code: i32, reason: String, out: &mut Vec<Output>) {
        self.stop_executors(out);
        out.extend(self.link.conn().map(|conn| Output::Close { conn }));
        out.push(Output::Exit { code, reason });
        self.ended = true;
    }
}

impl Process for TaskManager {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.ended {
            return;
        }
        // Without a registration it waits for nothing that is due sooner than its answers are.
        if let Some(pause) = self.pauses.on_input(now, self.link.interval().unwrap_or(Duration::MAX)) {
            self.link.excuse(pause);
        }
        match input {
            Input::Start => {
                self.link.start(now);
                self.on_time(now, out);
            }
            Input::Wakeup => self.on_time(now, out),
            Input::Connected { conn, local } if self.link.conn() == Some(conn) => {
                self.host = self.settings.host_for(&local);
                self.register(now, conn, out);
            }
            Input::Received { conn, frame } if self.link.conn() == Some(conn) => {
                self.on_frame(now, conn, &frame, out);
            }
            Input::Closed { conn, reason } if self.link.conn() == Some(conn) => {
                self.on_lost(now, &reason, out)
            }
            Input::Stored { ticket, result } => self.on_stored(now, ticket, result, out),
            Input::Called { ticket, result } => self.on_inspected(ticket, result, out),
            Input::ChildExited { child, status } => self.on_child_exited(child, &status, out),
            Input::Terminate => self.on_terminate(now, out),
            // Inputs of a former connection; and the process never listens.
            Input::Connected { .. }
            | Input::Received { .. }
            | Input::Silent { .. }
            | Input::Closed { .. }
            | Input::Listening { .. }
            | Input::ListenFailed { .. }
            | Input::Accepted { .. } => {}
        }
        self.settings.health.report(self.is_ready());
    }

    fn next_wakeup(&self) -> Option<Instant> {
        let proof = self.proof.as_ref().and_then(Proof::next_wakeup);
        let artifacts = self.artifacts.next_wakeup();
        let wakeups = [Some(self.link.next_wakeup()), proof, artifacts, self.drain_until];
        wakeups.into_iter().flatten().min().filter(|_| !self.ended)
    }
}

fn send(conn: ConnId, message: &FromTaskManager, out: &mut Vec<Output>) {
    let frame: Bytes = reflow_protocol::encode(message);
    out.push(Output::Send { conn, frame });
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
