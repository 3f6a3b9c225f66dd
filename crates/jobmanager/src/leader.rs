//! The leader of a job, which passes events of members, storage and users to the scheduler and carries out its
//! actions.
//!
//! It makes no decisions itself. The actions of an event are carried out, in order, before the next event is
//! handled.

mod adoption;
mod deployed;
mod disposal;
mod lease;
mod log;
mod look;
mod newest;
mod objects;

use crate::autoscaler::Autoscaler;
use crate::decisions::{Wanted, create, created, is_damaged};
use crate::deletions::Deletions;
use crate::enumerators::{Assignment, Enumerators};
use crate::leadership::MAX_READS;
use crate::leadership::authority::{Authority, Standing};
use crate::lease::renewals::Renewals;
use crate::members::{MemberEvent, Members};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::requirements::Declarations;
use crate::storage::{Storage, Tickets};
use adoption::EarlyReports;
use bytes::Bytes;
use deployed::Deployed;
use disposal::Disposals;
use log::ChangeLog;
use look::Look;
use newest::Newest;
use objects::Check;
use reflow_api::source::ReaderMessage;
use reflow_coordination::action::{Action, EndState};
use reflow_coordination::alignment::EventTimeAlignment;
use reflow_coordination::event::{Event, RequestId, StoreOutcome};
use reflow_coordination::manifest::{self, Decision};
use reflow_coordination::requirements::RequestedBounds;
use reflow_coordination::scheduler::Scheduler;
use reflow_env::{Answer, Location, Output, StoreError, StoreOp, StoreResult, Ticket};
use reflow_protocol::command::{
    AttemptCommand, CheckpointCommand, Command, RescaleCommand, SnapshotKind, SubtaskCommand,
};
use reflow_protocol::control::ToExecutor;
use reflow_protocol::deployment::Deployment;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{CheckpointId, Instant, LeaderEpoch, SubtaskId, VertexId};
use std::collections::{BTreeMap, VecDeque};

/// The purpose of a storage request.
#[derive(Debug)]
enum Purpose {
    Name(CheckpointId, Wanted),
    /// Check that the objects of a checkpoint exist.
    Objects(Box<Check>),
    /// Read the decision under a name that existed already, from this location. The number is that of bad reads before.
    Decision(CheckpointId, Wanted, Location, u32),
    /// Check for a later leadership before the outcome counts.
    Standing(CheckpointId, Wanted, StoreOutcome),
    /// Check for a later leadership between decisions.
    Look,
    /// Read or write the file of this leadership's epoch.
    Epoch,
    /// The record of the newest complete checkpoint.
    Newest,
    Deletion(String),
    /// A step of the disposal of a savepoint.
    Disposal(RequestId, disposal::Step),
}

/// The end of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) state: EndState,
    pub(crate) reason: Option<String>,
}

/// The leader of a job. It has more than a dozen fields because everything about the job meets here. Each part
/// keeps its own rules; the leader adds the order in which one passes to the next.
pub(crate) struct Leader {
    pub(crate) scheduler: Scheduler,
    pub(crate) members: Members,
    pub(crate) metrics: Metrics,
    pub(crate) operations: Operations,
    pub(crate) declarations: Declarations,
    /// The autoscaler, if it is enabled.
    pub(crate) autoscaler: Option<Autoscaler>,
    enumerators: Enumerators,
    alignment: EventTimeAlignment,
    deployed: Deployed,
    early: EarlyReports,
    requests: Storage<Purpose>,
    deletions: Deletions,
    disposals: Disposals,
    newest: Newest,
    /// Events that result from carrying out actions.
    events: VecDeque<Event>,
    pub(crate) end: Option<End>,
    /// Whether it still leads.
    pub(crate) authority: Authority,
    /// The later leadership, if one was found. This one then changes nothing any more.
    pub(crate) deposed: Option<LeaderEpoch>,
    look: Look,
    /// When storage last answered a check for a later leadership, or this one began.
    storage_answered_at: Instant,
    /// The lease, if there may be standbys.
    lease: Option<Renewals>,
    log: ChangeLog,
}

/// The parts of which a leader is built.
pub(crate) struct LeaderParts {
    pub(crate) scheduler: Scheduler,
    pub(crate) members: Members,
    pub(crate) declarations: Declarations,
    pub(crate) autoscaler: Option<Autoscaler>,
    pub(crate) authority: Authority,
    pub(crate) enumerators: Enumerators,
    pub(crate) deletions: Deletions,
    /// Where the newest complete checkpoint is recorded.
    pub(crate) completed: Location,
    pub(crate) lease: Option<Renewals>,
    pub(crate) tickets: Tickets,
    /// The current time.
    pub(crate) now: Instant,
}

