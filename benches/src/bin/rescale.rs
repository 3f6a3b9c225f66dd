//! `cargo xtask bench rescale`: measures the delay of records while the cluster of a job changes.
//!
//! Real processes on one machine: a JobManager and two TaskManagers with a slot each. The job reads sixteen splits at a
//! fixed rate, so a record that waits shows by how much. Each round scales up by a TaskManager, down and up by
//! requirements, kills the JobManager, freezes a TaskManager, drains one, and kills one; each event waits until the job is
//! at rest again. With `--event move_jm` or `kill_leader` a standby takes over, with `cut_tm` the TaskManagers run on hosts
//! of their own (network namespaces), of which one is cut off, and with `two_regions` the job has a second pipeline, which
//! fails. At the end of each run the output must be exact. The same is done with rescales that restart the job, and on request
//! with Apache Flink.

use clap::{Parser, ValueEnum};
use reflow_benches::chaos::hosts::Hosts;
use reflow_benches::chaos::plan::{Fault, Plan};
use reflow_benches::chaos::processes::{Cluster, Ports, REACTIVE, Setting};
use reflow_benches::chaos::system::System;
use reflow_benches::flink::{Backend, Flink, Tuning};
use reflow_benches::measure::{Report, Series, summary_table};
use reflow_benches::rescale::gaps::{Gaps, delay_us, percentile};
use reflow_benches::rescale::log::{Logs, Seen};
use reflow_benches::rescale::schedule::{MAX_PARALLELISM, Schedule};
use reflow_benches::rescale::verdict::Verdict;
use reflow_benches::rest::Rest;
use reflow_benches::{clock, cluster};
use reflow_schema::{LiveOutcome, LiveRescale};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// At rest is a job whose last records, for this long, …
const REST: Duration = Duration::from_secs(2);
/// … were all there and late by less than this, but for one in a hundred.
const REST_DELAY_US: u64 = 200_000;
/// Entries so long before an event are kept.
const BEFORE: Duration = Duration::from_secs(10);
/// How long each event and its end may take.
const PATIENCE: Duration = Duration::from_secs(180);
/// The directory of the second pipeline.
const SECOND: &str = "second";

/// Delays of records while the cluster changes.
#[derive(Parser)]
struct Arguments {
    /// How often each event happens (scaling up twice as often).
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Only this size: 1g or small.
    #[arg(long)]
    size: Option<String>,
    /// In these ways, one after the other. Those of Flink have the events up, drain, kill_tm and kill_jm.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Way::Live, Way::Restart])]
    way: Vec<Way>,
    /// Where Flink keeps state.
    #[arg(long, value_enum, default_value_t = Backend::Hashmap)]
    flink_state: Backend,
    /// Only this event, and a TaskManager that is started before each. Those of JobManagers drain one afterwards; move_jm and
    /// kill_leader have a standby; cut_tm needs root; two_regions has two TaskManagers from the start.
    #[arg(long, value_parser = [
        "drain", "kill_tm", "kill_jm", "move_jm", "kill_leader", "freeze_tm", "cut_tm", "two_regions",
    ])]
    event: Option<String>,
    /// Keep the directories with logs, checkpoints and output.
    #[arg(long)]
    keep: bool,
    /// Divide keys and rates by this, for a quick look.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    shrink: u64,
}

/// How much state and load a job has.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    keys: u64,
    payload_bytes: u64,
    rate: u64,
}

const SIZES: [Size; 2] = [
    Size { name: "1g", keys: 1_000_000, payload_bytes: 1_000, rate: 40_000 },
    Size { name: "small", keys: 1_000, payload_bytes: 1_000, rate: 20_000 },
];

