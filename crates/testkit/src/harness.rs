//! The harness, which runs a job step by step. `controls` has how it is set up, and what else a test takes in hand.

mod controls;

use crate::attempt::{Attempt, Restored, Sizes};
use crate::clock::ManualClock;
use crate::executor::SteppedSlot;
use crate::order::Order;
use crate::peer::Peer;
use crate::store::MemoryStore;
use reflow_api::{EnumeratorContext, Io};
use reflow_coordination::action::Action;
use reflow_coordination::checkpoint::{
    Coordinator, Effect, Identity, MAX_OPERATOR_BYTES, Purpose, Recovered, Request, Settings,
};
use reflow_coordination::event::StoreOutcome;
use reflow_coordination::manifest::{self, Decision, Lineage, Manifest};
use reflow_coordination::restore::{self, UnclaimedState};
use reflow_env::{Clock, Location, PutMode, StoreError, StoreOp, StoreReply};
use reflow_protocol::command::{AttemptCommand, CheckpointCommand, Command};
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::deployment::Attempt as AttemptId;
use reflow_protocol::failure::{Failure, Fault};
use reflow_protocol::report::{SubtaskEvent, SubtaskReport};
use reflow_protocol::snapshot::AfterBarrier;
use reflow_runtime::{SlotCommand, TaskEvent};
use reflow_stream::{Job, StreamEnv};
use reflow_types::{
    AttemptNumber, Bounds, CheckpointId, Instant, JobId, LeaderEpoch, MaxParallelism, SubtaskId,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// More steps than any test needs. A job that needs more is in an endless loop.
const MAX_STEPS: usize = 2_000_000;
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs a job step by step, on the test's own thread.
///
/// ```
/// # mod reflow {
/// #     pub use reflow_stream::*;
/// #     pub mod testing { pub use reflow_testkit::*; }
/// # }
/// use reflow::testing::{Collect, Feed, Harness};
/// use std::time::Duration;
///
/// let (numbers, sums) = (Feed::new(1), Collect::new("sums"));
/// let mut job = Harness::new(|env| {
///     let numbers = env.source("numbers", numbers.clone());
///     numbers.key_by(|n: &u64| *n % 2).reduce(|a, b| a + b).sink("sums", sums.clone());
/// });
/// job.start(2); // the parallelism
///
/// numbers.push(0, [1, 2, 3]);
/// assert!(job.checkpoint(), "{}", job.state());
/// assert_eq!(sums.committed(&job), [1, 2, 4]);
/// assert_eq!(job.metrics().iter().map(|subtask| subtask.records_in).sum::<u64>(), 6); // of sources and sums
/// numbers.push(0, [5]);
/// job.steps(3); // something is under way
/// job.kill(); // what came since the checkpoint is lost, and read again
/// job.start(2);
/// job.fail_over(1); // a failure from which one slot comes back, with the state that it retains
/// job.rescale(3);
/// job.settle(); // until nothing more happens
/// job.advance(Duration::from_secs(1)); // of processing time, which stands still otherwise
/// job.suspend(); // as when the JobManager is stopped
/// job.kill();
/// job.start(1);
/// let at = job.savepoint().expect("storage is there");
/// job.kill();
///
/// job.start_from_savepoint(&at, 2);
/// numbers.push(0, [7]);
/// numbers.end();
/// assert!(job.finish() && job.is_finished(), "{}", job.state());
/// assert!(sums.committed(&job).ends_with(&[9, 16]));
/// ```
pub struct Harness<'a> {
    function: Box<dyn Fn(&mut StreamEnv) + 'a>,
    sizes: Sizes,
    order: Order,
    clock: ManualClock,
    store: MemoryStore,
    coordinator: Coordinator,
    attempts: u32,
    attempt: Option<Attempt>,
    late_readers: BTreeSet<usize>,
    /// The assignments of late readers, with their slots.
    held: Vec<(usize, SlotCommand)>,
    enumerators: Vec<(String, bytes::Bytes)>,
    completed: Vec<(CheckpointId, String)>,
    failed_checkpoints: Vec<(CheckpointId, String)>,
    failures: Vec<Failure>,
    unclaimed_state: UnclaimedState,
    network_held: bool,
    peers: Vec<Peer>,
}

