//! The report of many runs: a table of the faults that have struck and of the violations.

use crate::cluster::{Cluster, Outcome, Selection};
use crate::faults::{Count, FaultKind, RescalePhase, Step};
use crate::scenario::Scenario;
use crate::trace::Lines;
use crate::watch::LiveRescales;
use crate::workload::Shape;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The number of runs from which every kind of fault must have struck in every phase of a live rescale.
const RUNS_FOR_ALL_CELLS: u64 = 2_000;

/// The number of restarts of regions from which others must have completed checkpoints during one.
const RESTARTS_FOR_CHECKPOINTS: u64 = 500;

/// Runs one seed. A panic of a process counts as a violation.
pub fn run_seed(seed: u64, selection: &Selection, lines: Option<Lines>) -> Outcome {
    let (mut cluster, workload) = Cluster::new(seed, selection, lines);
    let ran = catch_unwind(AssertUnwindSafe(|| cluster.run()));
    let mut outcome = cluster.outcome(seed, &workload);
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        outcome.violations.push(format!("a process panicked: {text}"));
    }
    outcome
}

/// The command that repeats a run.
pub fn how_to_repeat(seed: u64, selection: &Selection) -> String {
    let job = selection.shape.iter().map(|shape| format!(" --job {shape}"));
    let scenarios = selection.scenarios.iter().map(|scenario| format!(" --scenario {scenario}"));
    format!("SIM_SEED={seed} cargo xtask sim{}", job.chain(scenarios).collect::<String>())
}

