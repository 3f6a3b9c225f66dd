//! Tests of what functions count and measure, and of what the engine measures by latency markers.

use reflow_api::metrics::{Accumulated, Accumulation, Accumulator, Counter, Gauge};
use reflow_api::{OutputTag, RuntimeContext, UnkeyedContext, UnkeyedProcessFunction, UserError};
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::metric::{MetricValue, UserMetric};
use std::collections::BTreeMap;
use std::time::Duration;

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

/// Two sources, whose records go to two subtasks: half of them in the same process, half in another one.
#[test]
fn markers_measure_the_latency_from_each_source_to_each_subtask() {
    let (left, right, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
    let (sources, sink) = ((left.clone(), right.clone()), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let right = env.source("right", sources.1.clone());
        let both = env.source("left", sources.0.clone()).union(right);
        let _ = both.rebalance().map(|number| number).sink("out", sink.clone());
    })
    .on_executors(2);
    job.start(2);
    const RECORDS: u64 = 20;
    for number in 0..RECORDS {
        left.push(0, [number]);
        right.push(0, [number]);
        job.settle();
        job.advance(Duration::from_millis(5));
    }
    let metrics = job.metrics();
    let latencies = metrics.iter().flat_map(|of_subtask| &of_subtask.latencies);
    let mut counts: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
    latencies.for_each(|latency| counts.entry(latency.source.0).or_default().push(latency.ms.count));
    // A marker follows each record. One subtask of the union reads those of both sources and passes each on to one of two
    // others, except where it would stand directly behind another one.
    assert_eq!(counts.len(), 2, "{counts:?}");
    for of_source in counts.values() {
        let [of_union, first, second] = of_source[..] else { panic!("{counts:?}") };
        assert_eq!(of_union, RECORDS, "{counts:?}");
        assert!(first > 0 && second > 0 && first + second <= RECORDS, "{counts:?}");
    }
}

#[test]
fn markers_pass_all_stages_and_both_outputs_of_a_side_output() {
    let (feed, out, late) = (Feed::new(1), Collect::new("out"), Collect::new("side"));
    let (source, sinks) = (feed.clone(), (out.clone(), late.clone()));
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let tag = OutputTag::<u64>::new("side");
        let emit_to = SideEmitter(tag);
        let (main, side) = env.source("in", source.clone()).process(emit_to).side_output(&tag);
        let _ = main
            .rebalance()
            .map(|number| number)
            .rebalance()
            .map(|number| number)
            .sink("out", sinks.0.clone());
        let _ = side.rebalance().map(|number| number).sink("side", sinks.1.clone());
    });
    job.start(1);
    for number in 0..4 {
        feed.push(0, [number]);
        job.settle();
        job.advance(Duration::from_millis(5));
    }
    let markers: Vec<u64> =
        job.metrics().iter().flat_map(|of| &of.latencies).map(|latency| latency.ms.count).collect();
    // Behind each record, for each of the four vertices that follow the source.
    assert_eq!(markers, [4, 4, 4, 4]);
}

/// Emits each record to both outputs.
#[derive(Clone)]
struct SideEmitter(OutputTag<u64>);

impl UnkeyedProcessFunction for SideEmitter {
    type In = u64;
    type Out = u64;

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, number: u64) -> Result<(), UserError> {
        context.emit_to(&self.0, number);
        context.emit(number);
        Ok(())
    }
}
