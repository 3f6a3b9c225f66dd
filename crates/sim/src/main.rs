//! The command line of the simulator: many seeds with a table of results, or one seed with its trace.

use clap::Parser;
use reflow_env::real::Clock;
use reflow_sim::cluster::Selection;
use reflow_sim::report::{Report, how_to_repeat, run_seed};
use reflow_sim::runs::Seeds;
use reflow_sim::scenario::Scenario;
use reflow_sim::workload::Shape;
use reflow_sim::{injected_faults, watchdog};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Runs whole clusters on simulated machines, from seeds.
#[derive(Parser)]
struct Args {
    /// The number of seeds.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Runs only this seed and prints its trace.
    #[arg(long, env = "SIM_SEED")]
    seed: Option<u64>,
    /// Runs only this kind of job.
    #[arg(long, value_name = "NAME")]
    job: Option<Shape>,
    /// Adds this scenario to each run, even if its weight is 0. Can be given several times.
    #[arg(long, value_name = "NAME")]
    scenario: Vec<Scenario>,
    /// Starts no more runs after this many seconds.
    #[arg(long, value_name = "SECONDS")]
    at_most: Option<u64>,
    /// The number of clusters that are simulated at once [default: the number of cores].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Prints neither trace nor progress.
    #[arg(long)]
    quiet: bool,
    /// Ends at the first violation.
    #[arg(long)]
    fail_fast: bool,
    /// Runs with each injected fault in turn, and fails if one is not found.
    #[arg(long)]
    injected_faults: bool,
    /// Runs with this fault, in a simulator that was built with injected faults. With --injected-faults: tries
    /// only this one.
    #[arg(long, value_name = "NAME")]
    injected_fault: Option<String>,
    /// Prints the report as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.injected_faults {
        return injected_faults(args.injected_fault.as_deref());
    }
    if let Some(Err(problem)) = args.injected_fault.as_deref().map(injected_faults::activate) {
        eprintln!("{problem}");
        return ExitCode::FAILURE;
    }
    let clock = Clock::start();
    let begin = clock.now();
    let selection = Selection { shape: args.job, scenarios: args.scenario.clone() };
    let mut report = Report { selection: selection.clone(), ..Report::default() };
    match args.seed {
        Some(seed) => {
            let trace = |line: String| println!("{line}");
            let watchdog = watchdog::start();
            watchdog.begin(how_to_repeat(seed, &selection));
            let outcome = run_seed(seed, &selection, (!args.quiet).then(|| Box::new(trace) as _));
            println!("{}\nhash {:016x}", outcome.about, outcome.hash);
            report.add(outcome);
        }
        None => {
            let seeds = Seeds {
                from: args.from,
                count: args.seeds,
                at_most: args.at_most.map(Duration::from_secs),
                fail_fast: args.fail_fast,
                progress: !args.quiet,
                threads: args.threads.unwrap_or_else(cores),
            };
            report = seeds.run(&selection);
        }
    }
    let wall_seconds = clock.now().since(begin).as_secs_f64();
    if args.json {
        println!("{}", report.to_json(wall_seconds));
    } else {
        println!("{report}\n{wall_seconds:.1} s");
    }
    if report.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn injected_faults(only: Option<&str>) -> ExitCode {
    if let Err(problem) = injected_faults::check_built_in() {
        eprintln!("{problem}");
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let faults = Mutex::new(injected_faults::ALL.into_iter().filter(|(name, _)| wanted(name)));
    let next = || faults.lock().unwrap_or_else(PoisonError::into_inner).next();
    let escaped = AtomicBool::new(false);
    let look_for = || {
        while let Some(fault) = next() {
            let name = fault.0;
            match injected_faults::look_for(fault) {
                Ok(seed) => println!("{name}: found, {seed}"),
                Err(problem) => {
                    println!("{name}: {problem}");
                    escaped.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..cores() {
            threads.spawn(look_for);
        }
    });
    if escaped.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
