//! The executor as a process.

mod building;
mod ending;
mod failing;
mod job_manager;
mod regions;
mod report_frame;

use super::attempt::{Building, Running};
use super::builder::Builder;
use super::fence::Fence;
use super::link::Link;
use super::options::ExecutorOptions;
use super::peers::{Credentials, Peer, Peers};
use super::record::Record;
use super::rescale::NextGraph;
use super::slots::Slots;
use super::unsent::Unsent;
use super::watch::{self, GiveBack, LongSteps, WATCH_INTERVAL};
use bytes::Bytes;
use ending::Ending;
use reflow_env::{ConnId, Input, ListenerId, MAX_FRAME_BYTES, Output, Pauses, Process};
use reflow_graph::Regions;
use reflow_network::{Hub, Outgoing};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, RescaleCommand, SnapshotKind};
use reflow_protocol::control::{FromExecutor, ToExecutor};
use reflow_protocol::data::{DataFrame, ToSender};
use reflow_protocol::deployment::{Addresses, Attempt, Deployment};
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::hello::Hello;
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_protocol::rescale::{HandOver, Preparation};
use reflow_runtime::{SlotCommand, SlotEvent, TaskEvent};
use reflow_types::{CheckpointId, ExecutorId, GraphVersion, Instant, LeaderEpoch, SubtaskId};
use std::collections::BTreeMap;
use std::sync::Arc;
use tracing::{debug, info, warn};

const DATA: ListenerId = ListenerId(0);
/// The most bytes that wait for a new owner's connection: as many as the driver buffers for a peer that does not
/// read.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// A task executor.
pub struct Executor {
    options: ExecutorOptions,
    credentials: Credentials,
    regions: Regions,
    hub: Hub,
    slots: Option<Slots>,
    peers: Peers,
    data_address: Option<String>,
    job_manager: Link,
    /// Acknowledgements since the JobManager was lost, one for each subtask at most. They come too late for their
    /// checkpoint, but name objects that must be deleted.
    late: BTreeMap<SubtaskId, SubtaskReport>,
    /// Reports since the executor has begun to register, which its report of the attempt does not contain.
    unsent: Unsent,
    running: Option<Running>,
    /// The deployment that waits until the slots have dropped the previous attempt.
    deploying: Option<(Box<Deployment>, Addresses)>,
    /// The tasks of `running` that are being built.
    building: Option<Building>,
    /// Messages for the attempt that is being deployed.
    deferred: Vec<ToExecutor>,
    /// What follows once the slots have dropped the attempt.
    ending: Option<Ending>,
    /// The regions whose end is reported once the slots have dropped them.
    canceled_regions: Option<RegionRestart>,
    /// Subtasks of the next attempt or rescale have this id or higher ones.
    next_subtask: SubtaskId,
    fence: Fence,
    /// The leadership whose checkpoints the state that the slots retain knows by their ids.
    retained_epoch: Option<LeaderEpoch>,
    next_watch: Instant,
    pauses: Pauses,
    long_steps: LongSteps,
    give_back: GiveBack,
}

impl Executor {
    /// An executor that has not started.
    pub fn new(options: ExecutorOptions) -> Self {
        let start = &options.start.start;
        Self {
            credentials: Credentials::new(start.executor, start.job, start.token),
            regions: Regions::of(&options.job.graph),
            hub: Hub::with_bounds(options.signal.clone(), options.bounds),
            slots: None,
            peers: Peers::default(),
            data_address: None,
            job_manager: Link::new(options.adoption_timeout, options.start.job_managers.clone()),
            late: BTreeMap::new(),
            unsent: Unsent::default(),
            running: None,
            deploying: None,
            building: None,
            deferred: Vec::new(),
            ending: None,
            canceled_regions: None,
            next_subtask: SubtaskId::default(),
            fence: Fence::default(),
            retained_epoch: None,
            next_watch: Instant::default(),
            pauses: Pauses::default(),
            long_steps: LongSteps::default(),
            give_back: GiveBack::default(),
            options,
        }
    }

    fn slots(&mut self) -> &mut Slots {
        self.slots.as_mut().expect("slots are made with the first input")
    }