impl<'a> Harness<'a> {
    /// A job that is not running yet. The function is called for each attempt, as in each process.
    pub fn new(function: impl Fn(&mut StreamEnv) + 'a) -> Self {
        Self {
            function: Box::new(function),
            sizes: Sizes {
                parallelism: 1,
                max_parallelism: MaxParallelism::new(128).expect("in range"),
                executors: 1,
                bounds: Bounds::default(),
            },
            order: Order::InTurn(0),
            clock: ManualClock::default(),
            store: MemoryStore::default(),
            coordinator: coordinator(None),
            attempts: 0,
            attempt: None,
            late_readers: BTreeSet::new(),
            held: Vec::new(),
            enumerators: Vec::new(),
            completed: Vec::new(),
            failed_checkpoints: Vec::new(),
            failures: Vec::new(),
            unclaimed_state: UnclaimedState::Refuse,
            network_held: false,
            peers: Vec::new(),
        }
    }

    /// The latest complete checkpoint.
    #[doc(hidden)]
    pub fn latest(&self) -> Option<&Manifest> {
        self.coordinator.latest().map(|latest| &latest.manifest)
    }

    /// Deploys the job with `parallelism` subtasks for each vertex that allows it, from the latest complete
    /// checkpoint if there is one, and runs it until nothing more happens.
    ///
    /// A job that does not fit the checkpoint does not start; [`failures`](Self::failures) has the reason.
    ///
    /// # Panics
    /// If the job cannot be built.
    pub fn start(&mut self, parallelism: u32) {
        self.start_on(parallelism, Vec::new());
    }

    /// Ends the attempt by a failure outside of the slots, and deploys the job on the same slots, which retain
    /// their state. With a lower parallelism, the last slots count as lost.
    pub fn fail_over(&mut self, parallelism: u32) {
        let attempt = self.attempt.take();
        let survivors = attempt.map(|attempt| attempt.machines.end(&self.clock)).unwrap_or_default();
        self.kill();
        self.start_on(parallelism, survivors);
    }

    fn start_on(&mut self, parallelism: u32, survivors: Vec<SteppedSlot>) {
        assert!(self.attempt.is_none(), "the job runs already");
        self.sizes.parallelism = parallelism;
        let job = StreamEnv::build("test", |env| {
            (self.function)(env);
            Ok(())
        });
        let job = job.expect("a job that can be built");
        let now = self.clock.now();
        let latest = self.coordinator.latest().map(|latest| latest.manifest.clone());
        let graph = self.sizes.place(&job, self.coordinator.next_subtask(), latest.as_ref());
        let plan =
            latest.as_ref().map(|manifest| restore::plan(&job.graph, manifest, &graph, self.unclaimed_state));
        let plan = match plan.transpose() {
            Ok(plan) => plan.unwrap_or_else(restore::Plan::empty),
            Err(error) => {
                let (fault, operator) = (Fault::Permanent, String::new());
                return self.failures.push(Failure { fault, operator, message: error.to_string() });
            }
        };
        self.attempts += 1;
        let id = AttemptId { epoch: LeaderEpoch(1), number: AttemptNumber(self.attempts) };
        let checkpoint = latest.as_ref().map(|manifest| manifest.checkpoint);
        let ending = latest.as_ref().and_then(|manifest| manifest.ending);
        let then = ending.map_or(AfterBarrier::Continue, |ending| ending.then);
        let restored =
            Restored { state: plan.restore, first_checkpoint: plan.first_checkpoint, checkpoint, then };
        let (mut attempt, failures) =
            Attempt::deploy(id, &job, &graph, &self.clock, &self.sizes, restored, survivors);
        attempt.machines.network_held = self.network_held;
        attempt.machines.peers = self.peers.clone();
        self.failures.extend(failures);
        self.coordinator.begin_attempt(now, id, attempt.participants.clone(), &job.graph, &graph);
        self.assign_splits(&job, &graph, &attempt, latest.as_ref());
        self.attempt = Some(attempt);
        self.settle();
    }

