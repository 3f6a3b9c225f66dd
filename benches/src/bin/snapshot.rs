//! `cargo xtask bench snapshot`: measures the cost of checkpoints of large state: pauses, bytes written, bytes
//! read by a restore.
//!
//! One slot holds 1,000,000 values of 1,000 bytes; between two checkpoints exactly 5 % of them change. The sizes are
//! those that the JobManager serves, over the bytes of the values that changed (or of all values). At the end the
//! executor is killed, and the restore is measured.

use clap::Parser;
use reflow_benches::chaos::plan::{Fault, Plan};
use reflow_benches::chaos::processes::Cluster;
use reflow_benches::measure::{Report, Series, summary_table};
use reflow_benches::rest::Rest;
use reflow_benches::{clock, cluster};
use reflow_schema::{Checkpoint, CheckpointStatus};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How often checkpoints are looked at: the JobManager keeps the last ten.
const LOOK: Duration = Duration::from_millis(200);

/// Checkpoints of 1 GB, of which 5 % change.
#[derive(Parser)]
struct Arguments {
    /// How many checkpoints are measured.
    #[arg(long, default_value_t = 100)]
    rounds: u64,
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 1_000)]
    value_bytes: u64,
    /// How many keys change between two checkpoints, of a thousand.
    #[arg(long, default_value_t = 50)]
    changed_per_mille: u64,
    /// Milliseconds between checkpoints.
    #[arg(long, default_value_t = 1_000)]
    interval: u64,
    /// Seconds that all may take.
    #[arg(long, default_value_t = 1_200)]
    deadline: u64,
    /// Print each checkpoint.
    #[arg(long)]
    verbose: bool,
}

/// A line of the job: a round, and the longest time between two records in it.
#[derive(Clone, Copy)]
struct Round {
    number: u64,
    barrier: u64,
    puts: u64,
    longest_ns: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    cluster::run_in_scratch("snapshot", |scratch| run(&arguments, scratch))
}

fn run(arguments: &Arguments, scratch: &Path) -> Result<(), Box<dyn Error>> {
    let series = measure(arguments, scratch)?;
    let report = Report::new(&series);
    print!("{}", summary_table(&report.results));
    println!("{}", report.write("snapshot")?.display());
    Ok(())
}

fn measure(arguments: &Arguments, scratch: &Path) -> Result<Vec<Series>, Box<dyn Error>> {
    let port = cluster::free_port();
    let options = [
        format!("-Dexecution.checkpointing.dir=file://{}/checkpoints", scratch.display()),
        format!("-Dexecution.checkpointing.interval={}ms", arguments.interval),
        format!("-Drest.port={port}"),
    ];
    let puts = arguments.keys * arguments.changed_per_mille / 1_000;
    let output = scratch.join("output");
    let job_arguments = [
        ("--keys", arguments.keys.to_string()),
        ("--puts", puts.to_string()),
        ("--value-bytes", arguments.value_bytes.to_string()),
        ("--output", output.display().to_string()),
    ];
    let job_arguments =
        job_arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let mut cluster = Cluster::start("snapshot_job", &options, job_arguments, scratch)?;
    let mut plan = Plan::new(0, Duration::ZERO);
    cluster.strike(Fault::Start, &mut plan)?;
    let mut watch = Watch {
        cluster,
        rest: Rest::new(port),
        completed: BTreeMap::new(),
        killed: false,
        deadline: arguments.deadline,
        began: clock::now(),
    };

    let rounds = loop {
        let rounds = rounds(&output)?;
        if rounds.last().is_some_and(|last| last.number >= arguments.rounds) {
            break rounds;
        }
        watch.look()?;
    };
    let killed = clock::now();
    watch.killed = true;
    watch.cluster.strike(Fault::KillExecutor, &mut plan)?;
    let restored = watch.restored()?;
    let restore = Restore {
        from: restored,
        all_ms: killed.elapsed().as_secs_f64() * 1e3,
        read_ms: watch.rest.deploying_ms()? as f64,
    };

    let measured: Vec<_> =
        rounds.into_iter().filter(|round| (1..=arguments.rounds).contains(&round.number)).collect();
    figures(arguments, &measured, &watch.completed, &restore)
}

/// What happened after the kill.
struct Restore {
    /// The checkpoint.
    from: u64,
    /// From the deployment until all state was loaded.
    read_ms: f64,
    /// From the kill to the first complete checkpoint.
    all_ms: f64,
}

/// The job under way.
struct Watch {
    cluster: Cluster,
    rest: Rest,
    /// Checkpoints that are complete, by id.
    completed: BTreeMap<u64, Checkpoint>,
    /// Whether the executor has been killed, and with it the checkpoint in progress.
    killed: bool,
    deadline: u64,
    began: std::time::Instant,
}

