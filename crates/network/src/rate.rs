//! How fast a task consumes its input: from that follows how much its senders may have sent ahead.
//!
//! What counts is the time in which the task had records in hand, until it could take the next ones: work, waiting for
//! room in its outputs, and the turns of the slot's other tasks. A task before a slow one is as slow as that. Time in
//! which there was nothing to read says nothing about the task and does not count.
//!
//! The slot's turns need care: a turn takes as long for one record as for a thousand. If they are long, a window of
//! what is consumed in a short time would be one record a turn, and the task would stay at that for no other reason
//! than its window. So what one turn can take is always let in, unless it is more than the task's own work in that
//! time.

use reflow_types::Instant;
use std::time::Duration;

/// What each further sample leaves of the weight of those before it.
const MEMORY: f64 = 0.9;

/// How fast a task consumes its input.
///
/// # Invariants
/// - A record weighs the same whichever batch it came in: a batch of one record that was interrupted says little of
///   what a record costs.
#[derive(Debug, Default)]
pub struct ConsumptionRate {
    records: f64,
    nanos: f64,
    /// Of these: the turns of other tasks, while this one had work.
    nanos_of_others: f64,
    records_a_turn: f64,
    sample: Option<Sample>,
}

/// Records in hand.
#[derive(Clone, Copy, Debug)]
struct Sample {
    records: u64,
    since: Instant,
    of_others: Duration,
}

impl ConsumptionRate {
    /// The task takes a batch: it is done with the one before.
    pub fn begin(&mut self, now: Instant, records: u64) {
        self.pause(now);
        self.sample = Some(Sample { records, since: now, of_others: Duration::ZERO });
    }

    /// The task is done with its batch and takes no other now: there is none, or it may not.
    pub fn pause(&mut self, now: Instant) {
        if let Some(Sample { records, since, of_others }) = self.sample.take() {
            let keep = |sum: f64, add: f64| sum * MEMORY + add;
            self.records = keep(self.records, records as f64);
            self.nanos = keep(self.nanos, now.since(since).as_nanos() as f64);
            self.nanos_of_others = keep(self.nanos_of_others, of_others.as_nanos() as f64);
        }
    }

    /// What the task does with its batch says nothing about what records cost.
    pub fn forget_sample(&mut self) {
        self.sample = None;
    }

    /// The task had work and waited for its turn.
    pub fn waited_for_turn(&mut self, waited: Duration) {
        if let Some(sample) = &mut self.sample {
            sample.of_others += waited;
        }
    }

    /// In its turn the task could have taken so many records.
    pub fn had_turn(&mut self, records: u64) {
        self.records_a_turn += (records as f64 - self.records_a_turn) * (1.0 - MEMORY);
    }

    /// How many records each of `channels` may have sent ahead if all of them together are to be consumed within
    /// about `time`; at least one. Nothing if that is not known yet.
    pub fn window(&self, time: Duration, channels: usize) -> Option<u64> {
        if self.records <= 0.0 {
            return None;
        }
        let within = |nanos: f64| {
            let nanos_a_record = (nanos / self.records).max(1.0);
            (time.as_nanos() as f64 / nanos_a_record / channels.max(1) as f64).round() as u64
        };
        let own = within(self.nanos - self.nanos_of_others);
        Some(within(self.nanos).max(own.min(self.records_a_turn as u64)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(20);

    /// A task that takes batches of `records`, which it works on for `work`, then waits `others` for its next turn.
    fn rate(batches: usize, records: u64, work: Duration, others: Duration) -> ConsumptionRate {
        let (mut rate, mut now) = (ConsumptionRate::default(), Instant(0));
        for _ in 0..batches {
            rate.begin(now, records);
            rate.had_turn(1_000);
            now = now + work + others;
            rate.waited_for_turn(others);
        }
        rate.pause(now);
        rate
    }

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn the_window_is_what_is_consumed_in_that_time() {
        for (work, records, channels, expect) in [
            (us(1_000), 1_000, 1, 20_000),
            (us(1_000), 1_000, 4, 5_000),
            (us(1_000), 1, 1, 20),
            (us(5_000), 1, 1, 4),
            (us(50_000), 1, 1, 1),
            (us(50_000), 1, 8, 1),
        ] {
            let rate = rate(30, records, work, us(0));
            assert_eq!(rate.window(TIME, channels), Some(expect), "{records} in {work:?} on {channels}");
        }
        assert_eq!(ConsumptionRate::default().window(TIME, 1), None);
    }

    #[test]
    fn time_without_input_does_not_count() {
        let (mut rate, mut now) = (ConsumptionRate::default(), Instant(0));
        for _ in 0..30 {
            rate.begin(now, 10);
            now = now + us(1_000);
            rate.pause(now);
            now = now + Duration::from_secs(3);
            rate.pause(now);
        }
        assert_eq!(rate.window(TIME, 1), Some(200));
    }

    #[test]
    fn a_small_batch_that_was_interrupted_leaves_the_window_open() {
        let mut rate = rate(30, 1_000, us(1_000), us(0));
        rate.begin(Instant(0), 1);
        rate.pause(Instant(10_000));
        let window = rate.window(TIME, 1).unwrap();
        assert!(window > 8_000, "{window}");
    }

    #[test]
    fn the_window_follows_records_that_become_dear() {
        let mut rate = rate(30, 1_000, us(1_000), us(0));
        for _ in 0..120 {
            rate.begin(Instant(0), 10);
            rate.pause(Instant(10_000));
        }
        assert_eq!(rate.window(TIME, 1), Some(20));
    }

    /// A slot whose other tasks take 50 ms a turn: one record a turn would be a thousandth of what this task could do.
    #[test]
    fn what_a_turn_takes_is_let_in_however_long_the_turns_are() {
        let mut window = 1;
        for _ in 0..20 {
            let rate = rate(30, window, us(window), us(50_000));
            window = rate.window(TIME, 4).unwrap().min(window * 2);
        }
        assert!((900..=1_000).contains(&window), "{window}");
        // Its own records are slow, too.
        assert_eq!(rate(30, 1, us(10_000), us(50_000)).window(TIME, 1), Some(2));
    }
}
