//! W1, keyed count: a running count per key over a million keys.
//!
//! Each event emits its key's new count. The work is one look-up in a table that fits no cache: this workload
//! measures what an engine adds to a cache miss.

use super::{Outcome, splitmix64};

/// The number of keys.
pub const KEYS: u64 = 1_000_000;

/// The key of event `index`; the event has nothing else.
#[inline]
pub fn event(index: u64) -> u64 {
    splitmix64(index) % KEYS
}

/// Folds the result of one event: its key, and how many events that key has had, this one included.
#[inline]
pub fn fold(outcome: &mut Outcome, key: u64, count: u64) {
    outcome.add(key, count);
}

/// Counts each key in an array; a key that ends at `c` has emitted 1, 2 … c.
pub(super) fn expected(events: u64) -> Outcome {
    let mut counts = vec![0_u64; KEYS as usize];
    for index in 0..events {
        counts[event(index) as usize] += 1;
    }
    let mut outcome = Outcome { results: events, checksum: 0 };
    for (key, count) in (0..).zip(counts) {
        let emitted: u64 = count * (count + 1) / 2;
        outcome.checksum = outcome.checksum.wrapping_add(emitted.wrapping_mul(key));
    }
    outcome
}
