//! `cargo xtask bench chaos`: a job on real processes that are started, stopped and killed at random, whose output
//! must be exact.
//!
//! TaskManagers run on two hosts (network namespaces) that are cut off at times, processes stand still, a second
//! JobManager is started beside the first, the disk of the checkpoints is full for a minute. Hosts and disk need root;
//! without it these faults are left out, and the benchmark says so.
//!
//! The faults follow from `--seed`; when exactly they strike depends on the machine. After `--seconds` the cluster is
//! left in peace, and the bounded job must finish. Events that are lost or doubled, a process that ends by itself and
//! a job that does not finish make it fail; then the directory with the logs, the checkpoints and the output is kept.

use clap::Parser;
use reflow_benches::chaos::hosts::{Disk, Hosts};
use reflow_benches::chaos::load::{LOADING, Load};
use reflow_benches::chaos::plan::{Fault, Plan};
use reflow_benches::chaos::processes::{Cluster, REACTIVE, Setting, is_root};
use reflow_benches::chaos::recovery::Recovery;
use reflow_benches::chaos::system::System;
use reflow_benches::chaos::verdict::Verdict;
use reflow_benches::measure::{Report, Series, summary_table};
use reflow_benches::{clock, cluster};
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

/// How often processes and output are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How much longer than the faults the input lasts, so that none strikes after its end.
const CALM: Duration = Duration::from_secs(10);
/// How long the job may take to finish after its input has ended.
const TO_FINISH: Duration = Duration::from_secs(120);

/// A job on processes that come and go.
#[derive(Parser)]
struct Arguments {
    /// How long faults strike.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Which faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds between faults, on average.
    #[arg(long, default_value_t = 3_500)]
    pause: u64,
    /// Events a second of each of the two sources.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Keys with a timer and a window each that are pending until the end.
    #[arg(long, default_value_t = 400_000)]
    pending: u64,
    /// Records a second of 10 bytes to 2 MiB.
    #[arg(long, default_value_t = 4)]
    large: u64,
    /// Records a second for an operator that takes 5 ms for each.
    #[arg(long, default_value_t = 40)]
    slow: u64,
    /// Milliseconds between checkpoints.
    #[arg(long, default_value_t = 500)]
    interval: u64,
}

/// The size of the disk that can be filled.
const DISK_MB: u64 = 1_024;

impl Arguments {
    /// What the job reads in `seconds`.
    fn load(&self, seconds: u64) -> Load {
        Load {
            events: seconds * u64::from(self.rate),
            pending: self.pending,
            // 200 a second: all keys are pending after ten seconds.
            touches: if self.pending == 0 { 0 } else { seconds * LOADING / 10 },
            large: seconds * self.large,
            slow: seconds * self.slow,
        }
    }
}

/// What happened.
struct Outcome {
    faults: Vec<Fault>,
    recovery: Recovery,
    verdict: Verdict,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cluster::run_in_scratch("chaos", |scratch| run(&arguments, scratch))
}

fn run(arguments: &Arguments, scratch: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let outcome = strike(arguments, scratch)?;
    let report = Report::new(&outcome.series());
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("chaos")?.display());
    if !outcome.verdict.is_exact() {
        return Err(format!("the output is not exact: {:?}", outcome.verdict).into());
    }
    Ok(())
}

fn strike(arguments: &Arguments, scratch: &Path) -> Result<Outcome, Box<dyn std::error::Error>> {
    let output = scratch.join("output");
    let faults_end = Duration::from_secs(arguments.seconds);
    let load = arguments.load((faults_end + CALM).as_secs());
    let mut job_arguments = vec!["--output".to_owned(), output.display().to_string()];
    let numbers = [
        ("events", load.events),
        ("rate", u64::from(arguments.rate)),
        ("pending", load.pending),
        ("touches", load.touches),
        ("large", load.large),
        ("slow", load.slow),
    ];
    job_arguments.extend(numbers.iter().flat_map(|(name, value)| [format!("--{name}"), value.to_string()]));
    let mut options = cluster::options(scratch);
    options.retain(|option| !option.contains("interval") && !option.contains("rest.port"));
    options.push(format!("-Dexecution.checkpointing.interval={}ms", arguments.interval));
    options.extend(REACTIVE.map(str::to_owned));
    options.push("-Drestart-strategy.type=fixed-delay".to_owned());
    options.push("-Drestart-strategy.fixed-delay.attempts=100000".to_owned());
    let (hosts, disk) = if is_root() {
        (Some(Hosts::new()?), Some(Disk::new(&scratch.join("checkpoints"), DISK_MB)?))
    } else {
        eprintln!("chaos: not root, so without hosts that are cut off and without a full disk");
        (None, None)
    };
    let setting = Setting {
        system: System::Reflow { job: "chaos_job".to_owned() },
        options,
        arguments: job_arguments,
        scratch: scratch.to_owned(),
        hosts,
        disk,
        pair: None,
    };

    let mut run = Run {
        cluster: Cluster::start_in(setting)?,
        plan: Plan::new(arguments.seed, Duration::from_millis(arguments.pause)),
        recovery: Recovery::new(output.clone()),
        began: clock::now(),
        faults: Vec::new(),
    };
    for _ in 0..2 {
        run.cluster.strike(Fault::Start, &mut run.plan)?;
    }
    run.faults_until(faults_end)?;
    run.cluster.recover(true)?;
    if run.cluster.task_managers() == 0 {
        run.cluster.strike(Fault::Start, &mut run.plan)?;
    }
    run.finish(faults_end + CALM + TO_FINISH)?;
    let verdict = Verdict::read(&output, load)?;
    Ok(Outcome { faults: run.faults, recovery: run.recovery, verdict })
}

