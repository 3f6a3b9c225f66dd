//! A clock for idleness: it runs only while the input could have been read.
//!
//! Wall time does not tell whether an input is idle. A task whose outputs are full, whose chain takes a second for a
//! record or whose snapshot is under way does not read, and records that arrive meanwhile are not missing. So the
//! clock stands from the moment that a poll is over its step's length until the next poll, and it stands whenever a
//! step ends without a poll. After a poll that found nothing it runs on, but not past the moment at which the reader
//! asked to be polled again.
//!
//! Rejected: to subtract the time of full outputs only, as Flink's clock of watermark generators does. A chained
//! operator that blocks the thread holds the input up as well.

use super::pace::STEP;
use reflow_types::{Instant, injected_fault};
use std::time::Duration;

/// Measures the time in which an input could have been read.
#[derive(Default)]
pub(super) struct InputClock {
    elapsed: Duration,
    /// Since the last poll, if no step without a poll came after it.
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// When the reader asked to be polled again. The time after it is not the input's.
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

    /// A poll is over. `wake`: when the next one is due, if not with the next input.
    pub(super) fn end_poll(&mut self, begin: Instant, end: Instant, wake: Option<Instant>) {
        self.elapsed += end.since(begin).min(STEP);
        let until = wake.map(|wake| wake.max(end + STEP));
        self.waiting = Some(Waiting { since: end, until });
    }

    /// What it shows.
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
