//! The input clock, by which idleness is measured: it runs only while the input could have been read.
//!
//! Wall time does not show whether an input is idle. A task whose outputs are full, whose chain takes a second
//! for a record or whose snapshot is being written does not read, and records that arrive meanwhile are not
//! missing. So the clock stops when a poll has lasted for the length of a step, until the next poll, and it stops
//! whenever a step ends without a poll. After a poll that found nothing it continues, but not past the time at
//! which the reader asked to be polled again.
//!
//! Rejected: subtracting only the time of full outputs, as Flink's clock of watermark generators does. A chained
//! operator that blocks the thread keeps the input waiting as well.

use super::pace::STEP;
use reflow_types::{Instant, injected_fault};
use std::time::Duration;

/// Measures the time in which an input could have been read.
#[derive(Default)]
pub(super) struct InputClock {
    elapsed: Duration,
    /// The wait since the last poll, unless a step without a poll followed it.
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// When the reader asked to be polled again. Later time does not count.
    until: Option<Instant>,
}

impl InputClock {
    /// A step begins.
    pub(super) fn begin_step(&mut self, now: Instant) {
        if let Some(Waiting { since, until }) = self.waiting.take() {
            self.elapsed += until.map_or(now, |until| until.min(now)).since(since);
        }
        if injected_fault::is_active("idleness_in_wall_time") {
            self.elapsed = now.since(Instant::default());
        }
    }

    /// Ends a poll. `wake` is the time of the next one, unless it comes with the next input.
    pub(super) fn end_poll(&mut self, begin: Instant, end: Instant, wake: Option<Instant>) {
        self.elapsed += end.since(begin).min(STEP);
        let until = wake.map(|wake| wake.max(end + STEP));
        self.waiting = Some(Waiting { since: end, until });
    }

    /// The time in which the input could have been read.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn time_counts_while_the_input_is_awaited_and_not_while_it_is_held_up() {
        let mut clock = InputClock::default();
        let check = |clock: &InputClock, ms| assert_eq!(clock.elapsed(), Duration::from_millis(ms));
        clock.begin_step(at(1_000));
        check(&clock, 0); // it was not polled before
        clock.end_poll(at(1_000), at(1_000), None);
        clock.begin_step(at(1_400));
        check(&clock, 400); // it waited for input
        clock.end_poll(at(1_400), at(3_000), Some(at(3_000)));
        check(&clock, 401); // the chain took the rest
        clock.begin_step(at(3_500));
        check(&clock, 402); // others had their turn
        clock.begin_step(at(9_000));
        check(&clock, 402); // the step before did not poll
        clock.end_poll(at(9_000), at(9_000), Some(at(9_100)));
        clock.begin_step(at(12_000));
        check(&clock, 502); // the reader wanted to be polled much earlier
    }
}
