//! A run of a simulation: everything that is left out of it when it is shrunk.

use super::ends::Pace;
use super::{Bounds, Fault, JobFunction, Outputs};
use crate::chaos::Trouble;
use crate::check::Checker;
use crate::cluster::Cluster;
use crate::cluster::job::SimulatedJob;
use crate::cluster::options::{ADOPTION_TIMEOUT_MS, Restarts, Shape};
use crate::cluster::setup::Setup;
use crate::faults::Probe;
use crate::rng::Rng;
use crate::trace::Trace;
use crate::world::{Storage, Work};
use bytes::Bytes;
use reflow_api::UserError;
use reflow_stream::StreamEnv;
use std::sync::Arc;
use std::time::Duration;

/// The most faults of a run. Many at once hide what two of them cause together.
const MOST_FAULTS: u64 = 6;
/// After this time all TaskManagers have started. A cluster that is left alone before would get more of them.
const ALL_STARTED: Duration = Duration::from_secs(2);

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How many TaskManagers start with the job.
    pub task_managers: u64,
    pub most_task_managers: u64,
    pub slots: u64,
    pub checkpoint_interval: Duration,
    /// The records of a batch between two tasks.
    pub batch_records: usize,
    pub lasts: Duration,
    /// What strikes, each at its time after the start.
    pub schedule: Vec<(Duration, Trouble)>,
    /// For each input, the positions of its records.
    pub kept: Vec<Vec<usize>>,
}

impl Plan {
    /// The run of a seed.
    pub fn random(seed: u64, bounds: &Bounds, faults: &[Fault], lengths: &[usize]) -> Self {
        let mut rng = Rng::new(seed).fork("simulation");
        let usual = reflow_types::Bounds::default();
        let slots = rng.within(1..=bounds.slots);
        let count = if faults.is_empty() { 0 } else { rng.within(1..=MOST_FAULTS) };
        let most_ms = bounds.lasts.as_millis() as u64;
        let mut fault = || {
            // Nothing runs in the first second.
            let at = Duration::from_millis(1_000 + rng.within(0..=most_ms));
            let fault = rng.pick(faults).expect("there are faults");
            (at, fault.trouble(&mut rng, bounds.task_managers * slots))
        };
        let mut schedule: Vec<(Duration, Trouble)> = (0..count).map(|_| fault()).collect();
        schedule.sort_by_key(|(at, _)| *at);
        let interval = Duration::from_millis(rng.skewed(200..=2_000));
        Self {
            seed,
            task_managers: rng.within(1..=bounds.task_managers),
            most_task_managers: bounds.task_managers,
            slots,
            checkpoint_interval: bounds.checkpoint_interval.unwrap_or(interval),
            batch_records: if rng.chance(0.5) { usual.batch_records } else { rng.within(1..=30) as usize },
            lasts: bounds.lasts,
            schedule,
            kept: lengths.iter().map(|length| (0..*length).collect()).collect(),
        }
    }

    /// A run without faults on the smallest cluster.
    pub fn calm(lengths: &[usize]) -> Self {
        let bounds = Bounds { task_managers: 1, slots: 1, ..Bounds::default() };
        Self::random(0, &bounds, &[], lengths)
    }

    /// When its records arrive.
    pub fn pace(&self, probe: &Probe, splits: usize) -> Pace {
        Pace { lasts: self.lasts, splits, kept: self.kept.clone(), probe: probe.clone() }
    }

    /// The cluster before the first event.
    pub fn cluster(
        &self,
        job: Arc<dyn SimulatedJob>,
        probe: Probe,
        files: Vec<(String, Bytes)>,
        trace: Trace,
    ) -> Cluster {
        let shape = Shape {
            slots: self.slots,
            most_task_managers: self.most_task_managers as usize,
            checkpoint_interval_ms: self.checkpoint_interval.as_millis() as u64,
            retained: 2,
            parallelism: None,
            restarts: Restarts::Always,
            adoption_timeout_ms: ADOPTION_TIMEOUT_MS,
            lease_ms: None,
            lease_in_kubernetes: false,
            prefetch_bandwidth: None,
            region_wait_ms: None,
            bounds: reflow_types::Bounds { batch_records: self.batch_records, ..Default::default() },
        };
        let last = self.schedule.last().map_or(Duration::ZERO, |(at, _)| *at);
        let busy = last + ALL_STARTED;
        let setup = Setup::calm(self.seed, job, probe, shape)
            .with_task_managers(self.task_managers)
            .with_troubles(busy, self.schedule.clone())
            .with_files(files);
        Cluster::of(setup, trace)
    }

    /// The parallelism at which the job starts.
    pub fn parallelism(&self) -> u64 {
        self.task_managers * self.slots
    }
}

/// The job of a simulation.
pub(super) struct UserJob<F, O> {
    pub(super) function: Arc<JobFunction<F, O>>,
    pub(super) feeds: F,
    pub(super) outputs: O,
}

impl<F: Clone + Send + Sync, O: Outputs> SimulatedJob for UserJob<F, O> {
    fn build(&self, env: &mut StreamEnv, _: &Work) -> Result<(), UserError> {
        (self.function)(env, self.feeds.clone(), self.outputs.clone())
    }

    /// The test does it with what was committed.
    fn judge(&self, _: &mut Checker, _: &Storage, _: bool) {}
}
