//! The workloads of `core` as Reflow jobs: `core_job run --workload w1 --events 1000000 --outcome DIR`.
//!
//! Results are folded into an outcome per subtask and checkpoint, and committed exactly once as small files; `core`
//! adds them up and checks the sum.

use reflow::connectors::generator::Generator;
use reflow::prelude::*;
use reflow::window::{Elements, Window};
use reflow::{Pipeline, SinkHandle};
use reflow_benches::outcome::OutcomeSink;
use reflow_benches::workloads::{Outcome, Workload, keyed_count, top_speed, tumbling_sum};

#[derive(clap::Args)]
struct Options {
    #[arg(long, default_value = "w1")]
    workload: Workload,
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    #[arg(long, default_value_t = 4)]
    splits: u32,
    #[arg(long, default_value_t = 128)]
    max_parallelism: u32,
    /// The directory for the results.
    #[arg(long, default_value = "target/bench/outcome")]
    outcome: String,
}

fn core_job(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { workload, events, splits, max_parallelism: max, outcome } = options;
    match workload {
        Workload::KeyedCount => {
            let keys = Generator::new(keyed_count::event).count(events).splits(splits);
            let counted = env.source("keys", keys).key_by(|key| *key).process(Count);
            sink(counted.max_parallelism(max), outcome, |out, (key, count)| {
                keyed_count::fold(out, key, count)
            });
        }
        Workload::TumblingSum => {
            let source = Generator::new(|index| {
                let event = tumbling_sum::event(index);
                (event.key, event.time_ms, event.value)
            });
            let summed = env
                .source("events", source.count(events).splits(splits))
                .assign_event_time(|event| event.1, Watermarks::monotonic())
                .map(|(key, _, value)| (key, value))
                .key_by(|event| event.0)
                .window(TumblingWindows::of(Duration::from_secs(1)))
                .reduce(|a, b| (a.0, a.1 + b.1));
            sink(summed.max_parallelism(max), outcome, |out, sum| {
                tumbling_sum::fold(out, sum.key, sum.window.end, sum.value.1);
            });
        }
        Workload::TopSpeed => {
            let reports = Generator::new(|index| {
                let event = top_speed::event(index);
                (event.car, event.time_ms, event.speed, event.distance)
            });
            let top = env
                .source("cars", reports.count(events).splits(splits))
                .assign_event_time(|event| event.1, Watermarks::monotonic())
                .key_by(|event| event.0)
                .window(GlobalWindows)
                .trigger_on_rise(50.0, |event| event.3)
                .evict(TimeEvictor::keep_last(Duration::from_secs(10)))
                .apply(|car: &u64, _: Window, records: &Elements<Report>| {
                    let top = records.iter().map(|(_, report)| report.2).max()?;
                    Some((*car, records.last()?.0, top))
                });
            sink(top.max_parallelism(max), outcome, |out, (car, time, top)| {
                top_speed::fold(out, car, time, top)
            });
        }
    }
    Ok(())
}

/// Emits each key with its new count.
#[derive(Clone)]
struct Count;

impl ProcessFunction for Count {
    type Key = u64;
    type In = u64;
    type Out = (u64, u64);
    type State = u64;

    #[inline]
    fn process(&mut self, context: &mut impl Context<u64, u64, (u64, u64)>, key: u64) -> JobResult {
        let count = context.state_mut();
        *count += 1;
        let count = *count;
        context.emit((key, count));
        Ok(())
    }
}

/// Car, time in milliseconds, speed, distance.
type Report = (u64, Timestamp, u32, f64);

fn sink<P: Pipeline>(
    results: Stream<P>,
    directory: String,
    fold: fn(&mut Outcome, P::Out),
) -> SinkHandle<P::Out> {
    results.sink("outcome", OutcomeSink::new(directory, fold))
}

reflow::main!(core_job);
