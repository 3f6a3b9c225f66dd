//! The plain loops as a program: one checked run that prints its figure, or all of them in turn.
//!
//! `core` and other benchmarks start `loops run` as the baseline of their ratios; `loops report` measures the
//! baseline alone and writes `target/bench/loops.json`.

use std::{
    env,
    error::Error,
    process::{Command, ExitCode},
};

use clap::Parser;
use reflow_benches::{
    loops,
    measure::{Contender, Report, figure, interleave, own_cpu, per_event_ns, summary_table},
    workloads::Workload,
};

/// Plain single-thread loops over the benchmark workloads.
#[derive(Parser)]
enum Arguments {
    /// Run one workload once, check its result and print CPU nanoseconds per event.
    Run {
        /// w1, w2 or w3.
        workload: Workload,
        /// How many events.
        events: u64,
        /// Only generate the events.
        #[arg(long)]
        generate_only: bool,
    },
    /// Run all workloads and their generators in turn, each in a process of its own, and report.
    Report {
        /// How many events a run.
        #[arg(long, default_value_t = 30_000_000)]
        events: u64,
        /// How many runs of each.
        #[arg(long, default_value_t = 7)]
        rounds: usize,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse() {
        Arguments::Run { workload, events, generate_only: true } => generate(workload, events),
        Arguments::Run { workload, events, generate_only: false } => run(workload, events),
        Arguments::Report { events, rounds } => report(events, rounds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loops: {error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(workload: Workload, events: u64) -> Result<(), Box<dyn Error>> {
    let before = own_cpu();
    loops::generate(workload, events);
    println!("{}", per_event_ns(own_cpu() - before, events));
    Ok(())
}

fn run(workload: Workload, events: u64) -> Result<(), Box<dyn Error>> {
    let before = own_cpu();
    let outcome = loops::run(workload, events);
    let cpu = own_cpu() - before;
    let expected = workload.expected(events);
    if outcome != expected {
        return Err(format!("{workload} is wrong: it reports {outcome:?} instead of {expected:?}").into());
    }
    println!("{}", per_event_ns(cpu, events));
    Ok(())
}

fn report(events: u64, rounds: usize) -> Result<(), Box<dyn Error>> {
    let program = env::current_exe()?;
    let contender = |workload: Workload, part: &str, option: Option<&'static str>| Contender {
        metric: format!("{workload}_{part}"),
        unit: "ns/event",
        sample: Box::new({
            let program = &program;
            move || {
                let mut command = Command::new(program);
                command.args(["run", workload.name(), &events.to_string()]).args(option);
                figure(command)
            }
        }),
    };
    let mut contenders: Vec<_> = Workload::ALL
        .into_iter()
        .flat_map(|w| [contender(w, "generator", Some("--generate-only")), contender(w, "loop", None)])
        .collect();
    let report = Report::new(&interleave(rounds, &mut contenders)?);
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("loops")?.display());
    Ok(())
}
