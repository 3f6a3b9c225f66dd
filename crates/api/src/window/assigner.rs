//! Assigners, which decide which windows a record belongs to.

use super::Window;
use reflow_types::{MIN_WATERMARK, Timestamp};
use std::time::Duration;

/// Assigns windows to timestamps.
pub trait Assigner: Clone + Send + 'static {
    /// Whether windows depend on timestamps. A record without a timestamp is then an error.
    const NEEDS_TIME: bool = true;

    /// Calls `each` with every window of a record with this timestamp. Windows with the same end but different
    /// starts are different windows.
    fn assign(&mut self, time: Timestamp, each: impl FnMut(Window));

    /// Not called any more. It returned the window with this end.
    #[deprecated(note = "leave it out: windows are kept with their start")]
    fn ending_at(&self, end: Timestamp) -> Window {
        Window { start: MIN_WATERMARK, end }
    }
}

/// An invalid window size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Below a millisecond.
    #[error("a window's {what} must be at least 1 ms")]
    TooShort {
        /// Size or slide.
        what: &'static str,
    },
    /// Above 20,000 years.
    #[error("a window's {what} must be at most 20,000 years; for windows without end use GlobalWindows")]
    TooLong {
        /// Size or slide.
        what: &'static str,
    },
}

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
        Self { size: millis(size, "size"), offset: 0, last: Window { start: 0, end: 0 } }
    }

    /// Shifts all windows by `offset`, for example to the days of another time zone.
    #[must_use]
    pub fn with_offset(mut self, offset: Duration) -> Self {
        self.offset = (offset.as_millis() % self.size as u128) as i64;
        self.last = Window { start: 0, end: 0 };
        self
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
}

impl SlidingWindows {
    /// Windows of `size`, one every `slide`.
    ///
    /// # Panics
    /// If either is below 1 ms or above 20,000 years.
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self { size: millis(size, "size"), slide: millis(slide, "slide") }
    }
}

impl Assigner for SlidingWindows {
    #[inline]
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        let mut start = window_start(time, 0, self.slide);
        while start > time - self.size {
            each(Window { start, end: start + self.size });
            start -= self.slide;
        }
    }
}

/// One window without end for each key. A trigger, or the end of the input, emits its results.
#[derive(Clone, Copy, Debug)]
pub struct GlobalWindows;

impl Assigner for GlobalWindows {
    const NEEDS_TIME: bool = false;

    #[inline]
    fn assign(&mut self, _: Timestamp, mut each: impl FnMut(Window)) {
        each(Window::GLOBAL);
    }
}

/// About the years -9999 to 9999, to which event time is limited, so that computations with windows cannot
/// overflow.
const MAX_MS: i64 = 20_000 * 366 * 24 * 3_600 * 1_000;

fn millis(duration: Duration, what: &'static str) -> i64 {
    let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    if ms < 1 {
        panic!("{}", WindowError::TooShort { what });
    }
    if ms > MAX_MS {
        panic!("{}", WindowError::TooLong { what });
    }
    ms
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
        assigner.assign(time, |w| all.push((w.start, w.end)));
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
        let longest = Duration::from_millis(MAX_MS as u64);
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
}
