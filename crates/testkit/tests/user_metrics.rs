//! Tests of what functions count and measure.

use reflow_api::metrics::{Accumulated, Accumulation, Accumulator, Counter, Gauge};
use reflow_api::{RuntimeContext, UnkeyedContext, UnkeyedProcessFunction, UserError};
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::metric::{MetricValue, UserMetric};

/// Counts the records, and shows the last and the highest one.
#[derive(Clone, Default)]
struct Counts {
    records: Counter,
    last: Gauge,
    highest: Accumulator,
}

impl UnkeyedProcessFunction for Counts {
    type In = u64;
    type Out = u64;

    fn open(&mut self, context: &RuntimeContext) -> Result<(), UserError> {
        self.records = context.metrics().counter("records");
        self.last = context.metrics().group("values").gauge("last");
        self.highest = context.metrics().accumulator("highest", Accumulation::Maximum);
        Ok(())
    }

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, number: u64) -> Result<(), UserError> {
        self.records.inc();
        self.last.set(number as f64);
        self.highest.add(number as f64);
        context.emit(number);
        Ok(())
    }
}

#[test]
fn metrics_of_functions_are_reported_with_those_of_their_subtask() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let counted = env.source("in", source.clone()).process(Counts::default()).name("Count: all");
        let _ = counted.rebalance().process(Counts::default()).sink("out", sink.clone());
    });
    job.start(2);
    feed.push(0, 1..=10);
    job.settle();
    let user: Vec<Vec<UserMetric>> = job.metrics().into_iter().map(|of_subtask| of_subtask.user).collect();
    let find = |id: &str| -> Vec<MetricValue> {
        user.iter().flatten().filter(|metric| metric.id == id).map(|metric| metric.value.clone()).collect()
    };
    // One of the source's two subtasks has the split. The vertex behind the exchange has two subtasks, which share records.
    let counter = |count| MetricValue::Accumulated(Accumulated::Count(count));
    assert_eq!(find("Count__all.records"), [counter(10), counter(0)]);
    assert_eq!(find("Process.records"), [counter(5), counter(5)]);
    let highest = |value| MetricValue::Accumulated(Accumulated::Maximum(value));
    assert_eq!(find("Count__all.highest"), [highest(10.0), highest(f64::NEG_INFINITY)]);
    assert!(find("Process.values.last").contains(&MetricValue::Gauge(10.0)));
}
