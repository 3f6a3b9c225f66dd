//! What a run is made from.

use super::Selection;
use super::directed::Directed;
use super::job::SimulatedJob;
use super::options::Shape;
use super::target::Target;
use crate::chaos::{Chaos, Trouble};
use crate::faults::{Probe, RescalePhase};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::workload::Workload;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Everything that determines a run.
pub struct Setup {
    pub(super) seed: u64,
    /// Draws what is not determined before the run.
    pub(super) rng: Rng,
    pub(super) job: Arc<dyn SimulatedJob>,
    /// The progress of the job's sources.
    pub(super) probe: Probe,
    /// The options of the cluster.
    pub(super) shape: Shape,
    /// How many TaskManagers start with the JobManager.
    pub(super) task_managers: RangeInclusive<u64>,
    /// Objects that are there before the job.
    pub(super) files: Vec<(String, Bytes)>,
    /// How long troubles come, after which the cluster is left alone.
    pub(super) busy: Duration,
    pub(super) schedule: Vec<(Duration, Trouble)>,
    pub(super) must_strike: bool,
    pub(super) scenarios: BTreeSet<Scenario>,
    pub(super) target: Option<Target>,
    pub(super) ends_in: Option<RescalePhase>,
    /// How often user code fails at most.
    pub(super) user_failures: u64,
    pub(super) directed: Directed,
    pub(super) aim: f64,
    pub(super) step_aim: f64,
    pub(super) step_strikes: u64,
    /// The longest time that a reading of the clock takes.
    pub(super) most_look_cost_us: u64,
}

impl Setup {
    /// A run without troubles.
    pub fn calm(seed: u64, job: Arc<dyn SimulatedJob>, probe: Probe, shape: Shape) -> Self {
        Self {
            seed,
            rng: Rng::new(seed).fork("cluster"),
            job,
            probe,
            shape,
            task_managers: 1..=1,
            files: Vec::new(),
            busy: Duration::ZERO,
            schedule: Vec::new(),
            must_strike: false,
            scenarios: BTreeSet::new(),
            target: None,
            ends_in: None,
            user_failures: 0,
            directed: Directed::default(),
            aim: 0.0,
            step_aim: 0.0,
            step_strikes: 0,
            most_look_cost_us: 50,
        }
    }

    /// The run with this number of TaskManagers at its start.
    #[must_use]
    pub fn with_task_managers(self, task_managers: u64) -> Self {
        Self { task_managers: task_managers..=task_managers, ..self }
    }

    /// The run with troubles, each at its time after the start. After `busy` the cluster is left alone.
    #[must_use]
    pub fn with_troubles(self, busy: Duration, schedule: Vec<(Duration, Trouble)>) -> Self {
        Self { busy, schedule, ..self }
    }

    /// The run with objects that are in storage before it begins.
    #[must_use]
    pub fn with_files(self, files: Vec<(String, Bytes)>) -> Self {
        Self { files, ..self }
    }

    /// The run of a seed, with its workload.
    pub(super) fn random(seed: u64, selection: &Selection) -> (Self, Workload) {
        let mut rng = Rng::new(seed).fork("cluster");
        let busy = Duration::from_millis(rng.within(5_000..=40_000));
        let probe = Probe::default();
        let workload = Workload::random(&mut rng, probe.clone(), busy, selection.shape);
        let mut of_scenarios = Rng::new(seed).fork("scenarios");
        let mut scenarios = Scenario::draw(&mut of_scenarios, &selection.scenarios);
        let target = Target::random(&mut of_scenarios, &mut scenarios);
        // Most often while key groups migrate, because the end must wait for that.
        let ends_in = match of_scenarios.chance(0.5) {
            true => RescalePhase::CutTriggered,
            false => *of_scenarios.pick(&RescalePhase::ALL).expect("there are phases"),
        };
        let ends_in = scenarios.contains(&Scenario::EndsInPhase).then_some(ends_in);
        let workload = match scenarios.contains(&Scenario::LargeState) {
            true => workload.enlarged(&mut of_scenarios),
            false => workload,
        };
        let workload = if ends_in.is_some() { workload.shortened() } else { workload };
        if ends_in.is_some() {
            probe.hold_end();
        }
        let user_failures =
            if scenarios.contains(&Scenario::UserFailures) { of_scenarios.within(1..=6) } else { 0 };
        let directed = Directed::random(&mut of_scenarios, &scenarios);
        let mut shape = Shape::random(&mut rng).for_scenarios(&mut of_scenarios, &scenarios);
        shape.slots = shape.slots.max(workload.least_slots());
        if workload.shape() == crate::workload::Shape::Pipelines {
            shape = shape.for_regions(&mut rng.fork("regions"));
        }
        let Chaos { schedule } = Chaos::random(&mut rng, busy, &scenarios);
        let step_aim = of_scenarios.skewed(2..=100) as f64 / 1_000.0;
        let step_strikes = if scenarios.contains(&Scenario::Steps) { of_scenarios.within(1..=12) } else { 0 };
        let aim = if rng.chance(0.5) { rng.within(0..=400) as f64 / 1_000.0 } else { 0.0 };
        // With more, a snapshot of some thousand entries, one in each step, would repeatedly take longer than its
        // time-out.
        let most_look_cost_us = rng.skewed(2..=1_000);
        let setup = Self {
            seed,
            rng,
            job: Arc::new(workload.clone()),
            probe,
            shape,
            task_managers: 1..=3,
            files: Vec::new(),
            busy,
            schedule,
            must_strike: true,
            scenarios,
            target,
            ends_in,
            user_failures,
            directed,
            aim,
            step_aim,
            step_strikes,
            most_look_cost_us,
        };
        (setup, workload)
    }
}
