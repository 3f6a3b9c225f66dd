//! W2, tumbling event-time windows: a sum per key and second over 10,000 keys.
//!
//! Event time runs by 1 ms per 100 events and never goes back; a watermark follows each 100 ms. A window thus
//! sees 100,000 events, about ten a key, and fires up to 10,000 results at once.

use super::{Outcome, splitmix64};

/// The number of keys.
pub const KEYS: u64 = 10_000;
/// The size of a window, aligned to time 0, in milliseconds.
pub const WINDOW_MS: i64 = 1_000;
/// Events that share a millisecond of event time.
pub const EVENTS_PER_MS: u64 = 100;
/// Event time between two watermarks, in milliseconds.
pub const WATERMARK_INTERVAL_MS: u64 = 100;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Which key, below [`KEYS`].
    pub key: u64,
    /// Event time in milliseconds.
    pub time_ms: i64,
    /// What is summed, below 256.
    pub value: u64,
}

/// Event `index`.
#[inline]
pub fn event(index: u64) -> Event {
    let random = splitmix64(index);
    Event { key: random % KEYS, time_ms: (index / EVENTS_PER_MS) as i64, value: random >> 56 }
}

/// The watermark to send behind event `index`, if one is due: no later event has this time or a smaller one.
#[inline]
pub fn watermark_after(index: u64) -> Option<i64> {
    let is_due = (index + 1).is_multiple_of(EVENTS_PER_MS * WATERMARK_INTERVAL_MS);
    is_due.then_some((index / EVENTS_PER_MS) as i64)
}

/// The end, exclusive, of the window that holds `time_ms`.
#[inline]
pub fn window_end(time_ms: i64) -> i64 {
    time_ms - time_ms.rem_euclid(WINDOW_MS) + WINDOW_MS
}

/// Folds the result of one window: its key, its end and the sum of its values.
#[inline]
pub fn fold(outcome: &mut Outcome, key: u64, window_end_ms: i64, sum: u64) {
    outcome.add(key.wrapping_add(window_end_ms as u64), sum);
}

/// Sums window by window in an array over the keys; the last window fires too, as the input ends.
pub(super) fn expected(events: u64) -> Outcome {
    let window_events = EVENTS_PER_MS * WINDOW_MS as u64;
    let mut outcome = Outcome::default();
    for start in (0..events).step_by(window_events as usize) {
        let mut sums = vec![None; KEYS as usize];
        for index in start..events.min(start + window_events) {
            let event = event(index);
            *sums[event.key as usize].get_or_insert(0) += event.value;
        }
        let end_ms = ((start + window_events) / EVENTS_PER_MS) as i64;
        for (key, sum) in (0..).zip(sums) {
            if let Some(sum) = sum {
                fold(&mut outcome, key, end_ms, sum);
            }
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watermark_follows_the_last_event_of_each_tenth_of_a_second() {
        let due: Vec<_> = (0..20_001).filter_map(|i| watermark_after(i).map(|w| (i, w))).collect();
        assert_eq!(due, [(9_999, 99), (19_999, 199)]);
        assert_eq!(event(9_999).time_ms, 99);
        assert_eq!(event(10_000).time_ms, 100);
    }

    #[test]
    fn windows_are_aligned_to_time_zero() {
        assert_eq!([0, 999, 1_000, -1].map(window_end), [1_000, 1_000, 2_000, 0]);
    }
}
