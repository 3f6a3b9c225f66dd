//! Assigners, which decide which windows a record belongs to.

use super::{Window, interval_ms};
use crate::{TimeDomain, UserError};
use reflow_types::{MIN_WATERMARK, Timestamp};
use std::time::Duration;

/// Assigns windows to timestamps.
pub trait Assigner: Clone + Send + 'static {
    /// Whether windows depend on timestamps. A record without a timestamp is then an error.
    const NEEDS_TIME: bool = true;

    /// The time that the windows are in: that of the timestamps to which they are assigned, and by which they end.
    const DOMAIN: TimeDomain = TimeDomain::Event;

    /// Calls `each` with every window of a record with this timestamp. Windows with the same end but different
    /// starts are different windows.
    fn assign(&mut self, time: Timestamp, each: impl FnMut(Window));

    /// Not called any more. It returned the window with this end.
    #[deprecated(note = "leave it out: windows are kept with their start")]
    fn ending_at(&self, end: Timestamp) -> Window {
        Window { start: MIN_WATERMARK, end }
    }
}

/// What a window operator needs of an assigner: every [`Assigner`], and [sessions](super::SessionWindows), which depend on
/// the record and merge. Not meant to be implemented elsewhere.
///
/// ```
/// # mod reflow { pub use reflow_api::*; pub use reflow_types::*; }
/// use reflow::window::{Merges, NeverMerges, SessionWindows, TumblingWindows, Window, WindowAssigner};
/// use reflow::{Timestamp, UserError};
/// use std::time::Duration;
///
/// /// The windows of a record, for any windows.
/// fn windows<T, W: WindowAssigner<T>>(mut of: W, record: &T, time: Timestamp) -> Result<Vec<Window>, UserError> {
///     let mut windows = Vec::new();
///     of.assign(record, time, |window| windows.push(window))?;
///     Ok(windows)
/// }
///
/// /// Only for windows that stay as they were assigned.
/// fn is_fixed<W: WindowAssigner<(), Merging = NeverMerges>>(_: &W) {}
///
/// /// Only for windows that merge.
/// fn is_merging<W: WindowAssigner<(), Merging = Merges>>(_: &W) {}
///
/// let minutes = TumblingWindows::of(Duration::from_secs(60));
/// is_fixed(&minutes);
/// assert_eq!(windows(minutes, &(), 61_000)?, [Window { start: 60_000, end: 120_000 }]);
/// let sessions = SessionWindows::with_gap(Duration::from_secs(60));
/// is_merging(&sessions);
/// assert_eq!(windows(sessions, &(), 61_000)?, [Window { start: 61_000, end: 121_000 }]);
/// # Ok::<(), UserError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not assign windows",
    label = "expected windows",
    note = "for example `TumblingWindows::of(Duration::from_secs(10))`; others are `SlidingWindows`, `SessionWindows`, `GlobalWindows` and your own types that implement `reflow::window::Assigner`"
)]
pub trait WindowAssigner<T>: Clone + Send + 'static {
    /// Whether windows merge: [`NeverMerges`] or [`Merges`].
    type Merging;
    /// As [`Assigner::NEEDS_TIME`].
    const NEEDS_TIME: bool;
    /// As [`Assigner::DOMAIN`].
    const DOMAIN: TimeDomain;

    /// As [`Assigner::assign`], for a record.
    fn assign(&mut self, value: &T, time: Timestamp, each: impl FnMut(Window)) -> Result<(), UserError>;
}

/// Windows stay as they were assigned.
pub struct NeverMerges;

/// Windows of a key that touch or overlap become one. Each record is assigned to one window.
pub struct Merges;

impl<T, W: Assigner> WindowAssigner<T> for W {
    type Merging = NeverMerges;
    const NEEDS_TIME: bool = W::NEEDS_TIME;
    const DOMAIN: TimeDomain = W::DOMAIN;

    #[inline]
    fn assign(&mut self, _: &T, time: Timestamp, each: impl FnMut(Window)) -> Result<(), UserError> {
        Assigner::assign(self, time, each);
        Ok(())
    }
}

/// Windows of another assigner, in processing time: records are assigned by the wall clock, and windows end by it.
/// They need no timestamps and drop no record as late. Windows that are open when the input ends emit nothing, as
/// in Flink.
///
/// ```
/// use reflow_api::window::TumblingWindows;
/// use std::time::Duration;
/// let every_minute = TumblingWindows::of(Duration::from_secs(60)).in_processing_time();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ProcessingTime<W>(pub(super) W);

impl<W: Assigner> Assigner for ProcessingTime<W> {
    const NEEDS_TIME: bool = false;
    const DOMAIN: TimeDomain = TimeDomain::Processing;

    #[inline]
    fn assign(&mut self, time: Timestamp, each: impl FnMut(Window)) {
        self.0.assign(time, each);
    }
}

