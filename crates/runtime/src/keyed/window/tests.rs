//! Tests of the window operator when more panes are due than one step fires.

use super::*;
use crate::stages::SharedTail;
use reflow_api::Aggregate;
use reflow_api::window::{EventTimeTrigger, TumblingWindows, Windowed};
use reflow_types::{Key, MAX_WATERMARK};
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

/// A stage that counts its records.
struct Counting {
    seen: usize,
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
}

impl Stage<Windowed<u64, u64>> for Counting {
    fn push(&mut self, _: Windowed<u64, u64>, _: Timestamp) {
        self.seen += 1;
    }
}

/// More panes are due than one step fires, and the end follows directly behind the last watermark.
#[test]
fn a_watermark_that_comes_while_panes_fire_loses_none() {
    const KEYS: u64 = 5_000;
    let next = Counting { seen: 0, next: SharedTail::new(Vec::new()) };
    let assigner = TumblingWindows::of(Duration::from_secs(1));
    let windowing = Windowing::new(assigner, EventTimeTrigger, Aggregated(Sum));
    let max = MaxParallelism::DEFAULT;
    let operator = OperatorName { name: "Window".into(), uid: "windows".into() };
    let mut windows = WindowOperator::new(operator, |value: &u64| *value, windowing, max, next);
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
