//! A job whose load grows and falls: `load_job jobmanager --rate 200 --phases 1000:1,2400:8,3000:1 --output DIR`.
//!
//! A source at a fixed rate, and a keyed operator that takes so many milliseconds for each record as its phase says: the first
//! 1000 records take 1 ms each, the next 2400 take 8. It waits, as for an outside system that answers slowly, so its slot is busy
//! and the machine is not. Each record is written to a file exactly once, with how many its key has had.

use reflow::UserError;
use reflow::connectors::{FileSink, Generator, Lines, RollingPolicy};
use reflow::prelude::*;
use std::str::FromStr;
use std::sync::mpsc;

/// The number of splits, and of keys. Records of a key are in one split, so they are processed in order.
const KEYS: u64 = 16;

/// A number of records that take the same time each.
#[derive(Clone, Copy, Debug)]
struct Phase {
    records: u64,
    each: Duration,
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (records, ms) = text.split_once(':').ok_or("a phase is RECORDS:MILLISECONDS")?;
        let number = |text: &str| text.parse().map_err(|_| format!("'{text}' is no number"));
        Ok(Self { records: number(records)?, each: Duration::from_millis(number(ms)?) })
    }
}

/// Takes its time for each record, and counts them by key.
#[derive(Clone)]
struct Work {
    phases: Vec<Phase>,
}

impl Work {
    fn time(&self, record: u64) -> Duration {
        let mut before = 0;
        let of_record = self.phases.iter().find(|phase| {
            before += phase.records;
            record < before
        });
        of_record.map_or(Duration::ZERO, |phase| phase.each)
    }
}

impl ProcessFunction for Work {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = u64;

    fn process(
        &mut self,
        context: &mut impl Context<u64, u64, String>,
        record: u64,
    ) -> Result<(), UserError> {
        let (_never, answer) = mpsc::channel::<()>();
        let _ = answer.recv_timeout(self.time(record));
        let count = context.state_mut();
        *count += 1;
        let line = format!("{record} {count}");
        context.emit(line);
        Ok(())
    }
}

#[derive(clap::Args)]
struct Options {
    /// Records per second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// How long records take: RECORDS:MILLISECONDS, one phase after the other. The input ends with the last one.
    #[arg(long, value_delimiter = ',', required = true)]
    phases: Vec<Phase>,
    /// The directory for the records.
    #[arg(long)]
    output: String,
}

fn load_job(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { rate, phases, output } = options;
    let records = phases.iter().map(|phase| phase.records).sum();
    let source = Generator::new(|record| record).splits(KEYS as u32).count(records).rate(rate);
    env.source("load", source).key_by(|record: &u64| record % KEYS).process(Work { phases }).sink(
        "output",
        FileSink::<String, _>::new(output, Lines).rolling_policy(RollingPolicy::on_checkpoint()),
    );
    Ok(())
}

reflow::main!(load_job);
