//! Windows of the calendar, in a time zone.

use super::{Assigner, ProcessingTime, Window, WindowError};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, ToSpan};
use reflow_types::Timestamp;

/// The first and the last moment that the calendar has, in milliseconds.
fn range_ms() -> (Timestamp, Timestamp) {
    (jiff::Timestamp::MIN.as_second() * 1_000, jiff::Timestamp::MAX.as_second() * 1_000)
}

/// Days, hours, weeks or months of a time zone. A day on which daylight saving time begins has 23 hours, and one on which
/// it ends 25.
///
/// The rules of time zones are part of the job's executable, so that all its processes use the same.
///
/// ```
/// use reflow_api::window::{Assigner, CalendarWindows};
///
/// let hour_ms = 3_600_000;
/// // In Berlin, the clock goes from 2 to 3 o'clock on 29 March 2026.
/// let noon: jiff::Timestamp = "2026-03-29T12:00:00+02:00".parse()?;
/// let mut days = CalendarWindows::days("Europe/Berlin");
/// days.assign(noon.as_millisecond(), |day| assert_eq!(day.end - day.start, 23 * hour_ms));
/// # Ok::<(), jiff::Error>(())
/// ```
///
/// ```
/// # extern crate reflow_api as reflow;
/// use reflow::window::CalendarWindows;
///
/// let weeks = CalendarWindows::weeks("Europe/Berlin");
/// let months = CalendarWindows::months("Asia/Tokyo");
/// let quarters_of_days = CalendarWindows::hours(6, "America/New_York").in_processing_time();
/// ```
#[derive(Clone, Debug)]
pub struct CalendarWindows {
    zone: TimeZone,
    unit: Unit,
    /// The window of the last record. It is most often that of the next one, too, which saves the look-up of the rules.
    last: Window,
}

#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many, which divide a day.
    Hours(i8),
    Day,
    Week,
    Month,
}

impl CalendarWindows {
    /// The days of a time zone of the IANA database, such as `America/New_York`.
    ///
    /// # Panics
    /// If there is no such time zone.
    pub fn days(zone: &str) -> Self {
        Self::new(zone, Unit::Day)
    }

    /// Weeks, which begin on Monday.
    ///
    /// # Panics
    /// If there is no such time zone.
    pub fn weeks(zone: &str) -> Self {
        Self::new(zone, Unit::Week)
    }

    /// The months of the calendar.
    ///
    /// # Panics
    /// If there is no such time zone.
    pub fn months(zone: &str) -> Self {
        Self::new(zone, Unit::Month)
    }

    /// Parts of a day of so many hours by the clock, which begin at midnight. The part in which the clock is changed is
    /// shorter or longer.
    ///
    /// # Panics
    /// If there is no such time zone, or if `hours` does not divide 24.
    pub fn hours(hours: u32, zone: &str) -> Self {
        if !(1..=24).contains(&hours) || 24 % hours != 0 {
            panic!("{}", WindowError::NoPartOfDay { hours });
        }
        Self::new(zone, Unit::Hours(hours as i8))
    }

    fn new(zone: &str, unit: Unit) -> Self {
        let found = TimeZoneDatabase::bundled().get(zone);
        let zone = found.unwrap_or_else(|_| panic!("{}", WindowError::NoTimeZone { name: zone.to_owned() }));
        Self { zone, unit, last: Window { start: 0, end: 0 } }
    }

    /// The same windows in processing time.
    pub fn in_processing_time(self) -> ProcessingTime<Self> {
        ProcessingTime(self)
    }

    #[cold]
    fn window_of(&self, time: Timestamp) -> Window {
        let range = range_ms();
        // Event time has a day more than the calendar on either side.
        if time < range.0 {
            return Window { start: Timestamp::MIN + 1, end: range.0 };
        }
        let calendar = jiff::Timestamp::from_millisecond(time).ok().filter(|_| time <= range.1);
        let Some(moment) = calendar else {
            return Window { start: range.1 + 1, end: Timestamp::MAX - 1 };
        };
        let (first, next) = self.unit.around(self.zone.to_datetime(moment));
        // A local time that the clock skips is that after the change, and of one that it has twice the earlier.
        let ms = |local: DateTime| self.zone.to_timestamp(local).ok().map(|moment| moment.as_millisecond());
        Window { start: first.and_then(ms).unwrap_or(range.0), end: next.and_then(ms).unwrap_or(range.1 + 1) }
    }
}

impl Unit {
    /// Where the window of a local time begins, and the next one; `None` if that is beyond the calendar.
    fn around(self, local: DateTime) -> (Option<DateTime>, Option<DateTime>) {
        let date = local.date();
        let moved = |date: Date, span: Span| date.checked_add(span).ok();
        let (first, next) = match self {
            Unit::Hours(hours) => {
                let first = date.at(local.hour() / hours * hours, 0, 0, 0);
                return (Some(first), first.checked_add(i64::from(hours).hours()).ok());
            }
            Unit::Day => (Some(date), moved(date, 1.day())),
            Unit::Week => {
                let monday = i64::from(date.weekday().to_monday_zero_offset());
                (moved(date, (-monday).days()), moved(date, (7 - monday).days()))
            }
            Unit::Month => (Some(date.first_of_month()), moved(date.last_of_month(), 1.day())),
        };
        let midnight = |date: Date| date.to_datetime(Time::midnight());
        (first.map(midnight), next.map(midnight))
    }
}

