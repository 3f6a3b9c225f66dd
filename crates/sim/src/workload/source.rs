//! The source of readings, which emits them split by split, in bursts.

use super::alignment::Alignment;
use super::reading::{Reading, Readings};
use crate::faults::Probe;
use reflow_api::source::{FixedSplits, HandOut, ReaderContext, ToEnumerator};
use reflow_api::{Emit, Enumerator, Polled, Reader, Source, UserError};
use reflow_types::{Data, Instant};
use std::sync::Arc;
use std::time::Duration;

/// How often a split that keeps its last record looks whether it still has to.
const HELD: Duration = Duration::from_millis(1);

/// The source.
#[derive(Clone)]
pub struct ReadingSource {
    readings: Arc<Readings>,
    probe: Probe,
    pause: Option<Pause>,
    alignment: Option<Alignment>,
    hand_out: HandOut,
    /// The number of records that it reads of each split.
    per_split: u64,
    /// Whether its splits may keep their last record until the cluster is left alone.
    holds_end: bool,
}

impl ReadingSource {
    /// Reads these; the probe counts what has left.
    pub fn new(readings: Arc<Readings>, probe: Probe) -> Self {
        let per_split = readings.per_split;
        let (pause, alignment, hand_out) = (None, None, HandOut::AtOnce);
        Self { readings, probe, pause, alignment, hand_out, per_split, holds_end: true }
    }

    /// The same with fewer records, after which it ends although the job goes on.
    #[must_use]
    pub fn ending_early(self) -> Self {
        let per_split = self.readings.first_per_split();
        Self { per_split, holds_end: per_split == self.readings.per_split, ..self }
    }

    /// The same with a split that pauses.
    #[must_use]
    pub fn with_pause(self, pause: Option<Pause>) -> Self {
        Self { pause, ..self }
    }

    /// The same with splits that are handed out in another way. Readers request one after the other, so splits that
    /// wait for each other are all read.
    #[must_use]
    pub fn handing_out(self, hand_out: HandOut) -> Self {
        Self { hand_out, ..self }
    }

    /// The same with splits that wait for each other.
    #[must_use]
    pub fn aligned(self, alignment: Option<Alignment>) -> Self {
        Self { alignment, ..self }
    }
}

/// A split that has nothing for a while.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub split: u32,
    /// The number of its records after which it pauses.
    pub after: u64,
    /// How long.
    pub lasts: Duration,
}

/// A split and the position in it.
#[derive(Clone, Copy, Debug, Data)]
pub struct Split {
    number: u32,
    next: u64,
}

/// Reads splits.
pub struct ReadingReader {
    source: ReadingSource,
    splits: Vec<(Split, Instant)>,
    enumerator: ToEnumerator,
    /// Whether it has requested a split that it has not got yet.
    requested: bool,
    complete: bool,
}

impl Source for ReadingSource {
    type Item = Reading;
    type Split = Split;
    type Reader = ReadingReader;

    fn enumerator(&self) -> Box<dyn Enumerator> {
        let splits = FixedSplits::new((0..self.readings.splits).map(|number| Split { number, next: 0 }));
        Box::new(splits.hand_out(self.hand_out))
    }

    fn reader(&self, context: &ReaderContext) -> ReadingReader {
        let (source, enumerator) = (self.clone(), context.enumerator.clone());
        ReadingReader { source, splits: Vec::new(), enumerator, requested: false, complete: false }
    }
}

impl Reader for ReadingReader {
    type Item = Reading;
    type Split = Split;

    fn add_split(&mut self, split: Split) -> u64 {
        self.requested = false;
        self.splits.push((split, Instant::default()));
        u64::from(split.number)
    }

    fn no_more_splits(&mut self) {
        self.complete = true;
    }

    fn release(&mut self, keep: usize) -> Vec<(u64, Split)> {
        let released = self.splits.split_off(keep.min(self.splits.len()));
        released.into_iter().map(|(split, _)| (u64::from(split.number), split)).collect()
    }

    fn poll(&mut self, now: Instant, out: &mut impl Emit<Reading>) -> Result<Polled, UserError> {
        if self.source.hand_out == HandOut::OnRequest && !self.requested && !self.complete {
            self.enumerator.request_split();
            self.requested = true;
        }
        let readings = &self.source.readings;
        // A split that is held at its end is idle, and would be late beside one that pauses.
        let ReadingSource { probe, per_split, .. } = &self.source;
        let holds_end = self.source.holds_end && probe.holds_end() && self.source.pause.is_none();
        let last = per_split - u64::from(holds_end);
        for (split, due) in &mut self.splits {
            if *due > now || out.is_full() {
                continue;
            }
            if out.is_paused(split.number.into()) {
                *due = now + HELD;
                continue;
            }
            out.split(split.number.into());
            let mut end = (split.next / readings.burst * readings.burst + readings.burst).min(last);
            let pause = self.source.pause.filter(|pause| pause.split == split.number);
            if let Some(pause) = pause.filter(|pause| split.next < pause.after) {
                end = end.min(pause.after);
            }
            if let Some(alignment) = &self.source.alignment {
                end = end.min(alignment.limit(readings.splits)).max(split.next);
            }
            while split.next < end && !out.is_full() {
                let reading = readings.reading(split.number, split.next);
                split.next += 1;
                out.emit(reading, reading.time);
                self.source.probe.emitted(split.number, split.next);
                self.source
                    .alignment
                    .iter()
                    .for_each(|alignment| alignment.reached(split.number, split.next));
            }
            if split.next == *per_split {
                out.end_split(split.number.into());
            } else if split.next >= last {
                *due = now + HELD;
            } else if split.next == end {
                let pauses = pause.filter(|pause| pause.after == end);
                *due = now + pauses.map_or(readings.interval, |pause| pause.lasts);
            }
        }
        self.splits.retain(|(split, _)| split.next < *per_split);
        Ok(match self.splits.iter().map(|(_, due)| *due).min() {
            Some(due) if due <= now => Polled::More,
            None if self.complete => Polled::End,
            due => Polled::Wait(due),
        })
    }

    fn snapshot(&self) -> Vec<Split> {
        self.splits.iter().map(|(split, _)| *split).collect()
    }

    fn pending_records(&self) -> Option<u64> {
        let left = |(split, _): &(Split, Instant)| self.source.per_split - split.next;
        Some(self.splits.iter().map(left).sum())
    }
}