/// What runs the job, and how it rescales.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Reflow, by live rescales.
    Live,
    /// Reflow, by a restart from a checkpoint.
    Restart,
    /// Flink with its defaults.
    Flink,
    /// Flink without its waits.
    FlinkTuned,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
            Self::Flink => "flink",
            Self::FlinkTuned => "flink-tuned",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Restart => "restart_",
            Self::Flink => "flink_",
            Self::FlinkTuned => "flink_tuned_",
        }
    }

    /// How Flink is configured; `None` for Reflow.
    const fn tuning(self) -> Option<Tuning> {
        match self {
            Self::Live | Self::Restart => None,
            Self::Flink => Some(Tuning::Default),
            Self::FlinkTuned => Some(Tuning::Fast),
        }
    }

    /// Whether an event happens in this way.
    fn has(self, event: &str) -> bool {
        self.tuning().is_none() || matches!(event, "drain" | "kill_tm" | "kill_jm")
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rescale: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let wanted = |size: &Size| arguments.size.as_deref().is_none_or(|given| given == size.name);
    if let Some(event) = &arguments.event
        && let Some(way) = arguments.way.iter().find(|way| !way.has(event))
    {
        return Err(format!("--way {} has no event {event}", way.name()).into());
    }
    let mut series = Vec::new();
    for size in SIZES.into_iter().filter(wanted) {
        for way in arguments.way.iter().copied() {
            let scratch = cluster::scratch()?;
            let result = measure(arguments, size, way, &scratch, &mut series);
            result.inspect_err(|_| eprintln!("rescale: see {}", scratch.display()))?;
            if arguments.keep {
                eprintln!("rescale: see {}", scratch.display());
            } else {
                std::fs::remove_dir_all(scratch)?;
            }
        }
    }
    if series.is_empty() {
        return Err("nothing to measure: --size is 1g or small".into());
    }
    let report = Report::new(&series);
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("rescale")?.display());
    Ok(())
}

fn measure(
    arguments: &Arguments,
    size: Size,
    way: Way,
    scratch: &Path,
    series: &mut Vec<Series>,
) -> Result<(), Box<dyn Error>> {
    let mut run = Run::start(arguments, size, way, scratch)?;
    run.until_at_rest()?;
    for _ in 0..arguments.rounds {
        run.round(arguments.event.as_deref())?;
    }
    series.append(&mut run.series);
    let verdict = run.stop()?;
    eprintln!("{} {}: {verdict:?}", size.name, way.name());
    if verdict.is_exact() { Ok(()) } else { Err(format!("the output is not exact: {verdict:?}").into()) }
}

/// A job under way.
struct Run {
    size: Size,
    way: Way,
    schedule: Schedule,
    cluster: Cluster,
    rest: Rest,
    plan: Plan,
    logs: Logs,
    scratch: PathBuf,
    output: PathBuf,
    began: Instant,
    /// Whether there was an event: what was seen shortly before it is kept until the next one.
    has_events: bool,
    series: Vec<Series>,
}

/// Whether a rescale changed the graph of the attempt that ran.
fn went_live(live: Option<&LiveRescale>) -> bool {
    live.is_some_and(|live| live.outcome == Some(LiveOutcome::Committed))
}

/// Whether another JobManager leads after this event.
fn changes_leader(event: &str) -> bool {
    matches!(event, "kill_jm" | "move_jm" | "kill_leader")
}

/// Whether this event does not rescale the job at the wish of anybody.
fn is_failure(event: &str) -> bool {
    changes_leader(event) || matches!(event, "kill_tm" | "freeze_tm" | "cut_tm" | "two_regions")
}

