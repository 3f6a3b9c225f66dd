//! The checkpoint coordinator: its inputs and the triggers of checkpoints. `decision` has the end of a
//! checkpoint. The tests begin with an example of two checkpoints.

use super::deployed::{Change, Deployed, nothing};
use super::fallback::Fallback;
use super::pending::Pending;
use super::queue::{Queue, Queued};
use super::recovery::Recovered;
use super::retention::{Completed, Retention, checkpoint_dir, data_dir};
use super::stats::{Acknowledgement, Entry, Restored, Stats, Status, VertexStats};
use super::{Effect, FailureCause, Identity, Participant, Purpose, Request, Settings};
use crate::action::{Action, EndState};
use crate::event::RequestId;
use crate::manifest::{Lineage, below, operator_bytes};
use bytes::Bytes;
use reflow_graph::{ExecutionGraph, JobGraph};
use reflow_protocol::command::{CheckpointCommand, SnapshotKind};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::report::{SnapshotTiming, SubtaskEvent, SubtaskReport};
use reflow_protocol::snapshot::{AfterBarrier, StateFormat, SubtaskState};
use reflow_types::{CheckpointId, Instant, JobId, SubtaskId, VertexId};
use std::collections::BTreeMap;

/// The checkpoints of one job under one leadership.
///
/// # Invariants
/// - At most one checkpoint is pending. It belongs to the attempt that runs, or is being abandoned.
/// - Ids grow by one.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    /// The lineage of this leadership, which its manifests contain.
    pub(super) lineage: Lineage,
    /// The requests that wait for the job to end with a complete savepoint, and its location.
    pub(super) stopping: Option<(Vec<RequestId>, String)>,
    pub(super) next_id: CheckpointId,
    pub(super) next_subtask: SubtaskId,
    pub(super) deployed: Option<Deployed>,
    pub(super) pending: Option<Pending>,
    pub(super) queue: Queue,
    pub(super) retention: Retention,
    pub(super) stats: Stats,
    /// When the last checkpoint ended, complete or failed.
    pub(super) last_ended: Option<Instant>,
    /// The number of consecutive failures of periodic checkpoints.
    pub(super) failures: u32,
    /// A failed checkpoint whose abandonment storage has not confirmed yet.
    pub(super) unrecorded: Option<CheckpointId>,
    /// Whether storage has lost objects of the checkpoint from which this leadership resumes.
    has_lost_objects: bool,
}

impl Coordinator {
    /// A coordinator that resumes from `recovered`.
    pub fn new(settings: Settings, identity: Identity, recovered: Option<Recovered>, _now: Instant) -> Self {
        let recovered = recovered.unwrap_or_default();
        let lineage = recovered.taken_over(identity.epoch);
        let mut retention = Retention::new(settings.retained, settings.job_dir.clone());
        recovered.objects.into_iter().for_each(|object| retention.know_object(object));
        recovered.abandoned.into_iter().for_each(|id| retention.know_abandoned(id));
        recovered.damaged.iter().for_each(|(id, _)| retention.know_damaged(*id));
        let stats = Stats::new(settings.history, recovered.damaged);
        recovered.completed.into_iter().for_each(|completed| retention.add(completed));
        Self {
            settings,
            identity,
            lineage,
            stopping: None,
            next_id: recovered.highest.next(),
            next_subtask: recovered.next_subtask,
            deployed: None,
            pending: None,
            queue: Queue::default(),
            retention,
            stats,
            last_ended: None,
            failures: 0,
            unrecorded: None,
            has_lost_objects: recovered.lost.is_some(),
        }
    }