/// Invalid windows: what a job panics with when it is built, and the error of a record whose gap is invalid.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{SessionWindows, WindowAssigner, WindowError};
/// use std::time::Duration;
///
/// let mut sessions = SessionWindows::with_dynamic_gap(|gap_ms: &u64| Duration::from_millis(*gap_ms));
/// let error = sessions.assign(&0, 61_000, |_| unreachable!()).unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&WindowError::TooShort { what: "gap" }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Below a millisecond.
    #[error("a window's {what} must be at least 1 ms")]
    TooShort {
        /// Size, slide, gap or interval.
        what: &'static str,
    },
    /// Above 20,000 years.
    #[error("a window's {what} must be at most 20,000 years; for windows without end use GlobalWindows")]
    TooLong {
        /// Size, slide, gap or interval.
        what: &'static str,
    },
    /// A record would be in too many windows.
    #[error(
        "a record would be in {windows} windows, and at most {MAX_WINDOWS} are possible: make the slide longer, or \
         the size shorter"
    )]
    TooMany {
        /// The number of windows of a record.
        windows: i64,
    },
    /// There is no such time zone.
    #[error("there is no time zone '{name}': use a name of the IANA database, such as Europe/Berlin or UTC")]
    NoTimeZone {
        /// What was given as its name.
        name: String,
    },
    /// A day cannot be divided into parts of so many hours.
    #[error("a day has no equal parts of {hours} hours: use 1, 2, 3, 4, 6, 8, 12 or 24")]
    NoPartOfDay {
        /// The number of hours.
        hours: u32,
    },
}

/// The most windows that a record may be in: as many as a day has seconds, and some more. Each costs a look-up and keeps
/// an accumulator.
const MAX_WINDOWS: i64 = 100_000;

/// Windows of a fixed size that do not overlap, aligned to the Unix epoch (plus an offset).
#[derive(Clone, Copy, Debug)]
pub struct TumblingWindows {
    size: i64,
    offset: i64,
    /// The window of the last record. It is most often that of the next one, too, which saves a division.
    last: Window,
}

impl TumblingWindows {
    /// Windows of this size.
    ///
    /// # Panics
    /// If `size` is below 1 ms or above 20,000 years.
    pub fn of(size: Duration) -> Self {
        Self { size: interval_ms(size, "size"), offset: 0, last: Window { start: 0, end: 0 } }
    }

    /// Shifts all windows by `offset`. For a negative offset, use [`with_offset_ms`](Self::with_offset_ms).
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::window::TumblingWindows;
    /// use std::time::Duration;
    ///
    /// let hours_from_half_to_half = TumblingWindows::of(Duration::from_secs(3600)).with_offset(Duration::from_secs(1800));
    /// ```
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        self.with_offset_ms(remainder_ms(offset, self.size))
    }

    /// Shifts all windows by `offset_ms` milliseconds, which may be negative: the days of UTC+8 begin 8 hours before
    /// those of UTC.
    ///
    /// ```
    /// use reflow_api::window::{Assigner, TumblingWindows};
    /// use std::time::Duration;
    /// let hour_ms = 3_600_000;
    /// let mut days = TumblingWindows::of(Duration::from_secs(86_400)).with_offset_ms(-8 * hour_ms);
    /// days.assign(0, |day| assert_eq!((day.start, day.end), (-8 * hour_ms, 16 * hour_ms)));
    /// ```
    #[must_use]
    pub fn with_offset_ms(mut self, offset_ms: i64) -> Self {
        self.offset = offset_ms.rem_euclid(self.size);
        self.last = Window { start: 0, end: 0 };
        self
    }

    /// The same windows in processing time.
    pub fn in_processing_time(self) -> ProcessingTime<Self> {
        ProcessingTime(self)
    }
}

impl Assigner for TumblingWindows {
    #[inline]
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        if !(self.last.start..self.last.end).contains(&time) {
            let start = window_start(time, self.offset, self.size);
            self.last = Window { start, end: start + self.size };
        }
        each(self.last);
    }
}

/// Windows of a fixed size that start every `slide` and may overlap.
#[derive(Clone, Copy, Debug)]
pub struct SlidingWindows {
    size: i64,
    slide: i64,
    offset: i64,
}

impl SlidingWindows {
    /// Windows of `size`, one every `slide`.
    ///
    /// # Panics
    /// If either is below 1 ms or above 20,000 years, or if a record would be in more than 100,000 windows.
    pub fn of(size: Duration, slide: Duration) -> Self {
        let (size, slide) = (interval_ms(size, "size"), interval_ms(slide, "slide"));
        let windows = (size - 1) / slide + 1;
        if windows > MAX_WINDOWS {
            panic!("{}", WindowError::TooMany { windows });
        }
        Self { size, slide, offset: 0 }
    }

    /// Shifts all windows by `offset`. For a negative offset, use [`with_offset_ms`](Self::with_offset_ms).
    ///
    /// ```
    /// # extern crate reflow_api as reflow;
    /// use reflow::window::SlidingWindows;
    /// use std::time::Duration;
    ///
    /// let second = Duration::from_secs(1);
    /// let windows = SlidingWindows::of(10 * second, 5 * second).with_offset(second);
    /// ```
    #[must_use]
    pub fn with_offset(self, offset: Duration) -> Self {
        self.with_offset_ms(remainder_ms(offset, self.slide))
    }

