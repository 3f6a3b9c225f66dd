//! `cargo xtask bench start`: measures how long a JobManager takes to resume a job that has completed many
//! checkpoints.
//!
//! A JobManager and a TaskManager run a small job with a checkpoint each few milliseconds. Before the first, and after
//! the last of `--checkpoints`, the JobManager is killed and started again, several times. If what a deleted
//! checkpoint leaves behind made a start slower, the second figure would be larger than the first.

use clap::Parser;
use reflow_benches::clock;
use reflow_benches::cluster::{self, PATIENCE, Process, binary};
use reflow_benches::endurance::entries_below;
use reflow_benches::measure::{Report, Series, summary_table};
use reflow_benches::rest::Rest;
use reflow_schema::CheckpointStatus;
use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(2);
/// How often progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

/// Starts of a JobManager, with few and with many checkpoints behind it.
#[derive(Parser)]
struct Arguments {
    /// Checkpoints between the two measurements.
    #[arg(long, default_value_t = 100_000)]
    checkpoints: u64,
    /// Starts in each measurement.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Milliseconds between checkpoints.
    #[arg(long, default_value_t = 10)]
    interval: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cluster::run_in_scratch("start", |scratch| run(&arguments, scratch))
}

/// One cluster and the job that it runs.
struct Cluster<'a> {
    scratch: &'a Path,
    /// Of the JobManager, with the job's arguments.
    options: Vec<String>,
    rest: Rest,
    job_manager: Process,
}

fn run(arguments: &Arguments, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let port = cluster::free_port();
    let mut options = cluster::reactive_options(scratch, arguments.interval, port);
    std::fs::create_dir_all(scratch.join("log"))?;
    let mut task_manager = Command::new(binary("reflow"));
    task_manager.arg("taskmanager").args(&options);
    options.extend(job_arguments(scratch));
    let job_manager = start_job_manager(scratch, &options)?;
    let mut cluster = Cluster { scratch, options, rest: Rest::new(port), job_manager };
    let _task_manager = Process::start(&mut task_manager, scratch, "taskmanager")?;
    let first = cluster.wait_for_checkpoint(1)?;
    let few = cluster.measure("few", arguments.starts)?;
    cluster.wait_for_checkpoint(first + arguments.checkpoints)?;
    let (files, directories) = entries_below(&scratch.join("checkpoints"));
    let many = cluster.measure("many", arguments.starts)?;
    let count =
        |metric: &str, count| Series { metric: metric.to_owned(), unit: "count", samples: vec![count] };
    let left = [count("files_left", files as f64), count("directories_left", directories as f64)];
    let report = Report::new(&few.into_iter().chain(many).chain(left).collect::<Vec<_>>());
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("start")?.display());
    Ok(())
}

fn job_arguments(scratch: &Path) -> Vec<String> {
    let arguments = [
        ("--keys", "100".to_owned()),
        ("--rate", "10".to_owned()),
        ("--payload", "10".to_owned()),
        ("--begin-us", clock::wall_us().to_string()),
        ("--log", scratch.join("log").display().to_string()),
        ("--output", scratch.join("output").display().to_string()),
    ];
    arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

fn start_job_manager(scratch: &Path, options: &[String]) -> Result<Process, Box<dyn Error>> {
    let mut command = Command::new(binary("rescale_job"));
    command.arg("jobmanager").args(options);
    Ok(Process::start(&mut command, scratch, "jobmanager")?)
}

impl Cluster<'_> {
    /// Waits until a checkpoint of at least this id is complete; gives its id.
    fn wait_for_checkpoint(&self, id: u64) -> Result<u64, Box<dyn Error>> {
        let (mut printed, mut began, mut last) = (clock::now(), clock::now(), 0);
        loop {
            let newest = self.rest.checkpoints().ok().and_then(|checkpoints| {
                checkpoints
                    .history
                    .iter()
                    .filter(|done| done.status == CheckpointStatus::Completed)
                    .map(|done| done.id)
                    .max()
            });
            match newest {
                Some(newest) if newest >= id => return Ok(newest),
                Some(newest) if newest > last => (last, began) = (newest, clock::now()),
                _ if began.elapsed() > PATIENCE => return Err(format!("no checkpoint follows {last}").into()),
                _ => {}
            }
            if printed.elapsed() > PROGRESS {
                eprintln!("{last} of {id} checkpoints");
                printed = clock::now();
            }
            clock::sleep(Duration::from_millis(100));
        }
    }

    /// Kills the JobManager and starts it again; takes the time until it has resumed the job from a checkpoint and
    /// until all subtasks run.
    fn measure(&mut self, when: &str, starts: usize) -> Result<Vec<Series>, Box<dyn Error>> {
        let series =
            |what: &str| Series { metric: format!("{what}_{when}_ms"), unit: "ms", samples: Vec::new() };
        let (mut resumed, mut running) = (series("resumed"), series("running"));
        for _ in 0..starts {
            self.job_manager.kill()?;
            let began = clock::now();
            self.job_manager = start_job_manager(self.scratch, &self.options)?;
            let rest = &self.rest;
            let ms = || began.elapsed().as_secs_f64() * 1000.0;
            until("a resumed job", || {
                rest.checkpoints().is_ok_and(|checkpoints| checkpoints.latest.restored.is_some())
            })?;
            resumed.samples.push(ms());
            until("all subtasks", || rest.runs_at(1).is_ok_and(|runs| runs))?;
            running.samples.push(ms());
        }
        Ok(vec![resumed, running])
    }
}

fn until(what: &str, condition: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    cluster::until(what, LOOK, || Ok(condition()))
}
