//! The watch over messages: invariants that are checked on the frames between processes, and counts of events.
//!
//! - In an attempt, all executors have the same subtasks, and each key group has one owner.
//! - Attempt numbers only grow at each executor, and no two attempts use the same subtask id.
//! - Checkpoint ids only grow, at each executor and in each channel.
//! - Regions that restart begin from the newest complete checkpoint; the subtasks of other regions stay ([`regions`]).
//! - A channel's watermark never goes back.
//! - The watermark of a vertex in a checkpoint is that of the remaining subtasks ([`watermarks`]).
//! - No attempt begins from an older checkpoint than one of whose completion executors were notified
//!   ([`succession`]).
//! - No TaskManager returns to a deposed JobManager ([`succession`]).
//!
//! [`regions`]: crate::regions
//! [`succession`]: crate::succession
//! [`watermarks`]: crate::watermarks

use crate::faults::{RescalePhase, Step};
use crate::frame_text::EXECUTOR;
use crate::phase::Phases;
use crate::regions::RegionWatch;
use crate::succession::{Completions, Followers, Registrations};
use crate::watermarks::Watermarks;
use crate::world::{Seen, Time};
use reflow_coordination::manifest::Manifest;
use reflow_env::ConnId;
use reflow_graph::{ExecutionGraph, RegionIndex};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, RescaleCommand};
use reflow_protocol::control::{FromExecutor, ToExecutor, ToTaskManager};
use reflow_protocol::data::{ChannelId, DataFrame, Payload};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::hello::Hello;
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_protocol::rescale::{HandOver, Preparation};
use reflow_protocol::snapshot::{AfterBarrier, StateFormat};
use reflow_types::{CheckpointId, GraphVersion, LeaderEpoch, SubtaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The prefix of TaskManagers' names.
const TASK_MANAGER: &str = "tm";

/// A checkpoint that is under way.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    checkpoint: CheckpointId,
    /// The epoch of the JobManager that has triggered it.
    epoch: LeaderEpoch,
    since: Time,
    /// What sources do after it.
    then: AfterBarrier,
}

/// The numbers of live rescales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveRescales {
    /// Those that began.
    pub begun: u64,
    /// Those that were committed.
    pub committed: u64,
    /// Those that were committed although an input had ended before they began.
    pub past_an_end: u64,
}

/// Checks frames.
#[derive(Default)]
pub struct Watch {
    attempts: BTreeMap<Attempt, ExecutionGraph>,
    /// The last attempt that was deployed to each executor.
    deployed: BTreeMap<String, Attempt>,
    subtasks: BTreeSet<SubtaskId>,
    rescales: u64,
    /// Live rescales that were begun.
    begun: BTreeSet<(Attempt, GraphVersion)>,
    /// Live rescales that were committed.
    committed: BTreeSet<(Attempt, GraphVersion)>,
    /// Restarts of regions, with the graphs after them.
    region_restarts: BTreeMap<(Attempt, GraphVersion), ExecutionGraph>,
    /// Live rescales that were begun after an input had ended.
    past_an_end: BTreeSet<(Attempt, GraphVersion)>,
    /// Attempts some of whose inputs have ended.
    past_ends: BTreeSet<Attempt>,
    phases: Phases,
    completions: Completions,
    followers: Followers,
    watermarks: Watermarks,
    pub regions: RegionWatch,
    /// The checkpoints from which attempts have begun that were allowed to go back, since the last call that took
    /// them.
    gone_back: Vec<Option<CheckpointId>>,
    /// Whether a user has allowed output to be written again, until the next checkpoint is complete.
    pub allows_replay: bool,
    /// Whether a checkpoint is known to be damaged, so that attempts may begin from older ones.
    pub damaged: bool,
    /// The checkpoint that is under way, if any.
    under_way: Option<UnderWay>,
    /// Whether a checkpoint was abandoned since the last call of [`Watch::take_given_up`].
    given_up: bool,
    /// Savepoints after which the job continues. No attempt begins from them.
    savepoints: BTreeSet<CheckpointId>,
    /// Savepoints that stop the job, unless it has continued from an earlier checkpoint.
    stops: BTreeSet<CheckpointId>,
    /// Whether the checkpoint with which the attempt ends is complete.
    ending: bool,
    /// Attempts that executors were commanded to end.
    canceled: BTreeSet<Attempt>,
    /// The failures of subtasks, with their times.
    failures: Vec<(Time, String)>,
    /// The JobManager's connections to executors.
    from_executors: BTreeSet<(String, ConnId)>,
    registrations: Registrations,
    /// JobManagers to which executors have reported an attempt of a former one.
    reconciling: BTreeSet<String>,
    /// Leaderships that have adopted an attempt.
    adopted: BTreeSet<LeaderEpoch>,
    /// The newest complete checkpoint that is not a savepoint.
    newest: Option<CheckpointId>,
    /// The last checkpoint that each executor was to take in each attempt.
    triggered: BTreeMap<(String, Attempt), CheckpointId>,
    /// The last one to which each leadership has told each executor to take part.
    triggered_by: BTreeMap<(String, LeaderEpoch), CheckpointId>,
    channels: BTreeMap<(String, ConnId, ChannelId), (Timestamp, CheckpointId)>,
    violations: Vec<String>,
}

