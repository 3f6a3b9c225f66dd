//! Types whose serde mapping does not read what it writes are refused, with one process too.

use reflow_api::source::{FixedSplits, ReaderContext};
use reflow_api::window::{GlobalWindows, Windowed};
use reflow_api::{Aggregate, Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_protocol::failure::Fault;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Instant;
use serde::{Deserialize, Deserializer, Serialize};

/// Feeds 1, 2, 3 to a job with one subtask of each vertex, all in one process.
fn run(job: impl Fn(&mut StreamEnv, Feed<i64>, Collect<i64>) + 'static) -> Harness {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone()));
    harness.start(1);
    feed.push(0, [1, 2, 3]);
    harness.settle();
    harness
}

#[track_caller]
fn check_refused(harness: &Harness, texts: &[&str]) {
    let [failure] = harness.failures() else { panic!("{}", harness.state()) };
    assert_eq!(failure.fault, Fault::Permanent, "{failure:?}");
    for text in texts {
        assert!(failure.message.contains(text), "{failure:?}");
    }
    assert_eq!(harness.latest(), None, "no checkpoint is complete");
}

fn doubled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    i64::deserialize(deserializer).map(|n| 2 * n)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Reading {
    #[serde(deserialize_with = "doubled")]
    value: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Forgetful {
    value: i64,
    #[serde(skip)]
    key: i64,
}

#[test]
fn records_that_change_on_the_way_are_refused_within_a_process_too() {
    let harness = run(|env, feed, out| {
        let readings = env.source("numbers", feed).map(|value: i64| Reading { value });
        let _ = readings.rebalance().map(|r: Reading| r.value).sink("out", out);
    });
    assert_eq!(harness.failures().len(), 1);
    assert!(harness.failures()[0].operator.contains("numbers"));
    let texts =
        ["codecs::Reading", "field `value` was 1 and is 2", "use a separate type for the external format"];
    check_refused(&harness, &texts);
}

#[test]
fn every_edge_is_tried() {
    let reading = |value: i64| Reading { value };
    check_refused(
        &run(move |env, feed, out| {
            let readings = env.source("numbers", feed).map(reading).broadcast();
            let _ = readings.map(|r: Reading| r.value).sink("out", out);
        }),
        &["field `value`"],
    );
    check_refused(
        &run(move |env, feed, out| {
            let readings = env.source("numbers", feed).map(reading).key_by(|r: &Reading| r.value);
            let _ = readings.reduce(|_, r| r).map(|r: Reading| r.value).sink("out", out);
        }),
        &["field `value`"],
    );
    check_refused(
        &run(move |env, feed, out| {
            let readings = env.source("numbers", feed).map(reading).share();
            let _ = readings.stream().map(|r: Reading| r.value).sink("one", out.clone());
            let _ = readings.stream().rebalance().map(|r: Reading| r.value).sink("out", out);
        }),
        &["field `value`"],
    );
}

#[test]
fn a_key_that_does_not_come_along_is_refused() {
    let harness = run(|env, feed, out| {
        let records = env.source("numbers", feed).map(|value: i64| Forgetful { value, key: value });
        let _ = records
            .key_by(|r: &Forgetful| r.key)
            .reduce(|_, r| r)
            .map(|r: Forgetful| r.value)
            .sink("out", out);
    });
    check_refused(&harness, &["codecs::Forgetful", "another key when it is read back"]);
}

/// What never crosses to another task may be mapped as it likes.
#[test]
fn records_within_a_chain_are_not_tried() {
    let mut harness = run(|env, feed, out| {
        let readings = env.source("numbers", feed).map(|value: i64| Reading { value });
        let _ = readings.map(|r: Reading| r.value).sink("out", out);
    });
    assert!(harness.failures().is_empty());
    assert!(harness.checkpoint());
}

/// Sums that could not be restored.
#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = i64;
    type Acc = Reading;
    type Out = i64;
    fn create(&self) -> Reading {
        Reading { value: 0 }
    }
    fn add(&self, sum: &mut Reading, value: i64) {
        sum.value += value;
    }
    fn result(&self, sum: &Reading) -> i64 {
        sum.value
    }
}

#[test]
fn state_is_refused_before_the_first_checkpoint_is_complete() {
    let mut harness = run(|env, feed, out| {
        let _ = env.source("numbers", feed).key_by(|n: &i64| *n).aggregate(Sum).sink("out", out);
    });
    assert!(harness.failures().is_empty());
    assert!(!harness.checkpoint());
    check_refused(&harness, &["codecs::Reading", "from a checkpoint", "field `value` was "]);
    assert!(harness.failures()[0].operator.contains("Aggregate"), "{:?}", harness.failures());

    let mut harness = run(|env, feed, out| {
        let windows = env.source("numbers", feed).key_by(|n: &i64| *n).window(GlobalWindows).aggregate(Sum);
        let _ = windows.map(|sum: Windowed<i64, i64>| sum.value).sink("out", out);
    });
    assert!(!harness.checkpoint());
    check_refused(&harness, &["codecs::Reading", "field `acc.value` was "]);
}

/// A split whose position is read as twice what was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct BadSplit {
    #[serde(deserialize_with = "doubled")]
    next: i64,
}

/// Its readers emit nothing, and say that they have read on.
#[derive(Clone)]
struct BadSource(BadSplit);

impl Source for BadSource {
    type Item = i64;
    type Split = BadSplit;
    type Reader = BadReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new([self.0.clone()]))
    }

    fn reader(&self, _: &ReaderContext) -> BadReader {
        BadReader(Vec::new())
    }
}

struct BadReader(Vec<BadSplit>);

impl Reader for BadReader {
    type Item = i64;
    type Split = BadSplit;

    fn add_split(&mut self, split: BadSplit) -> u64 {
        self.0.push(BadSplit { next: split.next + 1 });
        0
    }

    fn no_more_splits(&mut self) {}

    fn release(&mut self, _: usize) -> Vec<(u64, BadSplit)> {
        Vec::new()
    }

    fn poll(&mut self, _: Instant, _: &mut impl Emit<i64>) -> Result<Polled, UserError> {
        Ok(Polled::Wait(None))
    }

    fn snapshot(&self) -> Vec<BadSplit> {
        self.0.clone()
    }
}

/// One at once, as its encoding tells it; the other one, which begins at 0, by the first checkpoint.
#[test]
fn splits_that_do_not_come_back_are_refused() {
    for (next, texts) in [
        (3, ["codecs::BadSplit", "its encoding is another one"]),
        (0, ["codecs::BadSplit", "field `next` was 1 and is 2"]),
    ] {
        let split = BadSplit { next };
        let mut harness = Harness::new(move |env| {
            let _ = env.source("numbers", BadSource(split.clone())).sink("out", Collect::new("out"));
        });
        harness.start(1);
        harness.settle();
        harness.checkpoint();
        check_refused(&harness, &texts);
        assert!(harness.failures()[0].operator.contains("numbers"));
    }
}