impl Run {
    fn start(arguments: &Arguments, size: Size, way: Way, scratch: &Path) -> Result<Self, Box<dyn Error>> {
        let (log, output) = (scratch.join("log"), scratch.join("output"));
        let schedule = Schedule {
            keys: (size.keys / arguments.shrink).max(100),
            rate: (size.rate / arguments.shrink).max(100),
            begin_us: clock::wall_us(),
        };
        let mut options = REACTIVE.map(str::to_owned).to_vec();
        options.extend([
            format!("-Dexecution.checkpointing.dir=file://{}/checkpoints", scratch.display()),
            "-Dexecution.checkpointing.interval=1s".to_owned(),
            format!("-Dpipeline.max-parallelism={MAX_PARALLELISM}"),
            "-Drestart-strategy.type=fixed-delay".to_owned(),
            "-Drestart-strategy.fixed-delay.attempts=100000".to_owned(),
        ]);
        let system = match way.tuning() {
            None => {
                let live = way == Way::Live;
                options.push(format!("-Djobmanager.adaptive-scheduler.live-rescale.enabled={live}"));
                System::Reflow { job: "rescale_job".to_owned() }
            }
            Some(tuning) => {
                let backend = arguments.flink_state;
                options.extend(Flink::options(tuning, backend));
                System::Flink(Flink::new(scratch, backend, schedule.keys * size.payload_bytes)?)
            }
        };
        let job_arguments = [
            ("--keys", schedule.keys.to_string()),
            ("--rate", schedule.rate.to_string()),
            ("--begin-us", schedule.begin_us.to_string()),
            ("--payload", size.payload_bytes.to_string()),
            ("--log", log.display().to_string()),
            ("--output", output.display().to_string()),
        ];
        let two_regions = arguments.event.as_deref() == Some("two_regions");
        let second = scratch.join(SECOND);
        if two_regions {
            std::fs::create_dir_all(second.join("log"))?;
        }
        let second = two_regions.then(|| ("--second", second.display().to_string()));
        let job_arguments = job_arguments.into_iter().chain(second);
        let job_arguments = job_arguments.flat_map(|(name, value)| [name.to_owned(), value]);
        let logs = Logs::new(&log)?;
        let cuts = arguments.event.as_deref() == Some("cut_tm");
        let has_standby = matches!(arguments.event.as_deref(), Some("move_jm" | "kill_leader"));
        let mut cluster = Cluster::start_in(Setting {
            system,
            options,
            arguments: job_arguments.collect(),
            scratch: scratch.to_owned(),
            hosts: if cuts { Some(Hosts::new()?) } else { None },
            disk: None,
            pair: has_standby.then(|| [Ports::free(), Ports::free()]),
        })?;
        let plan = Plan::new(1, Duration::ZERO);
        cluster.add_on(0)?;
        if two_regions {
            cluster.add_on(0)?;
        }
        let rest = Rest::new(cluster.rest_port());
        let starting = clock::now();
        while rest.runs_at(1).is_err() {
            clock::sleep(LOOK);
            if starting.elapsed() > PATIENCE {
                return Err(format!("no JobManager leads after {PATIENCE:?}").into());
            }
        }
        // Of two that start at the same time either may lead.
        cluster.start_standby()?;
        Ok(Self {
            size,
            way,
            schedule,
            cluster,
            rest,
            plan,
            logs,
            scratch: scratch.to_owned(),
            output,
            began: clock::now(),
            has_events: false,
            series: Vec::new(),
        })
    }

    /// Begins and ends with one TaskManager.
    fn round(&mut self, only: Option<&str>) -> Result<(), Box<dyn Error>> {
        if let Some(silent @ ("freeze_tm" | "cut_tm")) = only {
            return self.silent_round(silent);
        }
        if only == Some("two_regions") {
            return self.fail_second();
        }
        self.event("up", 2, |run| run.strike(Fault::Start))?;
        match only {
            Some("drain") => return self.event("drain", 1, |run| run.strike(Fault::Stop)),
            Some(event) if changes_leader(event) => {
                self.change_leader(event)?;
                return self.event("drain", 1, |run| run.strike(Fault::Stop));
            }
            Some(_) => return self.event("kill_tm", 1, |run| run.strike(Fault::KillTaskManager)),
            None => {}
        }
        // In Flink's reactive mode there are no requirements.
        if self.is_reflow() {
            self.event("requirements", 1, |run| Ok(run.rest.require(1)?))?;
            self.event("requirements", 2, |run| Ok(run.rest.require(2)?))?;
        }
        self.change_leader("kill_jm")?;
        if self.is_reflow() {
            self.silent_round("freeze_tm")?;
        }
        self.event("drain", 1, |run| run.strike(Fault::Stop))?;
        self.event("up", 2, |run| run.strike(Fault::Start))?;
        self.event("kill_tm", 1, |run| run.strike(Fault::KillTaskManager))
    }

    /// Lets another JobManager lead. Tasks run on, unless it has restored a checkpoint.
    fn change_leader(&mut self, event: &str) -> Result<(), Box<dyn Error>> {
        self.event(event, 2, |run| {
            match event {
                "move_jm" => run.rest.transfer_leadership()?,
                _ => run.strike(Fault::KillJobManager)?,
            }
            if event == "kill_jm" {
                return Ok(run.cluster.restart_job_manager()?);
            }
            run.cluster.standby_leads();
            run.rest = Rest::new(run.cluster.rest_port());
            Ok(())
        })?;
        if event == "kill_leader" {
            self.cluster.start_standby()?;
        }
        let restored = self.rest.restored()?;
        self.add(event, "new_attempts", "attempts", Some(restored as f64));
        Ok(())
    }

