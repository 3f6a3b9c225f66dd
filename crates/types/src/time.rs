//! Timestamps, watermarks and instants.

use reflow_data::Data;
use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};
use std::time::Duration;

/// Event time or wall-clock time of a record, in milliseconds since the Unix epoch.
pub type Timestamp = i64;

/// The timestamp of a record to which no event time was assigned.
pub const NO_TIMESTAMP: Timestamp = i64::MIN;
/// The watermark before any progress.
pub const MIN_WATERMARK: Timestamp = i64::MIN;
/// The watermark of an input that has ended: every window and timer fires.
pub const MAX_WATERMARK: Timestamp = i64::MAX;

/// A moment, in microseconds since the Unix epoch.
///
/// A process reads its wall clock once, when it starts, and adds monotonic time to it. So instants never go back
/// within a process. Between processes they differ as the machines' clocks do, so they are shown to users but never
/// compared across processes.
///
/// ```
/// # extern crate reflow_types as reflow;
/// use reflow::Instant;
/// use std::time::Duration;
///
/// let opened = Instant::from_millis(1_000);
/// let now = opened + Duration::from_millis(250);
/// assert_eq!(now.since(opened), Duration::from_millis(250));
/// assert_eq!(now.as_millis(), 1_250);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Data)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> Timestamp {
        (self.0 / 1_000) as Timestamp
    }

    /// The time from `earlier` to `self`, or zero if `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, d: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}