    fn start(&mut self, now: Instant, out: &mut Vec<Output>) {
        let ExecutorOptions { start, signal, clock, .. } = &self.options;
        self.slots = Some(Slots::start(start.start.slots, signal, clock, out));
        let address = format!("{}:{}", start.bind_host, start.data_port);
        out.push(Output::Listen { listener: DATA, address });
        self.job_manager.connect(now, out);
        self.next_watch = now + WATCH_INTERVAL;
    }

    fn register(&mut self, out: &mut Vec<Output>) {
        let Some(data_address) = self.data_address.clone() else { return };
        let Some(conn) = self.job_manager.begin_registration() else { return };
        self.unsent = Unsent::default();
        let Credentials { id, job, .. } = self.credentials;
        // The JobManager knows from its TaskManager with which secret the executor was started.
        let token = self.options.start.start.token;
        out.push(Output::Send { conn, frame: Hello::Executor { id, job, token }.encode() });
        let fingerprint = self.options.job.fingerprint();
        let (pid, followed) = (self.options.pid, self.job_manager.followed());
        let attempt = self.attempt_report().map(Box::new);
        let register = FromExecutor::Register { id, data_address, fingerprint, pid, followed, attempt };
        out.push(Output::Send { conn, frame: reflow_protocol::encode(&register) });
    }

