//! Tests of the window operator when more panes are due than one step fires.

use super::*;
use crate::stages::{Flatten, SharedTail};
use reflow_api::window::{EventTimeTrigger, TumblingWindows, Window};
use reflow_api::{Aggregate, Either};
use reflow_types::{Key, MAX_WATERMARK, MIN_WATERMARK};
use std::time::Duration;

#[derive(Clone)]
struct Sum;

impl Aggregate for Sum {
    type In = u64;
    type Acc = u64;
    type Out = u64;
    fn create(&self) -> u64 {
        0
    }
    fn add(&self, acc: &mut u64, value: u64) {
        *acc += value;
    }
    fn result(&self, acc: &u64) -> u64 {
        *acc
    }
}

/// A stage that counts its records, and remembers the watermark.
struct Counting {
    seen: usize,
    watermark: Timestamp,
    next: SharedTail<u8>,
}

impl Control for Counting {
    type Next = SharedTail<u8>;

    fn next_stage(&self) -> &SharedTail<u8> {
        &self.next
    }

    fn next_stage_mut(&mut self) -> &mut SharedTail<u8> {
        &mut self.next
    }

    fn watermark(&mut self, time: Timestamp) {
        self.watermark = time;
    }
}

impl<T> Stage<T> for Counting {
    fn push(&mut self, _: T, _: Timestamp) {
        self.seen += 1;
    }
}

fn counting() -> Counting {
    Counting { seen: 0, watermark: MIN_WATERMARK, next: SharedTail::new(Vec::new()) }
}

fn operator() -> OperatorName {
    OperatorName { name: "Window".into(), uid: "windows".into() }
}

/// More panes are due than one step fires, and the end follows directly behind the last watermark.
#[test]
fn a_watermark_that_comes_while_panes_fire_loses_none() {
    const KEYS: u64 = 5_000;
    let assigner = TumblingWindows::of(Duration::from_secs(1));
    let windowing = Windowing::new(assigner, EventTimeTrigger, Aggregated(Sum));
    let max = MaxParallelism::DEFAULT;
    let mut windows = WindowOperator::new(operator(), |value: &u64| *value, windowing, max, counting());
    for value in 0..KEYS {
        windows.row(Row { hash: value.key_hash(), time: 10, value });
    }
    windows.watermark(5_000);
    assert_eq!(windows.panes.next.seen, 0, "only a step that can measure them fires windows");
    assert_eq!((windows.resume(3), windows.panes.next.seen), (Some(3), 3));
    windows.watermark(MAX_WATERMARK);
    windows.end();
    let resumed = (0..10_000).take_while(|_| windows.resume(1_000).is_some()).count();
    assert!(resumed < 10_000, "it never ends, {} of {KEYS} windows so far", windows.panes.next.seen);
    assert_eq!(windows.panes.next.seen as u64, KEYS, "windows have fired");
}

/// A window with more pairs than could be made in a step, or kept: they are made as they are passed on.
#[test]
fn the_pairs_of_a_window_are_made_a_few_in_each_step() {
    const RECORDS: u64 = 100_000;
    let assigner = TumblingWindows::of(Duration::from_secs(1));
    let pair = |_: &u64, _: Window, first: &u64, second: &u64| (*first, *second);
    let windowing = Windowing::new(assigner, EventTimeTrigger, Joined(pair));
    let (max, key) = (MaxParallelism::DEFAULT, |_: &Either<u64, u64>| 0);
    let mut windows = WindowOperator::new(operator(), key, windowing, max, Flatten::new(counting()));
    for value in 0..RECORDS {
        windows.row(Row { hash: 0u64.key_hash(), time: 10, value: Either::First(value) });
        windows.row(Row { hash: 0u64.key_hash(), time: 10, value: Either::Second(value) });
    }
    windows.watermark(5_000);
    assert_eq!(windows.resume(10), Some(1));
    for _ in 0..1_000 {
        let before = windows.next_stage().next_stage().seen;
        assert!(windows.has_rest());
        assert_eq!(windows.resume(10), Some(10));
        assert_eq!(windows.next_stage().next_stage().seen, before + 10);
    }
    assert_eq!(windows.next_stage().next_stage().watermark, MIN_WATERMARK, "pairs precede it");
}
