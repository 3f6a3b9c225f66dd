//! A run of a cluster under test: a JobManager and TaskManagers in a world, first with troubles and then left
//! alone.
//!
//! Reading order: [`options`] (the shape of the cluster), `bounds` (limits of its work), [`job`] (what it runs),
//! [`programs`] (how its processes are created), [`setup`] (what a run is made from), this file (the run), `trouble`
//! (what strikes it), `directed` (rescales of given sizes), `target` (what strikes in a given phase of a rescale),
//! `job_managers` (JobManagers and their successors), `standby` (two of which one leads), `lease_server`
//! (where these may keep the lease), `user` (requests of users).

mod bounds;
mod directed;
pub mod job;
mod job_managers;
mod lease_server;
pub mod options;
pub mod programs;
pub mod setup;
mod standby;
pub mod target;
mod trouble;
mod user;

use crate::chaos::Trouble;
use crate::check::{Checker, SAVEPOINTS};
use crate::faults::{Faults, Probe, RescalePhase, Strikes};
use crate::leases::Leases;
use crate::liveness::{Liveness, NO_PROGRESS};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::succession::Leader;
use crate::trace::Trace;
use crate::watch::{LiveRescales, Watch};
use crate::workload::{self, Workload};
use crate::world::{BEGIN, Change, ChangeKind, ProcessId, Storage, Time, World};
use bytes::Bytes;
use directed::Directed;
use lease_server::LeaseServer;
use programs::{End, Programs};
use reflow_coordination::manifest::{self, Decision};
use reflow_jobmanager::Handle;
use reflow_types::CheckpointId;
use setup::Setup;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;
use target::Target;

/// The most events of a run. More are a loop that makes no progress.
const MAX_EVENTS: u64 = 30_000_000;
/// The most events at one moment. More are a loop in which no time passes.
const MAX_EVENTS_AT_ONCE: u64 = 1_000_000;
/// The most objects that are damaged between two complete checkpoints.
const MOST_DAMAGE: u64 = 3;
/// How long after a fault subtasks may fail from it, for example by missing heartbeats, which takes 50 s.
const AFTERMATH: Duration = Duration::from_secs(120);

/// What is chosen for a run. Everything else follows from the seed.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only this kind of job.
    pub shape: Option<workload::Shape>,
    /// These scenarios, regardless of their weights.
    pub scenarios: Vec<Scenario>,
}

/// The outcome of a run.
pub struct Outcome {
    pub seed: u64,
    /// The kind of job.
    pub shape: workload::Shape,
    /// A description of the job.
    pub about: String,
    /// The trace's hash.
    pub hash: u64,
    /// The number of inputs and steps.
    pub events: u64,
    /// The simulated time.
    pub simulated: Duration,
    /// The faults that have struck.
    pub strikes: Strikes,
    pub violations: Vec<String>,
    /// The number of completed checkpoints.
    pub checkpoints: u64,
    /// The number of attempts after the first one.
    pub restarts: u64,
    /// The number of these attempts with another parallelism than the previous one.
    pub rescales: u64,
    /// The numbers of live rescales.
    pub live_rescales: LiveRescales,
    /// The number of restarts of regions alone.
    pub region_restarts: u64,
    /// The number of complete checkpoints in which regions that restarted did not take part.
    pub without_regions: u64,
    /// The number of leaderships to which executors have reported a running attempt, and of those that have adopted it.
    pub adoptions: (u64, u64),
    /// The number of records that the job read, each counted once.
    pub records: u64,
    /// The scenarios of the run.
    pub scenarios: BTreeSet<Scenario>,
    /// The longest times without progress after the last fault, as [`Liveness`] has them.
    pub longest: [Time; 3],
}

/// A deleted manifest.
struct Misplaced {
    checkpoint: CheckpointId,
    name: String,
    body: Bytes,
}