    fn assign_splits(
        &mut self,
        job: &Job,
        graph: &reflow_graph::ExecutionGraph,
        attempt: &Attempt,
        latest: Option<&Manifest>,
    ) {
        self.enumerators.clear();
        self.held.clear();
        for (uid, make) in &job.enumerators {
            let mut enumerator = make();
            let state =
                latest.and_then(|manifest| manifest.enumerators.iter().find(|(of, _)| of == uid).cloned());
            if let Some((_, state)) = state {
                enumerator.restore(&state).expect("an enumerator restores what it wrote");
            }
            let io = Io::default();
            let mut context = EnumeratorContext::new(io.clone());
            enumerator.poll(self.clock.now(), &mut context).expect("an enumerator finds its splits");
            assert_eq!(io.drain_submitted(), [], "the harness answers no requests of enumerators");
            let splits = context.take_found();
            self.enumerators.push((uid.clone(), enumerator.snapshot()));
            let of_uid = |op: &reflow_graph::Operator| op.uid == *uid;
            let mut vertices = job.graph.numbered_vertices();
            let found = vertices.find(|(_, vertex)| vertex.operators.iter().any(of_uid));
            let (vertex, _) = found.expect("an enumerator belongs to a vertex");
            self.held.extend(attempt.assign(&graph.vertex(vertex).subtasks, splits, &self.late_readers));
        }
    }

    /// Runs the job until nothing more happens. The clock does not move.
    ///
    /// # Panics
    /// If that takes too many steps.
    pub fn settle(&mut self) {
        self.running().machines.wake_all();
        for _ in 0..MAX_STEPS {
            if !self.step() {
                return;
            }
        }
        panic!("the job does not come to rest in {MAX_STEPS} steps");
    }

    /// Runs `count` events: steps of slots, arrivals of frames, answers of storage.
    pub fn steps(&mut self, count: usize) {
        self.running().machines.wake_all();
        for _ in 0..count {
            self.step();
        }
    }

