//! What user code and bad input do to a job: one failure, which names the operator.

use reflow_api::Watermarks;
use reflow_api::window::{GlobalWindows, TumblingWindows};
use reflow_protocol::control::Fault;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use std::time::Duration;

/// Feeds 1, 2, 3 and expects one failure, of the operator, whose message holds the text.
fn check(
    job: impl Fn(&mut StreamEnv, Feed<i64>, Collect<i64>) + 'static,
    (fault, operator, text): (Fault, &str, &str),
) {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone()));
    harness.start(1);
    feed.push(0, [1, 2, 3]);
    harness.settle();
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    assert_eq!(failure.fault, fault, "{failure:?}");
    assert!(failure.operator.contains(operator), "{failure:?}");
    assert!(failure.message.contains(text), "{failure:?}");
}

#[test]
fn a_panic_is_a_failure_of_its_task() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .map(|n: i64| if n == 2 { panic!("no twos") } else { n })
                .sink("out", out);
        },
        (Fault::User, "numbers", "no twos (the record at split 0, record 1)"),
    );
}

#[test]
fn an_error_of_a_sink_names_it() {
    check(
        |env, feed, out| {
            out.refuse("the disk is on fire");
            let _ = env.source("numbers", feed).sink("out", out).uid("the-sink");
        },
        (Fault::External, "the-sink", "the disk is on fire"),
    );
}

#[test]
fn a_timestamp_out_of_range_is_named() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .assign_event_time(|n: &i64| n * 1_000_000_000_000_000, Watermarks::monotonic())
                .uid("in-microseconds")
                .sink("out", out);
        },
        (Fault::User, "in-microseconds", "the years -9999 to 9999 (the record at split 0, record 0)"),
    );
}

#[test]
fn windows_without_event_time_say_what_is_missing() {
    check(
        |env, feed, out| {
            let _ = env
                .source("numbers", feed)
                .key_by(|_: &i64| 0u8)
                .window(TumblingWindows::of(Duration::from_secs(1)))
                .reduce(|a, b| a + b)
                .uid("sums")
                .map(|windowed| windowed.value)
                .sink("out", out);
        },
        (Fault::User, "sums", "assign_event_time"),
    );
}

#[test]
fn global_windows_need_no_event_time() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let windowed = env.source("numbers", source.clone()).key_by(|_: &i64| 0u8).window(GlobalWindows);
        let _ = windowed.reduce(|a, b| a + b).map(|windowed| windowed.value).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1, 2, 3]);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job), [6]);
}

#[test]
fn damaged_state_is_named_and_refused() {
    let (feed, out) = (Feed::<i64>::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let keyed = env.source("numbers", source.clone()).key_by(|n: &i64| *n);
        let _ = keyed.reduce(|a, b| a + b).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1, 2, 3]);
    assert!(job.checkpoint());
    job.kill();
    let (name, body) = {
        let (name, body) = job.store().below("/checkpoints/data/").next().unwrap();
        (name.to_owned(), body.to_vec())
    };
    let middle = body.len() / 2;
    let mut flipped = body.clone();
    flipped[middle] ^= 1;
    let mut known = 0;
    for damaged in [Some(&flipped[..]), Some(&body[..middle]), Some(&body[..0]), None] {
        match damaged {
            Some(damaged) => job.store_mut().overwrite(&name, damaged.to_vec()),
            None => job.store_mut().remove(&name),
        }
        job.start(2);
        job.kill();
        let failures = &job.failures()[known..];
        assert!(!failures.is_empty(), "{damaged:?} is taken for state");
        // The engine's fault is what makes the scheduler try an older checkpoint.
        let is_damage = |failure: &reflow_protocol::control::Failure| {
            failure.fault == Fault::Engine && failure.message.contains(&name)
        };
        assert!(failures.iter().all(is_damage), "{damaged:?}: {failures:?}");
        known = job.failures().len();
    }
    job.store_mut().overwrite(&name, body);
    job.start(2);
    assert_eq!(job.failures().len(), known, "undamaged, it is restored");
}