impl Watch {
    /// A watch over a job with these regions.
    pub fn new(regions: RegionWatch) -> Self {
        Self { regions, ..Self::default() }
    }

    /// Checks a frame that a process has received.
    pub fn look(&mut self, now: Time, seen: &Seen) {
        if seen.process.starts_with(TASK_MANAGER) {
            if let Ok(message) = reflow_protocol::decode::<ToTaskManager>(&seen.frame) {
                self.followers.received(&seen.process, seen.conn, &message);
            }
            return;
        }
        if !seen.process.starts_with(EXECUTOR) {
            return self.at_job_manager(now, seen);
        }
        if seen.conn.0 >= ConnId::ACCEPTED {
            return;
        }
        if reflow_executor::is_to_job_manager(seen.conn) {
            if let Ok(message) = reflow_protocol::decode::<ToExecutor>(&seen.frame) {
                self.violations.extend(self.registrations.received(&seen.process, seen.conn, &message));
                self.at_executor(now, &seen.process, message);
            }
        } else if HandOver::is_one(&seen.frame) {
            self.phases.hand_over(now);
        } else if let Ok(frame) = DataFrame::decode(seen.frame.clone()) {
            self.data(seen, &frame);
        }
    }

    /// A JobManager has received a message of an executor.
    fn at_job_manager(&mut self, now: Time, seen: &Seen) {
        let connection = (seen.process.clone(), seen.conn);
        if let Ok(Hello::Executor { id, .. }) = Hello::decode(&seen.frame) {
            self.from_executors.insert(connection);
            self.violations.extend(self.followers.started(id));
        } else if self.from_executors.contains(&connection)
            && let Ok(FromExecutor::Register { attempt: Some(_), .. }) = reflow_protocol::decode(&seen.frame)
        {
            self.reconciling.insert(seen.process.clone());
        } else if self.from_executors.contains(&connection)
            && let Ok(FromExecutor::SubtaskReport(report)) = reflow_protocol::decode(&seen.frame)
        {
            let SubtaskReport { attempt, subtask, event } = report;
            match event {
                SubtaskEvent::Failed(failure) if !self.canceled.contains(&attempt) => {
                    let text = format!("subtask {subtask} of attempt {attempt}: {}", failure.message);
                    self.failures.push((now, text));
                }
                SubtaskEvent::Ended => {
                    self.past_ends.insert(attempt);
                }
                SubtaskEvent::Acknowledged { checkpoint, state, .. } => {
                    self.watermarks.acknowledged(attempt, subtask, checkpoint, state.watermark);
                }
                _ => {}
            }
        }
    }