impl Watch {
    /// Takes note of checkpoints. Returns the one that the job was restored from, if any.
    fn look(&mut self) -> Result<Option<u64>, Box<dyn Error>> {
        clock::sleep(LOOK);
        if let Some(status) = self.cluster.look()? {
            return Err(format!("the JobManager ended: {status}").into());
        }
        if self.began.elapsed().as_secs() > self.deadline {
            return Err(format!("not done after {} s", self.deadline).into());
        }
        // Before the JobManager listens there is nothing to see.
        let Ok(checkpoints) = self.rest.checkpoints() else { return Ok(None) };
        for checkpoint in checkpoints.history {
            match checkpoint.status {
                CheckpointStatus::Completed => _ = self.completed.insert(checkpoint.id, checkpoint),
                CheckpointStatus::Failed if !self.killed => {
                    return Err(format!("checkpoint {} failed", checkpoint.id).into());
                }
                _ => {}
            }
        }
        Ok(checkpoints.latest.restored.map(|restored| restored.id))
    }

    /// Waits until the job is restored and has completed a checkpoint since.
    fn restored(&mut self) -> Result<u64, Box<dyn Error>> {
        loop {
            if let Some(restored) = self.look()?
                && self.completed.keys().any(|id| *id > restored)
            {
                return Ok(restored);
            }
        }
    }
}

/// The committed lines of the job, in the order of the rounds.
fn rounds(output: &Path) -> Result<Vec<Round>, Box<dyn Error>> {
    let mut rounds = Vec::new();
    let Ok(parts) = std::fs::read_dir(output) else { return Ok(rounds) };
    for part in parts {
        let path = part?.path();
        if path.is_file() {
            for line in std::fs::read_to_string(path)?.lines() {
                let numbers: Vec<u64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
                let [number, barrier, puts, longest_ns] = numbers[..] else {
                    return Err(format!("'{line}' is no round").into());
                };
                rounds.push(Round { number, barrier, puts, longest_ns });
            }
        }
    }
    rounds.sort_unstable_by_key(|round| round.number);
    Ok(rounds)
}

fn figures(
    arguments: &Arguments,
    rounds: &[Round],
    completed: &BTreeMap<u64, Checkpoint>,
    restore: &Restore,
) -> Result<Vec<Series>, Box<dyn Error>> {
    let checkpoint =
        |id: u64| completed.get(&id).ok_or_else(|| format!("checkpoint {id} was not seen complete"));
    let live = (arguments.keys * arguments.value_bytes) as f64;
    let changed = |round: &Round| (round.puts * arguments.value_bytes) as f64;
    let (mut written, mut increments, mut total_written) = (Vec::new(), Vec::new(), 0.0);
    for round in rounds {
        // Each barrier so far is a checkpoint, and ids count from 1.
        let (before, of) = (checkpoint(round.barrier - 1)?, checkpoint(round.barrier)?);
        let bytes = of.checkpointed_size as f64;
        total_written += bytes;
        written.push(bytes / changed(round));
        if is_increment(before, of) {
            increments.push(bytes / changed(round));
        }
        if arguments.verbose {
            println!(
                "round {} checkpoint {}: written {} state {} took {} ms, longest pause {} us",
                round.number,
                of.id,
                of.checkpointed_size,
                of.state_size,
                of.end_to_end_duration,
                round.longest_ns / 1_000
            );
        }
    }
    let total = total_written / rounds.iter().map(changed).sum::<f64>();
    let pauses = rounds.iter().map(|round| round.longest_ns as f64 / 1e6).collect();
    // Whichever checkpoint a failure makes it restore.
    let mut read: Vec<f64> = Vec::new();
    for id in rounds.iter().map(|round| round.barrier).chain([restore.from]) {
        read.push(checkpoint(id)?.state_size as f64 / live);
    }
    let series = |metric: &str, unit, samples| Series { metric: metric.to_owned(), unit, samples };
    // On a machine that is busy with other things a round can end before all its keys were put.
    let puts = rounds.iter().map(|round| round.puts as f64).collect();
    let mut all = vec![
        series("changed_keys", "keys", puts),
        series("longest_pause_ms", "ms", pauses),
        series("increment_over_changed", "ratio", increments),
        series("checkpoint_over_changed", "ratio", written),
        series("written_over_changed", "ratio", vec![total]),
        series("restore_read_over_live", "ratio", read),
        series("restore_read_ms", "ms", vec![restore.read_ms]),
        series("restore_ms", "ms", vec![restore.all_ms]),
    ];
    all.retain(|series| !series.samples.is_empty());
    Ok(all)
}

/// Whether a checkpoint only added to the previous one. If a part of the state was written in full, its earlier
/// objects do not count any more, so the state has grown by less than was written.
fn is_increment(before: &Checkpoint, of: &Checkpoint) -> bool {
    let grown = of.state_size.saturating_sub(before.state_size);
    grown.abs_diff(of.checkpointed_size) * 100 < of.checkpointed_size
}