    /// Advances the clock, stops whenever a slot wants to be woken, and runs the job meanwhile.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.clock.now() + duration;
        loop {
            self.settle();
            match self.running().machines.next_wake().filter(|wake| *wake < end) {
                Some(wake) => self.clock.advance_to(wake),
                None => break,
            }
        }
        self.clock.advance_to(end);
        self.settle();
    }

    /// Runs the job, takes a checkpoint and returns whether it is complete.
    pub fn checkpoint(&mut self) -> bool {
        self.settle();
        self.trigger(AfterBarrier::Continue);
        self.has_completed()
    }

    /// Triggers a checkpoint, after which sources do what `then` says, and runs the job.
    /// [`has_completed`](Self::has_completed) returns whether it is complete.
    #[doc(hidden)]
    pub fn trigger(&mut self, then: AfterBarrier) {
        self.begin_checkpoint(then);
        self.settle();
    }

    /// Triggers a checkpoint without running the job.
    #[doc(hidden)]
    pub fn begin_checkpoint(&mut self, then: AfterBarrier) {
        let (purpose, directory) = match then {
            AfterBarrier::Continue => (Purpose::User, None),
            AfterBarrier::Pause => (Purpose::Rescale, None),
            AfterBarrier::Finish => (Purpose::Final, None),
            AfterBarrier::Drain => (Purpose::Stop { drain: true }, Some("savepoints".to_owned())),
        };
        self.request(purpose, then, directory);
    }

    /// Takes a checkpoint and ends the attempt, as when the JobManager is stopped. The next attempt continues from
    /// it.
    pub fn suspend(&mut self) {
        self.request(Purpose::Suspend, AfterBarrier::Finish, None);
        self.settle();
    }

    /// Whether the checkpoint that was triggered last is complete.
    #[doc(hidden)]
    pub fn has_completed(&self) -> bool {
        let failed = self.failed_checkpoints.last().map(|(id, _)| *id);
        self.coordinator.is_settled() && self.completed.last().map(|(id, _)| *id) > failed
    }

    /// Takes a savepoint and returns its directory, or `None` if it failed.
    pub fn savepoint(&mut self) -> Option<String> {
        self.settle();
        self.request(Purpose::Savepoint, AfterBarrier::Continue, Some("savepoints".to_owned()));
        self.settle();
        self.has_completed().then(|| self.completed.last().map(|(_, at)| at.clone())).flatten()
    }

    /// Aborts the checkpoint in progress.
    #[doc(hidden)]
    pub fn abort_checkpoint(&mut self) {
        let effects = self.coordinator.on_tick(self.clock.now() + CHECKPOINT_TIMEOUT);
        self.carry_out(effects);
        self.settle();
    }

    /// Ends the attempt without warning: everything since the last checkpoint is lost.
    pub fn kill(&mut self) {
        self.attempt = None;
        self.store.drop_uploads();
        let effects = self.coordinator.end_attempt(self.clock.now());
        self.carry_out(effects);
    }

    /// Takes a checkpoint after which nothing is emitted, and deploys the job from it with another parallelism.
    ///
    /// # Panics
    /// If the checkpoint fails.
    pub fn rescale(&mut self, parallelism: u32) {
        self.settle();
        self.trigger(AfterBarrier::Pause);
        assert!(self.has_completed(), "{}", self.state());
        self.kill();
        self.start(parallelism);
    }

    /// Forgets all checkpoints and starts from a savepoint.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn start_from_savepoint(&mut self, directory: &str, parallelism: u32) {
        assert!(self.attempt.is_none(), "the job runs already");
        let at = Location(format!("{directory}/_metadata"));
        let manifest = match self.store.answer(0, StoreOp::Get { at, range: None }) {
            Ok(StoreReply::Bytes(bytes)) => manifest::decode(&bytes).expect("a savepoint that can be read"),
            other => panic!("there is no savepoint in {directory}: {other:?}"),
        };
        let Decision::Complete(manifest) = manifest else { panic!("the savepoint was abandoned") };
        self.coordinator = coordinator(Some(Recovered::from_savepoint(directory, *manifest)));
        self.start(parallelism);
    }

    /// Runs the job to its end: when all inputs have ended, takes the final checkpoint. Returns whether every
    /// subtask has finished.
    pub fn finish(&mut self) -> bool {
        self.settle();
        let attempt = self.running();
        if !attempt.all(&attempt.ended) {
            return false;
        }
        self.trigger(AfterBarrier::Finish);
        self.is_finished()
    }

    /// Whether every subtask has finished.
    pub fn is_finished(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.all(&attempt.finished))
    }

    /// Failures and the subtasks that are awaited, for messages of failed tests.
    pub fn state(&self) -> String {
        let Self { failures, failed_checkpoints, .. } = self;
        let awaited = self.attempt.as_ref().map(|attempt| {
            let missing = |set: &BTreeSet<SubtaskId>| -> Vec<u64> {
                let all = attempt.participants.iter().map(|participant| participant.subtask);
                all.filter(|subtask| !set.contains(subtask)).map(|subtask| subtask.0).collect()
            };
            let [starting, open, unfinished] =
                [&attempt.running, &attempt.ended, &attempt.finished].map(missing);
            format!("not running {starting:?}, not ended {open:?}, not finished {unfinished:?}")
        });
        format!("failed {failures:?}, checkpoints failed {failed_checkpoints:?}, {awaited:?}")
    }

    /// The number of subtasks whose inputs have ended.
    #[doc(hidden)]
    pub fn ended_subtasks(&self) -> usize {
        self.attempt.as_ref().map_or(0, |attempt| attempt.ended.len())
    }

    /// Whether every subtask has reached the end of its input.
    #[doc(hidden)]
    pub fn is_ended(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.all(&attempt.ended))
    }

    /// The metrics of the subtasks, by vertex and index.
    pub fn metrics(&mut self) -> Vec<SubtaskMetrics> {
        let machines = &mut self.running().machines;
        machines.metrics.clear();
        machines.send_to_all(|| SlotCommand::Measure);
        self.settle();
        let mut metrics = std::mem::take(&mut self.running().machines.metrics);
        metrics.sort_by_key(|metrics| metrics.subtask);
        metrics
    }

    fn running(&mut self) -> &mut Attempt {
        self.attempt.as_mut().expect("the job runs")
    }

    fn step(&mut self) -> bool {
        let attempt = self.attempt.as_mut().expect("the job runs");
        let moved = attempt.machines.step(&mut self.order, &self.clock, &mut self.store);
        let events = std::mem::take(&mut attempt.machines.events);
        let reported = !events.is_empty();
        for (subtask, event) in events {
            self.on_event(subtask, event);
        }
        moved || reported
    }

    fn on_event(&mut self, subtask: SubtaskId, event: TaskEvent) {
        let now = self.clock.now();
        let Some(attempt) = self.attempt.as_mut() else { return };
        let (id, coordinator) = (attempt.id, &mut self.coordinator);
        // The other events belong to live rescales, which the harness does not support.
        let TaskEvent::Report(event) = event else { return };
        let mut effects = Vec::new();
        match &event {
            SubtaskEvent::Running => {
                attempt.running.insert(subtask);
                if attempt.all(&attempt.running) {
                    effects = coordinator.set_running(now);
                }
            }
            SubtaskEvent::Exhausted => attempt.exhausted(subtask),
            SubtaskEvent::EventTime(report) => attempt.event_time(subtask, report.clone()),
            SubtaskEvent::Ended => drop(attempt.ended.insert(subtask)),
            SubtaskEvent::Finished => drop(attempt.finished.insert(subtask)),
            SubtaskEvent::Failed(failure) => self.failures.push(failure.clone()),
            _ => {}
        }
        effects.extend(coordinator.on_report(now, SubtaskReport { attempt: id, subtask, event }));
        self.carry_out(effects);
    }

    fn request(&mut self, purpose: Purpose, then: AfterBarrier, directory: Option<String>) {
        let request = Request { then, directory, ..Request::of(purpose) };
        let effects = self.coordinator.request(self.clock.now(), request);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Act(action) => self.act(action),
                Effect::Completed { checkpoint, at, .. } => self.completed.push((checkpoint, at)),
                Effect::Failed { checkpoint, reason, .. } => {
                    self.failed_checkpoints.push((checkpoint, reason))
                }
                Effect::TooManyFailures { .. } => {}
            }
        }
    }

    fn act(&mut self, action: Action) {
        let now = self.clock.now();
        match action {
            Action::Command(AttemptCommand {
                command: Command::Checkpoint { checkpoint, command, .. },
                ..
            }) => {
                if let CheckpointCommand::Trigger(_) = command {
                    self.coordinator.set_enumerators(checkpoint, self.enumerators.clone());
                }
                self.send_to_all(|| SlotCommand::Checkpoint {
                    checkpoint,
                    absent: Default::default(),
                    command: command.clone(),
                });
            }
            Action::StoreManifest { checkpoint, at, manifest } => {
                let directory = Location(at.trim_end_matches("/_metadata").to_owned());
                let is_there = |name: &str| self.store.has(name) || self.store.has(&directory.join(name).0);
                let gone = manifest.objects().into_iter().find(|name| !is_there(name)).map(str::to_owned);
                let outcome = match gone {
                    Some(object) => StoreOutcome::ObjectGone(format!("{object} is gone")),
                    None => self.decide(at, &Decision::Complete(manifest)),
                };
                let effects = self.coordinator.on_manifest_stored(now, checkpoint, outcome);
                self.carry_out(effects);
            }
            Action::StoreAbandoned { checkpoint, at } => {
                let outcome = self.decide(at, &Decision::Abandoned(Lineage::default()));
                let effects = self.coordinator.on_abandoned_stored(now, checkpoint, outcome);
                self.carry_out(effects);
            }
            Action::DeleteObjects { objects } => {
                for object in objects {
                    let deleted = self.store.answer(0, StoreOp::Delete { at: Location(object) });
                    deleted.expect("deleting succeeds");
                }
            }
            _ => {}
        }
    }

    fn send_to_all(&self, command: impl Fn() -> SlotCommand) {
        if let Some(attempt) = &self.attempt {
            attempt.machines.send_to_all(command);
        }
    }

    fn decide(&mut self, at: String, decision: &Decision) -> StoreOutcome {
        let (at, body) = (Location(at), manifest::encode(decision));
        match self.store.answer(0, StoreOp::Put { at, body, mode: PutMode::Create }) {
            Ok(_) => StoreOutcome::Won,
            Err(StoreError::AlreadyExists(_)) => StoreOutcome::Lost,
            Err(error) => StoreOutcome::Failed(error.to_string()),
        }
    }
}

fn coordinator(recovered: Option<Recovered>) -> Coordinator {
    let settings = Settings {
        interval: None,
        timeout: CHECKPOINT_TIMEOUT,
        min_pause: Duration::ZERO,
        tolerable_failures: u32::MAX,
        retained: 1,
        job_dir: "/checkpoints".to_owned(),
        keep_on_cancellation: false,
        max_operator_bytes: MAX_OPERATOR_BYTES,
        history: 10,
    };
    let identity =
        Identity { job: JobId(1), name: "test".to_owned(), epoch: LeaderEpoch(1), build: "test".to_owned() };
    Coordinator::new(settings, identity, recovered, Instant::default())
}