    /// An executor has received a message of a JobManager.
    fn at_executor(&mut self, now: Time, executor: &str, message: ToExecutor) {
        match message {
            ToExecutor::Registered { .. } if !self.attempts.is_empty() => self.phases.plan(now),
            ToExecutor::AdoptAttempt { .. } => {
                self.phases.end(now);
                self.regions.interrupted();
                self.under_way = None;
                if let Some(epoch) = self.registrations.followed(executor)
                    && self.adopted.insert(epoch)
                {
                    self.completions.adopted(epoch, self.newest);
                }
            }
            ToExecutor::Deploy { deployment, .. } => {
                self.phases.end(now);
                (self.under_way, self.ending) = (None, false);
                let from = deployment.checkpoint;
                // An attempt of a deposed leader does not undo a stop.
                if self.attempts.keys().all(|known| *known <= deployment.attempt) {
                    self.stops.retain(|stop| Some(*stop) <= from);
                }
                if self.allows_replay && !self.attempts.contains_key(&deployment.attempt) {
                    self.completions.go_back(from);
                    self.gone_back.push(from);
                }
                let wrong = self.completions.began(deployment.attempt, from);
                self.violations.extend(wrong.filter(|_| !self.damaged));
                self.restored(self.regions.restored(&deployment), deployment.attempt);
                self.deployed(executor, deployment.attempt, deployment.graph);
            }
            ToExecutor::CancelRegions(_) => self.regions.ended(now),
            ToExecutor::DeployRegions { restart, deployment, .. } => {
                self.regions_deployed(&restart, *deployment);
            }
            ToExecutor::PrepareRescale { preparation, .. } => {
                self.phases.prepare(now, &preparation);
                self.prepared(&preparation);
            }
            ToExecutor::CancelAttempt { attempt } => {
                self.canceled.insert(attempt);
                self.regions.interrupted();
                self.phases.end(now);
                self.under_way = None;
            }
            ToExecutor::Command(AttemptCommand { attempt, command }) => match command {
                Command::Checkpoint { checkpoint, without, command } => {
                    let took_part = self.regions.others(&without);
                    self.checkpoint_command(now, (executor, attempt), (checkpoint, took_part), command);
                }
                Command::Rescale { version, command } => match command {
                    RescaleCommand::CatchUp { .. } => self.phases.catch_up(now),
                    RescaleCommand::Commit => {
                        self.phases.commit(now);
                        self.committed.insert((attempt, version));
                    }
                    RescaleCommand::Abandon => self.phases.end(now),
                },
                Command::Subtask { .. } => {}
            },
            _ => {}
        }
    }

    fn checkpoint_command(
        &mut self,
        now: Time,
        (executor, attempt): (&str, Attempt),
        (checkpoint, took_part): (CheckpointId, BTreeSet<RegionIndex>),
        command: CheckpointCommand,
    ) {
        match command {
            CheckpointCommand::Trigger(kind) => {
                self.regions.triggered(now);
                if let Some(cut) = &kind.cut {
                    self.phases.cut(now);
                    self.watermarks.cut(attempt, checkpoint, cut.version);
                }
                if kind.format == StateFormat::Savepoint {
                    match kind.then {
                        AfterBarrier::Finish | AfterBarrier::Drain => self.stops.insert(checkpoint),
                        _ => self.savepoints.insert(checkpoint),
                    };
                }
                if self.under_way.is_none_or(|known| known.checkpoint < checkpoint) {
                    let epoch = self.leader_of(executor, attempt);
                    self.under_way = Some(UnderWay { checkpoint, epoch, since: now, then: kind.then });
                }
                self.triggered(executor, attempt, checkpoint);
            }
            CheckpointCommand::NotifyComplete => {
                self.phases.complete(now);
                if !self.savepoints.contains(&checkpoint) {
                    let epoch = self.leader_of(executor, attempt);
                    let wrong = self.completions.completed(epoch, attempt, checkpoint);
                    self.completions.took_part(attempt, checkpoint, took_part);
                    self.violations.extend(wrong.filter(|_| !self.damaged));
                }
                self.ending |=
                    matches!(self.settle(checkpoint), Some(AfterBarrier::Finish | AfterBarrier::Drain));
            }
            CheckpointCommand::NotifyAborted => {
                self.given_up |= self.settle(checkpoint).is_some();
                // Its manifest may exist nevertheless, if the answer was lost.
                self.stops.remove(&checkpoint);
            }
        }
    }

    /// The leadership that commands an executor.
    fn leader_of(&self, executor: &str, attempt: Attempt) -> LeaderEpoch {
        self.registrations.followed(executor).unwrap_or(attempt.epoch)
    }

    /// The outcome of a checkpoint is known. Returns what sources do after it.
    fn settle(&mut self, checkpoint: CheckpointId) -> Option<AfterBarrier> {
        self.under_way.take_if(|known| known.checkpoint == checkpoint).map(|known| known.then)
    }

    fn deployed(&mut self, executor: &str, attempt: Attempt, graph: ExecutionGraph) {
        if let Some(last) = self.deployed.insert(executor.to_owned(), attempt)
            && last >= attempt
        {
            self.violations.push(format!("{executor} got attempt {attempt} after attempt {last}"));
        }
        if let Some(known) = self.attempts.get(&attempt) {
            if *known != graph {
                self.violations.push(format!("attempt {attempt} was deployed in two ways"));
            }
            return;
        }
        for table in graph.vertices.iter().filter_map(|vertex| vertex.table.as_ref()) {
            table.check_invariants();
        }
        for (_, _, subtask) in graph.subtasks() {
            if !self.subtasks.insert(subtask.id) {
                self.violations.push(format!("subtask id {} is used again in attempt {attempt}", subtask.id));
            }
        }
        if let Some((_, before)) = self.attempts.range(..attempt).next_back() {
            self.rescales += u64::from(parallelisms(before) != parallelisms(&graph));
        }
        self.watermarks.deployed(attempt, &graph);
        self.regions.deployed(attempt, &graph);
        self.attempts.insert(attempt, graph);
    }

