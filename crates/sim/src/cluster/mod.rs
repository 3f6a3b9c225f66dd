//! A cluster under test: a JobManager and TaskManagers in a world, with trouble first and calm after it.
//!
//! Reading order: [`options`] (its shape), [`programs`] (how its processes are made), this file (the run), `user` (what
//! users ask for meanwhile).

pub mod options;
pub mod programs;
mod user;

use crate::chaos::{Chaos, Trouble};
use crate::check::Checker;
use crate::faults::{FaultKind, Faults, Probe, RescalePhase, Strikes};
use crate::rng::Rng;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::workload::{self, Workload};
use crate::world::{BEGIN, ProcessId, Time, World};
use options::Shape;
use programs::Programs;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the cluster may take, once it is left alone, until the job is done.
const CALM: Duration = Duration::from_secs(600);
/// How many events a run may have: more is a loop that makes no progress.
const MAX_EVENTS: u64 = 30_000_000;

/// What came of a run.
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What kind of job ran …
    pub shape: workload::Shape,
    /// … and in what words.
    pub about: String,
    /// The trace's hash.
    pub hash: u64,
    /// How many inputs were handled and steps made.
    pub events: u64,
    /// The simulated time.
    pub simulated: Duration,
    /// The faults.
    pub strikes: Strikes,
    /// What was wrong.
    pub violations: Vec<String>,
    /// How many checkpoints were completed.
    pub checkpoints: u64,
    /// How many attempts were deployed after the first.
    pub restarts: u64,
    /// How many of them had another parallelism than the one before.
    pub rescales: u64,
    /// Live rescales: begun, and committed.
    pub live_rescales: (u64, u64),
    /// How many records the job read, each counted once.
    pub records: u64,
}

/// A run in progress.
pub struct Cluster {
    world: World,
    rng: Rng,
    programs: Programs,
    watch: Watch,
    checker: Checker,
    probe: Probe,
    job_manager: Option<ProcessId>,
    task_managers: Vec<ProcessId>,
    hosts: u64,
    agenda: BTreeMap<(Time, u64), Todo>,
    appointments: u64,
    calm: bool,
    /// The chance that a phase of a live rescale is struck.
    aim: f64,
    /// How the job has ended.
    over: Option<String>,
}

/// Something to be done at a moment.
enum Todo {
    Trouble(Trouble),
    StartJobManager,
    Heal(String, String),
    Settle(Faults),
    Calm,
}

const JOB_MANAGER_HOST: &str = "jm";

impl Cluster {
    /// A cluster with everything that follows from the seed, before its first event; of `only` this kind of job, if given.
    pub fn new(
        seed: u64,
        only: Option<workload::Shape>,
        lines: Option<crate::trace::Lines>,
    ) -> (Self, Workload) {
        let mut rng = Rng::new(seed).fork("cluster");
        let busy = Duration::from_millis(rng.within(5_000..=40_000));
        let probe = Probe::default();
        let workload = Workload::random(&mut rng, probe.clone(), busy, only);
        let shape = Shape::random(&mut rng);
        let chaos = Chaos::random(&mut rng, busy);
        let aim = if rng.chance(0.5) { rng.within(0..=400) as f64 / 1_000.0 } else { 0.0 };
        let programs = Programs::new(shape, workload.clone());
        let strikes = Strikes::new(probe.clone());
        let mut world = World::new(seed, Box::new(programs.spawner()), strikes, Trace::new(lines));
        world.look_cost_us = 1..=rng.skewed(2..=5_000);
        programs.install(&mut world.storage);
        let mut cluster = Self {
            world,
            rng,
            watch: Watch::default(),
            checker: Checker::new(programs.shape.retained as usize),
            probe,
            job_manager: None,
            task_managers: Vec::new(),
            hosts: 0,
            agenda: BTreeMap::new(),
            appointments: 0,
            calm: false,
            aim,
            over: None,
            programs,
        };
        cluster.plan(chaos, busy);
        (cluster, workload)
    }

    fn plan(&mut self, chaos: Chaos, busy: Duration) {
        self.at(Duration::ZERO, Todo::StartJobManager);
        for _ in 0..self.rng.within(1..=3) {
            let at = Duration::from_millis(self.rng.within(0..=1_000));
            self.at(at, Todo::Trouble(Trouble::StartTaskManager));
        }
        for (at, trouble) in chaos.schedule {
            self.at(at, Todo::Trouble(trouble));
        }
        self.at(busy, Todo::Calm);
    }

