//! Strategies for generating watermarks.

use std::time::Duration;

/// A watermark strategy. Each split of a source has its own watermark, and the lowest one counts.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::Watermarks;
/// use std::time::Duration;
///
/// let in_order = Watermarks::monotonic();
/// let up_to_5_s_late = Watermarks::bounded_out_of_orderness(Duration::from_secs(5));
/// let with_quiet_splits = up_to_5_s_late.with_idleness(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    pub(crate) out_of_orderness: Duration,
    pub(crate) idleness: Option<Duration>,
}

impl Watermarks {
    /// Timestamps never decrease within a split.
    pub const fn monotonic() -> Self {
        Self { out_of_orderness: Duration::ZERO, idleness: None }
    }

    /// Within a split, a record's timestamp is at most `delay` lower than that of any earlier record.
    pub const fn bounded_out_of_orderness(delay: Duration) -> Self {
        Self { out_of_orderness: delay, idleness: None }
    }

    /// A split without records for `timeout` becomes idle and does not hold the watermark back. Only time in which
    /// the source was read and had no records counts, not time in which an operator or a full output delays the
    /// reader or the split waits for its turn. Files are not idle before their end.
    #[must_use]
    pub const fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idleness = Some(timeout);
        self
    }

    /// How far the watermark is behind the highest timestamp seen, in milliseconds.
    #[doc(hidden)]
    pub fn delay_ms(&self) -> i64 {
        i64::try_from(self.out_of_orderness.as_millis()).unwrap_or(i64::MAX)
    }

    /// The time without records after which a split is idle.
    #[doc(hidden)]
    pub fn idleness(&self) -> Option<Duration> {
        self.idleness
    }
}