/// A run in progress.
pub struct Cluster {
    world: World,
    rng: Rng,
    programs: Programs,
    watch: Watch,
    checker: Checker,
    probe: Probe,
    /// The JobManagers that run, the newest last.
    leaders: Vec<Leader>,
    /// The JobManagers that have ended, with the order of their epochs.
    ended_leaders: BTreeMap<ProcessId, u64>,
    /// The REST handles of JobManagers.
    handles: BTreeMap<ProcessId, Handle>,
    /// The newest JobManager, or with a standby the one that leads, if it runs.
    newest: Option<ProcessId>,
    /// The host of the newest JobManager.
    host: String,
    job_manager_hosts: u64,
    /// The number of epochs that were taken.
    epochs_taken: u64,
    /// What leaders do with their leases.
    leases: Leases,
    /// Where the lease is kept if that is in Kubernetes.
    lease_server: Rc<RefCell<LeaseServer>>,
    /// When each epoch's file was written.
    epoch_files: BTreeMap<String, Time>,
    /// The manifest that was deleted last although it was the newest. A user can put it back.
    misplaced: Option<Misplaced>,
    scenarios: BTreeSet<Scenario>,
    task_managers: Vec<ProcessId>,
    hosts: u64,
    agenda: BTreeMap<(Time, u64), Todo>,
    appointments: u64,
    /// When the cluster was left alone.
    calm: Option<Time>,
    liveness: Liveness,
    /// When [`has_no_able_leader`](Self::has_no_able_leader) was the case last.
    led_since: Time,
    /// The probability that a trouble is aimed at a phase of a live rescale.
    aim: f64,
    /// The phase of a live rescale in which the inputs end.
    ends_in: Option<RescalePhase>,
    /// The probability that a JobManager is lost after a turn at one of the steps of its work.
    step_aim: f64,
    /// How often that may still happen. If JobManagers were always lost at their start, none would lead the job.
    step_strikes: u64,
    /// How often user code has failed, and how often it may fail.
    user_failures: (u64, u64),
    /// The plan of directed rescales.
    directed: Directed,
    /// What strikes in a given phase.
    target: Option<Target>,
    /// Whether the run goes on until a fault has struck while records were in flight.
    must_strike: bool,
    /// Until when a savepoint of a user may be under way.
    savepoint_until: Time,
    /// The time of the last fault from which an attempt may fail.
    disrupted: Time,
    /// The number of faults from which an attempt may fail, at that time.
    disruptions: u64,
    /// How and when the job has ended.
    over: Option<(End, Time)>,
}

/// Something to do at a given time.
enum Todo {
    Trouble(Trouble),
    StartJobManager,
    /// Start a JobManager on this host, beside another one.
    StartStandby(&'static str),
    StartSuccessor(Duration),
    Repoint(String),
    Mislead(String, String),
    Heal(String, String),
    Settle(Faults),
    LetEnd,
    Direct(usize),
    /// Cut all TaskManagers off, and start another one.
    CutOff,
    /// End the JobManager and all TaskManagers but these.
    Overtake(Vec<ProcessId>),
    Calm,
}

const JOB_MANAGER_HOST: &str = "jm";
/// The host of a second JobManager that stands by.
const STANDBY_HOST: &str = "standby";
/// What a line of the trace says of a checkpoint.
pub(crate) const COMPLETE: &str = " is complete";

impl Cluster {
    /// A cluster before its first event, with everything that follows from the seed.
    pub fn new(seed: u64, selection: &Selection, lines: Option<crate::trace::Lines>) -> (Self, Workload) {
        let (setup, workload) = Setup::random(seed, selection);
        (Self::of(setup, Trace::new(lines)), workload)
    }

    /// A cluster before its first event.
    pub fn of(setup: Setup, trace: Trace) -> Self {
        let Setup { seed, rng, job, probe, shape, scenarios, .. } = setup;
        let (system, transaction_text) = (job.system(), job.transaction_text());
        let programs = Programs::new(shape, job);
        let strikes = Strikes::new(probe.clone());
        let mut world = World::new(seed, Box::new(programs.spawner()), strikes, trace);
        world.look_cost_us = 1..=setup.most_look_cost_us;
        programs.install(&mut world.storage);
        if let Some((name, system)) = system {
            world.add_system(name, system);
        }
        setup.files.into_iter().for_each(|(name, body)| world.storage.put(&name, body));
        let mut cluster = Self {
            world,
            rng,
            watch: Watch::new(programs.watch_regions()),
            checker: Checker::new(programs.shape.retained as usize, transaction_text),
            probe,
            ended_leaders: BTreeMap::new(),
            leaders: Vec::new(),
            handles: BTreeMap::new(),
            newest: None,
            host: JOB_MANAGER_HOST.to_owned(),
            job_manager_hosts: 1,
            misplaced: None,
            epochs_taken: 0,
            leases: Leases::default(),
            lease_server: Rc::default(),
            epoch_files: BTreeMap::new(),
            scenarios,
            task_managers: Vec::new(),
            hosts: 0,
            agenda: BTreeMap::new(),
            appointments: 0,
            calm: None,
            liveness: Liveness::default(),
            led_since: BEGIN,
            aim: setup.aim,
            ends_in: setup.ends_in,
            step_aim: setup.step_aim,
            step_strikes: setup.step_strikes,
            user_failures: (0, setup.user_failures),
            directed: setup.directed,
            target: setup.target,
            must_strike: setup.must_strike,
            savepoint_until: 0,
            disrupted: BEGIN,
            disruptions: 0,
            over: None,
            programs,
        };
        cluster.plan(setup.schedule, setup.busy, setup.task_managers);
        cluster
    }

