//! Backpressure: nothing is read that nobody takes, nothing stays behind, and barriers pass quickly.

use reflow_protocol::control::AfterBarrier;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness, ManualClock};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn start(
    executors: usize,
    parallelism: u32,
    job: impl Fn(&mut StreamEnv, Feed<u64>, Collect<u64>) + 'static,
) -> (Feed<u64>, Collect<u64>, Harness) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone())).on_executors(executors);
    harness.start(parallelism);
    (feed, out, harness)
}

/// What was written, in ascending order.
fn written(out: &Collect<u64>) -> Vec<u64> {
    let mut records: Vec<u64> = out.written().into_iter().map(|(record, _)| record).collect();
    records.sort();
    records
}

#[test]
fn a_full_sink_stops_the_source() {
    for executors in [1, 2] {
        let (feed, out, mut job) = start(executors, 2, |env, feed, out| {
            let _ = env.source("in", feed).rebalance().map(|n| n).sink("out", out);
        });
        out.set_full(true);
        feed.push(0, 0..100_000);
        job.settle();
        let read: u64 = job.metrics().iter().filter_map(|metrics| metrics.pending_records).sum();
        assert!(100_000 - read < 2_000, "{} were read", 100_000 - read);
        assert!(written(&out).is_empty());
        out.set_full(false);
        job.settle();
        assert_eq!(written(&out), (0..100_000).collect::<Vec<_>>());
    }
}

#[test]
fn what_overflowed_follows_without_further_input() {
    for executors in [1, 2] {
        for (parallelism, factor) in [(1, 5_000), (2, 5_001), (3, 3_333)] {
            let (feed, out, mut job) = start(executors, parallelism, move |env, feed, out| {
                let many = env.source("in", feed).flat_map(move |n: u64| n..n + factor);
                let _ = many.rebalance().map(|n| n).key_by(|n: &u64| *n).reduce(|a, _| a).sink("out", out);
            });
            feed.push(0, [0]);
            job.settle();
            let records = written(&out);
            let about = format!("{executors} executors, parallelism {parallelism}, factor {factor}");
            assert_eq!(records.len() as u64, factor, "{about}");
            assert!(records.into_iter().eq(0..factor), "{about}");
        }
    }
}

/// Of a job whose operator takes 10 ms a record: how many records it takes between trigger and barrier.
fn records_before_barrier(executors: usize) -> usize {
    let clock: Arc<OnceLock<ManualClock>> = Arc::default();
    let slow = clock.clone();
    let (feed, out, mut job) = start(executors, 2, move |env, feed, out| {
        let slow = slow.clone();
        let work = move |n: u64| {
            if let Some(clock) = slow.get() {
                clock.advance(Duration::from_millis(10));
            }
            n
        };
        let _ = env.source("in", feed).rebalance().map(work).sink("out", out);
    });
    assert!(clock.set(job.clock().clone()).is_ok());
    feed.push(0, 0..10_000);
    while out.written().is_empty() {
        job.steps(1);
    }
    for _ in 0..500 {
        job.steps(1);
    }
    out.written();
    job.begin_checkpoint(AfterBarrier::Continue);
    let mut taken = 0;
    while !job.has_completed() {
        job.steps(1);
        taken += out.written().len();
    }
    taken
}

#[test]
fn a_barrier_passes_a_slow_operator_quickly() {
    for executors in [1, 2] {
        let taken = records_before_barrier(executors);
        assert!(taken < 40, "{taken} records were before the barrier");
    }
}
