//! The table of flights, as both jobs about it read it.

use jiff::Timestamp as Time;
use jiff::civil::date;
use jiff::tz::TimeZone;
use reflow::connectors::RateLimited;
use reflow::prelude::*;
use serde::Deserialize;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A line of the table, with the columns that are needed.
#[derive(Clone, Debug, Deserialize, Data)]
pub(crate) struct Flight {
    year: i16,
    month: i8,
    day: i8,
    /// Hours × 100 + minutes.
    sched_dep_time: i16,
    /// Minutes, or `NA` for a flight that was cancelled.
    pub(crate) dep_delay: String,
    pub(crate) carrier: String,
    /// The aircraft, or `NA`.
    pub(crate) tailnum: String,
    pub(crate) origin: String,
}

impl Flight {
    /// The scheduled departure.
    pub(crate) fn time(&self) -> Timestamp {
        let (hour, minute) = (self.sched_dep_time / 100, self.sched_dep_time % 100);
        wall_clock(self.year, self.month, self.day, hour as i8, minute as i8)
    }
}

/// A wall-clock time, read as if it were UTC.
pub(crate) fn wall_clock(year: i16, month: i8, day: i8, hour: i8, minute: i8) -> Timestamp {
    let at = date(year, month, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC);
    at.map_or(i64::MAX, |at| at.timestamp().as_millisecond())
}

pub(crate) fn show(time: Timestamp, format: &str) -> String {
    Time::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.strftime(format).to_string())
}

/// How tables are read, and where results are written.
#[derive(clap::Args)]
pub(crate) struct Files {
    /// The directory for the results.
    #[arg(long, default_value = "target/flights/out")]
    pub(crate) output: String,
    /// The size of the parts of a file that are read side by side, in bytes.
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) split_size: u64,
    /// The most flights that are read per second.
    #[arg(long, default_value_t = 1e9)]
    pub(crate) rate: f64,
}

impl Files {
    pub(crate) fn flights(&self, path: &str) -> impl reflow::Source<Item = Flight> + use<> {
        let flights = FileSource::csv::<Flight>(path).splittable(true).split_size(self.split_size);
        RateLimited::new(flights, self.rate)
    }
}