    fn at(&mut self, from_now: Duration, todo: Todo) {
        self.appointments += 1;
        let at = self.world.now() + from_now.as_micros() as Time;
        self.agenda.insert((at, self.appointments), todo);
    }

    /// Runs to the end.
    pub fn run(&mut self, workload: &Workload) {
        let mut deadline = None;
        while self.over.is_none() && self.checker.violations().is_empty() {
            if self.calm && deadline.is_none() {
                deadline = Some(self.world.now() + CALM.as_micros() as Time);
            }
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
        match &self.over {
            Some(end) if end.contains("FINISHED") => {
                let damaged = self.world.strikes.counts().contains_key(&FaultKind::StoreBitFlip);
                self.checker.compare(&self.world.storage, &workload.expected(), damaged);
            }
            Some(end) => self.checker.violate(format!("the job has not finished: {end}")),
            None if self.checker.violations().is_empty() => {
                let state = self.describe();
                let text = format!("the job stalls: it has not ended {CALM:?} after the last fault; {state}");
                self.checker.violate(text);
            }
            None => {}
        }
    }

    /// What came of it.
    pub fn outcome(&self, seed: u64, workload: &Workload) -> Outcome {
        Outcome {
            seed,
            shape: workload.shape(),
            about: format!("{workload}; {}", self.programs.shape),
            hash: self.world.trace.hash(),
            events: self.world.trace.events,
            simulated: Duration::from_micros(self.world.now() - BEGIN),
            strikes: self.world.strikes.clone(),
            violations: self.checker.violations().to_vec(),
            checkpoints: self.checker.checkpoints,
            restarts: self.watch.restarts(),
            rescales: self.watch.rescales(),
            live_rescales: self.watch.live_rescales(),
            records: workload.records(),
        }
    }

    /// After each event: checks what is stored, and minds processes that have ended.
    fn look(&mut self) {
        let before = self.checker.checkpoints;
        if self.checker.look(&mut self.world.storage) {
            self.probe.committed();
        }
        if self.checker.checkpoints > before.max(1) {
            // Each flipped bit may cost a checkpoint; one must be left.
            let most = self.programs.shape.retained - 1;
            self.world.bit_flips_left = most.min(self.world.bit_flips_left + 1);
        }
        if let Some(seen) = self.world.take_seen() {
            self.watch.look(&seen);
            self.aim();
            self.watch.take_violations().into_iter().for_each(|violation| self.checker.violate(violation));
        }
        if self.world.trace.events > MAX_EVENTS {
            self.checker.violate(format!("more than {MAX_EVENTS} events: something goes round in circles"));
        }
        if let Some(id) = self.job_manager
            && self.world.ended(id).is_some()
        {
            self.job_manager = None;
            self.over = self.programs.end_state(&self.world.storage);
            if self.over.is_none() {
                // Whoever runs a cluster starts it again.
                let down = Duration::from_millis(self.rng.skewed(1..=5_000));
                self.at(down, Todo::StartJobManager);
            }
        }
        let world = &self.world;
        self.task_managers.retain(|id| world.ended(*id).is_none());
        if self.calm && self.task_managers.is_empty() {
            self.start_task_manager();
        }
    }

    /// When a live rescale enters a phase, trouble is sent after it: by chance alone it would seldom meet one.
    fn aim(&mut self) {
        let phase = self.watch.phase();
        let before = std::mem::replace(&mut self.world.strikes.phase, phase);
        if phase == before || phase == RescalePhase::None || self.calm || !self.rng.chance(self.aim) {
            return;
        }
        let trouble = crate::chaos::strike(&mut self.rng);
        let soon = Duration::from_micros(self.rng.skewed(1..=200_000));
        self.at(soon, Todo::Trouble(trouble));
    }

    fn carry_out(&mut self, todo: Todo) {
        match todo {
            Todo::Trouble(trouble) => self.trouble(trouble),
            Todo::StartJobManager => self.start_job_manager(),
            Todo::Heal(a, b) => self.world.heal(&a, &b),
            Todo::Settle(faults) => self.world.faults = faults,
            // Nothing has struck yet: strike once when it counts, so that the run proves something.
            Todo::Calm if !self.world.strikes.any_in_flight() => {
                if self.probe.in_flight() {
                    self.trouble(Trouble::KillTaskManager);
                }
                self.at(Duration::from_millis(100), Todo::Calm);
                if self.task_managers.is_empty() {
                    self.start_task_manager();
                }
            }
            Todo::Calm => {
                self.calm = true;
                self.world.faults = Faults::default();
            }
        }
    }

    fn start_job_manager(&mut self) {
        // The last that a killed one wrote may have come to be since: another start would begin another job.
        self.over = self.over.take().or_else(|| self.programs.end_state(&self.world.storage));
        if self.job_manager.is_none() && self.over.is_none() {
            let programs = &mut self.programs;
            self.job_manager =
                Some(self.world.start(JOB_MANAGER_HOST, |context| programs.job_manager(context)));
        }
    }

    fn start_task_manager(&mut self) {
        self.hosts += 1;
        let host = format!("tm{}", self.hosts);
        let programs = &mut self.programs;
        let id = self.world.start(&host, |context| programs.task_manager(context));
        self.task_managers.push(id);
    }

    fn trouble(&mut self, trouble: Trouble) {
        let task_manager = self.rng.pick(&self.task_managers).copied();
        match trouble {
            Trouble::StartTaskManager
                if self.task_managers.len() < self.programs.shape.most_task_managers =>
            {
                self.start_task_manager();
                self.world.strikes.strike(FaultKind::TaskManagerStarted);
            }
            Trouble::StartTaskManager => {}
            Trouble::StopTaskManager => {
                self.strike(task_manager, FaultKind::TaskManagerStopped, World::terminate)
            }
            Trouble::DrainTaskManager { force } => self.drain(force),
            Trouble::Require { upper } => self.require(upper),
            Trouble::KillTaskManager => self.strike(task_manager, FaultKind::TaskManagerKilled, World::kill),
            Trouble::KillExecutor => {
                let executors = task_manager.map_or(Vec::new(), |id| self.world.children(id));
                let executor = self.rng.pick(&executors).copied();
                self.strike(executor, FaultKind::ExecutorKilled, World::kill);
            }
            Trouble::KillJobManager { down } => {
                if let Some(id) = self.job_manager {
                    self.strike(Some(id), FaultKind::JobManagerKilled, World::kill);
                    self.look();
                    if self.over.is_none() {
                        self.at(down, Todo::StartJobManager);
                    }
                }
            }
            Trouble::StopJobManager { .. } => {
                self.strike(self.job_manager, FaultKind::JobManagerStopped, World::terminate);
            }
            Trouble::Partition { lasts } => self.partition(lasts),
            Trouble::Freeze { lasts } => {
                let mut candidates = Vec::from_iter(self.job_manager);
                for id in &self.task_managers {
                    candidates.push(*id);
                    candidates.extend(self.world.children(*id));
                }
                let victim = self.rng.pick(&candidates).copied();
                self.strike(victim, FaultKind::Freeze, |world, id| world.freeze(id, lasts));
            }
            Trouble::Disturb { faults, lasts } => {
                self.world.faults = faults;
                self.at(lasts, Todo::Settle(Faults::default()));
            }
        }
    }

    fn strike(
        &mut self,
        victim: Option<ProcessId>,
        kind: FaultKind,
        how: impl FnOnce(&mut World, ProcessId),
    ) {
        if let Some(victim) = victim {
            self.world.strikes.strike(kind);
            how(&mut self.world, victim);
        }
    }

    fn partition(&mut self, lasts: Duration) {
        let mut hosts = vec![JOB_MANAGER_HOST.to_owned()];
        hosts.extend(self.task_managers.iter().map(|id| self.world.host(*id).to_owned()));
        let (Some(a), Some(b)) = (self.rng.pick(&hosts).cloned(), self.rng.pick(&hosts).cloned()) else {
            return;
        };
        if a != b {
            self.world.strikes.strike(FaultKind::Partition);
            self.world.partition(&a, &b);
            self.at(lasts, Todo::Heal(a, b));
        }
    }

    fn describe(&self) -> String {
        let running: Vec<&str> = self.world.running().map(|(_, name)| name).collect();
        let highest = self.checker.highest;
        format!("running: {running:?}; last complete checkpoint: {highest:?}; {}", self.watch.describe())
    }
}
