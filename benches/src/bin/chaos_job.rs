//! The job of `chaos`: `chaos_job jobmanager --events 900000 --rate 5000 --output DIR`.
//!
//! Two sources, whose events share keys; each event leaves with the number of events that its key has had, and is
//! written to a file exactly once. A gap or a repetition shows in the events if a source or the sink went wrong,
//! and in the counts if the state did.

use reflow::UserError;
use reflow::connectors::{FileSink, Lines};
use reflow::prelude::*;
use reflow_benches::chaos::verdict::key;

/// Source and index.
type Event = (u64, u64);

/// Counts the events of a key.
#[derive(Clone)]
struct Count;

impl ProcessFunction for Count {
    type Key = u64;
    type In = Event;
    type Out = String;
    type State = u64;

    fn process(
        &mut self,
        context: &mut impl Context<u64, u64, String>,
        (source, index): Event,
    ) -> Result<(), UserError> {
        let count = context.state_mut();
        *count += 1;
        let line = format!("{source} {index} {} {count}", key(source, index));
        context.emit(line);
        Ok(())
    }
}

fn chaos_job(env: &mut StreamEnv, args: &Args) -> JobResult {
    let events = args.parse("events", 100_000u64)?;
    let rate = args.parse("rate", 5_000u32)?;
    let output = args.get("output")?.ok_or("--output DIR is needed: where the events are written")?;
    let source = |source: u64| Generator::new(move |index| (source, index)).count(events).rate(rate);
    let left = env.source("left", source(0));
    let right = env.source("right", source(1));
    left.union(right)
        .key_by(|(source, index): &Event| key(*source, *index))
        .process(Count)
        .sink("output", FileSink::<String, _>::new(output, Lines));
    Ok(())
}

reflow::main!(chaos_job);