    fn handle_message(&mut self, now: Instant, message: ToExecutor, out: &mut Vec<Output>) {
        // Messages for an attempt that is still being deployed wait for its tasks. Those behind a cancellation wait for its
        // end, which clears the channels.
        let waits = self.deploying.is_some() || self.building.is_some() || self.slots().is_clearing();
        if waits && !matches!(message, ToExecutor::Deploy { .. }) {
            match message {
                ToExecutor::CancelAttempt { attempt } => self.cancel(now, attempt, out),
                ToExecutor::DropAttempt { attempt } => self.end(now, attempt, Ending::Dropped, out),
                message => self.deferred.push(message),
            }
            return;
        }
        let current = self.running.as_ref().map(|running| running.attempt);
        let whole = self.running.as_ref().filter(|running| running.ended.is_empty());
        let whole = whole.map(|running| running.attempt);
        match message {
            // These are handled before the others.
            ToExecutor::Registered { .. } | ToExecutor::Refused { .. } | ToExecutor::Heartbeat => {}
            ToExecutor::AdoptAttempt { attempt } => self.adopt(attempt),
            ToExecutor::Deploy { deployment, .. } if !self.fence.admit(deployment.attempt) => {
                warn!(attempt = %deployment.attempt, "an attempt that a later one has replaced is not deployed");
            }
            ToExecutor::Deploy { deployment, addresses } => {
                info!(attempt = %deployment.attempt, "deploying");
                self.deferred.clear();
                self.note_subtasks(&deployment.graph);
                self.deploying = Some((deployment, addresses));
                self.running = None;
                self.clear();
            }
            ToExecutor::CancelAttempt { attempt } => self.cancel(now, attempt, out),
            ToExecutor::DropAttempt { attempt } => self.end(now, attempt, Ending::Dropped, out),
            ToExecutor::PrepareRescale { preparation, addresses } if whole == Some(preparation.attempt) => {
                self.prepare(*preparation, &addresses, out);
            }
            // The attempt has no subtasks in this executor yet.
            ToExecutor::PrepareRescale { preparation, addresses } if self.running.is_none() => {
                let former = Arc::new(preparation.former.clone());
                let record = Record::new(former, None);
                self.running = Some(Running::nothing_of(preparation.attempt, record));
                self.prepare(*preparation, &addresses, out);
            }
            ToExecutor::CancelRegions(restart) => self.cancel_regions(now, restart, out),
            ToExecutor::DeployRegions { restart, deployment, addresses } => {
                self.deploy_regions(now, restart, deployment, addresses, out);
            }
            ToExecutor::Command(AttemptCommand { attempt, command }) if current == Some(attempt) => {
                self.handle_command(now, command, out);
            }
            ToExecutor::Command(AttemptCommand { attempt, .. }) => {
                debug!(%attempt, "a command to an attempt that does not run here is dropped");
            }
            ToExecutor::PrepareRescale { preparation, .. } => {
                debug!(attempt = %preparation.attempt, "a rescale of an attempt that does not run here is dropped");
            }
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command, out: &mut Vec<Output>) {
        if let Some(running) = &mut self.running {
            if let Command::Checkpoint { checkpoint, command, .. } = &command
                && running.record.is_known(*checkpoint, command)
            {
                return;
            }
            let epoch = self.job_manager.followed().unwrap_or(running.attempt.epoch);
            running.record.on_command(epoch, &self.regions, &command);
        }
        match command {
            Command::Checkpoint { checkpoint, without, command } => {
                if let CheckpointCommand::Trigger(SnapshotKind { cut: Some(cut), .. }) = &command
                    && let Some(running) = &mut self.running
                {
                    let builder =
                        builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
                    running.begin_cut(&builder, cut.version);
                }
                self.send_to_participants(checkpoint, &without, &command);
            }
            Command::Subtask { subtask, command } => {
                self.send_to_subtask(subtask, SlotCommand::Subtask(subtask, command));
            }
            Command::Rescale { version, command: RescaleCommand::CatchUp { checkpoint, restore } } => {
                self.rescale(version, |builder, running| {
                    if let Some(next) = &mut running.next {
                        next.catch_up(builder, &running.subtasks, checkpoint, restore);
                    }
                });
                self.answer_preparation(out);
            }
            Command::Rescale { version, command: RescaleCommand::Abandon } => {
                self.give_back.on_change(now);
                self.rescale(version, |builder, running| running.abandon(builder));
                self.peers.end_hand_overs(out);
            }
            Command::Rescale { version, command: RescaleCommand::Commit } => {
                self.give_back.on_change(now);
                self.rescale(version, |builder, running| running.commit(builder));
                self.peers.end_hand_overs(out);
            }
        }
    }

    /// Sends a command to the slot of a subtask, if it runs here.
    fn send_to_subtask(&mut self, subtask: SubtaskId, command: SlotCommand) {
        if let Some(slot) = self.slot_of(subtask) {
            self.slots().send(slot, command);
        }
    }

    /// Applies `work` if the graph of this version is the one that is being prepared.
    fn rescale(&mut self, version: GraphVersion, work: impl FnOnce(&Builder<'_>, &mut Running)) {
        let Some(running) = &mut self.running else { return };
        if running.next.as_ref().is_some_and(|next| next.version == version) {
            let builder = builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
            work(&builder, running);
        }
    }

    /// Prepares another graph. A graph that was being prepared is abandoned.
    fn prepare(
        &mut self,
        preparation: Preparation,
        addresses: &[(ExecutorId, String)],
        out: &mut Vec<Output>,
    ) {
        let (attempt, version) = (preparation.attempt, preparation.version);
        info!(%attempt, %version, "preparing a rescale");
        let former = self.running.as_ref().and_then(|running| running.next.as_ref()).map(|next| next.version);
        if let Some(former) = former {
            self.rescale(former, |builder, running| running.abandon(builder));
        }
        self.peers.set_addresses(addresses, out);
        self.note_subtasks(&preparation.graph);
        let Some(running) = &mut self.running else { return };
        let builder = builder(&self.options, &self.credentials, &self.regions, &self.hub, &self.slots);
        let (next, failed) = NextGraph::prepare(&builder, &running.subtasks, preparation);
        self.peers.expect_from(next.old_owners.iter().copied(), out);
        running.record.version = running.record.version.max(version);
        running.next = Some(next);
        if let Some(Failure { operator, message, .. }) = failed {
            let reason = format!("operator '{operator}' cannot be built: {message}");
            self.job_manager.send(
                out,
                &FromExecutor::Report(ExecutorReport::RescaleRefused { attempt, version, reason }),
            );
        }
        self.answer_preparation(out);
    }

    /// Reports how much state was read for the next graph, if it is more than before.
    fn report_progress(&mut self, out: &mut Vec<Output>) {
        let Some(running) = &mut self.running else { return };
        let Some(next) = &mut running.next else { return };
        if let Some(bytes) = next.take_progress() {
            let (attempt, version) = (running.attempt, next.version);
            let progress = ExecutorReport::RescaleProgress { attempt, version, bytes };
            self.job_manager.send(out, &FromExecutor::Report(progress));
        }
    }

    /// Reports that the rescale is prepared, once it is.
    fn answer_preparation(&mut self, out: &mut Vec<Output>) {
        let Some(running) = &self.running else { return };
        if let Some(next) = running.next.as_ref().filter(|next| next.awaited.is_empty() && !next.cut) {
            let (attempt, version, checkpoint) = (running.attempt, next.version, next.checkpoint);
            let prepared = ExecutorReport::RescalePrepared { attempt, version, checkpoint };
            self.job_manager.send(out, &FromExecutor::Report(prepared));
        }
    }

    /// The slot of a subtask of the attempt or of the graph that is being prepared.
    fn slot_of(&self, subtask: SubtaskId) -> Option<usize> {
        let running = self.running.as_ref()?;
        let of_next = || running.next.as_ref()?.slot_of(subtask);
        running.subtasks.get(&subtask).copied().or_else(of_next)
    }

    /// Passes a part of a hand-over on to its new owner.
    fn hand_over(&mut self, hand_over: HandOver, out: &mut Vec<Output>) {
        let Some(running) = self.running.as_ref().filter(|running| running.attempt == hand_over.attempt)
        else {
            return;
        };
        if let Some(slot) = self.slot_of(hand_over.to) {
            let HandOver { from, to, part, .. } = hand_over;
            self.slots().send(slot, SlotCommand::HandOver { from, to, part });
        } else if let Some(executor) = running.next.as_ref().and_then(|next| next.executor_of(hand_over.to)) {
            let sent = self.peers.send_to_new_owner(executor, hand_over.encode(), MAX_WAITING_BYTES, out);
            if let Err(bytes) = sent {
                self.not_connected(hand_over.from, executor, bytes, out);
            }
        }
    }

    fn received(&mut self, now: Instant, conn: ConnId, frame: Bytes, out: &mut Vec<Output>) {
        if self.job_manager.is(conn) {
            return match reflow_protocol::decode(&frame) {
                Ok(message) => self.on_job_manager(now, message, out),
                Err(error) => {
                    out.push(Output::Exit { code: 1, reason: format!("from the JobManager: {error}") });
                }
            };
        }
        let refused = match self.peers.get(conn) {
            Some(Peer::Sender(_)) => DataFrame::decode(frame).map(|frame| self.hub.deliver(frame)),
            Some(Peer::Receiver(_)) => {
                reflow_protocol::decode::<ToSender>(&frame).map(|message| self.hub.credit(message))
            }
            Some(Peer::OldOwner(_)) => {
                HandOver::decode(frame).map(|hand_over| self.hand_over(hand_over, out))
            }
            // A new owner sends nothing after its hello.
            Some(Peer::NewOwner(_)) => Ok(()),
            Some(Peer::Unknown) => Hello::decode(&frame).map(|hello| self.on_hello(conn, hello, out)),
            None => return,
        };
        if let Err(error) = refused {
            warn!("a data connection is closed: {error}");
            out.push(Output::Close { conn });
            self.peers.closed(conn);
        }
    }

    fn on_hello(&mut self, conn: ConnId, hello: Hello, out: &mut Vec<Output>) {
        match hello {
            Hello::Receiver { id, job, token, number } if self.credentials.accept(job, token) => {
                self.peers.identified_receiver(conn, id, number, out);
            }
            Hello::NewOwner { id, job, token, number } if self.credentials.accept(job, token) => {
                self.peers.identified_new_owner(conn, id, number, out);
            }
            other => {
                warn!(?other, "a data connection is refused: it is not of this job");
                out.push(Output::Close { conn });
                self.peers.closed(conn);
            }
        }
    }

    /// Passes on the events, frames and requests of the slots.
    fn pump(&mut self, now: Instant, out: &mut Vec<Output>) {
        let events = self.slots().take_events(out);
        // Before the reports that these subtasks or their attempt have ended, after which the JobManager ignores
        // their metrics.
        let subtasks = self.slots().take_last_metrics();
        if !subtasks.is_empty() {
            let memory_bytes = (self.options.memory)();
            self.job_manager.send(out, &FromExecutor::Heartbeat { memory_bytes, subtasks });
        }
        for event in events {
            if let SlotEvent::Task { attempt, subtask, event } = event {
                self.on_task_event(attempt, subtask, event, out);
            }
        }
        for outgoing in self.hub.take_outgoing() {
            match outgoing {
                Outgoing::Data(to, frame) => self.peers.send_to_receiver(to, frame, out),
                Outgoing::Credit(to, message) => {
                    self.peers.send_to_sender(to, &message, &self.credentials, out)
                }
            }
        }
        self.after_clearing(now, out);
        self.after_ending_regions(now, out);
        self.continue_building(now, out);
    }

    fn on_task_event(
        &mut self,
        attempt: Attempt,
        subtask: SubtaskId,
        event: TaskEvent,
        out: &mut Vec<Output>,
    ) {
        // Events of subtasks that have ended do not count any more.
        if self.slot_of(subtask).is_none() {
            return;
        }
        let Some(running) = self.running.as_mut().filter(|running| running.attempt == attempt) else {
            return;
        };
        match event {
            TaskEvent::Report(SubtaskEvent::Failed(failure)) => self.fail(subtask, failure, out),
            TaskEvent::Report(event) => {
                running.observe(subtask, &event);
                self.report(SubtaskReport { attempt, subtask, event }, out);
            }
            TaskEvent::Prepared { version, checkpoint } => self.prepared(subtask, version, checkpoint, out),
            TaskEvent::Prefetched { version, bytes } => {
                if let Some(next) = running.next.as_mut().filter(|next| next.version == version) {
                    next.has_read(bytes);
                }
            }
            TaskEvent::Refused { version, reason } => {
                self.job_manager.send(
                    out,
                    &FromExecutor::Report(ExecutorReport::RescaleRefused { attempt, version, reason }),
                );
            }
            TaskEvent::HandOver { checkpoint, to, part } => {
                self.hand_over(HandOver { attempt, checkpoint, from: subtask, to, part }, out);
            }
        }
    }

    /// Sends a subtask's report to the JobManager.
    fn report(&mut self, report: SubtaskReport, out: &mut Vec<Output>) {
        if let Some(conn) = self.job_manager.registered_conn() {
            out.push(Output::Send { conn, frame: report_frame::encode(report, MAX_FRAME_BYTES) });
        } else if let SubtaskEvent::Acknowledged { .. } = report.event {
            self.late.insert(report.subtask, report);
        } else if self.job_manager.is_registering() {
            self.unsent.add(report);
        }
    }

    /// Records that a task is prepared for the next graph.
    fn prepared(
        &mut self,
        subtask: SubtaskId,
        version: GraphVersion,
        checkpoint: CheckpointId,
        out: &mut Vec<Output>,
    ) {
        let next = self.running.as_mut().and_then(|running| running.next.as_mut());
        let Some(next) = next.filter(|next| next.version == version && next.checkpoint == checkpoint) else {
            return;
        };
        if next.awaited.remove(&subtask) {
            self.report_progress(out);
            self.answer_preparation(out);
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        if now >= self.next_watch {
            self.next_watch = now + WATCH_INTERVAL;
            self.watch_steps(now);
            self.watch_memory(now, out);
            self.report_progress(out);
            if self.give_back.is_due(now) {
                (self.options.give_back)();
            }
        }
        if self.job_manager.begin_heartbeat(now) {
            let memory_bytes = (self.options.memory)();
            let subtasks = if self.running.is_some() { self.slots().metrics(now) } else { Vec::new() };
            self.give_back.on_state(now, subtasks.iter().map(|subtask| subtask.state_bytes).sum());
            self.job_manager.send(out, &FromExecutor::Heartbeat { memory_bytes, subtasks });
            self.slots().send_to_all(|| SlotCommand::Measure);
        }
    }

    /// Logs steps of user code that block their slot.
    fn watch_steps(&mut self, now: Instant) {
        let Some(slots) = &self.slots else { return };
        for (step, lasted) in self.long_steps.due(now, slots.steps()) {
            let operator = &self.options.job.graph.vertex(step.vertex).name;
            warn!(
                operator, subtask = %step.subtask,
                "a step has lasted {} ms and goes on: it keeps the slot's other tasks and checkpoints waiting",
                lasted.as_millis()
            );
        }
    }

    /// Exits with a reason when memory runs out, before the kernel kills the process without one. This also holds
    /// between attempts and while no slot reports anything.
    fn watch_memory(&mut self, now: Instant, out: &mut Vec<Output>) {
        let metrics = self.slots().metrics(now);
        let largest = metrics.iter().max_by_key(|subtask| subtask.state_bytes);
        let state = largest.map(|largest| (self.name_of(largest.subtask), largest.state_bytes));
        let (used, limit) = ((self.options.memory)(), self.options.start.memory_limit);
        let Some(message) = watch::out_of_memory(used, limit, state) else { return };
        // Also where no subtask can fail any more: the next executor's slots wait, or it would happen again at once.
        self.job_manager.send(out, &FromExecutor::Report(ExecutorReport::MemoryExhausted));
        let deployed = self.running.as_ref().and_then(|running| running.subtasks.keys().next());
        if let Some(subtask) = largest.map(|largest| largest.subtask).or(deployed.copied()) {
            let operator = "memory".to_owned();
            self.fail(subtask, Failure { fault: Fault::Memory, operator, message: message.clone() }, out);
        }
        out.push(Output::Exit { code: 1, reason: message });
    }
}

fn builder<'a>(
    options: &'a ExecutorOptions,
    credentials: &Credentials,
    regions: &'a Regions,
    hub: &'a Hub,
    slots: &'a Option<Slots>,
) -> Builder<'a> {
    let slots = slots.as_ref().expect("slots are made with the first input");
    Builder { executor: credentials.id, options, job_id: credentials.job, regions, hub, slots }
}

impl Process for Executor {
    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if let Some(pause) = self.pauses.on_input(now, WATCH_INTERVAL) {
            self.job_manager.excuse(pause);
        }
        match input {
            Input::Start => self.start(now, out),
            // Only now: before, messages of the JobManager may wait in the inbox.
            Input::Wakeup => self.watch_job_manager(now, out),
            Input::Listening { address, .. } => {
                let port = address.rsplit(':').next().unwrap_or_default();
                let host = &self.options.start.host;
                let bare_ipv6 = host.contains(':') && !host.starts_with('[');
                let host = if bare_ipv6 { format!("[{host}]") } else { host.clone() };
                self.data_address = Some(format!("{host}:{port}"));
                self.register(out);
            }
            Input::ListenFailed { error, .. } => {
                let port = self.options.start.data_port;
                let reason = format!(
                    "cannot listen for data connections on port {port}: {error}; set taskmanager.data.port"
                );
                out.push(Output::Exit { code: 1, reason });
            }
            Input::Accepted { conn, .. } => self.peers.accepted(conn),
            Input::Connected { conn, .. } if self.job_manager.is(conn) => {
                self.job_manager.connected(now);
                self.register(out);
            }
            Input::Connected { conn, .. } => self.peers.connected(conn, &self.credentials, out),
            Input::Received { conn, frame } => self.received(now, conn, frame, out),
            Input::Closed { conn, reason } if self.job_manager.is(conn) => {
                self.lose_job_manager(
                    now,
                    &format!("the connection to the JobManager is gone: {reason}"),
                    out,
                );
            }
            Input::Closed { conn, reason } => {
                if let Some(peer) = self.peers.closed(conn) {
                    self.lost_peer(peer, &reason, out);
                }
            }
            Input::Stored { ticket, result } => self.slots().answer(ticket, result),
            Input::Called { ticket, result } => self.slots().answer(ticket, result),
            Input::Silent { conn } => self.report_silent_peer(conn, out),
            Input::ChildExited { .. } => {}
            Input::Terminate => out.push(Output::Exit { code: 0, reason: String::new() }),
        }
        self.pump(now, out);
        self.tick(now, out);
    }

    fn next_wakeup(&self) -> Option<Instant> {
        self.job_manager.next_wakeup().into_iter().chain([self.next_watch]).min()
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