/// A run under way.
struct Run {
    cluster: Cluster,
    plan: Plan,
    recovery: Recovery,
    began: Instant,
    faults: Vec<Fault>,
}

impl Run {
    fn faults_until(&mut self, end: Duration) -> Result<(), Box<dyn std::error::Error>> {
        loop {
            let (pause, fault) = self.plan.next(self.cluster.task_managers());
            let strikes_at = self.began.elapsed() + pause;
            while self.began.elapsed() < strikes_at.min(end) {
                self.watch()?;
            }
            if self.began.elapsed() >= end {
                return Ok(());
            }
            let before_us = clock::wall_us();
            if let Some(process) = self.cluster.strike(fault, &mut self.plan)? {
                self.log(&format!("{} {process}", fault.name()));
                self.faults.push(fault);
                if fault.is_kill() {
                    self.recovery.killed(fault, before_us);
                }
            }
            if fault == Fault::KillJobManager {
                let absent = Duration::from_millis(self.plan.draw(1_000));
                clock::sleep(absent);
                self.cluster.restart_job_manager()?;
            }
        }
    }

    /// Waits for the JobManager to end well, and for the TaskManagers after it.
    fn finish(&mut self, end: Duration) -> Result<(), Box<dyn std::error::Error>> {
        self.log("calm");
        let status = loop {
            if let Some(status) = self.look()? {
                break status;
            }
            if self.began.elapsed() > end {
                return Err("the job did not finish".into());
            }
        };
        self.log(&format!("the JobManager ended: {status}"));
        self.cluster.stop_members();
        while self.cluster.has_members() && self.began.elapsed() < end {
            self.look()?;
        }
        if !status.success() || !self.cluster.surprises.is_empty() {
            return Err(format!("the JobManager ended with {status}; {:?}", self.cluster.surprises).into());
        }
        Ok(())
    }

    /// The job must not end while faults strike.
    fn watch(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        match self.look()? {
            None => Ok(()),
            Some(status) => Err(format!("the JobManager ended by itself: {status}").into()),
        }
    }

    fn look(&mut self) -> Result<Option<ExitStatus>, Box<dyn std::error::Error>> {
        clock::sleep(LOOK);
        if self.recovery.look() {
            let (_, took_ms) = self.recovery.samples[self.recovery.samples.len() - 1];
            self.log(&format!("output again after {took_ms:.0} ms"));
        }
        Ok(self.cluster.look()?)
    }

    fn log(&self, text: &str) {
        eprintln!("{:8.3} {text}", self.began.elapsed().as_secs_f64());
    }
}

impl Outcome {
    fn series(&self) -> Vec<Series> {
        let series =
            |metric: &str, unit, samples: Vec<f64>| Series { metric: metric.to_owned(), unit, samples };
        let verdict = &self.verdict;
        let mut all = vec![
            series("lost", "events", vec![verdict.lost as f64]),
            series("doubled", "events", vec![verdict.doubled as f64]),
            series("miscounted", "counts", vec![verdict.miscounted as f64]),
            series("recovery_ms", "ms", self.recovery_of(|_| true)),
        ];
        for (kind, _) in Fault::WEIGHTS.into_iter().filter(|(fault, _)| fault.is_kill()) {
            let metric = format!("recovery_{}_ms", kind.name());
            all.push(series(&metric, "ms", self.recovery_of(|fault| fault == kind)));
        }
        all.push(series("overtaken", "kills", vec![self.recovery.overtaken as f64]));
        all.push(series("faults", "count", vec![self.faults.len() as f64]));
        for (kind, _) in Fault::WEIGHTS {
            let count = self.faults.iter().filter(|fault| **fault == kind).count();
            all.push(series(kind.name(), "count", vec![count as f64]));
        }
        all.retain(|series| !series.samples.is_empty());
        all
    }

    fn recovery_of(&self, wanted: impl Fn(Fault) -> bool) -> Vec<f64> {
        let samples = self.recovery.samples.iter().filter(|(fault, _)| wanted(*fault));
        samples.map(|(_, took_ms)| *took_ms).collect()
    }
}
