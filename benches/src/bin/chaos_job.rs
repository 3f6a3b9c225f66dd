//! The job of `chaos`: `chaos_job jobmanager --events 900000 --rate 5000 --output DIR`, with `--pending`,
//! `--touches`, `--large` and `--slow` for its other parts (`reflow_benches::chaos::load`).
//!
//! Two sources, whose events share keys; each event leaves with the number of events that its key has had. A source
//! that fills keys with a timer and a window each, which fire only at the end of the input. A source of payloads of
//! very different sizes, whose records cross the network. A source whose records pass an operator that takes 5 ms for
//! each. Every result is a line in one file sink. A gap or a repetition shows in the events if a source or the sink
//! went wrong, and in the counts, timers and windows if the state did.

use reflow::UserError;
use reflow::connectors::{FileSink, Lines, RollingPolicy};
use reflow::prelude::*;
use reflow_benches::chaos::load::{checksum, key, payload, touched};
use std::time::Duration;

/// Source and index.
type Event = (u64, u64);

/// Long after the event time of all events: what waits for it fires at the end of the input.
const END: Timestamp = 1_000_000_000_000;

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
        let line = format!("event {source} {index} {} {count}", key(source, index));
        context.emit(line);
        Ok(())
    }
}

/// Keeps a timer for each key until the end.
#[derive(Clone)]
struct KeepTimer;

impl ProcessFunction for KeepTimer {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = ();

    fn process(&mut self, context: &mut impl Context<u64, (), String>, key: u64) -> Result<(), UserError> {
        context.register_timer(TimeDomain::Event, END + key as Timestamp);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, (), String>,
        _: Timestamp,
        _: TimeDomain,
    ) -> Result<(), UserError> {
        let line = format!("timer {}", context.key());
        context.emit(line);
        Ok(())
    }
}

#[derive(clap::Args)]
struct Options {
    /// Records per second of each source of events; the other sources last as long.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// The directory for the results.
    #[arg(long)]
    output: String,
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// How many timers and windows wait for the end of the input.
    #[arg(long, default_value_t = 0)]
    pending: u64,
    /// How many records add to those.
    #[arg(long, default_value_t = 0)]
    touches: u64,
    /// How many records have payloads of very different sizes.
    #[arg(long, default_value_t = 0)]
    large: u64,
    /// How many records take 5 ms each.
    #[arg(long, default_value_t = 0)]
    slow: u64,
}

fn chaos_job(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { rate, output, events, pending, touches, large, slow } = options;
    // Sources last as long as that of the events.
    let share = |count: u64| f64::from(rate) * count.max(1) as f64 / events.max(1) as f64;

    let source = |source: u64| Generator::new(move |index| (source, index)).count(events).rate(rate);
    let left = env.source("left", source(0));
    let right = env.source("right", source(1));
    let counted =
        left.union(right).key_by(|(source, index)| key(*source, *index)).process(Count).uid("count");

    let keys = env
        .source("pending", Generator::new(|index: u64| index).count(touches).rate(share(touches)))
        .assign_event_time(|index| *index as Timestamp, Watermarks::monotonic())
        .flat_map(move |index: u64| touched(index, pending));
    let keys = keys.share();
    let timers = keys.stream().key_by(|key| *key).process(KeepTimer).uid("timers");
    let windows = keys
        .stream()
        .key_by(|key| *key)
        .window(TumblingWindows::of(Duration::from_millis(END as u64)))
        .count()
        .uid("windows")
        .map(|window| format!("window {} {}", window.key, window.value));

    let large = env
        .source("large", Generator::new(|index: u64| (index, payload(index))).count(large).rate(share(large)))
        .rebalance()
        .map(|(index, payload): (u64, Vec<u8>)| format!("large {index} {}", checksum(&payload)));

    let slow = env
        .source("slow", Generator::new(|index: u64| index).count(slow).rate(share(slow)))
        .key_by(|index| *index % 64)
        .process(Slow)
        .uid("slow");

    counted.union(timers).union(windows).union(large).union(slow).sink(
        "output",
        FileSink::<String, _>::new(output, Lines).rolling_policy(RollingPolicy::on_checkpoint()),
    );
    Ok(())
}

/// Takes 5 ms for a record.
#[derive(Clone)]
struct Slow;

impl ProcessFunction for Slow {
    type Key = u64;
    type In = u64;
    type Out = String;
    type State = ();

    fn process(&mut self, context: &mut impl Context<u64, (), String>, index: u64) -> Result<(), UserError> {
        reflow_benches::clock::sleep(Duration::from_millis(5));
        context.emit(format!("slow {index}"));
        Ok(())
    }
}

reflow::main!(chaos_job);
