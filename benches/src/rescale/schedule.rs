//! Which records there are, and at which moment each is due.
//!
//! Records are numbered; split `n` of 16 has those whose number leaves the remainder `n`. The first ones load each key
//! once and are due at once. From there on they are due at a fixed rate, whatever becomes of the job: what it could
//! not take in time it finds late, and its delay shows for how long it stood still.

use crate::workloads::splitmix64;
use reflow_types::key::Key;
use reflow_types::{KeyGroup, MaxParallelism};

/// How many splits share the records.
pub const SPLITS: u64 = 16;
/// The max parallelism: with as many key groups each has an output every few milliseconds.
pub const MAX_PARALLELISM: u32 = 128;

const SECOND_US: u64 = 1_000_000;

/// The records of a run.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// How many keys there are.
    pub keys: u64,
    /// Records a second.
    pub rate: u64,
    /// When the first one after the loading is due, in microseconds since the Unix epoch.
    pub begin_us: u64,
}

impl Schedule {
    /// The key of a record.
    pub const fn key(&self, record: u64) -> u64 {
        if record < self.keys { record } else { splitmix64(record) % self.keys }
    }

    /// The key group of a record.
    pub fn group(&self, record: u64) -> KeyGroup {
        let max = MaxParallelism::new(MAX_PARALLELISM).expect("it is within the bounds");
        self.key(record).key_hash().group(max)
    }

    /// When a record is due; `None` while keys are loaded.
    pub const fn due_us(&self, record: u64) -> Option<u64> {
        match record.checked_sub(self.keys) {
            Some(after) => Some(self.begin_us + after * SECOND_US / self.rate),
            None => None,
        }
    }

    /// The first record that is not due.
    pub const fn end_at(&self, now_us: u64) -> u64 {
        match now_us.checked_sub(self.begin_us) {
            Some(since) => self.keys + since * self.rate / SECOND_US + 1,
            None => self.keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_has_come_and_no_more() {
        let schedule = Schedule { keys: 100, rate: 30_000, begin_us: 5_000_000 };
        assert_eq!((schedule.end_at(0), schedule.due_us(99)), (100, None));
        for now_us in [5_000_000, 5_000_033, 5_000_034, 7_123_456] {
            let end = schedule.end_at(now_us);
            assert!(schedule.due_us(end - 1).unwrap() <= now_us, "{now_us}");
            assert!(schedule.due_us(end + 1).unwrap() > now_us, "{now_us}");
        }
        assert!((0..100).all(|record| schedule.key(record) == record), "each key is loaded");
    }
}
