//! Tests of operators with several outputs: side outputs (what they get, how they are taken, and that a full one stops
//! the others) and shared streams.

use reflow_api::{OutputTag, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks};
use reflow_graph::GraphError;
use reflow_protocol::failure::Fault;
use reflow_stream::{JobError, Stream, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Data;
use std::sync::atomic::{AtomicU64, Ordering};

extern crate reflow_types as reflow; // the name in derived code

const ODD: OutputTag<u64> = OutputTag::new("odd");
const TEXTS: OutputTag<String> = OutputTag::new("texts");

/// Emits even numbers, sends odd ones to [`ODD`], and the text of each to [`TEXTS`].
#[derive(Clone)]
struct Parity;

impl UnkeyedProcessFunction for Parity {
    type In = u64;
    type Out = u64;

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, number: u64) -> Result<(), UserError> {
        context.emit_to(&TEXTS, number.to_string());
        if number.is_multiple_of(2) {
            context.emit(number);
        } else {
            context.emit_to(&ODD, number);
        }
        Ok(())
    }
}

/// Emits the timestamp of each record.
#[derive(Clone)]
struct TimestampOf;

impl UnkeyedProcessFunction for TimestampOf {
    type In = String;
    type Out = i64;

    fn process(&mut self, context: &mut impl UnkeyedContext<i64>, _: String) -> Result<(), UserError> {
        context.emit(context.timestamp());
        Ok(())
    }
}

type Source = Stream<reflow_stream::pipeline::SourceHead<Feed<u64>>>;

/// A job that reads numbers and has two sinks.
fn start(
    executors: usize,
    job: impl Fn(Source, [Collect<u64>; 2]) + 'static,
) -> (Feed<u64>, [Collect<u64>; 2], Harness<'static>) {
    let (feed, outs) = (Feed::new(1), ["main", "side"].map(Collect::new));
    let (source, sinks) = (feed.clone(), outs.clone());
    let mut harness =
        Harness::new(move |env: &mut StreamEnv| job(env.source("in", source.clone()), sinks.clone()))
            .on_executors(executors);
    harness.start(2);
    (feed, outs, harness)
}

fn written(out: &Collect<u64>) -> Vec<u64> {
    let mut records: Vec<u64> = out.written().into_iter().map(|(record, _)| record).collect();
    records.sort_unstable();
    records
}

#[test]
fn records_go_to_the_output_of_their_tag_in_order_and_with_their_time() {
    let (feed, [main, side], mut job) = start(2, |numbers, [main, side]| {
        let timed = numbers.assign_event_time(|n: &u64| 1_000 + *n as i64, Watermarks::monotonic());
        let (even, odd) = timed.process(Parity).uid("parity").side_output(&ODD);
        let (even, texts) = even.side_output(&OutputTag::<String>::new("texts"));
        // The outputs end in another order than they were taken.
        let _ = texts.process(TimestampOf).map(|time| time as u64).union(odd).sink("side", side);
        let _ = even.map(|n| n).sink("main", main);
    });
    feed.push(0, 0..100);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(main.committed(&job), (0..100).step_by(2).collect::<Vec<u64>>());
    let expected: Vec<u64> = (1..100).step_by(2).chain(1_000..1_100).collect();
    assert_eq!(side.committed(&job), expected);
}

#[test]
fn records_of_an_output_that_nobody_takes_are_dropped() {
    let (feed, [main, _], mut job) = start(1, |numbers, [main, side]| {
        let _ = numbers.process(Parity).rebalance().sink("main", main);
        let _ = side;
    });
    feed.push(0, 0..10);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(main.committed(&job), [0, 2, 4, 6, 8]);
}

#[test]
fn a_tag_of_another_type_fails_the_job_and_names_operator_and_types() {
    let (feed, _, mut job) = start(1, |numbers, [main, side]| {
        let (even, odd) = numbers.process(Parity).uid("parity").side_output(&OutputTag::<i32>::new("odd"));
        let _ = even.sink("main", main);
        let _ = odd.map(|n: i32| n as u64).sink("side", side);
    });
    feed.push(0, [1]);
    job.settle();
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::Permanent, "Process (uid parity)"));
    assert!(failure.message.contains("'odd'") && failure.message.contains("i32"), "{}", failure.message);
}

#[test]
fn an_output_is_taken_once() {
    let build = |of_other_operator: bool| {
        let job = |env: &mut StreamEnv| {
            let sink = || Collect::<u64>::new("out");
            let (even, odd) = env.source("in", Feed::new(1)).process(Parity).name("Parity").side_output(&ODD);
            let _ = odd.sink("odd", sink());
            if of_other_operator {
                let (even, odd) = even.process(Parity).side_output(&ODD);
                let _ = even.union(odd).sink("out", sink());
            } else {
                let (even, texts) = even.side_output(&OutputTag::<String>::new("odd"));
                let _ = even.union(texts.map(|text| text.len() as u64)).sink("out", sink());
            }
            Ok(())
        };
        StreamEnv::build("job", job).err()
    };
    assert!(build(true).is_none(), "two operators may each have an output of this name");
    let Some(JobError::Graph(error)) = build(false) else { panic!("it is taken twice") };
    let (operator, tag) = ("Parity".to_owned(), "odd".to_owned());
    assert_eq!(error, GraphError::SideOutputTakenTwice { operator, tag });
}

/// Whichever output is blocked, the source stops soon.
#[test]
fn a_full_output_stops_the_others() {
    for executors in [1, 2] {
        for blocked in [0, 1] {
            let (feed, outs, mut job) = start(executors, |numbers, [main, side]| {
                let (even, odd) = numbers.process(Parity).side_output(&ODD);
                let _ = even.rebalance().sink("main", main);
                let _ = odd.rebalance().sink("side", side);
            });
            outs[blocked].block();
            feed.push(0, 0..100_000);
            job.settle();
            let read =
                100_000 - job.metrics().iter().filter_map(|metrics| metrics.pending_records).sum::<u64>();
            assert!((1..4_000).contains(&read), "{read} were read with output {blocked} blocked");
            outs[blocked].unblock();
            job.settle();
            for (parity, out) in (0..).zip(&outs) {
                assert_eq!(written(out), (parity..100_000).step_by(2).collect::<Vec<_>>());
            }
        }
    }
}

static CLONES: AtomicU64 = AtomicU64::new(0);

/// A number that counts how often it is cloned.
#[derive(Data)]
struct Counted(u64);

impl Clone for Counted {
    fn clone(&self) -> Self {
        CLONES.fetch_add(1, Ordering::Relaxed);
        Self(self.0)
    }
}

#[test]
fn a_shared_record_is_cloned_only_for_those_that_take_it_and_not_for_the_last() {
    let (feed, [main, side], mut job) = start(2, |numbers, [main, side]| {
        let shared = numbers.map(Counted).share();
        let tenths = shared.filter(|n| n.0.is_multiple_of(10)).map(|n| n.0);
        let all = shared.stream().map(|n| n.0);
        let hundredths = shared.filter(|n| n.0.is_multiple_of(100)).map(|n| n.0);
        let _ = all.sink("main", main);
        let _ = tenths.union(hundredths).sink("side", side);
    });
    feed.push(0, 0..1_000);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(main.committed(&job), (0..1_000).collect::<Vec<u64>>());
    let mut expected: Vec<u64> = (0..1_000).step_by(10).chain((0..1_000).step_by(100)).collect();
    expected.sort_unstable();
    assert_eq!(side.committed(&job), expected);
    assert_eq!(CLONES.load(Ordering::Relaxed), 100 + 1_000, "for tenths and all");
}