    /// Begins an attempt, which is deployed with the state of [`latest`](Self::latest).
    ///
    /// # Panics
    /// If the former attempt's last checkpoint [is not settled](Self::is_settled), because the restored
    /// checkpoint may not be the latest one.
    pub fn begin_attempt(
        &mut self,
        now: Instant,
        attempt: Attempt,
        participants: Vec<Participant>,
        job: &JobGraph,
        graph: &ExecutionGraph,
    ) {
        assert!(
            self.pending.is_none(),
            "an attempt begins while checkpoint {} is undecided",
            self.next_id.0 - 1
        );
        let restored = self.retention.latest();
        let deployed = Deployed::new(attempt, participants, job, graph, restored);
        if let Some(restored) = restored {
            self.stats.restored(restored_entry(now, restored));
        }
        self.next_subtask = self.next_subtask.max(deployed.next_subtask);
        self.deployed = Some(deployed);
        self.failures = 0;
    }

    /// Executors know the ids of checkpoints up to this one, which a former leader has triggered. They are not used again.
    pub fn skip_ids(&mut self, highest: CheckpointId) {
        self.next_id = self.next_id.max(highest.next());
    }

    /// Continues an attempt that a former leader has deployed. Its subtasks build on the state of [`latest`](Self::latest),
    /// and know the ids of checkpoints up to `highest`.
    pub fn adopt_attempt(
        &mut self,
        attempt: Attempt,
        participants: Vec<Participant>,
        job: &JobGraph,
        graph: &ExecutionGraph,
        highest: CheckpointId,
    ) {
        assert!(self.deployed.is_none() && self.pending.is_none(), "a leader adopts before it deploys");
        let mut deployed = Deployed::new(attempt, participants, job, graph, self.retention.latest());
        if self.has_lost_objects {
            // Its tasks have what storage has lost. No failure of this checkpoint counts, because a restart would need that.
            deployed.rewrite = true;
            let wanted = Request::of(Purpose::User);
            let Request { purpose, then, directory, cut, .. } = wanted;
            self.queue.push(Queued { purpose, then, requests: Vec::new(), directory, cut }).ok();
        }
        self.skip_ids(highest);
        self.next_subtask = self.next_subtask.max(deployed.next_subtask);
        self.deployed = Some(deployed);
    }

    /// All subtasks of the attempt run, so checkpoints may begin, the first periodic one after an interval.
    pub fn set_running(&mut self, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        // An attempt that was restored from the savepoint ends the job; one that was restored from an earlier
        // checkpoint does not.
        let stops = self.retention.latest().is_some_and(|latest| latest.manifest.ending.is_some());
        if let Some((requests, at)) = self.stopping.take_if(|_| !stops) {
            let reason = format!(
                "the savepoint {at} is complete, but its state cannot be read, and the job goes on from an older \
                 checkpoint: stop it again"
            );
            out.extend(answers(requests, Err(reason)));
        }
        if let Some(deployed) = &mut self.deployed {
            deployed.running = true;
            deployed.absent.clear();
            // A restart of regions does not postpone the next one.
            let due = |interval| deployed.next_periodic.map_or(now + interval, |due| due.min(now + interval));
            deployed.next_periodic = self.settings.interval.map(due);
        }
        self.advance(now, &mut out);
        out
    }

    /// Ends the attempt. Its pending checkpoint is abandoned, and waiting requests are refused. Before another
    /// attempt begins, wait for [`is_settled`](Self::is_settled).
    pub fn end_attempt(&mut self, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        self.deployed = None;
        self.retention.unpin();
        for queued in self.queue.drain() {
            let reason = "the attempt has ended before it could begin";
            out.extend(answers(queued.requests, Err(reason.to_owned())));
        }
        self.give_up(now, FailureCause::Other, "the attempt has ended".to_owned(), &mut out);
        out
    }

    /// Whether the outcome of every checkpoint is known, so that an attempt may begin from
    /// [`latest`](Self::latest).
    pub fn is_settled(&self) -> bool {
        self.pending.is_none()
    }

    /// Whether storage has confirmed the last decision about a checkpoint. Until then, uploads that hang look
    /// like a late barrier.
    pub fn storage_answers(&self) -> bool {
        self.unrecorded.is_none()
    }