impl Leader {
    pub(crate) fn new(parts: LeaderParts) -> Self {
        let found = parts.scheduler.newest_checkpoint();
        let newest = Newest::new(parts.completed, parts.authority.epoch, found);
        Self {
            scheduler: parts.scheduler,
            members: parts.members,
            metrics: Metrics::default(),
            operations: Operations::default(),
            declarations: parts.declarations,
            autoscaler: parts.autoscaler,
            enumerators: parts.enumerators,
            alignment: EventTimeAlignment::default(),
            deployed: Deployed::default(),
            early: EarlyReports::default(),
            requests: Storage::new(parts.tickets),
            deletions: parts.deletions,
            disposals: Disposals::default(),
            newest,
            events: VecDeque::new(),
            end: None,
            authority: parts.authority,
            deposed: None,
            look: Look::Unscheduled,
            storage_answered_at: parts.now,
            lease: parts.lease,
            log: ChangeLog::new(),
        }
    }

    /// Takes over the requirements that were declared to an earlier leadership, before anything else happens.
    pub(crate) fn adopt_requirements(
        &mut self,
        requested: &BTreeMap<VertexId, RequestedBounds>,
        out: &mut Vec<Output>,
    ) {
        match self.scheduler.check_requirements(requested) {
            Ok(bounds) => {
                self.scheduler.adopt_requirements(&bounds);
                self.declarations.carry_over(bounds, out);
            }
            // They stay in storage, for a start of a job that they fit.
            Err(error) => tracing::warn!("the declared resource requirements are not used: {error}"),
        }
    }

    /// Passes an event to the scheduler and carries out its actions.
    pub(crate) fn handle_event(&mut self, now: Instant, event: Event, out: &mut Vec<Output>) {
        self.events.push_back(event);
        self.settle(now, out);
    }