    /// Begins with one TaskManager or two, and ends with two.
    fn silent_round(&mut self, event: &str) -> Result<(), Box<dyn Error>> {
        if self.cluster.task_managers() < 2 {
            self.event("up", 2, |run| Ok(run.cluster.add_on(1).map(drop)?))?;
        }
        let fault = if event == "cut_tm" { Fault::CutHost } else { Fault::FreezeTaskManager };
        self.event(event, 1, |run| {
            let struck = run.cluster.strike_for(fault, 2 * PATIENCE, &mut run.plan)?;
            struck.map(drop).ok_or_else(|| format!("nothing to {}", fault.name()).into())
        })?;
        self.cluster.recover(true)?;
        self.event("return", 2, |_| Ok(()))
    }

    /// Lets the second pipeline fail, and takes the delays of the first one. Each runs in a slot of its own.
    fn fail_second(&mut self) -> Result<(), Box<dyn Error>> {
        let restored = self.rest.restored()?;
        self.event("two_regions", 1, |run| {
            std::fs::write(run.scratch.join(SECOND).join("fail"), "")?;
            let struck = clock::now();
            while run.rest.restored()? == restored {
                run.look()?;
                if struck.elapsed() > PATIENCE {
                    return Err("the second pipeline does not restart".into());
                }
            }
            Ok(())
        })
    }

    fn is_reflow(&self) -> bool {
        self.way.tuning().is_none()
    }

    fn strike(&mut self, fault: Fault) -> Result<(), Box<dyn Error>> {
        let struck = self.cluster.strike(fault, &mut self.plan)?;
        struck.map(drop).ok_or_else(|| format!("nothing to {}", fault.name()).into())
    }

    /// Lets something happen, waits until the job runs at this parallelism and is at rest, and takes the figures.
    fn event(
        &mut self,
        name: &str,
        parallelism: u32,
        happen: impl FnOnce(&mut Self) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        self.look()?;
        let event_us = clock::wall_us();
        let struck = clock::now();
        self.logs.forget_before(event_us - BEFORE.as_micros() as u64);
        self.has_events = true;
        happen(self)?;
        // A JobManager that is not there yet does not answer.
        while !self.rest.runs_at(parallelism).is_ok_and(|runs| runs) {
            self.look()?;
            if struck.elapsed() > PATIENCE {
                return Err(format!("{name}: not at parallelism {parallelism} after {PATIENCE:?}").into());
            }
        }
        let settled_ms = struck.elapsed().as_secs_f64() * 1e3;
        self.until_at_rest()?;
        let gaps = Gaps::of(&self.schedule, &self.logs.seen, event_us);
        let rescales = !is_failure(name);
        let live = if rescales && self.is_reflow() { self.rest.newest_rescale()? } else { None };
        if rescales && self.way == Way::Live && !went_live(live.as_ref()) {
            self.log(&format!("{name}: it did not go live: {live:?}"));
        }
        self.log(&format!("{name} to {parallelism}: settled after {settled_ms:.0} ms, {gaps:?}"));
        self.take(name, &gaps, settled_ms, live.as_ref());
        Ok(())
    }

