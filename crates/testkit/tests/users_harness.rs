//! The harness for users' operators.

use reflow::prelude::*;
use reflow_testkit::{Collect, Harness, OperatorHarness, TimedFeed};

/// Emits the sum of a key's numbers when event time reaches a multiple of 100 ms, and its alarm after a second of
/// silence.
#[derive(Clone)]
struct SumAndAlarm;

impl ProcessFunction for SumAndAlarm {
    type Key = u64;
    type In = (u64, u64);
    type Out = String;
    type State = u64;

    fn process(
        &mut self,
        context: &mut impl Context<u64, u64, String>,
        (_, number): (u64, u64),
    ) -> JobResult {
        if number == 13 {
            return Err("13 is bad luck".into());
        }
        *context.state_mut() += number;
        let (time, now) = (context.timestamp(), context.processing_time());
        context.register_timer(TimeDomain::Event, time / 100 * 100 + 100);
        context.register_timer(TimeDomain::Processing, now + 1_000);
        Ok(())
    }

    fn on_timer(
        &mut self,
        context: &mut impl Context<u64, u64, String>,
        time: Timestamp,
        domain: TimeDomain,
    ) -> JobResult {
        let (key, sum) = (*context.key(), context.state().copied().unwrap_or_default());
        match domain {
            TimeDomain::Event => context.emit(format!("{key}: {sum} at {time}")),
            TimeDomain::Processing => context.emit(format!("{key}: alarm")),
        }
        Ok(())
    }
}

fn harness() -> OperatorHarness<'static, (u64, u64), String> {
    OperatorHarness::new(|numbers| numbers.key_by(|(key, _)| *key).process(SumAndAlarm))
}

/// Keeps the numbers that the job's parameter `divisor` divides.
#[derive(Clone, Default)]
struct Divisible(u64);

impl UnkeyedProcessFunction for Divisible {
    type In = u64;
    type Out = u64;

    fn open(&mut self, context: &RuntimeContext) -> JobResult {
        self.0 = context.job_parameters().parse("divisor", 1)?;
        Ok(())
    }

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, number: u64) -> JobResult {
        if number.is_multiple_of(self.0) {
            context.emit(number);
        }
        Ok(())
    }
}

#[test]
fn functions_read_parameters_of_the_job() {
    let harness = |divisor: &str| {
        let parameters = JobParameters::from_iter([("divisor", divisor)]);
        OperatorHarness::with_job_parameters(parameters, |numbers| {
            numbers.rebalance().process(Divisible::default())
        })
    };
    let mut job = harness("3");
    job.rescale(3);
    (0..8).for_each(|number| job.push(number, 0));
    assert_eq!(job.output(), [0, 3, 6]);
    let failure = harness("three").failure().unwrap();
    assert!(failure.contains("invalid value 'three' for the job's parameter divisor"), "{failure}");
}

#[test]
fn event_time_is_in_the_tests_hands() {
    let mut job = harness();
    job.push((1, 5), 10);
    job.push((1, 6), 20);
    job.watermark(99);
    assert_eq!(job.output(), [""; 0]);
    job.watermark(100);
    assert_eq!(job.output_with_timestamps(), [("1: 11 at 100".to_owned(), 100)]);
    job.push((1, 1), 130);
    job.finish();
    assert_eq!(job.output(), ["1: 12 at 200"]);
}

#[test]
fn processing_time_stops_at_timers() {
    let mut job = harness();
    let begin = job.processing_time();
    job.push((1, 5), 10);
    job.advance(Duration::from_millis(999));
    assert_eq!(job.output(), [""; 0]);
    job.advance(Duration::from_secs(5));
    assert_eq!(job.output(), ["1: alarm"]);
    assert_eq!(job.processing_time(), begin + 5_999);
}

#[test]
fn state_and_timers_survive_crashes_and_rescales() {
    let mut job = harness();
    for key in 0..50 {
        job.push((key, 2 * key), 10);
    }
    job.checkpoint();
    for key in 0..50 {
        job.push((key, 1), 20);
    }
    job.crash();
    for parallelism in [3, 2, 5, 1] {
        job.rescale(parallelism);
    }
    job.watermark(100);
    let mut sums = job.output();
    sums.sort_by_key(|text| text.split(':').next().and_then(|key| key.parse::<u64>().ok()));
    let expected: Vec<String> = (0..50).map(|key| format!("{key}: {} at 100", 2 * key + 1)).collect();
    assert_eq!(sums, expected);
}

#[test]
fn a_crash_without_a_checkpoint_begins_anew() {
    let mut job = harness();
    job.push((1, 5), 10);
    job.crash();
    job.watermark(100);
    assert_eq!(job.output(), ["1: 5 at 100"]);
}

#[test]
fn an_error_is_there_to_test() {
    let mut job = harness();
    job.push((1, 5), 10);
    assert_eq!(job.failure(), None);
    job.push((1, 13), 20);
    let failure = job.failure().expect("the function fails");
    assert!(failure.contains("13 is bad luck"), "{failure}");
}

#[test]
#[should_panic(expected = "13 is bad luck")]
fn an_error_that_is_not_expected_fails_the_test() {
    let mut job = harness();
    job.push((1, 13), 20);
    job.output();
}

#[test]
fn two_inputs_have_their_own_watermarks() {
    let (left, right, out) = (TimedFeed::new(), TimedFeed::new(), Collect::new("out"));
    let mut job = Harness::new(|env| {
        let both = left.stream(env, "left").union(right.stream(env, "right"));
        both.key_by(|(key, _)| *key).process(SumAndAlarm).sink("out", out.clone());
    });
    job.start(2);
    left.push((7, 1), 10);
    right.push((7, 2), 10);
    left.watermark(100);
    job.settle();
    assert_eq!(out.written(), []);
    right.watermark(100);
    job.settle();
    assert_eq!(out.written(), [("7: 3 at 100".to_owned(), 100)]);
}