    /// Sets the enumerators' states, which were taken when the checkpoint was triggered.
    pub fn set_enumerators(&mut self, checkpoint: CheckpointId, states: Vec<(String, Bytes)>) {
        if let Some(pending) = self.pending.as_mut().filter(|pending| pending.id == checkpoint) {
            pending.enumerators.get_or_insert(states);
        }
    }

    /// Requests a checkpoint, which begins now or when the pending one has ended.
    pub fn request(&mut self, now: Instant, request: Request) -> Vec<Effect> {
        let mut out = Vec::new();
        let Request { purpose, then, request, directory, cut } = request;
        let wanted = Queued { purpose, then, requests: Vec::from_iter(request), directory, cut };
        let refusal = if self.deployed.is_none() {
            Some((wanted, "the job does not run"))
        } else if purpose.is_savepoint() && wanted.directory.is_none() {
            Some((
                wanted,
                "a savepoint needs a directory: name one, or set execution.checkpointing.savepoint-dir",
            ))
        } else {
            self.queue.push(wanted).err().map(|wanted| (wanted, "too many savepoints wait: try again later"))
        };
        if let Some((refused, reason)) = refusal {
            out.extend(answers(refused.requests, Err(reason.to_owned())));
        }
        self.advance(now, &mut out);
        out
    }

    /// Handles a report of a subtask. Most reports do not concern checkpoints.
    pub fn on_report(&mut self, now: Instant, report: SubtaskReport) -> Vec<Effect> {
        let SubtaskReport { attempt, subtask, event } = report;
        match event {
            SubtaskEvent::Acknowledged { checkpoint, state, timing } => {
                self.on_acknowledged(now, attempt, checkpoint, subtask, state, timing)
            }
            SubtaskEvent::Declined { checkpoint, reason } => {
                self.on_declined(now, attempt, checkpoint, subtask, reason)
            }
            SubtaskEvent::Finished => self.subtask_finished(now, attempt, subtask),
            _ => Vec::new(),
        }
    }

    /// A subtask's part of a checkpoint is in storage.
    pub(super) fn on_acknowledged(
        &mut self,
        now: Instant,
        attempt: Attempt,
        checkpoint: CheckpointId,
        subtask: SubtaskId,
        state: SubtaskState,
        timing: SnapshotTiming,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let current = |p: &&mut Pending| p.id == checkpoint && p.attempt == attempt && p.is_collecting();
        let (pending, deployed) = match (self.pending.as_mut().filter(current), &self.deployed) {
            (Some(pending), Some(deployed)) => (pending, deployed),
            _ => {
                // Too late for the checkpoint. The object exists nevertheless and must be deleted later.
                let object = state.keyed.and_then(|keyed| keyed.object);
                object.into_iter().for_each(|o| self.retention.know_object(below(&self.data_dir(), &o)));
                return out;
            }
        };
        let Some(participant) = pending.participants.get(&subtask) else { return out };
        if pending.acknowledged.contains_key(&subtask) {
            return out;
        }
        if let Some(object) = state.keyed.as_ref().and_then(|keyed| keyed.object.as_ref()) {
            self.retention.know_object(below(&pending.data, object));
        }
        if let Some(fault) = deployed.fault(subtask, &state) {
            let reason = format!("{}: {fault}", deployed.name_of(participant));
            self.give_up(now, FailureCause::Other, reason, &mut out);
            self.advance(now, &mut out);
            return out;
        }
        let keyed_bytes = state.keyed.as_ref().map_or(0, |keyed| keyed.bytes);
        let bytes = keyed_bytes + state.operator.iter().map(operator_bytes).sum::<u64>();
        let SnapshotTiming { alignment, writing } = timing;
        let ack =
            Acknowledgement { at: now, checkpointed_bytes: bytes, state_bytes: bytes, alignment, writing };
        self.stats.acknowledged(checkpoint, usize::from(participant.vertex.0), participant.index, ack);
        pending.acknowledged.insert(subtask, state);
        self.seal_if_complete(now, &mut out);
        out
    }

