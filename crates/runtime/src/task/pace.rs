//! How much a step does: as much as fits into about a millisecond, as measured by the steps before.

use std::time::Duration;

/// Steps are meant to last about this long.
pub(super) const STEP: Duration = Duration::from_millis(1);
/// How many records the first step takes at most.
pub(crate) const FIRST_CHUNK: usize = 8;
/// How much less than the one before a step may do: one that was interrupted says little.
const SLOWDOWN: usize = 16;

/// How much the next step of a task does.
pub(super) struct Pace {
    records: usize,
    leftover: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { records: FIRST_CHUNK, leftover: FIRST_CHUNK }
    }

    /// How many records of the input fill a step.
    #[inline]
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// How many records fill a step that goes on with unfinished work of the chain. A window that fires or a record of
    /// which many are made may cost far more than a record that comes in, so this is measured apart.
    #[inline]
    pub(super) fn leftover(&self) -> usize {
        self.leftover
    }

    /// A step has taken so many records of the input in the time `busy`.
    pub(super) fn took_records(&mut self, records: usize, busy: Duration) {
        self.records = next_chunk(self.records, records, busy);
    }

    /// A step has passed on so many records of unfinished work in the time `busy`.
    pub(super) fn passed_leftover(&mut self, records: usize, busy: Duration) {
        self.leftover = next_chunk(self.leftover, records, busy);
    }
}

/// How many records the next step takes, after one of at most `chunk` that has taken `records` in the time `busy`: as
/// many as fill a step. The number falls at once and rises step by step, because a step cannot be ended early.
fn next_chunk(chunk: usize, records: usize, busy: Duration) -> usize {
    let ideal = (records as f64 * STEP.as_secs_f64() / busy.as_secs_f64().max(1e-9)) as usize;
    ideal.clamp((chunk / SLOWDOWN).max(1), chunk * 2).min(reflow_network::batch::BATCH_ROWS)
}
