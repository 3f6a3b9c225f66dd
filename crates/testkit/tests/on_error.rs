//! Tests of records for which a function returns an error.

use reflow_api::{
    Context, Failed, OnError, ProcessFunction, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks,
};
use reflow_protocol::failure::Fault;
use reflow_stream::{Pipeline, Stream, StreamEnv};
use reflow_testkit::{Collect, Feed, Harness};

/// Feeds the records to a job and ends it. Returns it with what it has committed, in order.
fn run(
    records: &[&str],
    job: impl Fn(Stream<reflow_stream::pipeline::SourceHead<Feed<String>>>, Collect<u64>) + 'static,
) -> (Harness<'static>, Vec<u64>) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env: &mut StreamEnv| {
        job(env.source("lines", source.clone()), sink.clone());
    });
    harness.start(1);
    feed.push(0, records.iter().copied().map(str::to_owned));
    feed.end();
    harness.settle();
    harness.finish();
    let mut committed = out.committed(&harness);
    committed.sort_unstable();
    (harness, committed)
}

/// The records that each vertex has skipped.
fn skipped(job: &mut Harness) -> Vec<u64> {
    job.metrics().iter().map(|metrics| metrics.skipped_records).collect()
}

fn parsed(lines: Stream<impl Pipeline<Out = String>>) -> Stream<impl Pipeline<Out = u64>> {
    lines.try_map(|line| Ok(line.parse()?)).name("Parse").uid("parse")
}

#[test]
fn an_error_fails_the_attempt_by_default_and_names_operator_and_record() {
    let (job, committed) = run(&["1", "two", "3"], |lines, out| drop(parsed(lines).sink("out", out)));
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::User, "Parse (uid parse)"));
    assert_eq!(failure.message, "invalid digit found in string (the record at split 0, record 1)");
    assert!(committed.is_empty());
}

#[test]
fn a_chain_skips_and_counts() {
    let (mut job, committed) = run(&["1", "2 3", "x", "4 y", "0", "50"], |lines, out| {
        let numbers = lines.try_flat_map(|line| {
            let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
            Ok(numbers?)
        });
        let kept = numbers.on_error(OnError::Skip).try_filter(|number| match number {
            0 => Err("a zero".into()),
            number => Ok(*number < 50),
        });
        let halves = kept.on_error(OnError::Skip).try_map(|number| match number {
            2 => Err("a two".into()),
            number => Ok(number * 10),
        });
        let _ = halves.on_error(OnError::Skip).name("Tenfold").sink("out", out);
    });
    assert_eq!(job.failures(), []);
    assert_eq!(committed, [10, 30]);
    assert_eq!(skipped(&mut job), [4], "x, 4 y, 0 and 2");
}

#[test]
fn records_with_errors_are_split_off_with_their_errors_and_their_time() {
    let (mut job, committed) = run(&["1", "x", "2 y", "3 4"], |lines, out| {
        let timed = lines.assign_event_time(|_: &String| 7, Watermarks::monotonic());
        let (words, none) = timed.try_filter(|line| Ok(!line.is_empty())).split_errors();
        let words = words.boxed().try_flat_map(|line| {
            let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
            Ok(numbers?)
        });
        let (numbers, errors) = words.name("Parse").split_errors();
        let (small, large) = numbers
            .try_map(|number| if number > 2 { Err("large".into()) } else { Ok(number) })
            .split_errors();
        let lengths = errors.union(none).process(Lengths);
        let large = large.map(|Failed { record, error }| record * 1_000 + error.len() as u64);
        let _ = small.union(lengths).union(large).sink("out", out);
    });
    assert_eq!(job.failures(), []);
    let error = "invalid digit found in string".len() as u64;
    assert_eq!(committed, [1, 3_005, 4_005, 70_100 + error, 70_300 + error]);
    assert_eq!(skipped(&mut job).iter().sum::<u64>(), 4);
}

/// Emits a number for the time, the length of a record, and the length of its error.
#[derive(Clone)]
struct Lengths;

