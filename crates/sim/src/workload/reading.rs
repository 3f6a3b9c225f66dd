//! The readings: the input records of workloads, which are computed from a seed.

use crate::rng::Rng;
use reflow_types::Data;
use std::time::Duration;

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct Reading {
    /// The split that contains it.
    pub split: u32,
    /// Its place there.
    pub number: u64,
    pub key: u64,
    /// Its event time in milliseconds.
    pub time: i64,
    /// Something to add up.
    pub amount: i64,
}

/// All records of a workload.
#[derive(Clone, Debug)]
pub struct Readings {
    /// From which everything follows.
    pub seed: u64,
    /// How many splits there are.
    pub splits: u32,
    /// How many records each split holds.
    pub per_split: u64,
    /// How many keys there are.
    pub keys: u64,
    /// The event time from one record of a split to the next, in milliseconds.
    pub step_ms: u64,
    /// By how much a split may be ahead of another in event time, in milliseconds.
    pub lead_ms: u64,
    /// By how much a record may be earlier in event time than one before it, in milliseconds.
    pub disorder_ms: u64,
    /// The time between two bursts of a split.
    pub interval: Duration,
    /// How many records a burst has.
    pub burst: u64,
}

impl Readings {
    /// Some records of a size that keeps a job busy for about `busy`.
    pub fn random(rng: &mut Rng, busy: Duration) -> Self {
        let interval = Duration::from_millis(rng.skewed(2..=200));
        let burst = rng.skewed(1..=20);
        let bursts = (busy.as_millis() / interval.as_millis().max(1)) as u64;
        Self {
            seed: rng.bits(),
            splits: rng.within(1..=6) as u32,
            per_split: (bursts * burst).clamp(100, 3_000),
            keys: rng.skewed(1..=300),
            step_ms: rng.skewed(1..=50),
            // Up to weeks, as between files of different months.
            lead_ms: rng.skewed(1..=2_000_000_000),
            disorder_ms: rng.skewed(1..=1_000),
            interval,
            burst,
        }
    }

    /// A record.
    pub fn reading(&self, split: u32, number: u64) -> Reading {
        let lead = Rng::new(self.seed ^ u64::from(split)).within(0..=self.lead_ms);
        let mut rng = Rng::new(self.seed ^ u64::from(split) << 40 ^ number);
        rng.bits();
        let late = rng.within(0..=self.disorder_ms) as i64;
        Reading {
            split,
            number,
            key: rng.within(0..=self.keys - 1),
            time: (lead + number * self.step_ms) as i64 - late,
            amount: rng.within(0..=1_000) as i64,
        }
    }

    /// Every record.
    pub fn all(&self) -> impl Iterator<Item = Reading> + '_ {
        (0..self.splits)
            .flat_map(move |split| (0..self.per_split).map(move |number| self.reading(split, number)))
    }

    /// The number of records of each split that a source reads which ends early: all of them with some seeds, only
    /// a few with others.
    pub fn first_per_split(&self) -> u64 {
        (self.per_split >> (2 * (self.seed % 4))).max(1)
    }

    /// The records that a source reads which ends early.
    pub fn first(&self) -> impl Iterator<Item = Reading> + '_ {
        self.all().filter(|reading| reading.number < self.first_per_split())
    }

    /// How many records there are.
    pub fn count(&self) -> u64 {
        u64::from(self.splits) * self.per_split
    }
}
