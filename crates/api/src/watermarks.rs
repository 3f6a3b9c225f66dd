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
    pub(crate) alignment: Option<Alignment>,
}

/// How far readers may be ahead of others in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// The name that the sources of a group have in common.
    pub group: &'static str,
    /// The most by which a watermark may be ahead of the group's lowest one.
    pub max_drift: Duration,
}

impl Watermarks {
    /// Timestamps never decrease within a split.
    pub const fn monotonic() -> Self {
        Self { out_of_orderness: Duration::ZERO, idleness: None, alignment: None }
    }

    /// Within a split, a record's timestamp is at most `delay` lower than that of any earlier record.
    pub const fn bounded_out_of_orderness(delay: Duration) -> Self {
        Self { out_of_orderness: delay, idleness: None, alignment: None }
    }

    /// A split without records for `timeout` becomes idle and does not hold the watermark back. Only time in which
    /// the source was read and had no records counts, not time in which an operator or a full output delays the
    /// reader or the split waits for its turn. Files are not idle before their end.
    #[must_use]
    pub const fn with_idleness(mut self, timeout: Duration) -> Self {
        self.idleness = Some(timeout);
        self
    }

    /// Aligns the event time of all sources with the same `group`, and of their readers: while a reader's watermark is more
    /// than `max_drift` ahead of the lowest one in the group, it reads nothing. A reader of several splits may also leave
    /// out those that are ahead ([`Emit::is_paused`](crate::Emit::is_paused)). So what is read too early does not fill the
    /// state of joins and windows. Readers report their watermarks several times a second, so one may be ahead by what it
    /// reads in that time. What is idle or at its end holds nobody back; combine it with
    /// [`with_idleness`](Self::with_idleness) if splits may fall silent.
    ///
    /// The time must be assigned in the chain of the source.
    ///
    /// ```
    /// use reflow_api::{Alignment, Watermarks};
    /// use std::time::Duration;
    ///
    /// let max_drift = Duration::from_secs(60);
    /// let watermarks = Watermarks::monotonic().with_alignment("orders", max_drift);
    /// assert_eq!(watermarks.alignment(), Some(Alignment { group: "orders", max_drift }));
    /// ```
    #[must_use]
    pub const fn with_alignment(mut self, group: &'static str, max_drift: Duration) -> Self {
        self.alignment = Some(Alignment { group, max_drift });
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

    /// How far readers may be ahead of others.
    pub fn alignment(&self) -> Option<Alignment> {
        self.alignment
    }
}
