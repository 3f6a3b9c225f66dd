//! Windows: assigners, triggers, evictors and functions.
//!
//! Reading order: [`assigner`], `calendar`, [`session`], [`trigger`], [`elements`] and [`evictor`] (of windows that keep their records),
//! [`function`].

pub mod assigner;
#[cfg(feature = "jiff")]
pub mod calendar;
pub mod elements;
pub mod evictor;
pub mod function;
pub mod session;
pub mod trigger;

pub use assigner::{
    Assigner, GlobalWindows, Merges, NeverMerges, ProcessingTime, SlidingWindows, TumblingWindows,
    WindowAssigner, WindowError,
};
#[cfg(feature = "jiff")]
pub use calendar::CalendarWindows;
pub use elements::{CoGroup, Elements};
pub use evictor::{CountEvictor, DeltaEvictor, Evictor, KeepAll, TimeEvictor};
pub use function::{WindowContext, WindowFunction};
pub use session::SessionWindows;
pub use trigger::{
    ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, DeltaTrigger,
    EarlyAndLateFirings, EventTimeTrigger, MergingTrigger, NeverTrigger, ProcessingTimeTrigger,
    PurgingTrigger, Trigger, TriggerContext, TriggerResult,
};

use reflow_types::{Data, Key, KeyWriter, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::time::Duration;

/// A window: `start .. end`, in milliseconds since the Unix epoch.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::Window;
///
/// let window = Window { start: 0, end: 10_000 };
/// assert_eq!(window.max_timestamp(), 9_999);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Data)]
pub struct Window {
    /// The first timestamp in the window.
    pub start: Timestamp,
    /// The first timestamp after the window.
    pub end: Timestamp,
}

impl Window {
    /// The one window of [`GlobalWindows`].
    pub const GLOBAL: Window = Window { start: MIN_WATERMARK, end: MAX_WATERMARK };

    /// The watermark at which the window has ended.
    #[inline]
    pub fn max_timestamp(&self) -> Timestamp {
        if self.end == MAX_WATERMARK { MAX_WATERMARK } else { self.end.saturating_sub(1) }
    }
}

/// A window can be a key, so results can be grouped by their window.
impl Key for Window {
    fn encode(&self, out: &mut KeyWriter) {
        self.start.encode(out);
        self.end.encode(out);
    }
}

/// The result of a window.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{Window, Windowed};
///
/// fn line(Windowed { key, window, value }: Windowed<u64, f64>) -> String {
///     format!("{key}: {value} from {} to {}", window.start, window.end)
/// }
/// # let _ = (line, Window::GLOBAL);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Data)]
pub struct Windowed<K, R> {
    /// The key.
    pub key: K,
    /// The window.
    pub window: Window,
    /// The result.
    pub value: R,
}

/// About the years -9999 to 9999, to which event time is limited, so that computations with windows cannot
/// overflow.
const MAX_MS: i64 = 20_000 * 366 * 24 * 3_600 * 1_000;

/// The milliseconds of a size, slide, gap or interval.
fn checked_ms(duration: Duration, what: &'static str) -> Result<i64, WindowError> {
    match i64::try_from(duration.as_millis()).unwrap_or(i64::MAX) {
        ..1 => Err(WindowError::TooShort { what }),
        ms if ms > MAX_MS => Err(WindowError::TooLong { what }),
        ms => Ok(ms),
    }
}

/// As [`checked_ms`], while a job is built.
fn interval_ms(duration: Duration, what: &'static str) -> i64 {
    checked_ms(duration, what).unwrap_or_else(|error| panic!("{error}"))
}
