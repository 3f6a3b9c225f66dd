//! A cluster with one job: carries out actions, answers them, keeps a log of them, and checks what must always hold.

pub(super) use super::faults::Faults;
use super::fixtures::{failure, job, names, numbers, origin, reported};
use super::tasks::Tasks;
use crate::action::{Action, EndState};
use crate::checkpoint::Recovered;
use crate::checkpoint::stats::Status;
use crate::event::{Event, ParallelismBounds, RequestId, StoreOutcome};
use crate::rescale::LivePhase;
use crate::scheduler::{Identity, JobStatus, Scheduler, Settings, StateName};
use reflow_graph::{ExecutionGraph, JobGraph, RegionIndex, Regions};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command, RescaleCommand, SubtaskCommand};
use reflow_protocol::deployment::{Attempt, Deployment};
use reflow_protocol::failure::Fault;
use reflow_protocol::regions::RegionRestart;
use reflow_protocol::report::{ExecutorReport, SnapshotTiming, SubtaskEvent};
use reflow_protocol::rescale::{Cut, Preparation};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::{
    CheckpointId, ExecutorId, GraphVersion, Instant, JobId, LeaderEpoch, SlotId, SubtaskId, TaskManagerId,
    VertexId,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(super) struct World {
    pub(super) scheduler: Scheduler,
    pub(super) now: Instant,
    pub(super) faults: Faults,
    /// Answers under way.
    pub(super) events: VecDeque<Event>,
    /// What was done, in words, since it was last taken.
    log: Vec<String>,
    /// Executors that live, with their slots.
    pub(super) executors: BTreeMap<ExecutorId, u32>,
    next_executor: u128,
    pub(super) deployed: Option<(Attempt, ExecutionGraph)>,
    pub(super) tasks: Tasks,
    /// The attempts that were cancelled: nothing else may be asked of them.
    ended: BTreeSet<Attempt>,
    used_subtasks: BTreeSet<SubtaskId>,
    /// Requests that are to be answered.
    pub(super) asked: BTreeSet<RequestId>,
    answered: BTreeSet<RequestId>,
    /// What sources do after the barriers of the checkpoints so far.
    then: BTreeMap<CheckpointId, AfterBarrier>,
    /// What stands under deciding names: whether it is a manifest.
    pub(super) names: BTreeMap<String, bool>,
    pub(super) end: Option<EndState>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self::with_job(settings, job(), None)
    }

    pub(super) fn with_job(settings: Settings, job: JobGraph, recovered: Option<Recovered>) -> Self {
        let now = Instant::from_millis(1_000_000);
        let job = Arc::new(job);
        let identity = Identity { job: JobId(7), epoch: LeaderEpoch(1), build: "build".into() };
        Self {
            scheduler: Scheduler::new(settings, job.clone(), identity, recovered, now),
            now,
            faults: Faults::default(),
            events: VecDeque::new(),
            log: Vec::new(),
            executors: BTreeMap::new(),
            next_executor: 1,
            deployed: None,
            tasks: Tasks::new(job),
            ended: BTreeSet::new(),
            used_subtasks: BTreeSet::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            then: BTreeMap::new(),
            names: BTreeMap::new(),
            end: None,
        }
    }

    /// A world in which the job runs on one executor with `slots` slots; the log is empty.
    pub(super) fn running(settings: Settings, slots: u32) -> (Self, ExecutorId) {
        let mut world = Self::new(settings);
        let executor = world.add(slots);
        world.run();
        assert_eq!(world.status(), JobStatus::Running);
        world.take_log();
        (world, executor)
    }

    /// An executor registers.
    pub(super) fn add(&mut self, slots: u32) -> ExecutorId {
        let executor = ExecutorId(self.next_executor);
        let task_manager = TaskManagerId(self.next_executor + 1000);
        self.next_executor += 1;
        self.executors.insert(executor, slots);
        self.send(Event::ExecutorAdded { executor, task_manager, slots });
        executor
    }

    /// An executor runs out of memory. Its TaskManager starts another one.
    pub(super) fn exhaust(&mut self, executor: ExecutorId) -> ExecutorId {
        let task_manager = TaskManagerId(executor.0 % 1000 + 1000);
        let slots = self.executors[&executor];
        self.send(Event::ExecutorReported { executor, report: ExecutorReport::MemoryExhausted });
        self.kill(executor);
        let next = ExecutorId(executor.0 + 1000);
        self.executors.insert(next, slots);
        self.send(Event::ExecutorAdded { executor: next, task_manager, slots });
        next
    }

    /// An executor dies.
    pub(super) fn kill(&mut self, executor: ExecutorId) {
        self.executors.remove(&executor);
        self.send(Event::ExecutorLost { executor, reason: "killed by signal 9".into() });
    }

    /// Tells the scheduler and carries out what it wants; the answers wait.
    pub(super) fn send(&mut self, event: Event) {
        if let Event::TriggerSavepoint { request, .. }
        | Event::TriggerCheckpoint { request }
        | Event::StopWithSavepoint { request, .. } = &event
        {
            self.asked.insert(*request);
        }
        let actions = self.scheduler.on_event(self.now, event);
        actions.into_iter().for_each(|action| self.carry_out(action));
        self.check_invariants();
    }

    /// Delivers answers until there are no more. No time passes.
    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            match self.events.pop_front() {
                Some(event) => self.send(event),
                None if self.is_due(self.now) => self.send(Event::Tick),
                None => return,
            }
        }
        panic!("the world does not come to rest: {:?} {:?}", self.scheduler.view().state, self.log);
    }

    /// Delivers answers until a live rescale is in a phase; those that are left wait.
    pub(super) fn run_to(&mut self, phase: LivePhase) {
        while self.phase() != Some(phase) {
            let event = self.events.pop_front().expect("the phase is reached by answers alone");
            self.send(event);
        }
    }

    /// The phase of the live rescale under way.
    pub(super) fn phase(&self) -> Option<LivePhase> {
        let view = self.scheduler.view();
        let live = view.rescales.current().and_then(|rescale| rescale.live.as_ref());
        live.filter(|_| view.state == StateName::Rescaling)?.phases.last().map(|span| span.phase)
    }

    /// Lets time pass, with all that falls due and all answers.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.run();
        while let Some(due) = self.scheduler.next_wakeup().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.run();
        }
        self.now = end;
    }

    fn is_due(&self, at: Instant) -> bool {
        self.scheduler.next_wakeup().is_some_and(|due| due <= at)
    }

    pub(super) fn state(&self) -> StateName {
        self.scheduler.view().state
    }

    pub(super) fn status(&self) -> JobStatus {
        self.scheduler.view().status
    }

    /// Of the vertices of the current or last attempt.
    pub(super) fn parallelism(&self) -> Vec<u32> {
        self.scheduler.view().vertices().map(|vertex| vertex.parallelism).collect()
    }

    /// The log since the last time, one action a line.
    pub(super) fn take_log(&mut self) -> String {
        std::mem::take(&mut self.log).join("\n")
    }

    /// Expects these actions since the last time. Notices of complete checkpoints and deletions are left out.
    pub(super) fn expect(&mut self, lines: &[&str]) {
        assert_eq!(self.take_log(), lines.join("\n"));
    }

    pub(super) fn attempt(&self) -> Attempt {
        self.deployed.as_ref().expect("the test has deployed").0
    }

    pub(super) fn first_subtask(&self) -> SubtaskId {
        self.deployed.as_ref().expect("the test has deployed").1.vertices[0].subtasks[0].id
    }

    pub(super) fn fail_subtask(&mut self, fault: Fault) {
        self.fail_subtask_of(0, fault);
    }

    /// The first subtask of a vertex fails.
    pub(super) fn fail_subtask_of(&mut self, vertex: usize, fault: Fault) {
        let (attempt, graph) = self.deployed.as_ref().expect("the test has deployed");
        let failed = SubtaskEvent::Failed(failure(fault));
        let event = reported(*attempt, graph.vertices[vertex].subtasks[0].id, failed);
        self.send(event);
    }

    /// All subtasks' inputs end.
    pub(super) fn end_inputs(&mut self) {
        let (attempt, graph) = self.deployed.clone().expect("the test has deployed");
        for (_, _, subtask) in graph.subtasks() {
            self.send(reported(attempt, subtask.id, SubtaskEvent::Ended));
        }
    }

    pub(super) fn stop(&mut self, drain: bool) {
        let directory = "mem:/savepoints".into();
        self.send(Event::StopWithSavepoint { request: RequestId(9), directory, drain });
    }

    pub(super) fn require(&mut self, lower: u32, upper: u32) {
        let vertices = self.tasks.job().vertices.iter();
        let bounds = vertices.map(|vertex| (vertex.id, ParallelismBounds { lower, upper })).collect();
        self.send(Event::UpdateRequirements { bounds });
    }

    /// The autoscaler limits the parallelism of all vertices.
    pub(super) fn limit(&mut self, parallelism: u32) {
        let parallelism = [1, 2, 3].map(|id| (VertexId(id), parallelism)).into();
        self.send(Event::LimitParallelism { parallelism });
    }

    fn carry_out(&mut self, action: Action) {
        assert_eq!(self.end, None, "{action:?} after the end");
        match &action {
            Action::Deploy { deployment, .. } => {
                let Deployment { attempt, graph, checkpoint, restore, then, .. } = &**deployment;
                let parallelism: Vec<_> = graph.vertices.iter().map(|vertex| vertex.parallelism()).collect();
                self.tasks.deploy(graph, restore, checkpoint.is_some());
                let from = origin(deployment);
                self.log.push(format!("deploy {} at {parallelism:?} from {from}", attempt.number));
                self.deploy(*attempt, graph.clone());
                if let Some(last) = checkpoint.filter(|_| *then != AfterBarrier::Continue) {
                    self.then.insert(last, *then);
                    self.completed(*attempt, last);
                }
            }
            Action::AdoptAttempt { adopted, checkpoint, .. } => {
                self.log.push(format!("adopt {}", adopted.attempt.number));
                self.tasks.deploy(&adopted.graph, &[], checkpoint.is_some());
                self.deployed = Some((adopted.attempt, adopted.graph.clone()));
            }
            Action::CancelAttempt { attempt, executors } => {
                self.log.push(format!("cancel {} on {}", attempt.number, names(executors)));
                self.ended.insert(*attempt);
                for &executor in executors {
                    if self.executors.contains_key(&executor) && !self.faults.ignore_cancel {
                        let report = ExecutorReport::AttemptCanceled { attempt: *attempt };
                        self.events.push_back(Event::ExecutorReported { executor, report });
                    }
                }
            }
            Action::CancelRegions { restart, executors } => {
                let RegionRestart { attempt, version, regions } = restart;
                self.log.push(format!("cancel regions {} on {}", numbers(regions), names(executors)));
                self.demand_current(*attempt);
                self.tasks.end_regions(regions);
                for &executor in executors {
                    if self.executors.contains_key(&executor) && !self.faults.ignore_cancel {
                        let report = ExecutorReport::RegionsCanceled { attempt: *attempt, version: *version };
                        self.events.push_back(Event::ExecutorReported { executor, report });
                    }
                }
            }
            Action::DeployRegions { restart, deployment, .. } => {
                let Deployment { attempt, graph, checkpoint, restore, .. } = &**deployment;
                let parallelism: Vec<_> = graph.vertices.iter().map(|vertex| vertex.parallelism()).collect();
                let (from, regions) = (origin(deployment), numbers(&restart.regions));
                self.log.push(format!("deploy regions {regions} at {parallelism:?} from {from}"));
                self.demand_current(*attempt);
                self.tasks.end_regions(&restart.regions); // those whose executors are lost
                self.tasks.deploy_regions(&restart.regions, graph, restore, checkpoint.is_some());
                self.start(*attempt, graph, &restart.regions);
            }
            Action::DropAttempt { attempt, executors } => {
                self.log.push(format!("drop {} on {}", attempt.number, names(executors)));
            }
            Action::Command(AttemptCommand { attempt, command }) => self.command(*attempt, command),
            Action::StoreManifest { checkpoint, at, manifest } => {
                self.tasks.check_manifest(manifest);
                let outcome = self.create(at, true);
                self.events.push_back(Event::ManifestStored { checkpoint: *checkpoint, outcome });
            }
            Action::StoreAbandoned { checkpoint, at } => {
                let outcome = self.create(at, false);
                self.events.push_back(Event::AbandonedStored { checkpoint: *checkpoint, outcome });
            }
            Action::PrepareRescale(preparation) => {
                let Preparation { attempt, version, former, graph, checkpoint, .. } = &**preparation;
                let parallelism: Vec<_> = graph.vertices.iter().map(|vertex| vertex.parallelism()).collect();
                self.log.push(format!("prepare {version} at {parallelism:?} from checkpoint {checkpoint}"));
                self.demand_current(*attempt);
                let present = &self.deployed.as_ref().expect("an attempt is deployed").1;
                assert_eq!(former, present, "the rescale starts from the graph that runs");
                let fresh = graph.subtasks().map(|(_, _, subtask)| subtask.id);
                for id in fresh.filter(|id| present.find(*id).is_none()) {
                    assert!(self.used_subtasks.insert(id), "subtask id {id} is used again");
                }
                self.tasks.prepare(*version, graph, present);
                self.prepared(*attempt, *version, *checkpoint);
            }
            Action::MoveSplits { attempt, vertex, splits, readers, .. } => {
                self.log.push(format!("move {} splits to {} readers", splits.len(), readers.len()));
                self.demand_current(*attempt);
                self.tasks.move_splits(*vertex, splits, readers);
            }
            Action::DeleteObjects { .. } => {}
            Action::StopExecutor { executor, .. } => {
                self.log.push(format!("kill {}", names(&[*executor])));
                if self.executors.remove(executor).is_some() {
                    let reason = "killed by signal 9".into();
                    self.events.push_back(Event::ExecutorLost { executor: *executor, reason });
                }
            }
            Action::Release { executor } => {
                self.log.push(format!("release {}", names(&[*executor])));
                if self.executors.remove(executor).is_some() {
                    self.events
                        .push_back(Event::ExecutorLost { executor: *executor, reason: "exit code 0".into() });
                }
            }
            Action::Answer { request, result } => {
                assert!(self.asked.contains(request), "request {} was not asked", request.0);
                self.answered.insert(*request);
                let result = if result.is_ok() { "done" } else { "refused" };
                self.log.push(format!("answer {}: {result}", request.0));
            }
            Action::End { state, reason } => {
                let why = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
                self.log.push(format!("end {state:?}{why}"));
                self.end = Some(*state);
            }
        }
    }

    fn command(&mut self, attempt: Attempt, command: &Command) {
        match command {
            Command::Checkpoint { checkpoint, without, command } => {
                self.checkpoint_command(attempt, *checkpoint, without, command);
            }
            Command::Subtask { subtask, command: SubtaskCommand::AdoptState(states) } => {
                self.demand_current(attempt);
                let version = self.tasks.adopt(*subtask, states);
                let installed = self.tasks.installed(attempt, version, *subtask);
                if !self.faults.never_cut {
                    self.events.push_back(installed);
                }
            }
            Command::Subtask { command, .. } => panic!("not the scheduler's: {command:?}"),
            Command::Rescale { version, command } => self.rescale_command(attempt, *version, command),
        }
    }

    fn checkpoint_command(
        &mut self,
        attempt: Attempt,
        checkpoint: CheckpointId,
        without: &BTreeSet<RegionIndex>,
        command: &CheckpointCommand,
    ) {
        match command {
            CheckpointCommand::Trigger(kind) => {
                let then = match kind.then {
                    AfterBarrier::Continue => "",
                    AfterBarrier::Pause => " and pause",
                    AfterBarrier::Drain => " and drain",
                    AfterBarrier::Finish => " and finish",
                };
                let cut = if kind.cut.is_some() { " and cut" } else { "" };
                let except = if without.is_empty() { "" } else { " without " };
                self.log.push(format!("trigger {checkpoint}{then}{cut}{except}{}", numbers(without)));
                self.demand_current(attempt);
                self.tasks.check_participants(without);
                self.scheduler.set_enumerators(checkpoint, Vec::new());
                self.snapshot(attempt, checkpoint, (without, kind.cut.as_ref()));
                self.tasks.triggered(checkpoint);
                self.then.insert(checkpoint, kind.then);
            }
            CheckpointCommand::NotifyComplete => {
                self.demand_current(attempt);
                self.completed(attempt, checkpoint);
            }
            CheckpointCommand::NotifyAborted => {
                self.log.push(format!("abort {checkpoint}"));
                self.demand_current(attempt);
                let open = |event: &Event| {
                    let Event::SubtaskReported(report) = event else { return false };
                    matches!(report.event, SubtaskEvent::Cut { .. } | SubtaskEvent::Installed { .. })
                };
                let early = self.tasks.cut == Some(checkpoint) && self.events.iter().any(open);
                assert!(!early, "a cut is aborted before it is in effect");
            }
        }
    }

    fn rescale_command(&mut self, attempt: Attempt, version: GraphVersion, command: &RescaleCommand) {
        match command {
            RescaleCommand::CatchUp { checkpoint, .. } => {
                self.log.push(format!("catch up {version} to checkpoint {checkpoint}"));
                self.demand_current(attempt);
                self.prepared(attempt, version, *checkpoint);
            }
            RescaleCommand::Abandon => {
                self.log.push(format!("abandon {version}"));
                self.demand_current(attempt);
                self.tasks.abandon(version);
            }
            RescaleCommand::Commit => {
                self.log.push(format!("commit {version}"));
                self.demand_current(attempt);
                let graph = self.tasks.commit(version).clone();
                self.deployed = Some((attempt, graph));
            }
        }
    }

    /// Creates a deciding name, unless it stands. Lost means that the other kind stands there.
    fn create(&mut self, name: &str, manifest: bool) -> StoreOutcome {
        if self.faults.disk_full {
            return StoreOutcome::Failed("no space left on device".into());
        }
        let stands = *self.names.entry(name.to_owned()).or_insert(manifest);
        if stands == manifest { StoreOutcome::Won } else { StoreOutcome::Lost }
    }

    fn demand_current(&self, attempt: Attempt) {
        assert!(!self.ended.contains(&attempt), "attempt {attempt} has ended");
        assert_eq!(self.attempt(), attempt, "another attempt runs");
    }

    fn deploy(&mut self, attempt: Attempt, graph: ExecutionGraph) {
        if let Some((former, graph)) = self.deployed.take() {
            assert!(former < attempt, "attempt {attempt} follows {former}");
            let lives = graph.subtasks().any(|(_, _, s)| self.executors.contains_key(&s.slot.executor));
            assert!(self.ended.contains(&former) || !lives, "attempt {former} was not cancelled");
            self.ended.insert(former);
        }
        let all = Regions::of(self.tasks.job());
        self.start(attempt, &graph, &all.all());
    }

    /// The subtasks of regions are deployed, in the slots of the graph.
    fn start(&mut self, attempt: Attempt, graph: &ExecutionGraph, regions: &BTreeSet<RegionIndex>) {
        let all = Regions::of(self.tasks.job());
        let mut groups: BTreeMap<SlotId, &str> = BTreeMap::new();
        for (vertex, placed) in self.tasks.job().vertices.iter().zip(&graph.vertices) {
            for subtask in &placed.subtasks {
                let group = *groups.entry(subtask.slot).or_insert(&vertex.slot_sharing_group);
                assert_eq!(group, vertex.slot_sharing_group, "slot {} serves two groups", subtask.slot);
            }
        }
        for vertex in &graph.vertices {
            let slots: BTreeSet<SlotId> = vertex.subtasks.iter().map(|subtask| subtask.slot).collect();
            assert_eq!(slots.len(), vertex.subtasks.len(), "two subtasks of a vertex share a slot");
            vertex.table.iter().for_each(|table| {
                table.check_invariants();
                assert_eq!(table.parallelism(), vertex.parallelism());
            });
        }
        for (_, _, subtask) in graph.subtasks().filter(|(v, ..)| regions.contains(&all.region(*v))) {
            assert!(self.used_subtasks.insert(subtask.id), "subtask id {} is used again", subtask.id);
            if let Some(slots) = self.executors.get(&subtask.slot.executor) {
                assert!(subtask.slot.index < *slots, "slot {} does not exist", subtask.slot);
                if !self.faults.never_run {
                    self.events.push_back(reported(attempt, subtask.id, SubtaskEvent::Running));
                }
            }
        }
        self.deployed = Some((attempt, graph.clone()));
    }

    /// What executors do once a checkpoint is complete, as its kind says.
    fn completed(&mut self, attempt: Attempt, checkpoint: CheckpointId) {
        for subtask in self.living() {
            if self.faults.never_finish {
                continue;
            }
            if self.tasks.leaves_with(subtask, checkpoint) {
                self.tasks.remove(subtask);
                self.events.push_back(reported(attempt, subtask, SubtaskEvent::Finished));
                continue;
            }
            match self.then.get(&checkpoint) {
                Some(AfterBarrier::Finish) => {
                    self.events.push_back(reported(attempt, subtask, SubtaskEvent::Finished));
                }
                Some(AfterBarrier::Drain) => {
                    self.events.push_back(reported(attempt, subtask, SubtaskEvent::Ended))
                }
                _ => {}
            }
        }
    }

    /// The subtasks whose executors live.
    fn living(&self) -> Vec<SubtaskId> {
        let lives = |slot: SlotId| self.executors.contains_key(&slot.executor);
        self.tasks.all().filter(|(_, task)| lives(task.slot)).map(|(id, _)| id).collect()
    }

    /// What subtasks do at a barrier.
    fn snapshot(
        &mut self,
        attempt: Attempt,
        checkpoint: CheckpointId,
        (without, cut): (&BTreeSet<RegionIndex>, Option<&Cut>),
    ) {
        let (mut living, states) = (self.living(), self.tasks.states());
        living.retain(|subtask| !self.tasks.is_of(*subtask, without));
        if let Some(cut) = cut {
            self.tasks.begin_cut(checkpoint);
            for &subtask in &living {
                let passed = self.tasks.pass_cut(attempt, subtask, cut);
                if !self.faults.never_cut {
                    self.events.push_back(passed);
                }
            }
            let waiting = self.tasks.finish_cut(attempt, cut.version);
            if !self.faults.never_cut {
                self.events.extend(waiting);
            }
        }
        for subtask in living {
            if self.faults.never_acknowledge {
                continue;
            }
            if self.faults.decline {
                let reason = "disk full".to_owned();
                let declined = SubtaskEvent::Declined { checkpoint, reason };
                self.events.push_back(reported(attempt, subtask, declined));
                continue;
            }
            let (state, timing) = (states[&subtask].clone(), SnapshotTiming::default());
            let acknowledged = SubtaskEvent::Acknowledged { checkpoint, state, timing };
            self.events.push_back(reported(attempt, subtask, acknowledged));
        }
    }

    /// What the executors of both graphs answer when they are to read a checkpoint.
    fn prepared(&mut self, attempt: Attempt, version: GraphVersion, checkpoint: CheckpointId) {
        self.tasks.read = Some(checkpoint);
        for executor in self.tasks.readers() {
            if !self.executors.contains_key(&executor) || self.faults.never_prepare {
                continue;
            }
            let report = if self.faults.refuse {
                ExecutorReport::RescaleRefused { attempt, version, reason: "no memory".into() }
            } else {
                ExecutorReport::RescalePrepared { attempt, version, checkpoint }
            };
            self.events.push_back(Event::ExecutorReported { executor, report });
        }
    }

    /// Every request has been answered.
    pub(super) fn expect_answers(&self) {
        assert_eq!(self.asked, self.answered, "requests without an answer");
    }

    /// What holds between any two events.
    fn check_invariants(&self) {
        let view = self.scheduler.view();
        if let (StateName::Executing, Some(attempt)) = (view.state, view.attempt) {
            assert!(!self.ended.contains(&attempt.attempt()), "executing a cancelled attempt");
        }
        assert_eq!(view.end.map(|(state, _)| state), self.end);
        assert_eq!(view.state == StateName::Finished, self.end.is_some());
        if self.end.is_some() {
            assert_eq!(self.scheduler.next_wakeup(), None);
        }
        for entry in &view.checkpoints.history {
            if let Status::Failed { reason, .. } = &entry.status {
                assert!(!reason.contains("key groups"), "checkpoint {}: {reason}", entry.checkpoint);
            }
        }
        let open = view.rescales.history().filter(|rescale| rescale.ended.is_none()).count();
        assert!(open <= 1, "{open} rescales under way");
    }
}