    fn take(&mut self, name: &str, gaps: &Gaps, settled_ms: f64, live: Option<&LiveRescale>) {
        let rescales = !is_failure(name);
        let went_live = (rescales && self.way == Way::Live).then(|| f64::from(u8::from(went_live(live))));
        let mut add = |metric: &str, unit, sample| self.add(name, metric, unit, sample);
        add("quiet_p999_ms", "ms", Some(gaps.quiet_p999_ms));
        add("gap_ms", "ms", Some(gaps.all_ms));
        add("silence_ms", "ms", Some(gaps.silence_ms));
        if !changes_leader(name) {
            add("gap_moving_ms", "ms", gaps.moving_ms);
            add("gap_staying_ms", "ms", gaps.staying_ms);
            add("first_output_ms", "ms", gaps.first_ms);
            add("last_group_ms", "ms", gaps.last_ms);
        }
        add("settled_ms", "ms", Some(settled_ms));
        add("reprocessed", "records", Some(gaps.reprocessed as f64));
        add("went_live", "share", went_live);
        // From one process to two or back, half of the groups must move.
        let least = gaps.groups as f64 / 2.0;
        add("moved_over_least", "ratio", (rescales && least > 0.0).then(|| gaps.moved as f64 / least));
        add("handed_over_bytes", "bytes", live.map(|live| live.handed_over_bytes as f64));
        add("longest_pause_ms", "ms", live.map(|live| live.longest_pause_in_micros as f64 / 1e3));
    }

    /// Adds a sample of a metric, if the event has one.
    fn add(&mut self, event: &str, metric: &str, unit: &'static str, sample: Option<f64>) {
        let metric = format!("{}{event}_{}_{metric}", self.way.prefix(), self.size.name);
        let Some(sample) = sample else { return };
        match self.series.iter_mut().find(|series| series.metric == metric) {
            Some(series) => series.samples.push(sample),
            None => self.series.push(Series { metric, unit, samples: vec![sample] }),
        }
    }

    /// Waits until records come on time.
    fn until_at_rest(&mut self) -> Result<(), Box<dyn Error>> {
        let waiting = clock::now();
        let mut looked = waiting;
        loop {
            self.look()?;
            if looked.elapsed() < REST / 4 {
                continue;
            }
            looked = clock::now();
            let now_us = clock::wall_us();
            self.logs.read()?;
            if waiting.elapsed() > REST && self.is_at_rest(now_us) {
                return Ok(());
            }
            if waiting.elapsed() > PATIENCE {
                return Err(format!("not at rest after {PATIENCE:?}").into());
            }
            if !self.has_events {
                self.logs.forget_before(now_us - BEFORE.as_micros() as u64);
            }
        }
    }

    fn is_at_rest(&self, now_us: u64) -> bool {
        let recent = self.logs.since(now_us - REST.as_micros() as u64);
        let expected = self.schedule.rate * REST.as_secs();
        let delays: Vec<u64> =
            recent.iter().filter_map(|seen: &Seen| delay_us(&self.schedule, seen)).collect();
        let all_there = delays.len() as u64 * 10 > expected * 9 && (delays.len() as u64) * 10 < expected * 11;
        all_there && percentile(delays, 0.99).is_some_and(|delay_us| delay_us < REST_DELAY_US)
    }

    /// Nothing may end by itself.
    fn look(&mut self) -> Result<(), Box<dyn Error>> {
        clock::sleep(LOOK);
        if let Some(status) = self.cluster.look()? {
            return Err(format!("the JobManager ended: {status}").into());
        }
        match self.cluster.surprises.first() {
            Some(surprise) => Err(surprise.clone().into()),
            None => Ok(()),
        }
    }

    /// Stops the job, so that all output is committed, and reads it.
    fn stop(mut self) -> Result<Verdict, Box<dyn Error>> {
        let request = self.rest.stop(&format!("file://{}/savepoints", self.scratch.display()))?;
        let stopping = clock::now();
        let status = loop {
            clock::sleep(LOOK);
            if let Some(status) = self.cluster.look()? {
                break status;
            }
            // Asked, so that the JobManager need not wait for somebody who wants to know.
            let _ = self.rest.has_stopped(&request);
            if stopping.elapsed() > PATIENCE {
                return Err(format!("the job has not stopped after {PATIENCE:?}").into());
            }
        };
        if !status.success() {
            return Err(format!("the JobManager ended with {status}").into());
        }
        let verdict = Verdict::read(&self.output, &self.schedule)?;
        match self.scratch.join(SECOND).join("output") {
            second if verdict.is_exact() && second.exists() => Ok(Verdict::read(&second, &self.schedule)?),
            _ => Ok(verdict),
        }
    }

    fn log(&self, text: &str) {
        eprintln!("{:8.3} {} {} {text}", self.began.elapsed().as_secs_f64(), self.size.name, self.way.name());
    }
}
