//! Tests of operators with asynchronous calls, of a system whose answers the test chooses.

use reflow_api::async_calls::{Answered, Asked, AsyncCalls, AsyncFunction, ClientCalls, Retry};
use reflow_api::{
    CallError, Client, Failed, OnError, UnkeyedContext, UnkeyedProcessFunction, UserError, Watermarks,
};
use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_stream::async_calls::AsyncHead;
use reflow_stream::{Pipeline, Stream};
use reflow_testkit::{Collect, Feed, Harness, Peer, PeerError};
use reflow_types::Timestamp;
use std::sync::Arc;
use std::time::Duration;

const SYSTEM: &str = "doubles://here";

/// A client that doubles numbers, in the harness by the answers of a [`Peer`].
struct Doubles;

impl Client for Doubles {
    type Request = u64;
    type Answer = u64;
    type Error = PeerError;

    fn system(&self) -> &str {
        SYSTEM
    }

    async fn call(&self, number: &u64) -> Result<u64, PeerError> {
        Ok(number * 2)
    }
}

/// A peer that answers.
fn peer() -> Peer {
    Peer::new(SYSTEM, |number: &u64| Some(Ok::<u64, _>(number * 2)))
}

type Numbers = Stream<reflow_stream::pipeline::SourceHead<Feed<u64>>>;

/// A job that has started, with its ends.
struct Run {
    job: Harness<'static>,
    feed: Feed<u64>,
    out: Collect<u64>,
}

fn start(peer: &Peer, job: impl Fn(Numbers, Collect<u64>) + 'static) -> Run {
    let mut run = prepare(peer, job);
    run.job.start(1);
    run
}