/// The results of many runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The selection of runs.
    pub selection: Selection,
    /// The number of runs.
    pub runs: u64,
    /// How often each kind of fault has struck.
    pub strikes: BTreeMap<FaultKind, Count>,
    /// The seeds with violations.
    pub violations: Vec<(u64, Vec<String>)>,
    /// The seeds of runs in which no fault struck while records were in flight.
    pub vacuous: Vec<u64>,
    /// See [`Outcome`].
    pub restarts: u64,
    /// See [`Outcome`].
    pub rescales: u64,
    /// See [`Outcome`].
    pub live_rescales: LiveRescales,
    /// The number of restarts of regions alone.
    pub region_restarts: u64,
    /// See [`Outcome`].
    pub without_regions: u64,
    /// See [`Outcome`].
    pub adoptions: (u64, u64),
    /// The numbers of runs, of live rescales begun and of live rescales committed, by kind of job.
    pub by_shape: BTreeMap<Shape, [u64; 3]>,
    /// How often each kind of fault struck in each phase of a live rescale.
    pub in_phases: BTreeMap<(FaultKind, RescalePhase), u64>,
    /// How often each kind of fault struck at each step of a JobManager.
    pub at_steps: BTreeMap<(FaultKind, Step), u64>,
    /// The number of runs with each scenario.
    pub scenarios: BTreeMap<Scenario, u64>,
    /// See [`Outcome`].
    pub checkpoints: u64,
    /// See [`Outcome`].
    pub records: u64,
    /// See [`Outcome`].
    pub events: u64,
    /// The simulated time in seconds.
    pub simulated_seconds: f64,
    /// The hash of all runs. The same seeds give the same hash.
    pub hash: u64,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, outcome: Outcome) {
        self.runs += 1;
        let mut in_flight = 0;
        for (kind, count) in outcome.strikes.counts() {
            let sum = self.strikes.entry(*kind).or_default();
            sum.total += count.total;
            sum.in_flight += count.in_flight;
            in_flight += count.in_flight;
        }
        for (at, count) in outcome.strikes.in_phases() {
            *self.in_phases.entry(*at).or_default() += count;
        }
        for (at, count) in outcome.strikes.at_steps() {
            *self.at_steps.entry(*at).or_default() += count;
        }
        for scenario in &outcome.scenarios {
            *self.scenarios.entry(*scenario).or_default() += 1;
        }
        let LiveRescales { begun, committed, past_an_end } = outcome.live_rescales;
        self.live_rescales.begun += begun;
        self.live_rescales.committed += committed;
        self.live_rescales.past_an_end += past_an_end;
        self.region_restarts += outcome.region_restarts;
        self.without_regions += outcome.without_regions;
        self.adoptions.0 += outcome.adoptions.0;
        self.adoptions.1 += outcome.adoptions.1;
        let of_shape = self.by_shape.entry(outcome.shape).or_default();
        for (sum, count) in of_shape.iter_mut().zip([1, begun, committed]) {
            *sum += count;
        }
        if in_flight == 0 && outcome.violations.is_empty() {
            self.vacuous.push(outcome.seed);
        }
        if !outcome.violations.is_empty() {
            self.violations.push((outcome.seed, outcome.violations));
        }
        self.restarts += outcome.restarts;
        self.rescales += outcome.rescales;
        self.checkpoints += outcome.checkpoints;
        self.records += outcome.records;
        self.events += outcome.events;
        self.simulated_seconds += outcome.simulated.as_secs_f64();
        // The sum does not depend on the order in which runs end.
        self.hash = self.hash.wrapping_add(outcome.hash);
    }

    /// Whether the runs pass. Besides the absence of violations, a single run must have had a fault with records
    /// in flight, nearly all of many runs must have had one, and in very many runs each kind of fault must have
    /// struck in each phase of a live rescale. Checkpoints of regions must have been complete while others restarted.
    pub fn passes(&self) -> bool {
        self.violations.is_empty()
            && self.vacuous.len() as u64 <= self.most_vacuous()
            && (self.runs < RUNS_FOR_ALL_CELLS || self.empty_cells().is_empty())
            && (self.region_restarts < RESTARTS_FOR_CHECKPOINTS || self.without_regions > 0)
    }

    /// How many of the runs may have had no fault in flight: one in twenty, and twice the deviation that so many
    /// runs have by chance. Otherwise a few runs with other seeds would fail although nothing is wrong.
    fn most_vacuous(&self) -> u64 {
        let mean = self.runs as f64 / 20.0;
        (mean + 2.0 * mean.sqrt()) as u64
    }

    /// The kinds of faults that have struck, each with phases of live rescales in which it never has. Calls are left
    /// out, because few jobs make any.
    pub fn empty_cells(&self) -> Vec<(FaultKind, RescalePhase)> {
        let kinds = self.strikes.keys().filter(|kind| !kind.is_of_calls());
        let cells = kinds.flat_map(|kind| RescalePhase::ALL.map(|phase| (*kind, phase)));
        cells.filter(|cell| !self.in_phases.contains_key(cell)).collect()
    }

    /// The report as JSON.
    pub fn to_json(&self, wall_seconds: f64) -> serde_json::Value {
        let strikes = self.strikes.iter().map(|(kind, count)| {
            let count = serde_json::json!({ "total": count.total, "in_flight": count.in_flight });
            (format!("{kind:?}"), count)
        });
        serde_json::json!({
            "runs": self.runs,
            "faults": serde_json::Map::from_iter(strikes),
            "violations": self.violations,
            "vacuous": self.vacuous,
            "restarts": self.restarts,
            "rescales": self.rescales,
            "live_rescales": {
                "begun": self.live_rescales.begun,
                "committed": self.live_rescales.committed,
                "past_an_end": self.live_rescales.past_an_end,
            },
            "region_restarts": self.region_restarts,
            "checkpoints_without_regions": self.without_regions,
            "adoptions": { "begun": self.adoptions.0, "succeeded": self.adoptions.1 },
            "jobs": self.by_shape.iter().map(|(shape, [runs, begun, committed])| serde_json::json!({
                "job": shape.to_string(), "runs": runs, "begun": begun, "committed": committed,
            })).collect::<Vec<_>>(),
            "in_phases": self.in_phases.iter().map(|((kind, phase), count)| {
                serde_json::json!({ "fault": format!("{kind:?}"), "phase": format!("{phase:?}"), "count": count })
            }).collect::<Vec<_>>(),
            "at_steps": self.at_steps.iter().map(|((kind, step), count)| {
                serde_json::json!({ "fault": format!("{kind:?}"), "step": format!("{step:?}"), "count": count })
            }).collect::<Vec<_>>(),
            "checkpoints": self.checkpoints,
            "records": self.records,
            "events": self.events,
            "simulated_seconds": self.simulated_seconds,
            "hash": format!("{:016x}", self.hash),
            "wall_seconds": wall_seconds,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phases = RescalePhase::ALL.map(|phase| format!("{:>13}", format!("{phase:?}"))).concat();
        writeln!(f, "{:<24}{:>9}{:>10}{phases}", "fault", "struck", "in flight")?;
        for (kind, Count { total, in_flight }) in &self.strikes {
            let in_phase = |phase| self.in_phases.get(&(*kind, phase)).copied().unwrap_or(0);
            let counts = RescalePhase::ALL.map(|phase| format!("{:>13}", in_phase(phase))).concat();
            writeln!(f, "{:<24}{total:>9}{in_flight:>10}{counts}", format!("{kind:?}"))?;
        }
        let steps = Step::ALL.map(|step| format!("{:>13}", format!("{step:?}"))).concat();
        writeln!(f, "\n{:<24}{steps}", "fault at a step")?;
        for kind in self.strikes.keys().filter(|kind| self.at_steps.keys().any(|(struck, _)| struck == *kind))
        {
            let at_step = |step| self.at_steps.get(&(*kind, step)).copied().unwrap_or(0);
            let counts = Step::ALL.map(|step| format!("{:>13}", at_step(step))).concat();
            writeln!(f, "{:<24}{counts}", format!("{kind:?}"))?;
        }
        writeln!(f, "\n{:<28}{:>11}{:>11}{:>11}", "job", "runs", "live begun", "committed")?;
        for (shape, counts) in &self.by_shape {
            let counts = counts.map(|count| format!("{count:>11}"));
            writeln!(f, "{:<28}{}", shape.to_string(), counts.concat())?;
        }
        writeln!(f)?;
        let Self { runs, restarts, rescales, checkpoints, records, events, simulated_seconds, .. } = self;
        writeln!(f, "{runs} runs, {simulated_seconds:.0} s simulated, {events} events, {records} records")?;
        writeln!(f, "hash {:016x}", self.hash)?;
        let LiveRescales { begun, committed, past_an_end } = self.live_rescales;
        writeln!(
            f,
            "{begun} live rescales begun, {committed} committed, {past_an_end} of them after an input had ended"
        )?;
        let Self { region_restarts, without_regions, .. } = self;
        writeln!(f, "{region_restarts} times, regions restarted while others ran on")?;
        writeln!(f, "{without_regions} checkpoints were complete meanwhile")?;
        let (begun, succeeded) = self.adoptions;
        writeln!(f, "{begun} JobManagers found a running attempt, {succeeded} adopted it")?;
        writeln!(f, "{restarts} restarts, {rescales} of them rescales; {checkpoints} checkpoints")?;
        for (scenario, runs) in &self.scenarios {
            writeln!(f, "{runs} runs with {scenario}")?;
        }
        writeln!(
            f,
            "{} runs without a fault in flight; at most {} may have none",
            self.vacuous.len(),
            self.most_vacuous()
        )?;
        if self.runs >= RUNS_FOR_ALL_CELLS {
            for (kind, phase) in self.empty_cells() {
                writeln!(f, "{kind:?} has never struck in phase {phase:?}")?;
            }
        }
        write!(f, "{} runs with violations", self.violations.len())?;
        for (seed, violations) in &self.violations {
            write!(f, "\n\n{}", how_to_repeat(*seed, &self.selection))?;
            for violation in violations {
                write!(f, "\n  {violation}")?;
            }
        }
        Ok(())
    }
}