    fn plan(
        &mut self,
        schedule: Vec<(Duration, Trouble)>,
        busy: Duration,
        task_managers: RangeInclusive<u64>,
    ) {
        self.at(Duration::ZERO, Todo::StartJobManager);
        self.plan_standby();
        self.plan_cut_off();
        self.fail_user_code(3_000);
        let first = self.rng.within(task_managers);
        let first = self.begin_directed().unwrap_or(first);
        for _ in 0..first {
            let at = Duration::from_millis(self.rng.within(0..=1_000));
            self.at(at, Todo::Trouble(Trouble::StartTaskManager));
        }
        for (at, trouble) in schedule {
            self.at(at, Todo::Trouble(trouble));
        }
        self.at(busy, Todo::Calm);
    }

    fn at(&mut self, from_now: Duration, todo: Todo) {
        self.appointments += 1;
        let at = self.world.now() + from_now.as_micros() as Time;
        self.agenda.insert((at, self.appointments), todo);
    }

    /// Runs the cluster to the end.
    pub fn run(&mut self) {
        while !self.is_done() && self.checker.violations().is_empty() {
            let deadline = self.calm.map(|calm| self.liveness.deadline(calm));
            let appointment = self.agenda.keys().next().map(|(at, _)| *at);
            let Some(until) = appointment.into_iter().chain(deadline).min() else { break };
            if self.world.advance(until) {
                self.look();
            } else if appointment == Some(until)
                && let Some((_, todo)) = self.agenda.pop_first()
            {
                self.carry_out(todo);
            } else {
                break;
            }
        }
        if self.checker.violations().is_empty() {
            self.judge();
        }
    }

    /// Checks the output of the job at its end.
    fn judge(&mut self) {
        match &self.over {
            Some((End::Failed(reason), _)) => {
                let text = format!("the job has failed: {reason}");
                self.checker.violate(text);
            }
            Some((end, _)) => {
                let or_less = *end == End::Canceled;
                self.programs.job.judge(&mut self.checker, &self.world.storage, or_less);
            }
            None => {
                let state = self.describe();
                let text = format!("the job stalls: it has not come forward for {NO_PROGRESS:?}; {state}");
                self.checker.violate(text);
            }
        }
    }

    /// What was found to be wrong.
    pub fn violations(&self) -> &[String] {
        self.checker.violations()
    }

    /// The storage of the cluster.
    pub fn storage(&self) -> &Storage {
        &self.world.storage
    }

    /// The faults that have struck.
    pub fn strikes(&self) -> &Strikes {
        &self.world.strikes
    }

    /// The outcome.
    pub fn outcome(&self, seed: u64, workload: &Workload) -> Outcome {
        Outcome {
            seed,
            shape: workload.shape(),
            about: format!("{workload}; {}; {:?}", self.programs.shape, self.scenarios),
            hash: self.world.trace.hash(),
            events: self.world.trace.events,
            simulated: Duration::from_micros(self.world.now() - BEGIN),
            strikes: self.world.strikes.clone(),
            violations: self.checker.violations().to_vec(),
            checkpoints: self.checker.checkpoints,
            restarts: self.watch.restarts(),
            rescales: self.watch.rescales(),
            live_rescales: self.watch.live_rescales(),
            region_restarts: self.watch.region_restarts(),
            without_regions: self.watch.regions.without(),
            adoptions: self.watch.adoptions(),
            records: workload.records(),
            scenarios: self.scenarios.clone(),
            longest: self.liveness.longest,
        }
    }