    /// Shifts all windows by `offset_ms` milliseconds, which may be negative.
    ///
    /// ```
    /// use reflow_api::window::{Assigner, SlidingWindows};
    /// use std::time::Duration;
    /// let second = Duration::from_secs(1);
    /// let mut windows = SlidingWindows::of(2 * second, second).with_offset_ms(-300);
    /// let mut starts = Vec::new();
    /// windows.assign(0, |window| starts.push(window.start));
    /// assert_eq!(starts, [-300, -1_300]);
    /// ```
    #[must_use]
    pub fn with_offset_ms(self, offset_ms: i64) -> Self {
        Self { offset: offset_ms.rem_euclid(self.slide), ..self }
    }

    /// The same windows in processing time.
    pub fn in_processing_time(self) -> ProcessingTime<Self> {
        ProcessingTime(self)
    }
}

impl Assigner for SlidingWindows {
    #[inline]
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        let mut start = window_start(time, self.offset, self.slide);
        while start > time - self.size {
            each(Window { start, end: start + self.size });
            start -= self.slide;
        }
    }
}

/// One window without end for each key. A trigger, or the end of the input, emits its results.
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::{Assigner, GlobalWindows, Window};
///
/// GlobalWindows.assign(1_000, |window| assert_eq!(window, Window::GLOBAL));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GlobalWindows;

impl Assigner for GlobalWindows {
    const NEEDS_TIME: bool = false;

    #[inline]
    fn assign(&mut self, _: Timestamp, mut each: impl FnMut(Window)) {
        each(Window::GLOBAL);
    }
}

/// A duration modulo an interval.
fn remainder_ms(duration: Duration, interval_ms: i64) -> i64 {
    (duration.as_millis() % interval_ms as u128) as i64
}

#[inline]
fn window_start(time: Timestamp, offset: i64, size: i64) -> i64 {
    time - (time - offset).rem_euclid(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(mut assigner: impl Assigner, time: Timestamp) -> Vec<(i64, i64)> {
        let mut all = Vec::new();
        Assigner::assign(&mut assigner, time, |w| all.push((w.start, w.end)));
        all
    }

    #[test]
    fn windows_are_aligned_to_the_epoch() {
        let tumbling = TumblingWindows::of(Duration::from_millis(10));
        for (time, start) in [(0, 0), (9, 0), (10, 10), (-1, -10), (-10, -10)] {
            assert_eq!(windows(tumbling, time), [(start, start + 10)]);
        }
        let shifted = tumbling.with_offset(Duration::from_millis(3));
        assert_eq!(windows(shifted, 2), [(-7, 3)]);
        let sliding = SlidingWindows::of(Duration::from_millis(10), Duration::from_millis(4));
        assert_eq!(windows(sliding, 9), [(8, 18), (4, 14), (0, 10)]);
        assert_eq!(windows(sliding, -1), [(-4, 6), (-8, 2)]);
        assert_eq!(windows(GlobalWindows, 5), [(i64::MIN, i64::MAX)]);
    }

    #[test]
    fn windows_of_any_size_that_is_taken_have_an_end() {
        let longest = Duration::from_millis(super::super::MAX_MS as u64);
        let hour = Duration::from_secs(3_600);
        for time in [-377_705_116_800_000, 0, 253_402_300_799_999] {
            for tumbling in
                [TumblingWindows::of(longest), TumblingWindows::of(longest).with_offset(Duration::MAX)]
            {
                let [(start, end)] = windows(tumbling, time)[..] else { panic!("one window") };
                assert!((start..end).contains(&time) && end < i64::MAX);
            }
            assert_eq!(windows(SlidingWindows::of(longest, longest), time).len(), 1);
        }
        for size in [longest + Duration::from_millis(1), Duration::MAX] {
            std::panic::catch_unwind(|| TumblingWindows::of(size)).unwrap_err();
            std::panic::catch_unwind(|| SlidingWindows::of(size, hour)).unwrap_err();
            std::panic::catch_unwind(|| SlidingWindows::of(hour, size)).unwrap_err();
        }
    }

    #[test]
    fn a_record_is_in_a_bounded_number_of_windows() {
        let (day, second) = (Duration::from_secs(86_400), Duration::from_secs(1));
        assert_eq!(windows(SlidingWindows::of(day, second), 0).len(), 86_400);
        let panic = std::panic::catch_unwind(|| SlidingWindows::of(100 * day, second)).unwrap_err();
        let message = panic.downcast_ref::<String>().expect("a text");
        assert!(message.contains("in 8640000 windows, and at most 100000 are possible"), "{message}");
    }

    #[test]
    fn offsets_may_be_negative() {
        let ten = Duration::from_millis(10);
        for offset_ms in [-3, 7, 17, -13] {
            assert_eq!(windows(TumblingWindows::of(ten).with_offset_ms(offset_ms), 6), [(-3, 7)]);
            let sliding = SlidingWindows::of(2 * ten, ten).with_offset_ms(offset_ms);
            assert_eq!(windows(sliding, 6), [(-3, 17), (-13, 7)]);
        }
        assert_eq!(windows(TumblingWindows::of(ten).with_offset_ms(i64::MIN), 6).len(), 1);
    }
}
