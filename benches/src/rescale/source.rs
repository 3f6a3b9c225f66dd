//! The source: sixteen splits of a [`Schedule`], by the machine's clock.

use super::schedule::{SPLITS, Schedule};
use crate::clock;
use reflow::source::{FixedSplits, ReaderContext};
use reflow::{Data, Emit, Enumerator, Instant, NO_TIMESTAMP, Polled, Reader, Source, UserError};
use std::time::Duration;

/// The number of records of a split before the next split has its turn.
const TURN: usize = 16;
/// A reader looks no more often than this: records that are due meanwhile come together.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// The source.
#[derive(Clone, Copy, Debug)]
pub struct Paced {
    /// What it reads.
    pub schedule: Schedule,
}

/// A split and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Data)]
pub struct Split {
    /// 0 … 15
    pub number: u64,
    /// Its next record.
    pub record: u64,
}

impl Source for Paced {
    type Item = u64;
    type Split = Split;
    type Reader = PacedReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        Box::new(FixedSplits::new((0..SPLITS).map(|number| Split { number, record: number })))
    }

    fn reader(&self, _: &ReaderContext) -> PacedReader {
        PacedReader { schedule: self.schedule, splits: Vec::new(), turn: 0 }
    }
}

/// Reads some splits.
pub struct PacedReader {
    schedule: Schedule,
    splits: Vec<Split>,
    /// Whose turn it is.
    turn: usize,
}

impl PacedReader {
    /// Emits what is due before `end`, split by split.
    fn emit(&mut self, end: u64, out: &mut impl Emit<u64>) -> Polled {
        let mut without = 0; // so many splits in a row had nothing due
        while without < self.splits.len() {
            if out.is_full() {
                return Polled::More;
            }
            self.turn = (self.turn + 1) % self.splits.len();
            let split = &mut self.splits[self.turn];
            without = if split.record < end { 0 } else { without + 1 };
            out.split(split.number);
            for _ in 0..TURN {
                if split.record >= end || out.is_full() {
                    break;
                }
                out.emit(split.record, NO_TIMESTAMP);
                split.record += SPLITS;
            }
        }
        Polled::Wait(None)
    }
}

impl Reader for PacedReader {
    type Item = u64;
    type Split = Split;

    fn add_split(&mut self, split: Split) -> u64 {
        self.splits.push(split);
        split.number
    }

    fn no_more_splits(&mut self) {}

    fn release(&mut self, keep: usize) -> Vec<(u64, Split)> {
        let released = self.splits.split_off(keep.min(self.splits.len()));
        released.into_iter().map(|split| (split.number, split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<u64>) -> Result<Polled, UserError> {
        let now_us = clock::wall_us();
        if self.emit(self.schedule.end_at(now_us), out) == Polled::More {
            return Ok(Polled::More);
        }
        let next = self.splits.iter().filter_map(|split| self.schedule.due_us(split.record)).min();
        let wait = |due_us: u64| Duration::from_micros(due_us.saturating_sub(now_us)).max(LEAST_WAIT);
        Ok(Polled::Wait(next.map(|due_us| now + wait(due_us))))
    }

    fn snapshot(&self) -> Vec<Split> {
        self.splits.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    struct Collected {
        records: Vec<u64>,
        room: usize,
    }

    impl Emit<u64> for Collected {
        fn split(&mut self, _: u64) {}
        fn end_split(&mut self, _: u64) {}
        fn emit(&mut self, record: u64, _: i64) {
            self.records.push(record);
        }
        fn is_full(&self) -> bool {
            self.records.len() >= self.room
        }
    }

    #[test]
    fn splits_hold_all_records_and_go_on_where_they_were_released() {
        let schedule = Schedule { keys: 50, rate: 1_000, begin_us: u64::MAX };
        let mut reader = PacedReader { schedule, splits: Vec::new(), turn: 0 };
        for number in 0..SPLITS {
            reader.add_split(Split { number, record: number });
        }
        let mut out = Collected { records: Vec::new(), room: 37 };
        assert_eq!(reader.emit(200, &mut out), Polled::More);
        let released = reader.release(5);
        assert_eq!((released.len(), reader.snapshot().len()), (11, 5));
        let mut next_reader = PacedReader { schedule, splits: Vec::new(), turn: 0 };
        for (number, split) in released {
            assert_eq!(next_reader.add_split(split), number);
        }
        out.room = usize::MAX;
        assert_eq!(next_reader.emit(200, &mut out), Polled::Wait(None));
        assert_eq!(reader.emit(200, &mut out), Polled::Wait(None));
        assert_eq!(out.records.len(), 200, "each once");
        assert_eq!(out.records.into_iter().collect::<BTreeSet<_>>(), (0..200).collect());
    }
}
