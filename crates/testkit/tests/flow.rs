//! Tests of backpressure: sources read no more than sinks accept, no record stays in a queue, and barriers pass
//! quickly.

use reflow_api::Watermarks;
use reflow_api::window::{EventTimeTrigger, GlobalWindows, TumblingWindows};
use reflow_env::Clock as _;
use reflow_protocol::control::SubtaskMetrics;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness, ManualClock};
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn start(
    executors: usize,
    parallelism: u32,
    job: impl Fn(&mut StreamEnv, Feed<u64>, Collect<u64>) + 'static,
) -> (Feed<u64>, Collect<u64>, Harness<'static>) {
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
        out.block();
        feed.push(0, 0..100_000);
        job.settle();
        let read: u64 = job.metrics().iter().filter_map(|metrics| metrics.pending_records).sum();
        assert!(100_000 - read < 2_000, "{} were read", 100_000 - read);
        assert!(written(&out).is_empty());
        out.unblock();
        job.settle();
        assert_eq!(written(&out), (0..100_000).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_sink_writes_has_gone_out() {
    let (feed, out, mut job) = start(1, 2, |env, feed, out| {
        let halves = env.source("in", feed).rebalance().filter(|n: &u64| n.is_multiple_of(2));
        let _ = halves.map(|n| n).sink("out", out);
    });
    feed.push(0, 0..1_000);
    job.settle();
    let metrics = job.metrics();
    let sum = |count: fn(&SubtaskMetrics) -> u64| metrics.iter().map(count).sum::<u64>();
    assert_eq!(written(&out).len(), 500);
    // Those of the source to the next vertex, and those of the sink.
    assert_eq!(sum(|it| it.records_out), 1_000 + 500);
    // Those that the source has read, and those of the next vertex.
    assert_eq!(sum(|it| it.records_in), 1_000 + 1_000);
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

/// An iterator that counts what was taken from it.
fn counting(taken: &Arc<AtomicU64>, records: Range<u64>) -> impl Iterator<Item = u64> + Send + use<> {
    let taken = taken.clone();
    records.inspect(move |_| {
        taken.fetch_add(1, Ordering::Relaxed);
    })
}

#[test]
fn an_iterator_yields_no_more_than_is_taken() {
    const RECORDS: u64 = 10_000_000;
    type Job = fn(&mut StreamEnv, Feed<u64>, Collect<u64>, Arc<AtomicU64>);
    let jobs: [(&str, Job); 4] = [
        ("behind a source", |env, feed, out, taken| {
            let many = env.source("in", feed).flat_map(move |_| counting(&taken, 0..RECORDS));
            let _ = many.rebalance().map(|n| n).sink("out", out);
        }),
        ("of an iterator", |env, feed, out, taken| {
            let few = env.source("in", feed).flat_map(|_| 0..1_000);
            let _ = few.flat_map(move |_| counting(&taken, 0..RECORDS)).rebalance().sink("out", out);
        }),
        ("behind a key", |env, feed, out, taken| {
            let kept = env.source("in", feed).key_by(|n: &u64| *n).reduce(|a, _| a);
            let _ = kept.flat_map(move |_| counting(&taken, 0..RECORDS)).rebalance().sink("out", out);
        }),
        ("of windows that fire", |env, feed, out, taken| {
            let keyed = env.source("in", feed).key_by(|n: &u64| *n);
            let windows = keyed.window(GlobalWindows).trigger(EventTimeTrigger).count();
            let _ = windows.flat_map(move |_| counting(&taken, 0..RECORDS)).rebalance().sink("out", out);
        }),
    ];
    for (name, build) in jobs {
        for executors in [1, 2] {
            let taken = Arc::new(AtomicU64::new(0));
            let counter = taken.clone();
            let (feed, out, mut job) =
                start(executors, 2, move |env, feed, out| build(env, feed, out, counter.clone()));
            out.block();
            feed.push(0, 0..100);
            feed.end();
            job.settle();
            let about = format!("{name}, on {executors} executors");
            let ahead = |written: u64| taken.load(Ordering::Relaxed) - written;
            assert!((1..20_000).contains(&ahead(0)), "{about}: {} were taken", ahead(0));
            out.unblock();
            let mut written = 0;
            while written < 200_000 {
                job.steps(1);
                written += out.written().len() as u64;
                assert!(ahead(written) < 100_000, "{about}: {} were taken ahead", ahead(written));
            }
        }
    }
}

#[test]
fn a_barrier_waits_for_the_rest_of_a_record() {
    for executors in [1, 2] {
        let (feed, out, mut job) = start(executors, 2, |env, feed, out| {
            let many = env.source("in", feed).flat_map(|n: u64| n * 100_000..(n + 1) * 100_000);
            let _ = many.rebalance().map(|n| n).sink("out", out);
        });
        out.block();
        feed.push(0, [0, 1]);
        job.settle();
        job.trigger(AfterBarrier::Continue);
        assert!(!job.has_completed(), "the record is not finished");
        out.unblock();
        job.settle();
        assert!(job.has_completed(), "{}", job.state());
        let in_checkpoint = out.committed(&job).len();
        assert!([100_000, 200_000].contains(&in_checkpoint), "whole records: {in_checkpoint}");
        job.kill();
        job.start(3);
        feed.end();
        assert!(job.finish(), "{}", job.state());
        assert!(out.committed(&job).into_iter().eq(0..200_000), "each once");
    }
}

#[test]
fn a_watermark_stays_behind_what_is_left_of_a_record() {
    let (feed, out, mut job) = start(2, 1, |env, feed, out| {
        let times = env.source("in", feed).assign_event_time(|n: &u64| *n as i64, Watermarks::monotonic());
        let keyed = times.flat_map(|n| iter::repeat_n(n, 50_000)).key_by(|_: &u64| 0u8);
        let counts = keyed.window(TumblingWindows::of(Duration::from_millis(10))).count();
        let _ = counts.map(|counted| counted.value).sink("out", out);
    });
    feed.push(0, [1, 12, 25, 38]);
    feed.end();
    job.settle();
    assert_eq!(written(&out), [50_000; 4]);
    assert_eq!(job.metrics().iter().map(|metrics| metrics.late_records).sum::<u64>(), 0);
}

#[test]
fn an_endless_iterator_leaves_the_slot_to_others() {
    let (feed, out, mut job) = start(1, 1, |env, feed, out| {
        let _ = env
            .source("endless", feed.clone())
            .flat_map(|n: u64| n..)
            .filter(|_| false)
            .sink("no", out.clone());
        let _ = env.source("in", feed).sink("out", out);
    });
    feed.push(0, 0..10_000);
    let mut read = Vec::new();
    for _ in 0..1_000 {
        job.steps(1);
        read.extend(written(&out));
    }
    assert!(read.into_iter().eq(0..10_000));
}

/// A job whose last operator takes `cost` a record, behind so many exchanges, reads as fast as it may: how long do
/// checkpoints take?
fn longest_checkpoint(executors: usize, exchanges: usize, cost: Duration) -> Duration {
    let clock: Arc<OnceLock<ManualClock>> = Arc::default();
    let slow = clock.clone();
    let (feed, _, mut job) = start(executors, 2, move |env, feed, out| {
        let slow = slow.clone();
        let work = move |n: u64| {
            if let Some(clock) = slow.get() {
                clock.advance(cost);
            }
            n
        };
        let mut stream = env.source("in", feed).rebalance();
        for _ in 1..exchanges {
            stream = stream.map(|n| n).rebalance();
        }
        let _ = stream.map(work).sink("out", out);
    });
    let about = format!("{executors} executors, {exchanges} exchanges, {cost:?}");
    assert!(clock.set(job.clock().clone()).is_ok());
    let mut fed = 0;
    let mut longest = Duration::ZERO;
    for _ in 0..5 {
        // Until the outputs are full.
        let begun = job.clock().now();
        while job.clock().now() < begun + Duration::from_secs(3) {
            feed.push(0, fed..fed + 10_000);
            fed += 10_000;
            job.steps(100);
        }
        let triggered = job.clock().now();
        job.begin_checkpoint(AfterBarrier::Continue);
        while !job.has_completed() {
            job.steps(1);
            let waited = job.clock().now().since(triggered);
            assert!(waited < Duration::from_secs(60), "{about}: {}", job.state());
            longest = longest.max(waited);
        }
    }
    longest
}

#[test]
fn a_barrier_passes_a_slow_operator_quickly_however_many_exchanges_are_before_it() {
    for executors in [1, 2] {
        for exchanges in [1, 2, 3] {
            for millis in [1, 5, 20, 50] {
                let cost = Duration::from_millis(millis);
                let longest = longest_checkpoint(executors, exchanges, cost);
                println!("{executors} executors, {exchanges} exchanges, {cost:?} a record: {longest:?}");
                assert!(
                    longest < Duration::from_secs(2),
                    "{executors} executors, {exchanges} exchanges, {cost:?} a record: {longest:?}"
                );
            }
        }
    }
}

/// Whatever the parallelism of the two ends of a forward edge, records of a key stay in order.
#[test]
fn forward_edges_keep_the_order_within_a_key_at_every_size() {
    for (narrow_first, parallelism) in [(true, 3), (true, 5), (false, 3), (false, 5)] {
        let (feed, out) = (Feed::<u64>::new(5), Collect::<(u64, u64)>::new("out"));
        let (source, sink) = (feed.clone(), out.clone());
        let mut job = Harness::new(move |env: &mut StreamEnv| {
            let counts = env.source("in", source.clone()).key_by(|n: &u64| n % 7).reduce(|a, b| a.max(b));
            let counts = if narrow_first { counts.max_parallelism(2) } else { counts };
            let after = counts.start_new_chain().map(|n: u64| (n % 7, n));
            let after = if narrow_first { after } else { after.max_parallelism(2) };
            let _ = after.start_new_chain().sink("out", sink.clone());
        })
        .on_executors(2)
        .in_random_order(parallelism.into());
        job.start(parallelism);
        for round in 0..40u64 {
            for split in 0..5 {
                // Each key's records come from one split.
                let keys = (0..7).filter(|key| key % 5 == split as u64);
                feed.push(split, keys.map(|key| round * 7 + key));
            }
            job.steps(3);
        }
        job.settle();
        let mut last = std::collections::BTreeMap::new();
        for ((key, n), _) in out.written() {
            assert!(last.insert(key, n) < Some(n), "key {key} at parallelism {parallelism}");
        }
        assert_eq!(last.values().max(), Some(&279));
    }
}
