//! The consumption rate of a task, from which the gate computes how many records its senders may send ahead.
//!
//! The rate counts the time from taking a batch until the task can take the next one: processing, waiting for
//! room in the outputs, and the turns of the slot's other tasks. So a task in front of a slow one is as slow as
//! that one. Time without input does not count, because it says nothing about the task.
//!
//! A turn of the slot takes as long for one record as for a thousand. If turns are long, a window computed from
//! elapsed time alone would be one record per turn, and the task would stay at that rate only because of its
//! window. So the window is at least what one turn can take, limited by what the task's own work allows in the
//! given time.

use reflow_types::Instant;
use std::time::Duration;

/// The factor by which each sample reduces the weight of the earlier ones.
const MEMORY: f64 = 0.9;

/// How fast a task consumes its input.
///
/// # Invariants
/// - Each record has the same weight, whatever the size of its batch: the time of an interrupted batch of one
///   record says little about the cost of a record.
#[derive(Debug, Default)]
pub struct ConsumptionRate {
    records: f64,
    nanos: f64,
    /// The part of `nanos` in which other tasks had their turns while this one had work.
    nanos_of_others: f64,
    records_a_turn: f64,
    sample: Option<Sample>,
}

/// The batch that is being processed.
#[derive(Clone, Copy, Debug)]
struct Sample {
    records: u64,
    since: Instant,
    of_others: Duration,
}

impl ConsumptionRate {
    /// The task takes a batch, so the previous one is processed.
    pub fn begin(&mut self, now: Instant, records: u64) {
        self.pause(now);
        self.sample = Some(Sample { records, since: now, of_others: Duration::ZERO });
    }

    /// The task has processed its batch and takes no other one now, because there is none or it may not.
    pub fn pause(&mut self, now: Instant) {
        if let Some(Sample { records, since, of_others }) = self.sample.take() {
            let keep = |sum: f64, add: f64| sum * MEMORY + add;
            self.records = keep(self.records, records as f64);
            self.nanos = keep(self.nanos, now.since(since).as_nanos() as f64);
            self.nanos_of_others = keep(self.nanos_of_others, of_others.as_nanos() as f64);
        }
    }

    /// Drops the sample of the current batch, because its time says nothing about the cost of a record.
    pub fn forget_sample(&mut self) {
        self.sample = None;
    }

    /// The task had work and waited this long for its turn.
    pub fn waited_for_turn(&mut self, waited: Duration) {
        if let Some(sample) = &mut self.sample {
            sample.of_others += waited;
        }
    }

    /// The task could have taken this many records in its turn.
    pub fn had_turn(&mut self, records: u64) {
        self.records_a_turn += (records as f64 - self.records_a_turn) * (1.0 - MEMORY);
    }

    /// The number of records that each of `channels` channels may send ahead, so that the task consumes all of
    /// them within about `time`; at least one. `None` until there is a sample.
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

    /// The rate of a task that processes batches of `records` for `work` each and then waits `others` for its
    /// next turn.
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

    /// The slot's other tasks take 50 ms per turn. One record per turn would be a thousandth of what this task
    /// can process.
    #[test]
    fn what_a_turn_takes_is_let_in_however_long_the_turns_are() {
        let mut window = 1;
        for _ in 0..20 {
            let rate = rate(30, window, us(window), us(50_000));
            window = rate.window(TIME, 4).unwrap().min(window * 2);
        }
        assert!((900..=1_000).contains(&window), "{window}");
        // The task's own records are slow, too, so the turn does not raise the window.
        assert_eq!(rate(30, 1, us(10_000), us(50_000)).window(TIME, 1), Some(2));
    }
}
