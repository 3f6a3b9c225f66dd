//! Times and durations: from their encoding to numbers of nanoseconds or days, and back.
//!
//! Written by hand, because `jiff` would be compiled for 20 lines of arithmetic.

use crate::TimeUnit;
use crate::error::Cause;
use arrow_schema::DataType;
use reflow_data::{Data, DecodeError, Decoder, Encoder};

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const NANOS_PER_DAY: i128 = 86_400 * NANOS_PER_SECOND;

/// What is counted in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// `jiff::Timestamp`, seconds and nanoseconds since 1970.
    Timestamp,
    /// `jiff::civil::DateTime`.
    DateTime,
    /// `jiff::civil::Time`, since midnight.
    Time,
    /// `jiff::SignedDuration`.
    SignedDuration,
    /// `std::time::Duration`.
    Duration,
}

impl Clock {
    pub(crate) fn data_type(self, unit: TimeUnit) -> DataType {
        match self {
            Clock::Timestamp => DataType::Timestamp(unit.arrow(), Some("UTC".into())),
            Clock::DateTime => DataType::Timestamp(unit.arrow(), None),
            Clock::Time => DataType::Time64(unit.arrow()),
            Clock::SignedDuration | Clock::Duration => DataType::Duration(unit.arrow()),
        }
    }

    /// Takes a value, as nanoseconds.
    pub(crate) fn take(self, input: &mut Decoder<'_>) -> Result<i128, DecodeError> {
        match self {
            Clock::Timestamp | Clock::SignedDuration => {
                let (seconds, nanos) = <(i64, i32)>::decode_from(input)?;
                parts(seconds.into(), nanos.into())
            }
            Clock::Duration => {
                let (seconds, nanos) = <(u64, u32)>::decode_from(input)?;
                parts(seconds.into(), nanos.into())
            }
            Clock::DateTime => Ok(i128::from(take_days(input)?) * NANOS_PER_DAY + Clock::Time.take(input)?),
            Clock::Time => {
                let (hour, minute, second, nanos) = <(i8, i8, i8, i32)>::decode_from(input)?;
                let is_time = [(hour, 24), (minute, 60), (second, 60)]
                    .iter()
                    .all(|(part, end)| (0..*end).contains(part));
                if !is_time || nanos < 0 {
                    return Err(DecodeError::refused(format!(
                        "{hour}:{minute}:{second} is no time of a day"
                    )));
                }
                let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
                parts(seconds.into(), nanos.into())
            }
        }
    }

    /// Appends the value of this many nanoseconds. `None` if there is none.
    pub(crate) fn put(self, nanos: i128, out: &mut Encoder<'_, Vec<u8>>) -> Option<()> {
        // Both parts of a negative value are negative.
        let (seconds, rest) = (nanos / NANOS_PER_SECOND, (nanos % NANOS_PER_SECOND) as i32);
        match self {
            Clock::Timestamp | Clock::SignedDuration => {
                (i64::try_from(seconds).ok()?, rest).encode_into(out);
            }
            Clock::Duration => {
                (u64::try_from(seconds).ok()?, u32::try_from(rest).ok()?).encode_into(out);
            }
            Clock::DateTime => {
                put_days(i32::try_from(nanos.div_euclid(NANOS_PER_DAY)).ok()?, out)?;
                return Clock::Time.put(nanos.rem_euclid(NANOS_PER_DAY), out);
            }
            Clock::Time => {
                if !(0..NANOS_PER_DAY).contains(&nanos) {
                    return None;
                }
                let part = |length: i128, parts: i128| (seconds / length % parts) as i8;
                (part(3600, 24), part(60, 60), part(1, 60), rest).encode_into(out);
            }
        }
        Some(())
    }
}

fn parts(seconds: i128, nanos: i128) -> Result<i128, DecodeError> {
    if nanos.abs() < NANOS_PER_SECOND {
        Ok(seconds * NANOS_PER_SECOND + nanos)
    } else {
        Err(DecodeError::refused("a second has fewer nanoseconds"))
    }
}

impl TimeUnit {
    /// Nanoseconds in this unit.
    pub(crate) fn count(self, nanos: i128) -> Result<i64, Cause> {
        let (length, unit, reach) = match self {
            TimeUnit::Nanoseconds => (1, "nanoseconds", "292 years"),
            TimeUnit::Microseconds => (1_000, "microseconds", "292,000 years"),
        };
        let count = i64::try_from(nanos.div_euclid(length));
        count.map_err(|_| Cause::Time { value: format!("{} s", nanos / NANOS_PER_SECOND), unit, reach })
    }
}

/// The nanoseconds of a unit of Arrow.
pub(crate) fn nanos_per(unit: arrow_schema::TimeUnit) -> i128 {
    match unit {
        arrow_schema::TimeUnit::Second => NANOS_PER_SECOND,
        arrow_schema::TimeUnit::Millisecond => 1_000_000,
        arrow_schema::TimeUnit::Microsecond => 1_000,
        arrow_schema::TimeUnit::Nanosecond => 1,
    }
}

/// Takes a date, as days since 1970.
pub(crate) fn take_days(input: &mut Decoder<'_>) -> Result<i32, DecodeError> {
    let (year, month, day) = <(i16, i8, i8)>::decode_from(input)?;
    let days = days_of(year.into(), month.into(), day.into());
    if date_of(days) == (year.into(), month.into(), day.into()) {
        Ok(days)
    } else {
        Err(DecodeError::refused(format!("{year}-{month}-{day} is no date")))
    }
}

/// Appends the date of these days since 1970. `None` if its year has more than four digits, as `jiff` has no more.
pub(crate) fn put_days(days: i32, out: &mut Encoder<'_, Vec<u8>>) -> Option<()> {
    const FOUR_DIGITS: std::ops::RangeInclusive<i32> = -9999..=9999;
    // Far beyond the four digits, and far from an overflow.
    if !(-10_000_000..10_000_000).contains(&days) {
        return None;
    }
    let (year, month, day) = date_of(days);
    if !FOUR_DIGITS.contains(&year) {
        return None;
    }
    (year as i16, month as i8, day as i8).encode_into(out);
    Some(())
}

/// Days since 1970-01-01 in the Gregorian calendar, by Howard Hinnant's `days_from_civil`: years begin in March, so that a
/// leap day is the last of its year, and 400 years have 146,097 days.
fn days_of(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The reverse of [`days_of`].
fn date_of(days: i32) -> (i32, i32, i32) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = shifted + if shifted < 10 { 3 } else { -9 };
    let year = year_of_era + era * 400 + i32::from(month <= 2);
    (year, month, day)
}