impl Assigner for CalendarWindows {
    #[inline]
    fn assign(&mut self, time: Timestamp, mut each: impl FnMut(Window)) {
        if !(self.last.start..self.last.end).contains(&time) {
            self.last = self.window_of(time);
        }
        each(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(moment: &str) -> Timestamp {
        moment.parse::<jiff::Timestamp>().unwrap().as_millisecond()
    }

    /// The window of a moment.
    fn check(mut windows: CalendarWindows, moment: &str, start: &str, end: &str) {
        let mut found = Vec::new();
        windows.assign(ms(moment), |window| found.push(window));
        assert_eq!(found, [Window { start: ms(start), end: ms(end) }], "{moment}");
    }

    #[test]
    fn days_are_shorter_or_longer_when_the_clock_changes() {
        let berlin = || CalendarWindows::days("Europe/Berlin");
        check(berlin(), "2026-03-28T23:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z");
        check(berlin(), "2026-03-29T21:59:59.999Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z");
        check(berlin(), "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z");
        // There is no midnight on the day when the clock goes from 0 to 1 o'clock.
        let day = CalendarWindows::days("America/Sao_Paulo");
        check(day, "2018-11-04T12:00Z", "2018-11-04T03:00Z", "2018-11-05T02:00Z");
        // And it is there twice when it goes back from 1 to 0 o'clock.
        let day = CalendarWindows::days("America/Havana");
        check(day, "2026-11-01T05:30Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z");
    }

    #[test]
    fn hours_weeks_and_months_follow_the_clock() {
        let hours = |n| CalendarWindows::hours(n, "Europe/Berlin");
        check(hours(6), "2026-03-29T00:30Z", "2026-03-28T23:00Z", "2026-03-29T04:00Z");
        check(hours(1), "2026-03-29T00:59Z", "2026-03-29T00:00Z", "2026-03-29T01:00Z");
        check(hours(1), "2026-03-29T01:00Z", "2026-03-29T01:00Z", "2026-03-29T02:00Z");
        // The hour from 2 to 3 o'clock is there twice.
        check(hours(1), "2026-10-25T01:30Z", "2026-10-25T00:00Z", "2026-10-25T02:00Z");
        check(
            CalendarWindows::hours(1, "Asia/Kolkata"),
            "2026-01-01T00:00Z",
            "2025-12-31T23:30Z",
            "2026-01-01T00:30Z",
        );
        let weeks = CalendarWindows::weeks("Europe/Berlin");
        check(weeks, "2026-03-29T21:59Z", "2026-03-22T23:00Z", "2026-03-29T22:00Z");
        let months = CalendarWindows::months("America/New_York");
        check(months, "2026-03-15T00:00Z", "2026-03-01T05:00Z", "2026-04-01T04:00Z");
    }

    #[test]
    fn windows_follow_one_another_without_gaps() {
        for zone in ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "UTC"] {
            for unit in [Unit::Hours(1), Unit::Hours(8), Unit::Day, Unit::Week, Unit::Month] {
                let mut windows = CalendarWindows::new(zone, unit);
                let mut time = ms("2011-06-01T00:00Z");
                while time < ms("2012-06-01T00:00Z") {
                    let window = windows.window_of(time);
                    assert!((window.start..window.end).contains(&time), "{zone} {unit:?} {time}: {window:?}");
                    assert_eq!(windows.window_of(window.end - 1), window, "{zone} {unit:?}");
                    windows.assign(window.end, |next| assert_eq!(next.start, window.end, "{zone} {unit:?}"));
                    time = window.end;
                }
            }
        }
    }

    #[test]
    fn any_event_time_has_a_window() {
        let range = range_ms();
        for time in [-377_705_116_800_000, range.0 - 1, range.0, range.1, range.1 + 1, 253_402_300_799_999] {
            for unit in [Unit::Hours(24), Unit::Day, Unit::Week, Unit::Month] {
                for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                    let window = CalendarWindows::new(zone, unit).window_of(time);
                    assert!((window.start..window.end).contains(&time), "{zone} {unit:?} {time}: {window:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_zone_or_no_part_of_a_day_is_refused() {
        let message = |build: fn() -> CalendarWindows| {
            let panic = std::panic::catch_unwind(build).unwrap_err();
            panic.downcast_ref::<String>().expect("a text").clone()
        };
        let unknown = message(|| CalendarWindows::days("Europe/Berln"));
        assert!(unknown.contains("'Europe/Berln'") && unknown.contains("such as Europe/Berlin"), "{unknown}");
        let uneven = message(|| CalendarWindows::hours(5, "UTC"));
        assert!(uneven.contains("5 hours"), "{uneven}");
    }
}