    /// A subtask could not write its part.
    pub(super) fn on_declined(
        &mut self,
        now: Instant,
        attempt: Attempt,
        checkpoint: CheckpointId,
        subtask: SubtaskId,
        reason: String,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let current = |p: &Pending| {
            let known = p.participants.contains_key(&subtask);
            known && p.id == checkpoint && p.attempt == attempt && p.is_collecting()
        };
        if let (Some(pending), Some(deployed)) =
            (self.pending.as_ref().filter(|p| current(p)), &self.deployed)
        {
            let subtask = deployed.name_of(&pending.participants[&subtask]);
            let reason = format!("{subtask} could not write its part: {reason}");
            self.give_up(now, FailureCause::Storage, reason, &mut out);
            self.advance(now, &mut out);
        }
        out
    }

    /// A subtask has finished and takes part in no further checkpoints. They contain its acknowledgement of the
    /// last complete one, unless a rescale has removed it, because its state then belongs to others.
    pub(super) fn subtask_finished(
        &mut self,
        now: Instant,
        attempt: Attempt,
        subtask: SubtaskId,
    ) -> Vec<Effect> {
        let mut out = Vec::new();
        let Some(deployed) = self.deployed.as_mut().filter(|deployed| deployed.attempt == attempt) else {
            return out;
        };
        let last = if deployed.leaving.remove(&subtask) {
            deployed.participants.remove(&subtask);
            deployed.chains.remove(&subtask);
            Some(nothing())
        } else {
            let news = deployed.participants.contains_key(&subtask) && deployed.finished.insert(subtask);
            news.then(|| deployed.last_of(subtask))
        };
        if let Some(last) = last {
            let takes_part = |p: &&mut Pending| p.is_collecting() && p.participants.contains_key(&subtask);
            if let Some(pending) = self.pending.as_mut().filter(takes_part) {
                pending.acknowledged.entry(subtask).or_insert(last);
            }
            self.seal_if_complete(now, &mut out);
        }
        out
    }

    /// Time has passed.
    pub fn on_tick(&mut self, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        self.seal_if_complete(now, &mut out);
        let timeout = self.settings.timeout;
        if self.pending.as_ref().is_some_and(|pending| now >= pending.triggered_at + timeout) {
            let reason = format!("it was not complete after {timeout:?}");
            self.give_up(now, FailureCause::Other, reason, &mut out);
        }
        self.retry_abandonments(now, &mut out);
        self.advance(now, &mut out);
        out
    }

    /// When [`on_tick`](Self::on_tick) has something to do.
    pub fn next_wakeup(&self) -> Option<Instant> {
        let pending = self.pending.as_ref().and_then(|pending| match &pending.abandoning {
            Some(abandoning) => abandoning.retry_at,
            None if self.is_ready_to_seal() => Some(Instant::default()),
            None => Some(pending.triggered_at + self.settings.timeout),
        });
        let periodic = self.next_periodic().filter(|_| self.pending.is_none());
        [pending, periodic].into_iter().flatten().min()
    }

    /// The checkpoint from which an attempt begins: the last complete one that is not damaged.
    pub fn latest(&self) -> Option<&Completed> {
        self.retention.latest()
    }

    /// The checkpoint before [`latest`](Self::latest).
    pub(crate) fn before_latest(&self) -> Option<&Completed> {
        self.retention.before_latest()
    }

    /// Whether the job needs this savepoint of a job, in a directory of this name: it is retained, a retained checkpoint has
    /// objects there, or the one under way is being written there.
    pub fn needs_savepoint(&self, savepoint: (JobId, CheckpointId), name: &str) -> bool {
        let is_written = |pending: &Pending| pending.at.rsplit('/').next() == Some(name);
        self.retention.needs_savepoint(savepoint, name) || self.pending.as_ref().is_some_and(is_written)
    }

    /// [`latest`](Self::latest) and the checkpoints before it that have the very same state of a vertex, because its region
    /// was being restarted, newest first. Damage of that state is damage of all of them.
    pub fn with_latest_state_of(&self, vertex: VertexId) -> Vec<CheckpointId> {
        self.retention.with_latest_state_of(vertex).map(|same| same.checkpoint).collect()
    }

