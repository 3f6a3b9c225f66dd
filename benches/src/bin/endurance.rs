//! `cargo xtask bench endurance`: measures memory, threads and descriptors of a cluster's processes over hundreds
//! of rescales and failures.
//!
//! A JobManager and two TaskManagers run a job with some megabytes of keyed state. Each round rescales it live from
//! two to one and back to two, five times, and kills the executor of the second TaskManager, so that the attempt
//! fails. The
//! JobManager, both TaskManagers and the first one's executor live through all of it; after each round their memory,
//! threads and descriptors are read, and the files below the checkpoint directory counted. A figure that is larger at
//! the end than in the second quarter makes the benchmark fail.

use clap::Parser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reflow_benches::clock;
use reflow_benches::cluster::{self, Process, binary};
use reflow_benches::endurance::{Courses, Holdings, entries_below};
use reflow_benches::measure::{Report, Series, summary_table};
use reflow_benches::rest::Rest;
use reflow_schema::CheckpointStatus;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Rescales and failures of a round.
const EVENTS: usize = 11;
/// The age at which an executor is killed: a TaskManager whose executors end sooner is left out for a while.
const AGE: Duration = Duration::from_secs(11);
const LOOK: Duration = Duration::from_millis(20);

/// Rescales and failures without end.
#[derive(Parser)]
struct Arguments {
    /// Rescales and failures together.
    #[arg(long, default_value_t = 300)]
    events: usize,
    /// Keys, with a kilobyte of state each.
    #[arg(long, default_value_t = 20_000)]
    keys: u64,
    /// Records a second.
    #[arg(long, default_value_t = 2_000)]
    rate: u64,
    /// Milliseconds between checkpoints.
    #[arg(long, default_value_t = 500)]
    interval: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cluster::run_in_scratch("endurance", |scratch| run(&arguments, scratch))
}

/// A cluster.
struct Processes {
    job_manager: Process,
    task_managers: Vec<Process>,
}

fn run(arguments: &Arguments, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let (port, checkpoints) = (cluster::free_port(), scratch.join("checkpoints"));
    let processes = start(arguments, scratch, port)?;
    let (rest, mut courses) = (Rest::new(port), Courses::default());
    until("the job runs on both TaskManagers", || Ok(rest.runs_at(2)?))?;
    let survivor = executor(&processes.task_managers[0])?;
    let rounds = arguments.events.div_ceil(EVENTS);
    for round in 1..=rounds {
        let began = clock::now();
        for parallelism in [1, 2].repeat((EVENTS - 1) / 2) {
            rest.require(parallelism)?;
            until("a rescale", || Ok(rest.runs_at(parallelism)?))?;
        }
        let restored = || Ok::<_, Box<dyn Error>>(rest.checkpoints()?.latest.restored.map(|from| from.id));
        let before = restored()?;
        clock::sleep(AGE.saturating_sub(began.elapsed()));
        kill(Pid::from_raw(executor(&processes.task_managers[1])? as i32), Signal::SIGKILL)?;
        until("a recovery", || Ok(restored()? != before && rest.runs_at(2)?))?;
        until("a checkpoint after it", || {
            let from = restored()?;
            let history = rest.checkpoints()?.history;
            Ok(history.iter().any(|done| done.status == CheckpointStatus::Completed && Some(done.id) > from))
        })?;
        let watched = [
            ("jobmanager", processes.job_manager.id()),
            ("taskmanager", processes.task_managers[0].id()),
            ("taskmanager_that_loses_executors", processes.task_managers[1].id()),
            ("executor", survivor),
        ];
        for (name, pid) in watched {
            let held = Holdings::of(pid).ok_or_else(|| format!("the {name} has ended"))?;
            courses.add(&format!("{name}_memory_mib"), held.memory_kib as f64 / 1024.0);
            courses.add(&format!("{name}_threads"), held.threads as f64);
            courses.add(&format!("{name}_descriptors"), held.descriptors as f64);
        }
        let (files, directories) = entries_below(&checkpoints);
        courses.add("checkpoint_files", files as f64);
        courses.add("checkpoint_directories", directories as f64);
        eprintln!("{} of {} rescales and failures", round * EVENTS, rounds * EVENTS);
    }
    drop(processes);
    publish(&courses)
}

fn start(arguments: &Arguments, scratch: &Path, port: u16) -> Result<Processes, Box<dyn Error>> {
    let mut options = cluster::reactive_options(scratch, arguments.interval, port);
    options.extend([
        "-Drestart-strategy.type=fixed-delay".to_owned(),
        "-Drestart-strategy.fixed-delay.attempts=100000".to_owned(),
        "-Drestart-strategy.fixed-delay.delay=0s".to_owned(),
    ]);
    let (log, output) = (scratch.join("log"), scratch.join("output"));
    std::fs::create_dir_all(&log)?;
    let mut job_manager = Command::new(binary("rescale_job"));
    job_manager.arg("jobmanager").args(&options);
    for (name, value) in [
        ("--keys", arguments.keys.to_string()),
        ("--rate", arguments.rate.to_string()),
        ("--begin-us", clock::wall_us().to_string()),
        ("--payload", "1000".to_owned()),
        ("--log", log.display().to_string()),
        ("--output", output.display().to_string()),
    ] {
        job_manager.args([name, &value]);
    }
    let job_manager = Process::start(&mut job_manager, scratch, "jobmanager")?;
    let mut processes = Processes { job_manager, task_managers: Vec::new() };
    for number in 0..2 {
        let mut task_manager = Command::new(binary("reflow"));
        task_manager.arg("taskmanager").args(&options);
        let log = format!("taskmanager-{number}");
        processes.task_managers.push(Process::start(&mut task_manager, scratch, &log)?);
    }
    Ok(processes)
}

fn executor(task_manager: &Process) -> Result<u32, Box<dyn Error>> {
    let mut found = None;
    until("a TaskManager has an executor", || {
        found = cluster::children(task_manager.id()).first().and_then(|pid| u32::try_from(*pid).ok());
        Ok(found.is_some())
    })?;
    found.ok_or_else(|| "a TaskManager has no executor".into())
}

fn until(what: &str, condition: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    cluster::until(what, LOOK, condition)
}

fn publish(courses: &Courses) -> Result<(), Box<dyn Error>> {
    let unit = |name: &str| if name.ends_with("_mib") { "MiB" } else { "count" };
    let series: Vec<Series> = courses
        .samples()
        .map(|(name, figures)| Series {
            metric: name.to_owned(),
            unit: unit(name),
            samples: figures.to_vec(),
        })
        .collect();
    let report = Report::new(&series);
    print!("{}", summary_table(&report.results));
    println!("{:42} {:>10} {:>10} {:>10}", "", "early", "late", "most");
    let mut grown = Vec::new();
    for (name, course) in courses.all() {
        println!("{name:42} {:>10.1} {:>10.1} {:>10.1}", course.early, course.late, course.most);
        let (share, least) = if name.ends_with("_mib") { (0.1, 8.0) } else { (0.05, 3.0) };
        if course.grew(share, least) {
            grown.push(name);
        }
    }
    println!("{}", report.write("endurance")?.display());
    if grown.is_empty() { Ok(()) } else { Err(format!("these grow: {}", grown.join(", ")).into()) }
}