    /// Checks the graph after a restart of regions: the subtasks of a vertex are those before or all new.
    fn regions_deployed(&mut self, restart: &RegionRestart, deployment: Deployment) {
        let (mut restored, version) = (self.regions.restored(&deployment), restart.version);
        let Deployment { attempt, graph, .. } = deployment;
        if let Some(known) = self.region_restarts.get(&(attempt, version)) {
            if *known != graph {
                self.violations
                    .push(format!("version {version} of attempt {attempt} was deployed in two ways"));
            }
            return;
        }
        restored.retain(|region, _| restart.regions.contains(region));
        self.restored(restored, attempt);
        self.violations.extend(self.regions.restarted(restart, &graph));
        for vertex in &graph.vertices {
            vertex.table.iter().for_each(|table| table.check_invariants());
            let added = vertex.subtasks.iter().filter(|subtask| self.subtasks.insert(subtask.id)).count();
            if added != 0 && added != vertex.subtasks.len() {
                let text =
                    format!("a vertex of attempt {attempt} has new and old subtasks in version {version}");
                self.violations.push(text);
            }
        }
        self.watermarks.restarted(attempt, &graph);
        self.region_restarts.insert((attempt, version), graph);
    }

    /// Regions begin from checkpoints in which they took part last.
    fn restored(&mut self, restored: BTreeMap<RegionIndex, Option<CheckpointId>>, attempt: Attempt) {
        for (region, from) in restored.into_iter().filter(|_| !self.damaged) {
            self.violations.extend(self.completions.restored(attempt, region, from));
        }
    }

    /// The number of restarts of regions.
    pub fn region_restarts(&self) -> u64 {
        self.region_restarts.len() as u64
    }

    /// Checks the next graph: remaining subtasks keep their ids, the ids of added ones are new, and each group
    /// has one owner.
    fn prepared(&mut self, preparation: &Preparation) {
        let Preparation { attempt, version, former, graph, .. } = preparation;
        if !self.begun.insert((*attempt, *version)) {
            return;
        }
        if self.past_ends.contains(attempt) {
            self.past_an_end.insert((*attempt, *version));
        }
        self.watermarks.prepared(preparation);
        self.regions.prepared(preparation);
        for table in graph.vertices.iter().filter_map(|vertex| vertex.table.as_ref()) {
            table.check_invariants();
        }
        for (_, _, subtask) in graph.subtasks().filter(|(_, _, subtask)| former.find(subtask.id).is_none()) {
            if !self.subtasks.insert(subtask.id) {
                let text = format!(
                    "subtask id {} is used again in rescale {version} of attempt {attempt}",
                    subtask.id
                );
                self.violations.push(text);
            }
        }
    }

    /// The numbers of live rescales.
    pub fn live_rescales(&self) -> LiveRescales {
        LiveRescales {
            begun: self.begun.len() as u64,
            committed: self.committed.len() as u64,
            past_an_end: self.committed.intersection(&self.past_an_end).count() as u64,
        }
    }

    /// The phase of the live rescale, and the time of its beginning.
    pub fn phase(&self, now: Time) -> (RescalePhase, Time) {
        self.phases.now(now)
    }

    /// A user has requested something that may cause a rescale.
    pub fn plan(&mut self, now: Time) {
        self.phases.plan(now);
    }

    /// The manifest of a checkpoint that is not a savepoint was created.
    pub fn checkpoint_decided(&mut self, manifest: &Manifest) {
        self.newest = self.newest.max(Some(manifest.checkpoint));
        let wrong = self.watermarks.complete(manifest);
        self.violations.extend(wrong.into_iter().chain(self.regions.complete(manifest)));
    }

    /// The checkpoint that is under way, and the time of its trigger.
    pub fn under_way(&self) -> Option<(CheckpointId, Time)> {
        self.under_way.map(|known| (known.checkpoint, known.since))
    }

    /// Whether a checkpoint was abandoned since the last call.
    pub fn take_given_up(&mut self) -> bool {
        std::mem::take(&mut self.given_up)
    }

