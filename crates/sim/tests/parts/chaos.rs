//! Schedules of troubles.

use reflow_sim::{Chaos, Rng};
use std::collections::BTreeSet;
use std::time::Duration;

#[test]
fn schedules_are_in_order_and_differ() {
    let of = |seed| Chaos::random(&mut Rng::new(seed), Duration::from_secs(30), &BTreeSet::new()).schedule;
    assert!(of(1).is_sorted_by_key(|(at, _)| *at));
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    assert!((0..100).map(of).map(|schedule| schedule.len()).sum::<usize>() > 500);
}