fn prepare(peer: &Peer, job: impl Fn(Numbers, Collect<u64>) + 'static) -> Run {
    let (feed, out) = (Feed::new(4), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let job = Harness::new(move |env| job(env.source("in", source.clone()), sink.clone())).with_peer(peer);
    Run { job, feed, out }
}

impl Run {
    fn written(&self) -> Vec<u64> {
        self.out.written().into_iter().map(|(number, _)| number).collect()
    }

    fn finish(mut self) -> Vec<u64> {
        self.feed.end();
        assert!(self.job.finish(), "{}", self.job.state());
        self.out.committed(&self.job)
    }
}

fn doubled(numbers: Stream<impl Pipeline<Out = u64>>, calls: AsyncCalls) -> Stream<impl Pipeline<Out = u64>> {
    numbers.async_call(Arc::new(Doubles), calls, |n| *n, |_, double| Ok(double))
}

fn doubles(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.map(|number| number * 2).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn results_are_in_the_order_of_the_records_or_in_that_of_the_answers() {
    for seed in 1..=3 {
        let run = |calls: fn() -> AsyncCalls| {
            let mut run =
                prepare(&peer(), move |numbers, out| drop(doubled(numbers, calls()).sink("out", out)));
            run.job = run.job.in_random_order(seed);
            run.job.start(1);
            run.feed.push(0, 0..2_000);
            run.job.settle();
            run.written()
        };
        assert_eq!(run(AsyncCalls::ordered), doubles(0..2_000));
        let unordered = run(AsyncCalls::unordered);
        assert_ne!(unordered, doubles(0..2_000), "some answers overtake others");
        assert_eq!(sorted(unordered), doubles(0..2_000));
    }
}

/// Fails at a record that is late.
#[derive(Clone)]
struct NoneLate;

impl UnkeyedProcessFunction for NoneLate {
    type In = u64;
    type Out = u64;

    fn process(&mut self, context: &mut impl UnkeyedContext<u64>, number: u64) -> Result<(), UserError> {
        let (time, watermark) = (context.timestamp(), context.watermark());
        if time <= watermark {
            return Err(format!("{number} with the time {time} came behind the watermark {watermark}").into());
        }
        context.emit(number);
        Ok(())
    }
}

#[test]
fn no_result_overtakes_a_watermark() {
    for seed in 1..=5 {
        for calls in [AsyncCalls::ordered, AsyncCalls::unordered] {
            let mut run = prepare(&peer(), move |numbers, out| {
                let times = |number: &u64| *number as Timestamp;
                // Behind an exchange, every record advances the watermark in a step of its own.
                let timed = numbers.start_new_chain().assign_event_time(times, Watermarks::monotonic());
                doubled(timed, calls().capacity(7)).process(NoneLate).sink("out", out);
            });
            run.job = run.job.in_random_order(seed);
            run.job.start(1);
            for part in 0..20 {
                run.feed.push(0, part * 50..(part + 1) * 50);
                run.job.steps(10);
            }
            run.job.settle();
            assert_eq!(run.job.failures(), []);
            assert_eq!(sorted(run.written()), doubles(0..1_000));
            assert_eq!(sorted(run.finish()), doubles(0..1_000));
        }
    }
}

#[test]
fn no_more_calls_are_under_way_than_the_capacity() {
    for capacity in [1, 10] {
        let peer = peer();
        let mut run = start(&peer, move |numbers, out| {
            drop(doubled(numbers, AsyncCalls::ordered().capacity(capacity)).sink("out", out));
        });
        peer.hold();
        run.feed.push(0, 0..1_000);
        run.job.settle();
        assert_eq!((peer.requests(), run.written().len()), (capacity, 0));
        peer.release();
        run.job.settle();
        assert_eq!((peer.requests(), run.written()), (1_000, doubles(0..1_000)));
    }
}

#[test]
fn bytes_count_as_well() {
    let peer = peer();
    let mut run = start(&peer, |numbers, out| {
        // Each takes nine bytes.
        drop(doubled(numbers, AsyncCalls::ordered().capacity_bytes(10)).sink("out", out));
    });
    peer.hold();
    run.feed.push(0, (0..100).map(|n| u64::MAX / 4 + n));
    run.job.settle();
    assert_eq!(peer.requests(), 2);
    peer.release();
    assert_eq!(run.finish().len(), 100);
}

/// Far more records than the capacity, and than any queue holds.
#[test]
fn a_million_records() {
    for calls in [AsyncCalls::ordered, AsyncCalls::unordered] {
        let mut run = start(&peer(), move |numbers, out| {
            drop(doubled(numbers, calls().capacity(1_000)).filter(|n| n % 1_000 == 0).sink("out", out));
        });
        run.feed.push(0, 0..1_000_000);
        run.job.settle();
        assert_eq!(
            sorted(run.finish()),
            (0..1_000_000).map(|n| n * 2).filter(|n| n % 1_000 == 0).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_checkpoint_does_not_wait_for_answers_and_has_the_records_under_way() {
    for (capacity, from, to) in [(1, 1, 1), (10, 1, 3), (10, 3, 2), (1_000, 2, 2)] {
        let peer = peer();
        let mut run = prepare(&peer, move |numbers, out| {
            drop(doubled(numbers, AsyncCalls::ordered().capacity(capacity)).uid("double").sink("out", out));
        });
        run.job.start(from);
        peer.hold();
        (0..4).for_each(|split| run.feed.push(split as usize, split * 250..(split + 1) * 250));
        run.job.settle();
        assert!(run.job.checkpoint(), "{}", run.job.state());
        assert!(run.job.checkpoint(), "with more records in front of it: {}", run.job.state());
        let before = peer.requests();
        run.job.kill();
        peer.release();
        run.job.start(to);
        assert_eq!(sorted(run.finish()), doubles(0..1_000));
        assert!(peer.requests() >= 1_000 + before, "calls under way were made again");
    }
}

#[test]
fn records_under_way_that_no_checkpoint_has_are_read_again() {
    let peer = peer();
    let mut run = start(&peer, |numbers, out| {
        let keyed = numbers.key_by(|number| *number);
        keyed
            .async_call(Arc::new(Doubles), AsyncCalls::unordered(), |n| *n, |_, double| Ok(double))
            .sink("out", out);
    });
    run.feed.push(0, 0..50);
    assert!(run.job.checkpoint());
    peer.hold();
    run.feed.push(0, 50..500);
    run.job.settle();
    run.job.fail_over(2);
    peer.release();
    assert_eq!(sorted(run.finish()), doubles(0..500));
}

/// Emits the double of a number at the number's time.
#[derive(Clone)]
struct AtItsTime(Arc<Doubles>);

impl AsyncFunction for AtItsTime {
    type In = u64;
    type Out = u64;
    type Client = Doubles;

    fn client(&self) -> &Arc<Doubles> {
        &self.0
    }

    fn request(&mut self, number: &u64) -> Result<u64, UserError> {
        Ok(*number)
    }

    fn answered(
        &mut self,
        context: &mut impl UnkeyedContext<u64>,
        _: u64,
        double: u64,
    ) -> Result<(), UserError> {
        Ok(context.emit_at(context.timestamp(), double)?)
    }
}

/// The watermark of the checkpoint is that of the input, and the records under way precede it.
#[test]
fn a_restored_record_is_not_late() {
    for calls in [AsyncCalls::ordered, AsyncCalls::unordered] {
        let peer = peer();
        let mut run = start(&peer, move |numbers, out| {
            let times = |number: &u64| *number as Timestamp;
            let timed = numbers.start_new_chain().assign_event_time(times, Watermarks::monotonic());
            let doubles = timed.async_process(calls(), AtItsTime(Arc::new(Doubles)));
            doubles.process(NoneLate).sink("out", out);
        });
        peer.hold();
        run.feed.push(0, 0..10);
        run.job.settle();
        assert!(run.job.checkpoint(), "{}", run.job.state());
        run.job.kill();
        peer.release();
        run.job.start(2);
        run.job.settle();
        assert_eq!(run.job.failures(), []);
        assert_eq!(sorted(run.finish()), doubles(0..10));
    }
}

#[test]
fn the_end_of_input_waits_for_the_answers_and_checkpoints_do_not() {
    let peer = peer();
    let mut run =
        start(&peer, |numbers, out| drop(doubled(numbers, AsyncCalls::unordered()).sink("out", out)));
    peer.hold();
    run.feed.push(0, 0..10);
    run.feed.end();
    run.job.settle();
    assert!(!run.job.is_ended());
    assert!(run.job.checkpoint(), "{}", run.job.state());
    run.job.kill();
    run.job.start(2);
    assert!(!run.job.is_ended());
    peer.release();
    assert_eq!(sorted(run.finish()), doubles(0..10));
}

/// A job whose attempt ends with the checkpoint under way. The answers to ten calls come behind its barrier.
fn answered_behind_the_last_barrier(then: AfterBarrier) -> Run {
    let peer = peer();
    let mut run =
        start(&peer, |numbers, out| drop(doubled(numbers, AsyncCalls::unordered()).sink("out", out)));
    run.feed.push(0, [100]);
    run.job.settle();
    assert_eq!(run.written(), [200], "the sink has something to store");
    peer.hold();
    run.feed.push(0, 0..10);
    run.job.settle();
    run.job.hold_storage();
    run.job.trigger(then);
    peer.release();
    run.job.settle();
    assert!(run.written().is_empty());
    run
}

#[test]
fn a_job_that_is_stopped_emits_nothing_behind_the_last_barrier() {
    let mut run = answered_behind_the_last_barrier(AfterBarrier::Finish);
    run.job.release_storage();
    run.job.settle();
    assert!(run.job.is_finished(), "{}", run.job.state());
    run.job.kill();
    run.job.start(1);
    assert!(run.written().is_empty(), "it was restored only to finish");
}

#[test]
fn emission_continues_if_the_checkpoint_before_a_restart_fails() {
    let mut run = answered_behind_the_last_barrier(AfterBarrier::Pause);
    run.job.abort_checkpoint();
    run.job.release_storage();
    run.job.settle();
    assert_eq!(sorted(run.written()), doubles(0..10), "{}", run.job.state());
    assert_eq!(run.finish().len(), 11);
}

/// A peer that refuses odd numbers.
fn peer_of_even_numbers() -> Peer {
    Peer::new(SYSTEM, |number: &u64| match number % 2 {
        0 => Some(Ok(number * 2)),
        _ => Some(Err(PeerError(format!("{number} is odd")))),
    })
}

#[test]
fn retries_are_made_after_their_delays_and_then_the_call_has_failed() {
    let peer = peer_of_even_numbers();
    let mut run = start(&peer, |numbers, out| {
        let retry = Retry::exponential(3, Duration::from_secs(1), Duration::from_secs(60));
        drop(
            doubled(numbers, AsyncCalls::ordered().retry(retry))
                .name("Double")
                .uid("double")
                .sink("out", out),
        );
    });
    run.feed.push(0, [2, 3, 4]);
    run.job.settle();
    assert_eq!((peer.requests(), run.written()), (3, vec![4]), "the third waits for the second");
    run.job.advance(Duration::from_millis(999));
    assert_eq!(peer.requests(), 3);
    run.job.advance(Duration::from_millis(1_001));
    assert_eq!((peer.requests(), run.job.failures()), (4, &[][..]));
    run.job.advance(Duration::from_millis(1_000));
    let [failure] = run.job.failures() else { panic!("{}", run.job.state()) };
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::External, "Double (uid double)"));
    assert_eq!(failure.message, "doubles://here: 3 is odd");
    assert_eq!(peer.requests(), 5);
}

#[test]
fn failed_calls_are_skipped_or_split_off() {
    let peer = peer_of_even_numbers();
    let mut run = start(&peer, |numbers, out| {
        drop(doubled_fallible(numbers).on_error(OnError::Skip).sink("out", out));
    });
    run.feed.push(0, 0..100);
    run.job.settle();
    let skipped: u64 = run.job.metrics().iter().map(|metrics| metrics.skipped_records).sum();
    assert_eq!((skipped, sorted(run.finish())), (50, (0..100).step_by(2).map(|n| n * 2).collect()));

    let run = start(&peer, |numbers, out| {
        let (doubles, failed) = doubled_fallible(numbers).split_errors();
        let failed = failed.map(|Failed { record, error }| {
            assert!(error.contains("is odd"), "{error}");
            record
        });
        doubles.union(failed).sink("out", out);
    });
    run.feed.push(0, 0..100);
    let all = (0..100).map(|n| if n % 2 == 0 { n * 2 } else { n });
    assert_eq!(sorted(run.finish()), sorted(all.collect()));
}

/// The request for a number, and the result of a number and its double.
type Request = fn(&u64) -> u64;
type Outcome = fn(u64, u64) -> Result<u64, UserError>;

type Doubled = AsyncHead<ClientCalls<Doubles, u64, u64, Request, Outcome>>;

fn doubled_fallible(numbers: Stream<impl Pipeline<Out = u64>>) -> Stream<Doubled> {
    let (request, result): (Request, Outcome) = (|n| *n, |_, double| Ok(double));
    numbers.async_call(Arc::new(Doubles), AsyncCalls::unordered(), request, result)
}

/// Emits a number twice, and one without an answer as it is.
#[derive(Clone)]
struct TwiceOrSelf(Arc<Doubles>);

impl AsyncFunction for TwiceOrSelf {
    type In = u64;
    type Out = u64;
    type Client = Doubles;

    fn client(&self) -> &Arc<Doubles> {
        &self.0
    }

    fn request(&mut self, number: &u64) -> Result<u64, UserError> {
        if *number == 13 { Err("13 is not asked for".into()) } else { Ok(*number) }
    }

    fn answered(
        &mut self,
        context: &mut impl UnkeyedContext<u64>,
        _: u64,
        double: u64,
    ) -> Result<(), UserError> {
        context.emit(double);
        context.emit(double);
        Ok(())
    }

    fn failed(
        &mut self,
        context: &mut impl UnkeyedContext<u64>,
        number: u64,
        error: CallError,
    ) -> Result<(), UserError> {
        assert_eq!(error.to_string(), "doubles://here has not answered within 8s");
        context.emit(number);
        Ok(())
    }
}

#[test]
fn a_call_that_is_never_answered_ends_with_its_time() {
    let peer = Peer::new(SYSTEM, |number: &u64| {
        (!number.is_multiple_of(3)).then_some(Ok::<u64, PeerError>(number * 2))
    });
    let mut run = start(&peer, |numbers, out| {
        let calls = AsyncCalls::ordered().capacity(2).time_limit(Duration::from_secs(8));
        let calls =
            calls.call_time_limit(Duration::from_secs(4)).retry(Retry::fixed(10, Duration::from_secs(1)));
        numbers.async_process(calls, TwiceOrSelf(Arc::new(Doubles))).on_error(OnError::Skip).sink("out", out);
    });
    run.feed.push(0, [1, 3, 4, 13, 5]);
    run.job.settle();
    assert_eq!(run.written(), [2, 2]);
    run.job.advance(Duration::from_millis(7_999));
    assert_eq!((run.written(), peer.requests()), (vec![], 4), "two calls of 4 s did not help");
    run.job.advance(Duration::from_millis(1));
    assert_eq!(run.written(), [3, 8, 8, 10, 10]);
    assert_eq!(run.finish(), [2, 2, 3, 8, 8, 10, 10]);
}

#[test]
fn a_record_without_a_request_is_an_error() {
    let run = start(&peer(), |numbers, out| {
        let function = TwiceOrSelf(Arc::new(Doubles));
        numbers.async_process(AsyncCalls::ordered(), function).on_error(OnError::Skip).sink("out", out);
    });
    run.feed.push(0, [13]);
    assert!(run.finish().is_empty());
    let mut run = start(&peer(), |numbers, out| {
        let function = TwiceOrSelf(Arc::new(Doubles));
        numbers.async_process(AsyncCalls::ordered(), function).sink("out", out);
    });
    run.feed.push(0, [13]);
    run.job.settle();
    let [failure] = run.job.failures() else { panic!("{}", run.job.state()) };
    assert_eq!((failure.fault, failure.message.as_str()), (Fault::User, "13 is not asked for"));
}

#[test]
fn an_asynchronous_closure_is_a_client() {
    let peer = Peer::new("closure://here", |Asked(number): &Asked<u64>| match number {
        7 => Some(Err(PeerError("no sevens".to_owned()))),
        number => Some(Ok(Answered(number + 1))),
    });
    let run = start(&peer, |numbers, out| {
        let calls = AsyncCalls::ordered().system("closure://here");
        numbers
            .async_map(calls, |number| async move { Ok(number + 1) })
            .on_error(OnError::Skip)
            .sink("out", out);
    });
    run.feed.push(0, 5..9);
    assert_eq!(run.finish(), [6, 7, 9]);
}