    /// A JobManager or its job has ended, so its checkpoint is no longer under way.
    pub fn leader_ended(&mut self, epoch: Option<LeaderEpoch>) {
        self.under_way.take_if(|known| Some(known.epoch) == epoch);
        self.regions.interrupted();
    }

    /// The step of the JobManager, if frames show it.
    pub fn step(&self, epoch: Option<LeaderEpoch>) -> Step {
        match &self.under_way {
            _ if self.ending => Step::End,
            Some(UnderWay { then: AfterBarrier::Finish | AfterBarrier::Drain, .. }) => Step::Stop,
            _ if epoch.is_none() || self.newest_epoch() < epoch => Step::Start,
            _ => Step::None,
        }
    }

    /// The last leadership that has deployed or adopted an attempt.
    fn newest_epoch(&self) -> Option<LeaderEpoch> {
        let deployed = self.attempts.keys().next_back().map(|last| last.epoch);
        deployed.max(self.adopted.last().copied())
    }

    /// The number of leaderships to which executors have reported a running attempt, and of those that have adopted it.
    pub fn adoptions(&self) -> (u64, u64) {
        (self.reconciling.len() as u64, self.adopted.len() as u64)
    }

    /// Whether the job ends with this savepoint and has not continued from an earlier checkpoint.
    pub fn is_stop(&self, savepoint: CheckpointId) -> bool {
        self.stops.contains(&savepoint)
    }

    /// A user has started another job.
    pub fn forget_job(&mut self) {
        self.completions.forget();
        self.regions.forget();
        self.stops.clear();
        (self.under_way, self.ending) = (None, false);
    }

    /// Takes the failures of subtasks since the last call.
    pub fn take_failures(&mut self) -> Vec<(Time, String)> {
        std::mem::take(&mut self.failures)
    }

    /// Ids grow in an attempt, under any leader, and in a leadership. The next leader may use those again that a former one
    /// has triggered in vain in an earlier attempt.
    fn triggered(&mut self, executor: &str, attempt: Attempt, checkpoint: CheckpointId) {
        let leader = self.leader_of(executor, attempt);
        let in_attempt = self.triggered.insert((executor.to_owned(), attempt), checkpoint);
        let by_leader = self.triggered_by.insert((executor.to_owned(), leader), checkpoint);
        if let Some(last) = in_attempt.max(by_leader).filter(|last| *last >= checkpoint) {
            self.violations
                .push(format!("{executor} got the trigger of checkpoint {checkpoint} after {last}"));
        }
    }

    fn data(&mut self, seen: &Seen, frame: &DataFrame) {
        let channel = (seen.process.clone(), seen.conn, frame.channel);
        let (watermark, barrier) = self.channels.entry(channel).or_insert((Timestamp::MIN, CheckpointId(0)));
        match frame.payload {
            Payload::Watermark(time) if time < *watermark => {
                let text =
                    format!("the watermark of {:?} goes back from {watermark} to {time}", frame.channel);
                self.violations.push(text);
            }
            Payload::Watermark(time) => *watermark = time,
            Payload::Barrier { checkpoint, .. } if checkpoint <= *barrier => {
                let text =
                    format!("barrier {checkpoint} of {:?} comes after barrier {barrier}", frame.channel);
                self.violations.push(text);
            }
            Payload::Barrier { checkpoint, resets } => {
                *barrier = checkpoint;
                // The sender gets splits of other readers, so its watermark is reset.
                if resets {
                    *watermark = Timestamp::MIN;
                }
            }
            _ => {}
        }
    }

    /// Takes the checkpoints from which attempts have begun, since the last call, that were allowed to go back.
    pub fn take_gone_back(&mut self) -> Vec<Option<CheckpointId>> {
        std::mem::take(&mut self.gone_back)
    }

    /// Takes the violations since the last call.
    pub fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    /// The number of attempts after the first one.
    pub fn restarts(&self) -> u64 {
        (self.attempts.len() as u64).saturating_sub(1)
    }

    /// The number of these attempts with another parallelism than the previous one.
    pub fn rescales(&self) -> u64 {
        self.rescales
    }

    /// A description of the current attempt.
    pub fn describe(&self) -> String {
        match self.attempts.last_key_value() {
            Some((attempt, graph)) => format!("attempt {attempt} at parallelisms {:?}", parallelisms(graph)),
            None => "no attempt".to_owned(),
        }
    }
}

fn parallelisms(graph: &ExecutionGraph) -> Vec<u32> {
    graph.vertices.iter().map(|vertex| vertex.parallelism()).collect()
}
