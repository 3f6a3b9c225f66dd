//! The job of `rescale`: `rescale_job jobmanager --keys 1000 --rate 20000 --payload 0 --begin-us … --log DIR --output DIR`.
//!
//! Sixteen splits at a fixed rate, and per key a count, a sum and a payload. Each record leaves with its key's count,
//! and is written to a file exactly once; when it left the keyed operator is noted in the log.

use reflow::UserError;
use reflow::connectors::{FileSink, Lines};
use reflow::prelude::*;
use reflow_benches::rescale::log::{Entry, Recorder};
use reflow_benches::rescale::schedule::Schedule;
use reflow_benches::rescale::source::Paced;
use reflow_benches::workloads::splitmix64;
use serde::{Deserialize, Serialize};

/// What is kept of a key.
#[derive(Default, Serialize, Deserialize)]
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

fn rescale_job(env: &mut StreamEnv, args: &Args) -> JobResult {
    let schedule = Schedule {
        keys: args.parse("keys", 1_000)?,
        rate: args.parse("rate", 20_000)?,
        begin_us: args.parse("begin-us", 0)?,
    };
    let log = args.get("log")?.ok_or("--log DIR is needed: where the moments of the outputs go")?;
    let output = args.get("output")?.ok_or("--output DIR is needed: where the records are written")?;
    let payload_bytes = args.parse("payload", 0)?;
    env.source("paced", Paced { schedule })
        .key_by(move |record: &u64| schedule.key(*record))
        .process(Count { schedule, payload_bytes, recorder: Recorder::new(log.into()) })
        .sink("output", FileSink::<String, _>::new(output, Lines));
    Ok(())
}

reflow::main!(rescale_job);
