//! `cargo xtask bench core`: measures the cost of an event in Reflow, compared with a plain loop of the same
//! workload.
//!
//! CPU nanoseconds (user + system of all processes) per event, with a checkpoint every second and exactly-once
//! output; contenders take turns. Every run's result is checked.

use clap::Parser;
use reflow_benches::measure::{
    Contender, Error, Report, cpu_of_children, figure, instructions, interleave, per_event_ns, summary_table,
};
use reflow_benches::{cluster, outcome, workloads::Workload};
use std::process::{Command, ExitCode, Stdio};

/// W1 to W3 through Reflow, in one slot and over two processes, beside the plain loops.
#[derive(Parser)]
struct Arguments {
    /// How many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Events of a run, in millions.
    #[arg(long, default_value_t = 40)]
    millions: u64,
    /// Only this workload.
    #[arg(long)]
    only: Option<Workload>,
    /// How many pairs compare max parallelism 32768 with 128.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Also over two processes with TLS between them.
    #[arg(long)]
    tls: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let events = arguments.millions * 1_000_000;
    let workloads = Workload::ALL.into_iter().filter(|w| arguments.only.is_none_or(|only| only == *w));
    let mut contenders = Vec::new();
    for workload in workloads {
        contenders.push(contender(workload, "loop", move || plain_loop(workload, events)));
        contenders.push(contender(workload, "p1", move || one_slot(workload, events, 128)));
        contenders
            .push(contender(workload, "2proc", move || two_processes(workload, events, Between::Plain)));
        if arguments.tls {
            contenders.push(contender(workload, "2proc_tls", move || {
                two_processes(workload, events, Between::Tls)
            }));
        }
    }
    let mut series = interleave(arguments.rounds, &mut contenders)?;
    let ratios: Vec<_> = series
        .chunks(if arguments.tls { 4 } else { 3 })
        .flat_map(|of| {
            let over = |part: usize, base: usize, name: &str| {
                of[part].over(&of[base], format!("{}_over_{name}", of[part].metric))
            };
            let encrypted = arguments.tls.then(|| over(3, 2, "2proc"));
            [over(1, 0, "loop"), over(2, 0, "loop")].into_iter().chain(encrypted)
        })
        .collect();
    series.extend(ratios);
    if arguments.only.is_none_or(|only| only == Workload::KeyedCount) && arguments.pairs > 0 {
        let of = |max| {
            contender(Workload::KeyedCount, &format!("maxpar{max}"), move || {
                one_slot(Workload::KeyedCount, events, max)
            })
        };
        let pairs = interleave(arguments.pairs, &mut [of(128), of(32768)])?;
        series.push(pairs[1].over(&pairs[0], "w1_maxpar32768_ratio"));
        let count = |max| {
            instructions(&job(Workload::KeyedCount, 3_000_000, max, &cluster::scratch()?)).map(|n| n as f64)
        };
        let mut instruction_ratio = pairs[0].clone();
        instruction_ratio.metric = "w1_maxpar32768_instructions_ratio".to_owned();
        instruction_ratio.unit = "ratio";
        instruction_ratio.samples = vec![count(32768)? / count(128)?];
        series.push(instruction_ratio);
    }
    let report = Report::new(&series);
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("core")?.display());
    Ok(())
}

fn contender<'a>(
    workload: Workload,
    part: &str,
    sample: impl FnMut() -> Result<f64, Error> + 'a,
) -> Contender<'a> {
    Contender { metric: format!("{}_{part}", workload.name()), unit: "ns/event", sample: Box::new(sample) }
}

fn plain_loop(workload: Workload, events: u64) -> Result<f64, Error> {
    let mut command = Command::new(cluster::binary("loops"));
    command.args(["run", workload.name(), &events.to_string()]);
    figure(command)
}

/// The job on an embedded cluster with one slot.
fn job(workload: Workload, events: u64, max: u32, scratch: &std::path::Path) -> Command {
    let mut command = Command::new(cluster::binary("core_job"));
    command.args(["run", "--task-managers", "1"]).args(cluster::options(scratch));
    // Under callgrind processes are fifty times slower and run one thread at a time, so heartbeats may be late.
    command.args(["-Dheartbeat.timeout=10min", "-Dheartbeat.interval=10s"]);
    command.args(job_arguments(workload, events, scratch)).args(["--max-parallelism", &max.to_string()]);
    command.stdout(Stdio::null());
    command
}

fn job_arguments(workload: Workload, events: u64, scratch: &std::path::Path) -> Vec<String> {
    let outcome = scratch.join("outcome").to_string_lossy().into_owned();
    let events = events.to_string();
    ["--workload", workload.name(), "--events", &events, "--outcome", &outcome].map(str::to_owned).to_vec()
}

fn one_slot(workload: Workload, events: u64, max: u32) -> Result<f64, Error> {
    let scratch = cluster::scratch()?;
    let mut command = job(workload, events, max, &scratch);
    let (status, cpu) = cpu_of_children(|| command.status());
    cluster::succeeded(&command, status)?;
    check(workload, events, &scratch)?;
    Ok(per_event_ns(cpu, events))
}

/// The connections between processes.
#[derive(Clone, Copy)]
enum Between {
    Plain,
    Tls,
}

/// The job on a JobManager and two TaskManagers with a slot each, all processes of their own.
fn two_processes(workload: Workload, events: u64, between: Between) -> Result<f64, Error> {
    let scratch = cluster::scratch()?;
    let arguments = job_arguments(workload, events, &scratch);
    let more = match between {
        Between::Plain => Vec::new(),
        Between::Tls => cluster::encrypted(&scratch)?,
    };
    let (result, cpu) = cpu_of_children(|| cluster::run_to_end("core_job", &arguments, 2, &scratch, &more));
    result?;
    check(workload, events, &scratch)?;
    Ok(per_event_ns(cpu, events))
}

fn check(workload: Workload, events: u64, scratch: &std::path::Path) -> Result<(), Error> {
    let wrong = |text: String| Error::NoFigure {
        program: format!("{} through Reflow", workload.name()),
        output: text,
    };
    let outcome = outcome::read(&scratch.join("outcome")).map_err(|error| wrong(error.to_string()))?;
    let expected = workload.expected(events);
    let removed = std::fs::remove_dir_all(scratch);
    removed.map_err(|error| wrong(error.to_string()))?;
    if outcome == expected { Ok(()) } else { Err(wrong(format!("{outcome:?} instead of {expected:?}"))) }
}
