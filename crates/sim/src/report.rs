//! Many runs: one after another, and a table of what struck and what was found.

use crate::cluster::{Cluster, Outcome};
use crate::faults::{Count, FaultKind, RescalePhase};
use crate::trace::Lines;
use crate::workload::Shape;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs one seed, of `only` this kind of job if given; a panic of a process is a violation.
pub fn run_seed(seed: u64, only: Option<Shape>, lines: Option<Lines>) -> Outcome {
    let (mut cluster, workload) = Cluster::new(seed, only, lines);
    let ran = catch_unwind(AssertUnwindSafe(|| cluster.run(&workload)));
    let mut outcome = cluster.outcome(seed, &workload);
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        outcome.violations.push(format!("a process panicked: {text}"));
    }
    outcome
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How many runs there were.
    pub runs: u64,
    /// How often each kind of fault struck.
    pub strikes: BTreeMap<FaultKind, Count>,
    /// Seeds with what was wrong.
    pub violations: Vec<(u64, Vec<String>)>,
    /// Runs in which no fault struck with records in flight.
    pub vacuous: Vec<u64>,
    /// See [`Outcome`].
    pub restarts: u64,
    /// See [`Outcome`].
    pub rescales: u64,
    /// See [`Outcome`].
    pub live_rescales: (u64, u64),
    /// Of each kind of job: runs, live rescales begun, and committed.
    pub by_shape: BTreeMap<Shape, [u64; 3]>,
    /// How often each kind of fault struck in each phase of a live rescale.
    pub in_phases: BTreeMap<(FaultKind, RescalePhase), u64>,
    /// See [`Outcome`].
    pub checkpoints: u64,
    /// See [`Outcome`].
    pub records: u64,
    /// See [`Outcome`].
    pub events: u64,
    /// Simulated seconds.
    pub simulated_seconds: f64,
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
        let (begun, committed) = outcome.live_rescales;
        self.live_rescales.0 += begun;
        self.live_rescales.1 += committed;
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
    }

    /// Whether all is well. A single run without a fault in flight proves nothing; of many, nearly all must have
    /// had one.
    pub fn passes(&self) -> bool {
        self.violations.is_empty() && (self.vacuous.len() as u64) * 20 <= self.runs
    }

    /// As JSON.
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
            "live_rescales": { "begun": self.live_rescales.0, "committed": self.live_rescales.1 },
            "jobs": self.by_shape.iter().map(|(shape, [runs, begun, committed])| serde_json::json!({
                "job": shape.to_string(), "runs": runs, "begun": begun, "committed": committed,
            })).collect::<Vec<_>>(),
            "in_phases": self.in_phases.iter().map(|((kind, phase), count)| {
                serde_json::json!({ "fault": format!("{kind:?}"), "phase": format!("{phase:?}"), "count": count })
            }).collect::<Vec<_>>(),
            "checkpoints": self.checkpoints,
            "records": self.records,
            "events": self.events,
            "simulated_seconds": self.simulated_seconds,
            "wall_seconds": wall_seconds,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["fault", "struck", "in flight", "prepare", "catch up", "cut"];
        let [kind, rest @ ..] = head;
        writeln!(f, "{kind:<28}{}", rest.map(|name| format!("{name:>11}")).concat())?;
        for (kind, Count { total, in_flight }) in &self.strikes {
            let in_phase = |phase| self.in_phases.get(&(*kind, phase)).copied().unwrap_or(0);
            let phases = [RescalePhase::Prepare, RescalePhase::CatchUp, RescalePhase::Cut].map(in_phase);
            let [prepare, catch_up, cut] = phases;
            let counts = [*total, *in_flight, prepare, catch_up, cut].map(|count| format!("{count:>11}"));
            writeln!(f, "{:<28}{}", format!("{kind:?}"), counts.concat())?;
        }
        writeln!(f, "\n{:<28}{:>11}{:>11}{:>11}", "job", "runs", "live begun", "committed")?;
        for (shape, counts) in &self.by_shape {
            let counts = counts.map(|count| format!("{count:>11}"));
            writeln!(f, "{:<28}{}", shape.to_string(), counts.concat())?;
        }
        writeln!(f)?;
        let Self { runs, restarts, rescales, checkpoints, records, events, simulated_seconds, .. } = self;
        writeln!(f, "{runs} runs, {simulated_seconds:.0} s simulated, {events} events, {records} records")?;
        let (begun, committed) = self.live_rescales;
        writeln!(f, "{begun} live rescales begun, {committed} committed")?;
        writeln!(f, "{restarts} restarts, {rescales} of them rescales; {checkpoints} checkpoints")?;
        writeln!(f, "{} runs without a fault in flight", self.vacuous.len())?;
        write!(f, "{} runs with violations", self.violations.len())?;
        for (seed, violations) in &self.violations {
            write!(f, "\n\nSIM_SEED={seed}")?;
            for violation in violations {
                write!(f, "\n  {violation}")?;
            }
        }
        Ok(())
    }
}
