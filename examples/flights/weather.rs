//! The table of hourly weather.

use crate::table::wall_clock;
use reflow::prelude::*;
use serde::Deserialize;

/// A line of the table of hourly weather.
#[derive(Clone, Debug, Deserialize, Data)]
pub(crate) struct Weather {
    pub(crate) origin: String,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    /// Inches of rain in this hour.
    pub(crate) precip: f64,
}

impl Weather {
    /// The beginning of the hour.
    pub(crate) fn time(&self) -> Timestamp {
        wall_clock(self.year, self.month, self.day, self.hour, 0)
    }
}