    /// The alternative to the newest checkpoints, which cannot be read; `None` if there is no older one.
    pub fn fallback(&self, unreadable: &[CheckpointId], damage: &str) -> Option<Fallback> {
        let older = self.retention.latest_but(unreadable)?;
        let newer = self.stats.rejected.iter().filter(|(checkpoint, _)| *checkpoint > older.checkpoint);
        let mut damaged: Vec<(CheckpointId, String)> = newer.cloned().collect();
        damaged.extend(unreadable.iter().map(|checkpoint| (*checkpoint, damage.to_owned())));
        damaged.sort_by_key(|(checkpoint, _)| *checkpoint);
        Some(Fallback { damaged, older: older.into() })
    }

    /// Sets the latest checkpoint aside because it cannot be read, so that the next older one is the latest. If
    /// there is none, the state is lost, and the job must not start without it by itself. Returns the checkpoint
    /// that was set aside.
    pub fn reject_latest(&mut self, reason: &str) -> Option<&Completed> {
        let rejected = self.retention.reject_latest()?;
        self.stats.rejected.push((rejected.checkpoint, reason.to_owned()));
        Some(rejected)
    }

    /// The statistics for users.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The id of the next decision.
    pub fn next_id(&self) -> CheckpointId {
        self.next_id
    }

    /// One past the highest subtask id that the job has used.
    pub fn next_subtask(&self) -> SubtaskId {
        self.next_subtask
    }

    /// The job has ended. Its checkpoints are deleted, unless they outlive it.
    pub fn end_job(&mut self, now: Instant, state: EndState) -> Vec<Effect> {
        let mut out = self.end_attempt(now);
        if let Some((requests, at)) = self.stopping.take() {
            let result = match state {
                EndState::Finished | EndState::Canceled => Ok(at),
                EndState::Failed => Err(format!("the savepoint {at} is complete, but then the job failed")),
                EndState::Suspended => {
                    Err(format!("the savepoint {at} is complete, but the JobManager was stopped"))
                }
            };
            out.extend(answers(requests, result));
        }
        let kept = match state {
            EndState::Finished => false,
            EndState::Canceled => self.settings.keep_on_cancellation,
            EndState::Failed | EndState::Suspended => true,
        };
        if !kept {
            let collected = self.retention.clear();
            self.delete(collected, &mut out);
        }
        out
    }

    pub(super) fn data_dir(&self) -> String {
        data_dir(&self.settings.job_dir)
    }

    /// When the next periodic checkpoint is due, if there are periodic ones.
    fn next_periodic(&self) -> Option<Instant> {
        let periodic = |deployed: &&Deployed| {
            let free = !deployed.ending && !deployed.held && deployed.change.is_none();
            deployed.running && free && deployed.can_take_over(self.retention.latest())
        };
        let deployed = self.deployed.as_ref().filter(periodic)?;
        let pause_over = self.last_ended.map_or(Instant::default(), |ended| ended + self.settings.min_pause);
        deployed.next_periodic.map(|due| due.max(pause_over))
    }

