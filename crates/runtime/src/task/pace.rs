//! The pace of a task: how many records its next step takes so that the step lasts about a millisecond, measured
//! by the steps before.

use std::time::Duration;

/// The intended length of a step.
pub(super) const STEP: Duration = Duration::from_millis(1);
/// The most records of the first step.
pub(crate) const FIRST_CHUNK: usize = 8;
/// The most by which the number of records falls from one step to the next, because the time of an interrupted
/// step says little.
const SLOWDOWN: usize = 16;

/// The number of records of the next step.
pub(super) struct Pace {
    records: usize,
    leftover: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { records: FIRST_CHUNK, leftover: FIRST_CHUNK }
    }

    /// The number of input records that fill a step.
    #[inline]
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// The number of records that fill a step of unfinished work of the chain. Measured separately, because a
    /// window that fires, or a record from which many are made, may cost far more than an input record.
    #[inline]
    pub(super) fn leftover(&self) -> usize {
        self.leftover
    }

    /// Records a step that has taken `records` of the input in the time `busy`.
    pub(super) fn took_records(&mut self, records: usize, busy: Duration) {
        self.records = next_chunk(self.records, records, busy);
    }

    /// Records a step that has passed on `records` of unfinished work in the time `busy`.
    pub(super) fn passed_leftover(&mut self, records: usize, busy: Duration) {
        self.leftover = next_chunk(self.leftover, records, busy);
    }
}

/// The number of records that fill the next step, after a step of at most `chunk` that has taken `records` in the
/// time `busy`. The number falls at once but rises only gradually, because a step that turns out too long cannot
/// be ended early.
fn next_chunk(chunk: usize, records: usize, busy: Duration) -> usize {
    let ideal = (records as f64 * STEP.as_secs_f64() / busy.as_secs_f64().max(1e-9)) as usize;
    ideal.clamp((chunk / SLOWDOWN).max(1), chunk * 2).min(reflow_network::batch::BATCH_ROWS)
}