impl UnkeyedProcessFunction for Lengths {
    type In = Failed<String>;
    type Out = u64;

    fn process(
        &mut self,
        context: &mut impl UnkeyedContext<u64>,
        failed: Failed<String>,
    ) -> Result<(), UserError> {
        let Failed { record, error } = failed;
        context.emit(context.timestamp() as u64 * 10_000 + record.len() as u64 * 100 + error.len() as u64);
        Ok(())
    }
}

/// Emits each number, and half of each: odd ones cannot be halved.
#[derive(Clone)]
struct Halve;

impl ProcessFunction for Halve {
    type Key = u64;
    type In = u64;
    type Out = u64;
    type State = u64;

    fn process(&mut self, context: &mut impl Context<u64, u64, u64>, number: u64) -> Result<(), UserError> {
        *context.state_mut() += 1;
        context.emit(number);
        if !number.is_multiple_of(2) {
            return Err(format!("{number} is odd").into());
        }
        context.emit(number / 2);
        Ok(())
    }
}

#[test]
fn what_a_process_function_did_before_its_error_stays() {
    let (mut job, committed) = run(&["7", "8"], |lines, out| {
        let _ = parsed(lines).key_by(|n: &u64| *n).process(Halve).on_error(OnError::Skip).sink("out", out);
    });
    assert_eq!(job.failures(), []);
    assert_eq!(committed, [4, 7, 8]);
    assert_eq!(skipped(&mut job), [0, 1]);
}

#[test]
fn records_with_errors_are_split_off_from_process_functions() {
    let (mut job, committed) = run(&["7", "8", "x", "7"], |lines, out| {
        let (numbers, unread) = lines.process(Distinct::default()).split_errors();
        let (halves, odd) = numbers.key_by(|n: &u64| *n).process(Halve).name("Halve").split_errors();
        let odd = odd.map(|Failed { record, error }| {
            assert_eq!(error, format!("{record} is odd"));
            record * 1_000
        });
        let unread = unread.map(|failed| failed.record.len() as u64);
        let _ = halves.union(odd).union(unread).sink("out", out);
    });
    assert_eq!(job.failures(), []);
    assert_eq!(committed, [1, 4, 7, 8, 7_000]);
    assert_eq!(skipped(&mut job).iter().sum::<u64>(), 2);
}

/// Emits each number that its fields have not seen, because they are those of one attempt.
#[derive(Clone, Default)]
struct Distinct(Vec<u64>);

impl UnkeyedProcessFunction for Distinct {
    type In = String;
    type Out = u64;

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, line: String) -> Result<(), UserError> {
        let number = line.parse()?;
        if !self.0.contains(&number) {
            self.0.push(number);
            context.emit(number);
        }
        Ok(())
    }
}

#[test]
fn an_unkeyed_process_function_skips_as_a_keyed_one() {
    let (mut job, committed) = run(&["1", "x", "2", "1"], |lines, out| {
        let _ = lines.process(Distinct::default()).on_error(OnError::Skip).sink("out", out);
    });
    assert_eq!(job.failures(), []);
    assert_eq!((committed, skipped(&mut job)), (vec![1, 2], vec![1]));

    let (job, committed) = run(&["1", "x"], |lines, out| {
        let _ = lines.process(Distinct::default()).sink("out", out);
    });
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!(failure.operator, "Process (uid process-1)");
    assert!(committed.is_empty());
}

/// A record that yields more than one step passes on does not change what follows it.
#[test]
fn a_fallible_flat_map_keeps_order_and_passes_on_a_bounded_number_in_each_step() {
    let (mut job, committed) = run(&["100000", "x", "1"], |lines, out| {
        let counted = lines.try_flat_map(|line| Ok(0..line.parse::<u64>()?)).on_error(OnError::Skip);
        let _ = counted.key_by(|_: &u64| 0_u64).reduce(|last, _| last + 1).sink("out", out);
    });
    assert_eq!(job.failures(), []);
    assert_eq!(committed, (0..=100_000).collect::<Vec<u64>>());
    assert_eq!(skipped(&mut job), [1, 0]);
}