    /// Handles the events of members, until nothing is left to do.
    pub(crate) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deposed.is_some() {
            return;
        }
        loop {
            for event in self.members.take_events() {
                match event {
                    MemberEvent::Job(Event::SubtaskReported(report)) => self.subtask_reported(report, out),
                    MemberEvent::Job(event) => self.events.push_back(event),
                    MemberEvent::Metrics(metrics) => self.metrics.take(now, metrics),
                }
            }
            let Some(event) = self.events.pop_front() else { break };
            for action in self.scheduler.on_event(now, event) {
                self.carry_out(now, action, out);
            }
            self.take_early(out);
        }
        // After the actions: a split that is assigned between an enumerator's snapshot and the trigger that
        // follows it would be in both parts of the checkpoint, and be read twice after a restore.
        if self.advance_enumerators(now, out) {
            return self.settle(now, out);
        }
        self.delete(out);
        self.record_newest(out);
        self.log.log(&self.scheduler.view());
    }

    /// Handles a report of a reader that is not for the scheduler.
    fn reader_reported(&mut self, report: SubtaskReport, out: &mut Vec<Output>) {
        let SubtaskReport { attempt, subtask, event } = report;
        let current = self.scheduler.view().attempt.map(|deployed| deployed.attempt());
        if current != Some(attempt) {
            return;
        }
        match event {
            SubtaskEvent::Exhausted => self.enumerators.exhausted(subtask),
            SubtaskEvent::SplitRequested => self.enumerators.received(subtask, ReaderMessage::SplitRequest),
            SubtaskEvent::SourceEvent(event) => {
                self.enumerators.received(subtask, ReaderMessage::Event(event));
            }
            SubtaskEvent::EventTime(report) => {
                for (reader, lowest) in self.alignment.report(subtask, report) {
                    self.send_to_subtask(reader, SubtaskCommand::SetLowestWatermark(lowest), out);
                }
            }
            _ => {}
        }
    }

    /// Time has passed.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.look_for_successor(now, out);
        self.renew_lease(now, out);
        self.members.on_time(now, out);
        if let Some(autoscaler) = &mut self.autoscaler {
            self.events.extend(autoscaler.on_time(now, &self.scheduler, &self.metrics, &self.members));
        }
        if self.scheduler.next_wakeup().is_some_and(|at| at <= now) {
            self.events.push_back(Event::Tick);
        }
        self.settle(now, out);
    }

    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let (scheduler, members) = (self.scheduler.next_wakeup(), self.members.next_wakeup());
        let autoscaler = self.autoscaler.as_ref().map(Autoscaler::next_wakeup);
        let (enumerators, look) = (self.enumerators.next_wakeup(), self.look.next_wakeup());
        let wakeups = [scheduler, members, autoscaler, enumerators, look, self.lease_due()];
        wakeups.into_iter().flatten().min()
    }

    /// The job's end is recorded, so its objects are deleted, the decision about the end last.
    pub(crate) fn delete_rest(&mut self, decision: Option<String>, out: &mut Vec<Output>) {
        self.deletions.allow_all();
        let mut rest = self.declarations.all();
        rest.push(self.newest.at().0.clone());
        rest.extend(decision);
        self.schedule_deletion(rest);
        self.delete(out);
    }

    pub(crate) fn schedule_deletion(&mut self, objects: Vec<String>) {
        let left = self.deletions.add(objects);
        if left > 0 {
            tracing::warn!(
                left,
                "too many objects wait to be deleted, these are left to the next JobManager"
            );
        }
    }

    fn delete(&mut self, out: &mut Vec<Output>) {
        while let Some(object) = self.deletions.next() {
            let op = StoreOp::Delete { at: Location(object.clone()) };
            out.push(self.requests.ask(Purpose::Deletion(object), op));
        }
    }

    fn record_newest(&mut self, out: &mut Vec<Output>) {
        if let Some(op) = self.newest.record(self.scheduler.newest_checkpoint()) {
            out.push(self.requests.ask(Purpose::Newest, op));
        }
    }

    /// Whether deletions are pending.
    pub(crate) fn deletes(&self) -> bool {
        self.deletions.any()
    }

    /// Handles an answer from storage or another system.
    pub(crate) fn answered(&mut self, now: Instant, ticket: Ticket, answer: Answer, out: &mut Vec<Output>) {
        let Some(answer) = self.lease_answered(now, ticket, answer) else { return };
        let Some(Answer::Store(result)) = self.enumerators.answered(now, ticket, answer) else {
            return self.settle(now, out);
        };
        if !matches!(result, Err(StoreError::Failed { .. })) {
            self.storage_answered_at = now;
        }
        if let Some(stored) = self.declarations.stored(ticket, &result, &mut self.authority, out) {
            self.schedule_deletion(stored.obsolete);
            if let (Some(_), Some(autoscaler)) = (&stored.event, &mut self.autoscaler) {
                autoscaler.requirements_changed(now);
            }
            self.events.extend(stored.event);
            self.deposed = self.deposed.or(stored.deposed);
            return self.settle(now, out);
        }
        let event = match self.requests.take(ticket) {
            None | Some(Purpose::Epoch) => return,
            Some(Purpose::Name(checkpoint, wanted)) => match result {
                // A create request that was answered with an error may have been carried out, so the name may be
                // this leader's own.
                Err(StoreError::AlreadyExists(at)) => {
                    let read = StoreOp::Get { at: at.clone(), range: None };
                    let purpose = Purpose::Decision(checkpoint, wanted, at, 0);
                    return out.push(self.requests.ask(purpose, read));
                }
                result => {
                    let outcome = created(checkpoint, result);
                    return self.decided(now, checkpoint, wanted, outcome, out);
                }
            },
            Some(Purpose::Objects(check)) => return self.objects_listed(now, *check, result, out),
            Some(Purpose::Look) => return self.looked(now, &result, out),
            Some(Purpose::Disposal(request, step)) => return self.disposed(request, step, result, out),
            Some(Purpose::Decision(checkpoint, wanted, at, bad_reads))
                if is_damaged(&result) && bad_reads + 1 < MAX_READS =>
            {
                let read = StoreOp::Get { at: at.clone(), range: None };
                let purpose = Purpose::Decision(checkpoint, wanted, at, bad_reads + 1);
                return out.push(self.requests.ask(purpose, read));
            }
            Some(Purpose::Decision(checkpoint, wanted, ..)) => match wanted.found(result, &self.authority) {
                Ok(outcome) => return self.decided(now, checkpoint, wanted, outcome, out),
                Err(successor) => {
                    self.deposed = Some(successor);
                    return;
                }
            },
            Some(Purpose::Standing(checkpoint, wanted, outcome)) => match self.authority.standing(&result) {
                Standing::Leads => wanted.stored(checkpoint, outcome),
                Standing::RecordGone(create) => {
                    self.write_record(create, out);
                    wanted.stored(checkpoint, outcome)
                }
                Standing::Unknown(error) => wanted.stored(checkpoint, StoreOutcome::Failed(error)),
                Standing::Deposed(successor) => {
                    self.deposed = Some(successor);
                    return;
                }
            },
            Some(Purpose::Newest) => {
                self.newest.written(&result);
                return self.settle(now, out);
            }
            Some(Purpose::Deletion(object)) => {
                match result {
                    Ok(_) | Err(StoreError::NotFound(_)) => self.deletions.done(&object),
                    Err(error) => {
                        tracing::warn!(object, %error, "an object that nothing needs any more cannot be deleted");
                        self.deletions.failed(object);
                    }
                }
                return self.settle(now, out);
            }
        };
        self.handle_event(now, event, out);
    }

    /// A name is decided. Before a checkpoint counts as complete, it checks for a later leadership.
    fn decided(
        &mut self,
        now: Instant,
        checkpoint: CheckpointId,
        wanted: Wanted,
        outcome: StoreOutcome,
        out: &mut Vec<Output>,
    ) {
        match (wanted, &outcome) {
            (Wanted::Complete, StoreOutcome::Won) | (Wanted::Abandoned, StoreOutcome::Lost) => {
                let purpose = Purpose::Standing(checkpoint, wanted, outcome);
                let question = self.authority.question();
                out.push(self.requests.ask(purpose, question));
            }
            _ => self.handle_event(now, wanted.stored(checkpoint, outcome), out),
        }
    }

    fn carry_out(&mut self, now: Instant, action: Action, out: &mut Vec<Output>) {
        match action {
            Action::Deploy { deployment, enumerators } => {
                self.deploy_enumerators(now, &deployment, &enumerators);
                self.alignment.retain(|_| false);
                self.metrics.deploy(&deployment.graph);
                self.deployed.deploy(*deployment, &self.members, out);
            }
            Action::AdoptAttempt { adopted, checkpoint, taken_over, enumerators } => {
                self.adopt(now, &adopted, (checkpoint, &taken_over, &enumerators), out);
            }
            Action::CancelAttempt { attempt, executors } => {
                self.enumerators.stop();
                for executor in executors {
                    self.members.send(executor, &ToExecutor::CancelAttempt { attempt }, out);
                }
            }
            Action::CancelRegions { restart, executors } => {
                self.enumerators.stop_regions(&restart.regions);
                for executor in executors {
                    self.members.send(executor, &ToExecutor::CancelRegions(restart.clone()), out);
                }
            }
            Action::DeployRegions { restart, deployment, enumerators } => {
                let Deployment { graph, restore, .. } = &*deployment;
                let restarted =
                    self.enumerators.deploy_regions(now, &restart.regions, (graph, restore), &enumerators);
                self.events.extend(restarted.err().map(|failure| Event::JobFailed { failure }));
                self.alignment.retain(|reader| graph.find(reader).is_some());
                self.metrics.deploy(graph);
                self.deployed.deploy_regions(&restart, *deployment, &self.members, out);
            }
            Action::DropAttempt { attempt, executors } => {
                for executor in executors {
                    self.members.send(executor, &ToExecutor::DropAttempt { attempt }, out);
                }
            }
            Action::PrepareRescale(preparation) => {
                self.deployed.prepare_rescale(*preparation, &self.members, out);
            }
            Action::Command(command) => self.command(command, out),
            Action::MoveSplits { vertex, splits, states, readers, .. } => {
                tracing::info!(splits = splits.len(), readers = readers.len(), "splits change their readers");
                let assignments = self.enumerators.move_splits(vertex, splits, states, readers);
                // Sent at once: these splits are in no later checkpoint of the enumerator, so their readers must
                // have them before the next trigger.
                self.send_assignments(assignments, out);
            }
            Action::StoreManifest { checkpoint, at, manifest } => {
                self.store_manifest(Check::new(checkpoint, at, manifest), out);
            }
            Action::StoreAbandoned { checkpoint, at } => {
                let body = manifest::encode(&Decision::Abandoned(self.authority.lineage.clone()));
                out.push(self.requests.ask(Purpose::Name(checkpoint, Wanted::Abandoned), create(at, body)));
            }
            Action::DeleteObjects { objects } => self.schedule_deletion(objects),
            Action::StopExecutor { executor, reason } => {
                self.members.stop_executor(now, executor, &reason, out);
            }
            Action::Release { executor } => self.members.release(executor, out),
            Action::Answer { request, result } => {
                if let Some(task_manager) = self.operations.take_drain(request) {
                    match &result {
                        Ok(_) => drop(self.members.request_drain(task_manager, out)),
                        Err(cause) => tracing::warn!(%task_manager, cause, "it is not drained: no savepoint"),
                    }
                }
                self.operations.end(request, result);
            }
            Action::End { state, reason } => {
                self.enumerators.stop();
                self.members.stop_all(out);
                self.deletions.hold();
                self.end = Some(End { state, reason });
            }
        }
    }

    fn deploy_enumerators(&mut self, now: Instant, deployment: &Deployment, states: &[(String, Bytes)]) {
        let Deployment { graph, restore, checkpoint, then, .. } = deployment;
        if let Err(failure) = self.enumerators.deploy(now, graph, restore, states) {
            self.events.push_back(Event::JobFailed { failure });
        }
        if let Some(last) = checkpoint.filter(|_| *then != AfterBarrier::Continue) {
            self.enumerators.pause(last);
        }
    }

    /// Sends a command of the scheduler, and does the JobManager's own part of it.
    fn command(&mut self, command: AttemptCommand, out: &mut Vec<Output>) {
        let AttemptCommand { attempt, command } = command;
        match command {
            Command::Checkpoint { checkpoint, without, command } => {
                self.advise_enumerators(checkpoint, &command);
                let command = Command::Checkpoint { checkpoint, without, command };
                self.deployed.send(attempt, command, &self.members, out);
            }
            Command::Subtask { subtask, command } => self.send_to_subtask(subtask, command, out),
            Command::Rescale { version, command } => {
                let commits = command == RescaleCommand::Commit;
                self.deployed.rescale(attempt, version, command, &self.members, out);
                if commits {
                    let graph = self.deployed.graph();
                    self.metrics.remove_leaving(graph);
                    self.alignment.retain(|reader| graph.find(reader).is_some());
                }
            }
        }
    }

    /// Takes the enumerators' states before the trigger is sent, because splits that are assigned after it do not
    /// belong to the checkpoint.
    fn advise_enumerators(&mut self, checkpoint: CheckpointId, command: &CheckpointCommand) {
        match command {
            CheckpointCommand::Trigger(SnapshotKind { then, cut, .. }) => {
                self.scheduler.set_enumerators(checkpoint, self.enumerators.snapshot());
                if *then != AfterBarrier::Continue {
                    self.enumerators.pause(checkpoint);
                }
                if let (Some(_), Some(next)) = (cut, self.deployed.next()) {
                    self.enumerators.begin_move(self.deployed.graph(), next);
                    self.metrics.join(next);
                }
            }
            CheckpointCommand::NotifyComplete => tracing::debug!(%checkpoint, "complete"),
            CheckpointCommand::NotifyAborted => self.enumerators.resume(checkpoint),
        }
    }

    /// Sends a command to the executor of a subtask of the current attempt.
    fn send_to_subtask(&self, subtask: SubtaskId, command: SubtaskCommand, out: &mut Vec<Output>) {
        let Some(deployed) = self.scheduler.view().attempt else { return };
        let Some(record) = deployed.subtasks().get(&subtask) else { return };
        let (attempt, command) = (deployed.attempt(), Command::Subtask { subtask, command });
        let message = ToExecutor::Command(AttemptCommand { attempt, command });
        self.members.send(record.slot.executor, &message, out);
    }

    /// Sends the enumerators' requests to the outside and their assignments to readers. Returns whether one has failed
    /// the job.
    fn advance_enumerators(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        let mut work = self.enumerators.advance(now);
        out.extend(work.outputs());
        self.send_assignments(work.assignments, out);
        for (subtask, readers) in work.active {
            self.send_to_subtask(subtask, SubtaskCommand::SetActiveReaders(readers), out);
        }
        for subtask in work.ends {
            self.send_to_subtask(subtask, SubtaskCommand::EndSource, out);
        }
        let failed = !work.failures.is_empty();
        self.events.extend(work.failures.into_iter().map(|failure| Event::JobFailed { failure }));
        failed
    }

    fn send_assignments(&self, assignments: Vec<Assignment>, out: &mut Vec<Output>) {
        for (subtask, assignment) in assignments {
            self.send_to_subtask(subtask, SubtaskCommand::AssignSplits(assignment), out);
        }
    }

    /// Creates the deciding name of a checkpoint if its objects exist.
    fn store_manifest(&mut self, check: Check, out: &mut Vec<Output>) {
        let (purpose, op) = check.proceed();
        out.push(self.requests.ask(purpose, op));
    }

    /// A listing for a check has been answered.
    fn objects_listed(&mut self, now: Instant, mut check: Check, answer: StoreResult, out: &mut Vec<Output>) {
        // The decision about the end follows all checkpoints, and with a final end all of them are deleted.
        if self.end.is_some() {
            return;
        }
        match check.listed(answer) {
            Ok(()) => self.store_manifest(check, out),
            Err(outcome) => {
                let checkpoint = check.checkpoint();
                tracing::warn!(%checkpoint, ?outcome, "a checkpoint is not complete");
                self.handle_event(now, Event::ManifestStored { checkpoint, outcome }, out);
            }
        }
    }
}
