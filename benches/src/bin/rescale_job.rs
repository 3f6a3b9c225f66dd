//! The job of `rescale`: `rescale_job jobmanager --keys 1000 --rate 20000 --payload 0 --begin-us … --log DIR --output DIR`.
//!
//! Sixteen splits at a fixed rate, and per key a count, a sum and a payload. Each record leaves with its key's count,
//! and is written to a file exactly once; when it left the keyed operator is noted in the log.
//!
//! With `--second DIR` it has another pipeline like this one, in slots of its own, with log and output below the directory. It
//! fails when there is a file `DIR/fail`, which it removes.

use reflow::UserError;
use reflow::connectors::{FileSink, Lines, RollingPolicy};
use reflow::prelude::*;
use reflow_benches::rescale::log::{Entry, Recorder};
use reflow_benches::rescale::schedule::Schedule;
use reflow_benches::rescale::source::Paced;
use reflow_benches::rescale::trap::Trap;
use reflow_benches::workloads::splitmix64;

/// What is kept of a key.
#[derive(Default, Data)]
struct Account {
    count: u64,
    sum: u64,
    payload: String,
}

/// Counts the records of a key.
#[derive(Clone)]
struct Count {
    schedule: Schedule,
    payload_bytes: usize,
    recorder: Recorder,
    /// What makes it fail.
    trap: Option<Trap>,
}

impl Count {
    /// Text that no compression shortens much.
    fn payload(&self, key: u64) -> String {
        let words = (0..).map(|i| format!("{:016x}", splitmix64((key << 8) ^ i)));
        words.take(self.payload_bytes.div_ceil(16)).collect::<String>()[..self.payload_bytes].to_owned()
    }
}

impl ProcessFunction for Count {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = Account;

    fn process(
        &mut self,
        context: &mut impl Context<u64, Account, String>,
        record: u64,
    ) -> Result<(), UserError> {
        if let Some(trap) = &mut self.trap {
            trap.look()?;
        }
        let account = context.state_mut();
        if account.count == 0 {
            account.payload = self.payload(self.schedule.key(record));
        }
        account.count += 1;
        account.sum = account.sum.wrapping_add(record);
        let line = format!("{record} {}", account.count);
        context.emit(line);
        if self.schedule.due_us(record).is_some() {
            self.recorder.record(Entry::now(record, self.schedule.group(record)))?;
        }
        Ok(())
    }
}

#[derive(clap::Args)]
struct Options {
    #[arg(long, default_value_t = 1_000)]
    keys: u64,
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// When the first record is due, in microseconds since the Unix epoch.
    #[arg(long, default_value_t = 0)]
    begin_us: u64,
    /// The directory for the moments of the outputs.
    #[arg(long)]
    log: String,
    /// The directory for the records.
    #[arg(long)]
    output: String,
    /// Bytes of each key's payload.
    #[arg(long, default_value_t = 0)]
    payload: usize,
    /// The directory of a second pipeline.
    #[arg(long)]
    second: Option<String>,
}

fn rescale_job(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { keys, rate, begin_us, log, output, payload: payload_bytes, second } = options;
    let schedule = Schedule { keys, rate, begin_us };
    let count =
        |log: String, trap| Count { schedule, payload_bytes, recorder: Recorder::new(log.into()), trap };
    pipeline(env, ["paced", "output", "default"], count(log, None), output);
    if let Some(directory) = second {
        let trap = Some(Trap::new(format!("{directory}/fail").into()));
        let names = ["second paced", "second output", "second"];
        pipeline(env, names, count(format!("{directory}/log"), trap), format!("{directory}/output"));
    }
    Ok(())
}

fn pipeline(env: &mut StreamEnv, [source, sink, group]: [&str; 3], count: Count, output: String) {
    let schedule = count.schedule;
    env.source(source, Paced { schedule })
        .slot_sharing_group(group)
        .key_by(move |record: &u64| schedule.key(*record))
        .process(count)
        .slot_sharing_group(group)
        .sink(sink, FileSink::<String, _>::new(output, Lines).rolling_policy(RollingPolicy::on_checkpoint()));
}

reflow::main!(rescale_job);