    /// Begins a checkpoint if one may begin now.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(deployed) = &self.deployed else { return };
        if self.pending.is_some() || !deployed.running || deployed.change.is_some() {
            return;
        }
        // Only periodic checkpoints do without regions. Whatever was requested is of the whole job.
        let (held, whole) = (deployed.held, deployed.absent.is_empty());
        let may = |purpose| whole && (!held || matches!(purpose, Purpose::LiveRescale | Purpose::Cut));
        let due = self.next_periodic().is_some_and(|due| due <= now);
        if !self.queue.has(may) && !due {
            return;
        }
        let periodic = Queued {
            purpose: Purpose::Periodic,
            then: AfterBarrier::Continue,
            requests: Vec::new(),
            directory: None,
            cut: None,
        };
        let wanted = self.queue.pop(may).unwrap_or(periodic);
        self.trigger(now, wanted, out);
    }

    fn trigger(&mut self, now: Instant, wanted: Queued, out: &mut Vec<Effect>) {
        let id = self.next_id;
        self.next_id = id.next();
        let deployed = self.deployed.as_mut().expect("checkpoints are triggered in an attempt only");
        if wanted.purpose == Purpose::Periodic {
            deployed.next_periodic = self.settings.interval.map(|interval| now + interval);
        }
        let (format, at, data) = match &wanted.directory {
            Some(directory) => {
                let at = savepoint_dir(directory, &self.identity, id);
                (StateFormat::Savepoint, at.clone(), at)
            }
            None => {
                let job_dir = &self.settings.job_dir;
                (StateFormat::Checkpoint, checkpoint_dir(job_dir, id), data_dir(job_dir))
            }
        };
        let without = deployed.absent.clone();
        let participants = deployed.participants_without(&without);
        let finished = deployed.finished.iter().filter(|id| participants.contains_key(id));
        let acknowledged: BTreeMap<_, _> = finished.map(|&id| (id, deployed.last_of(id))).collect();
        let attempt = deployed.attempt;
        self.stats.triggered(entry((id, wanted.purpose), now, deployed, &participants));
        if wanted.cut.is_some() {
            deployed.change = Some(Change::new(id));
        }
        // A cut is never a full checkpoint: it writes the changes since the previous one, which is complete.
        let full = format == StateFormat::Savepoint || (deployed.rewrite && wanted.cut.is_none());
        let kind = SnapshotKind { format, full, directory: data.clone(), then: wanted.then, cut: wanted.cut };
        out.push(Effect::Act(Action::checkpoint(attempt, id, &without, CheckpointCommand::Trigger(kind))));
        self.pending = Some(Pending {
            id,
            attempt,
            purpose: wanted.purpose,
            then: wanted.then,
            requests: wanted.requests,
            format,
            full,
            at,
            data,
            triggered_at: now,
            participants,
            without,
            enumerators: None,
            acknowledged,
            sealed: None,
            savepoint_stands: false,
            abandoning: None,
        });
    }
}

pub(super) fn restored_entry(now: Instant, restored: &Completed) -> Restored {
    let savepoint = restored.manifest.format == StateFormat::Savepoint;
    let (checkpoint, path) = (restored.checkpoint, restored.at.clone());
    Restored { checkpoint, at: now.as_millis(), savepoint, path }
}

/// One answer for each request.
pub(super) fn answers(
    requests: Vec<RequestId>,
    result: Result<String, String>,
) -> impl Iterator<Item = Effect> {
    requests.into_iter().map(move |request| Effect::Act(Action::Answer { request, result: result.clone() }))
}

/// The directory of a savepoint, named as Flink does: the first digits of the job's id, and twelve digits that
/// make it unique.
fn savepoint_dir(directory: &str, identity: &Identity, id: CheckpointId) -> String {
    let seed = format!("{} {} {id}", identity.job, identity.epoch);
    let unique = reflow_types::key::hash_bytes(seed.as_bytes()).0 & 0xffff_ffff_ffff;
    let job = identity.job.to_string();
    format!("{}/savepoint-{}-{unique:012x}", directory.trim_end_matches('/'), &job[..6])
}

fn entry(
    (checkpoint, purpose): (CheckpointId, Purpose),
    now: Instant,
    deployed: &Deployed,
    participants: &BTreeMap<SubtaskId, Participant>,
) -> Entry {
    let mut vertices: Vec<VertexStats> = Vec::new();
    for (index, vertex) in deployed.vertices().iter().enumerate() {
        let members = participants.values().filter(|p| usize::from(p.vertex.0) == index);
        let mut subtasks: Vec<_> = members.map(|p| (p.index, None)).collect();
        subtasks.sort_by_key(|(index, _)| *index);
        vertices.push(VertexStats { vertex: vertex.vertex, subtasks });
    }
    Entry { checkpoint, purpose, triggered_at: now, status: Status::InProgress, vertices }
}
