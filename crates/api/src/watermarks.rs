//! How far event time has come: the strategy by which watermarks are made.

use std::time::Duration;

/// A watermark strategy. Watermarks are kept for each split of a source and combined to their minimum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub(crate) out_of_orderness: Duration,
    pub(crate) idleness: Option<Duration>,
}

impl Watermarks {
    /// Timestamps never go back within a split.
    pub const fn monotonic() -> Self {
        Self { out_of_orderness: Duration::ZERO, idleness: None }
    }

    /// Within a split a record comes at most `delay` of event time after a later one.
    pub const fn bounded_out_of_orderness(delay: Duration) -> Self {
        Self { out_of_orderness: delay, idleness: None }
    }

    /// A split without records for `timeout` holds nobody back. Only time in which the source was read and had nothing
    /// counts: not while an operator or a full output holds the reader up, nor while the split waits for its turn. Files
    /// are not idle before their end.
    #[must_use]
    pub const fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idleness = Some(timeout);
        self
    }

    /// By how much the watermark stays behind the highest timestamp seen, in milliseconds.
    pub fn delay_ms(&self) -> i64 {
        i64::try_from(self.out_of_orderness.as_millis()).unwrap_or(i64::MAX)
    }

    /// After how long without records a split is idle.
    pub fn idleness(&self) -> Option<Duration> {
        self.idleness
    }
}