    /// Checks storage and messages after each event, and handles processes that have ended.
    fn look(&mut self) {
        self.look_at_storage();
        self.look_at_user_code();
        let now = self.world.now();
        if let Some(seen) = self.world.take_seen() {
            self.watch.look(now, &seen);
            self.checker.damaged = self.watch.damaged;
            for from in self.watch.take_gone_back() {
                self.checker.goes_back(from, &self.world.storage);
            }
            self.watch.take_violations().into_iter().for_each(|violation| self.checker.violate(violation));
            self.look_at_failures();
        }
        self.aim();
        self.aim_at_step();
        self.leave_alone_after_failure();
        if self.world.trace.events > MAX_EVENTS {
            self.checker.violate(format!("more than {MAX_EVENTS} events: something goes round in circles"));
        }
        if self.world.events_at_once() > MAX_EVENTS_AT_ONCE {
            let text = format!("the run spins: {MAX_EVENTS_AT_ONCE} events at one moment of simulated time");
            self.checker.violate(text);
        }
        // What an ended job has left under way makes no progress.
        if let Some(calm) = self.calm.filter(|_| self.over.is_none()) {
            self.liveness.progress(now, self.probe.reached() + self.checker.committed);
            if self.has_standby() && self.has_no_able_leader() {
                self.led_since = now;
            }
            // Checkpoints of a deposed JobManager make no progress.
            if !self.leaders_compete() {
                let violation = self.liveness.look(now, calm.max(self.led_since), &self.watch);
                violation.into_iter().for_each(|violation| self.checker.violate(violation));
            }
        }
        self.look_at_regions();
        self.look_at_job_managers();
        let world = &self.world;
        self.task_managers.retain(|id| world.ended(*id).is_none());
        if self.calm.is_some() && self.task_managers.is_empty() {
            self.start_task_manager();
        }
    }

    /// Checks that checkpoints go on while a region restarts.
    fn look_at_regions(&mut self) {
        let may_be_lost = self.watch.damaged
            || self.scenarios.contains(&Scenario::OutsideDeletions)
            || self.leaders_compete();
        if self.over.is_none() && !may_be_lost {
            let interval = Duration::from_millis(self.programs.shape.checkpoint_interval_ms);
            let violation = self.watch.regions.look(self.world.now(), self.disrupted, interval);
            violation.into_iter().for_each(|violation| self.checker.violate(violation));
        }
    }

    fn look_at_storage(&mut self) {
        let mut changes = self.world.storage.take_changes();
        if changes.is_empty() {
            return;
        }
        self.look_at_epochs(&mut changes);
        let before = self.checker.checkpoints;
        self.checker.damaged = self.watch.damaged;
        for Change { name, .. } in changes.iter().filter(|change| change.kind == ChangeKind::Written) {
            let body = self.world.storage.get(name).filter(|_| name.ends_with("/_metadata"));
            if let Some(Ok(Decision::Complete(manifest))) = body.map(|body| manifest::decode(body))
                && !name.starts_with(SAVEPOINTS)
            {
                self.watch.checkpoint_decided(&manifest);
                let text = format!("checkpoint {}{COMPLETE}", manifest.checkpoint);
                self.world.trace.remark(self.world.now(), JOB_MANAGER_HOST, &text);
            }
        }
        if self.checker.look(&self.world.storage, &changes) {
            self.probe.committed();
        }
        if self.checker.checkpoints > before.max(1) && self.may_damage() {
            self.world.damage_left = MOST_DAMAGE.min(self.world.damage_left + 1);
        }
        if self.checker.checkpoints > before {
            self.watch.allows_replay = false; // the job runs
        }
    }

    /// Whether bits may be flipped. Not if checkpoints may also be lost for other reasons.
    fn may_damage(&self) -> bool {
        !self.scenarios.contains(&Scenario::Successors)
            && !self.scenarios.contains(&Scenario::OutsideDeletions)
    }

    /// Checks that subtasks fail only from faults, and not long after them.
    fn look_at_failures(&mut self) {
        let failures = self.watch.take_failures();
        let disruptions = self.world.strikes.disruptions();
        if disruptions != self.disruptions
            || self.world.faults != Faults::default()
            || self.world.storage.has_damage()
            || self.leaders_compete()
        {
            (self.disrupted, self.disruptions) = (self.world.now(), disruptions);
        }
        let blamed = self.disrupted + AFTERMATH.as_micros() as Time;
        // An older checkpoint may name pieces of files that were removed with a newer one. The user puts them back.
        let (gone_back, storage) = (self.checker.has_gone_back(), &mut self.world.storage);
        let mut is_put_back =
            |failure: &str| gone_back && removed(failure).is_some_and(|name| storage.put_back(name));
        let failures: Vec<_> = failures.into_iter().filter(|(_, failure)| !is_put_back(failure)).collect();
        for (at, failure) in failures.into_iter().filter(|(at, _)| *at > blamed || disruptions == 0) {
            let since = Duration::from_micros(at - self.disrupted);
            let text = format!("{failure}: it fails although there was no fault for {since:?}");
            self.checker.violate(text);
        }
    }
}

/// The object that is missing according to a failure of the file sink.
fn removed(failure: &str) -> Option<&str> {
    let (_, text) = failure.split_once("removed from storage or cut off: ")?;
    text.split_once(" does not exist").map(|(name, _)| name)
}
