//! The JobManager once it leads: what members, storage and users say goes to the scheduler, and what the scheduler
//! wants is carried out.
//!
//! Nothing is decided here. Events are handed over one by one; the actions of each are carried out, in order, before
//! the next.

mod commands;
mod look;
mod objects;
mod share;
mod splits;

use crate::decisions::{Wanted, create, created, is_damaged};
use crate::deletions::Deletions;
use crate::enumerators::{Enumerators, Listing};
use crate::leadership::authority::{Authority, Standing};
use crate::members::{MemberEvent, Members};
use crate::metrics::Metrics;
use crate::operations::Operations;
use crate::requirements::Declarations;
use crate::settings::Artifact;
use crate::storage::{Storage, Tickets};
use bytes::Bytes;
use look::Look;
use objects::Check;
use reflow_coordination::action::{Action, EndState};
use reflow_coordination::event::{Event, RequestId, StoreOutcome};
use reflow_coordination::manifest::{self, Decision};
use reflow_coordination::requirements::RequestedBounds;
use reflow_coordination::scheduler::{JobStatus, Scheduler};
use reflow_env::{ConnId, Location, Output, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
use reflow_graph::ExecutionGraph;
use reflow_protocol::control::{ToExecutor, ToTaskManager};
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_types::{CheckpointId, ExecutorId, Instant, LeaderEpoch, TaskManagerId, VertexId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The parts in which the executable is sent, in bytes.
const CHUNK_BYTES: u64 = 1 << 20;

/// What a storage request is for.
#[derive(Debug)]
enum Purpose {
    Name(CheckpointId, Wanted),
    /// Whether the objects of a checkpoint are there.
    Objects(Box<Check>),
    /// What stands under a name that was there already.
    /// If it is damaged, it is read once more from there.
    Decision(CheckpointId, Wanted, Option<Location>),
    /// Whether a later leadership is there: only if not, the outcome counts.
    Standing(CheckpointId, Wanted, StoreOutcome),
    /// Whether a later leadership is there, between decisions.
    Look,
    /// The file of this leadership's epoch.
    Epoch,
    Deletion(String),
    Chunk {
        conn: ConnId,
        offset: u64,
    },
    Listing(Listing),
}

/// How the job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) state: EndState,
    pub(crate) reason: Option<String>,
}

/// The leader of a job.
pub(crate) struct Leader {
    pub(crate) scheduler: Scheduler,
    pub(crate) members: Members,
    pub(crate) metrics: Metrics,
    pub(crate) operations: Operations,
    pub(crate) declarations: Declarations,
    /// TaskManagers that are told to leave once a savepoint or checkpoint is complete.
    pub(crate) drains: BTreeMap<RequestId, TaskManagerId>,
    enumerators: Enumerators,
    artifact: Artifact,
    /// The graph that runs.
    graph: ExecutionGraph,
    /// The graph that a live rescale leads to.
    next: Option<ExecutionGraph>,
    /// The executors of these graphs.
    deployed: BTreeSet<ExecutorId>,
    requests: Storage<Purpose>,
    deletions: Deletions,
    /// Events that carrying out actions has led to.
    events: VecDeque<Event>,
    pub(crate) end: Option<End>,
    /// Whether it still leads.
    pub(crate) authority: Authority,
    /// The later leadership that was found: this one changes nothing any more.
    pub(crate) deposed: Option<LeaderEpoch>,
    look: Look,
    /// Whether the end is in storage: only then may the job's objects go.
    end_is_recorded: bool,
    /// The status, and how many warnings and damaged checkpoints, were logged last.
    logged: (JobStatus, usize, usize),
}

/// What a leader is made of.
pub(crate) struct LeaderParts {
    pub(crate) scheduler: Scheduler,
    pub(crate) members: Members,
    pub(crate) declarations: Declarations,
    pub(crate) authority: Authority,
    pub(crate) enumerators: Enumerators,
    pub(crate) artifact: Artifact,
    pub(crate) deletions: Deletions,
    pub(crate) tickets: Tickets,
}

impl Leader {
    pub(crate) fn new(parts: LeaderParts) -> Self {
        Self {
            scheduler: parts.scheduler,
            members: parts.members,
            metrics: Metrics::default(),
            operations: Operations::default(),
            declarations: parts.declarations,
            drains: BTreeMap::new(),
            enumerators: parts.enumerators,
            artifact: parts.artifact,
            graph: ExecutionGraph::default(),
            next: None,
            deployed: BTreeSet::new(),
            requests: Storage::new(parts.tickets),
            deletions: parts.deletions,
            events: VecDeque::new(),
            end: None,
            authority: parts.authority,
            deposed: None,
            look: Look::Unscheduled,
            end_is_recorded: false,
            logged: (JobStatus::Initializing, 0, 0),
        }
    }

    /// Takes over, before anything else happens, what users declared to an earlier leadership.
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
            // They stay, for a start of the job that they fit.
            Err(error) => tracing::warn!("the declared resource requirements are not used: {error}"),
        }
    }

    /// Something happened to the job.
    pub(crate) fn handle_event(&mut self, now: Instant, event: Event, out: &mut Vec<Output>) {
        self.events.push_back(event);
        self.settle(now, out);
    }

    /// Hands over what members have said, and goes on until nothing is left to do.
    pub(crate) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deposed.is_some() {
            return;
        }
        loop {
            for event in self.members.take_events() {
                match event {
                    // This one is for the enumerators, not for the scheduler.
                    MemberEvent::Job(Event::SubtaskReported(SubtaskReport {
                        attempt,
                        subtask,
                        event: SubtaskEvent::Exhausted,
                    })) => {
                        let current = self.scheduler.view().attempt.map(|deployed| deployed.attempt);
                        if current == Some(attempt) {
                            self.enumerators.exhausted(subtask);
                        }
                    }
                    MemberEvent::Job(event) => self.events.push_back(event),
                    MemberEvent::Metrics(metrics) => self.metrics.take(now, &metrics),
                    MemberEvent::ArtifactRequested { conn, offset } => self.send_chunk(conn, offset, out),
                }
            }
            let Some(event) = self.events.pop_front() else { break };
            for action in self.scheduler.on_event(now, event) {
                self.carry_out(now, action, out);
            }
        }
        self.advance_enumerators(now, out);
        self.delete(out);
        self.log_changes();
    }

    /// Time has passed.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.look_for_successor(now, out);
        self.members.on_time(now, out);
        if self.scheduler.next_wakeup().is_some_and(|at| at <= now) {
            self.events.push_back(Event::Tick);
        }
        self.settle(now, out);
    }

    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        let (scheduler, members) = (self.scheduler.next_wakeup(), self.members.next_wakeup());
        let wakeups = [scheduler, members, self.enumerators.next_wakeup(), self.look.next_wakeup()];
        wakeups.into_iter().flatten().min()
    }

    /// The job's end is recorded: what it leaves may go, the decision about the end last.
    pub(crate) fn delete_rest(&mut self, decision: Option<String>, out: &mut Vec<Output>) {
        self.end_is_recorded = true;
        let mut rest = self.declarations.all();
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

    /// Deletes what may go; after the job's end only when that is recorded.
    fn delete(&mut self, out: &mut Vec<Output>) {
        if self.end.is_some() && !self.end_is_recorded {
            return;
        }
        while let Some(object) = self.deletions.next() {
            let op = StoreOp::Delete { at: Location(object.clone()) };
            out.push(self.requests.ask(Purpose::Deletion(object), op));
        }
    }

    /// Whether something is still to be deleted.
    pub(crate) fn deletes(&self) -> bool {
        self.deletions.any()
    }

    /// An answer from storage.
    pub(crate) fn stored(
        &mut self,
        now: Instant,
        ticket: Ticket,
        result: StoreResult,
        out: &mut Vec<Output>,
    ) {
        if let Some(stored) = self.declarations.stored(ticket, &result, &mut self.authority, out) {
            self.schedule_deletion(stored.obsolete);
            self.events.extend(stored.event);
            self.deposed = self.deposed.or(stored.deposed);
            return self.settle(now, out);
        }
        let event = match self.requests.take(ticket) {
            None | Some(Purpose::Epoch) => return,
            Some(Purpose::Name(checkpoint, wanted)) => match result {
                // A create that was answered with an error may have been done: the name may be our own.
                Err(StoreError::AlreadyExists(at)) => {
                    let read = StoreOp::Get { at: at.clone(), range: None };
                    return out
                        .push(self.requests.ask(Purpose::Decision(checkpoint, wanted, Some(at)), read));
                }
                result => {
                    let outcome = created(checkpoint, result);
                    return self.decided(now, checkpoint, wanted, outcome, out);
                }
            },
            Some(Purpose::Objects(check)) => return self.objects_listed(now, *check, result, out),
            Some(Purpose::Look) => return self.looked(now, &result, out),
            Some(Purpose::Decision(checkpoint, wanted, Some(at))) if is_damaged(&result) => {
                let read = StoreOp::Get { at, range: None };
                return out.push(self.requests.ask(Purpose::Decision(checkpoint, wanted, None), read));
            }
            Some(Purpose::Decision(checkpoint, wanted, _)) => match wanted.found(result, &self.authority) {
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
            Some(Purpose::Deletion(object)) => {
                match result {
                    Ok(_) | Err(StoreError::NotFound(_)) => self.deletions.done(&object),
                    Err(error) => {
                        tracing::warn!(object, %error, "an object that nothing needs any more cannot be deleted");
                        // Of a job that is over nothing is read: the rest need not wait.
                        if self.end_is_recorded {
                            self.deletions.done(&object);
                        } else {
                            self.deletions.failed(object);
                        }
                    }
                }
                return self.settle(now, out);
            }
            Some(Purpose::Chunk { conn, offset }) => return self.on_chunk(conn, offset, result, out),
            Some(Purpose::Listing(listing)) => match self.enumerators.listed(now, listing, result) {
                Ok(()) => return self.settle(now, out),
                Err(failure) => Event::JobFailed { failure },
            },
        };
        self.handle_event(now, event, out);
    }

    /// A name is decided. Before anybody hears of a complete checkpoint, a later leadership is looked for.
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
                self.metrics.deploy(&deployment.graph);
                self.deploy(*deployment, out);
            }
            Action::CancelAttempt { attempt, executors } => {
                self.enumerators.stop();
                for executor in executors {
                    self.members.send(executor, &ToExecutor::CancelAttempt { attempt }, out);
                }
            }
            Action::PrepareRescale(preparation) => self.prepare_rescale(*preparation, out),
            Action::Command(command) => self.command(command, out),
            Action::MoveSplits { vertex, splits, states, readers, .. } => {
                tracing::info!(splits = splits.len(), readers = readers.len(), "splits change their readers");
                let assignments = self.enumerators.move_splits(vertex, splits, states, readers);
                // At once: what is handed over here is in no checkpoint that begins later, unless its reader has it.
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
            Action::StopExecutor { executor } => {
                let reason = "it did not end its subtasks within task.cancellation.timeout";
                self.members.stop_executor(now, executor, reason, out);
            }
            Action::Release { executor } => self.members.release(executor, out),
            Action::Answer { request, result } => {
                if let Some(task_manager) = self.drains.remove(&request) {
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
                self.end = Some(End { state, reason });
            }
        }
    }

    /// Reads a part of the executable for a TaskManager.
    fn send_chunk(&mut self, conn: ConnId, offset: u64, out: &mut Vec<Output>) {
        let Artifact { at, len, .. } = &self.artifact;
        let (at, end) = (at.clone(), len.min(&offset.saturating_add(CHUNK_BYTES)).to_owned());
        if offset >= end {
            return self.on_chunk(conn, offset, Ok(StoreReply::Bytes(Bytes::new())), out);
        }
        let op = StoreOp::Get { at, range: Some(offset..end) };
        out.push(self.requests.ask(Purpose::Chunk { conn, offset }, op));
    }

    /// A part that cannot be read is sent as an empty one: the TaskManager then gives up, and says so.
    fn on_chunk(&self, conn: ConnId, offset: u64, result: StoreResult, out: &mut Vec<Output>) {
        let bytes = match result {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => Bytes::new(),
            Err(error) => {
                tracing::error!(%error, "the job's executable cannot be read");
                Bytes::new()
            }
        };
        let Artifact { sha256, len, .. } = &self.artifact;
        let chunk = ToTaskManager::ArtifactChunk { sha256: sha256.clone(), offset, total: *len, bytes };
        out.push(Output::Send { conn, frame: reflow_protocol::encode(&chunk) });
    }

    fn log_changes(&mut self) {
        let view = self.scheduler.view();
        let (status, warnings, rejected) = self.logged;
        for warning in view.warnings.iter().skip(warnings) {
            tracing::warn!("{warning}");
        }
        for (checkpoint, damage) in view.checkpoints.rejected.iter().skip(rejected) {
            tracing::error!(%checkpoint, damage, "a checkpoint is damaged");
        }
        if view.status != status {
            tracing::info!(from = ?status, to = ?view.status, state = %view.state, "job status");
        }
        self.logged = (view.status, view.warnings.len(), view.checkpoints.rejected.len());
    }
}
