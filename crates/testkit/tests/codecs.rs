//! serde's attributes say how a type is read from files. They have no effect on records and state.

use reflow_api::Aggregate;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Data;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

extern crate reflow_types as reflow;

fn doubled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    i64::deserialize(deserializer).map(|n| 2 * n)
}

/// As a file has it.
#[derive(Clone, Debug, PartialEq, Deserialize, Data)]
struct Reading {
    #[serde(deserialize_with = "doubled")]
    value: i64,
    #[serde(skip)]
    key: i64,
    #[serde(flatten)]
    rest: BTreeMap<String, Measure>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Data)]
#[serde(untagged)]
enum Measure {
    Number(i64),
    Text(String),
}

fn reading(value: i64) -> Reading {
    let rest = [("n", Measure::Number(value)), ("t", Measure::Text(value.to_string()))];
    Reading { value, key: value % 2, rest: rest.map(|(name, measure)| (name.to_owned(), measure)).into() }
}

/// The last reading, with the sum of all values.
#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = Reading;
    type Acc = Option<Reading>;
    type Out = Reading;

    fn create(&self) -> Option<Reading> {
        None
    }

    fn add(&self, sum: &mut Option<Reading>, next: Reading) {
        let before = sum.take().map_or(0, |sum| sum.value);
        *sum = Some(Reading { value: before + next.value, ..next });
    }

    fn result(&self, sum: &Option<Reading>) -> Reading {
        sum.clone().expect("a result is asked for after a record")
    }
}

#[test]
fn records_and_restored_state_are_what_they_were_in_memory() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut harness = Harness::new(move |env| {
        let readings = env.source("numbers", source.clone()).map(reading).rebalance();
        let sums = readings.key_by(|reading: &Reading| reading.key).aggregate(Sum);
        let _ = sums.map(|sum: Reading| format!("{sum:?}")).sink("out", sink.clone());
    });
    harness.start(2);
    feed.push(0, [1, 2, 3]);
    assert!(harness.checkpoint());
    harness.kill();
    harness.start(1);
    feed.push(0, [4, 5]);
    harness.settle();
    assert_eq!(harness.failures(), []);
    let mut written: Vec<String> = out.written().into_iter().map(|(line, _)| line).collect();
    written.sort();
    let sum = |value, last| format!("{:?}", Reading { value, ..reading(last) });
    let mut expected = [sum(1, 1), sum(2, 2), sum(4, 3), sum(6, 4), sum(9, 5)];
    expected.sort();
    assert_eq!(written, expected);
}
