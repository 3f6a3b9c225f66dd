//! The job of `snapshot`: `snapshot_job jobmanager --keys 1000000 --puts 50000 --value-bytes 1000 --output DIR`.
//!
//! Keeps a value per key, and writes a line for each round of its source: its number, the barrier that ended it, how
//! many keys were put, and the longest time between two records in nanoseconds of the thread's CPU clock. That time is
//! all that the slot did in between: snapshot work, and also the source making its next records.

use bytes::Bytes;
use reflow::UserError;
use reflow::connectors::{FileSink, Lines, RollingPolicy};
use reflow::prelude::*;
use reflow_benches::clock;
use reflow_benches::rounds::{Event, Rounds};
use reflow_benches::workloads::splitmix64;

/// Keeps values, and looks at the clock at each record.
#[derive(Clone)]
struct Keep {
    value_bytes: usize,
    /// When the last record came, by the thread's CPU clock.
    last: Option<Duration>,
    /// The longest time between two records of this round.
    longest: Duration,
}

impl ProcessFunction for Keep {
    type Key = u64;
    type In = Event;
    type Out = String;
    type State = Bytes;

    fn process(
        &mut self,
        context: &mut impl Context<u64, Bytes, String>,
        event: Event,
    ) -> Result<(), UserError> {
        let now = clock::thread_cpu();
        let before = self.last.replace(now).unwrap_or(now);
        self.longest = self.longest.max(now.saturating_sub(before));
        match event {
            Event::Put { key, round } => *context.state_mut() = self.value(key, round),
            Event::Read { key } => {
                let there = context.state().map_or(0, Bytes::len);
                if there != self.value_bytes {
                    return Err(format!("key {key} has a value of {there} bytes").into());
                }
            }
            Event::Ended(round) => {
                let longest_ns = std::mem::take(&mut self.longest).as_nanos();
                context.emit(format!("{} {} {} {longest_ns}", round.number, round.barrier, round.puts));
            }
        }
        Ok(())
    }
}

impl Keep {
    /// A value that no compression shortens.
    fn value(&self, key: u64, round: u64) -> Bytes {
        let words = (0..).map(|i| splitmix64((round << 40) ^ (key << 8) ^ i));
        words.flat_map(u64::to_le_bytes).take(self.value_bytes).collect()
    }
}

#[derive(clap::Args)]
struct Options {
    #[arg(long, default_value_t = 1_000_000)]
    keys: u64,
    /// How many keys change between two checkpoints.
    #[arg(long, default_value_t = 50_000)]
    puts: u64,
    #[arg(long, default_value_t = 1_000)]
    value_bytes: usize,
    /// The directory for the rounds.
    #[arg(long)]
    output: String,
}

fn snapshot_job(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { keys, puts, value_bytes, output } = options;
    let source = Rounds { keys, puts };
    let keep = Keep { value_bytes, last: None, longest: Duration::ZERO };
    env.source("rounds", source).key_by(Event::key).process(keep).sink(
        "output",
        FileSink::<String, _>::new(output, Lines).rolling_policy(RollingPolicy::on_checkpoint()),
    );
    Ok(())
}

reflow::main!(snapshot_job);
