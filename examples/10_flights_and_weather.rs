//! Sessions and an interval join of a real table: the legs that an aircraft flew without a rest of 12 hours, and how late
//! flights left in rain. `examples/flights/README.md` describes the tables and the results; `examples/flights/fetch.sh`
//! fetches the tables and the expected results.
//!
//! `cargo run --bin flights_and_weather -- run --input target/flights --output target/flights/out`

use jiff::Timestamp as Time;
use jiff::civil::date;
use jiff::tz::TimeZone;
use reflow::connectors::{Lines, RateLimited};
use reflow::prelude::*;
use serde::Deserialize;

/// A line of the table of flights, with the columns that are needed.
#[derive(Clone, Debug, Deserialize, Data)]
struct Flight {
    year: i16,
    month: i8,
    day: i8,
    /// Hours × 100 + minutes.
    sched_dep_time: i16,
    /// Minutes, or `NA` for a flight that was cancelled.
    dep_delay: String,
    /// The aircraft, or `NA`.
    tailnum: String,
    origin: String,
}

/// A line of the table of hourly weather.
#[derive(Clone, Debug, Deserialize, Data)]
struct Weather {
    origin: String,
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    /// Inches of rain in this hour.
    precip: f64,
}

/// A wall-clock time, read as if it were UTC.
fn wall_clock(year: i16, month: i8, day: i8, hour: i8, minute: i8) -> Timestamp {
    let at = date(year, month, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC);
    at.map_or(i64::MAX, |at| at.timestamp().as_millisecond())
}

fn show(time: Timestamp, format: &str) -> String {
    Time::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.strftime(format).to_string())
}

/// The number of flights and the sum of their delays, in minutes: of all, and of those in rain.
#[derive(Clone)]
struct Delays;

impl Aggregate for Delays {
    type In = Departure;
    type Acc = ([u64; 2], [i64; 2]);
    type Out = ([u64; 2], [i64; 2]);

    fn create(&self) -> Self::Acc {
        Default::default()
    }
    fn add(&self, (flights, minutes): &mut Self::Acc, departure: Departure) {
        for of in 0..if departure.in_rain { 2 } else { 1 } {
            flights[of] += 1;
            minutes[of] += departure.delay;
        }
    }
    fn result(&self, acc: &Self::Acc) -> Self::Out {
        *acc
    }
}

/// A flight that was not cancelled, with its weather.
#[derive(Clone, Data)]
struct Departure {
    origin: String,
    delay: i64,
    in_rain: bool,
}

const HOUR: Duration = Duration::from_secs(3600);
const REST: Duration = Duration::from_secs(12 * 3600);
/// The fewest flights of a session that is written.
const LEGS: u64 = 3;
/// The table of flights has about as many times more lines.
const FLIGHTS_PER_WEATHER: u32 = 16;

#[derive(clap::Args)]
struct Options {
    /// The directory of the tables.
    #[arg(long, default_value = "target/flights")]
    input: String,
    /// The directory for the results.
    #[arg(long, default_value = "target/flights/out")]
    output: String,
    /// The size of the parts of a file that are read side by side, in bytes.
    #[arg(long, default_value_t = 1 << 20)]
    split_size: u64,
    /// The most flights that are read per second.
    #[arg(long, default_value_t = 1e9)]
    rate: f64,
}

fn flights_and_weather(env: &mut StreamEnv, options: Options) -> JobResult {
    let Options { input, output, split_size, rate } = options;
    let flights = FileSource::csv::<Flight>(format!("{input}/flights.csv"));
    let flights = env
        .source("flights", RateLimited::new(flights.splittable(true).split_size(split_size), rate))
        .assign_event_time(
            |of| {
                wall_clock(
                    of.year,
                    of.month,
                    of.day,
                    (of.sched_dep_time / 100) as i8,
                    (of.sched_dep_time % 100) as i8,
                )
            },
            Watermarks::bounded_out_of_orderness(24 * HOUR),
        )
        .share();
    let weather = FileSource::csv::<Weather>(format!("{input}/weather.csv"));
    let weather = weather.splittable(true).split_size(split_size / u64::from(FLIGHTS_PER_WEATHER));
    let weather = env
        .source("weather", RateLimited::new(weather, rate / f64::from(FLIGHTS_PER_WEATHER)))
        .assign_event_time(|of| wall_clock(of.year, of.month, of.day, of.hour, 0), Watermarks::monotonic());

    flights
        .filter(|flight| flight.tailnum != "NA")
        .key_by(|flight| flight.tailnum.clone())
        .window(SessionWindows::with_gap(REST))
        .count()
        .uid("sessions")
        .filter(|session| session.value >= LEGS)
        .map(|Windowed { key, window, value }| {
            let last = window.end - REST.as_millis() as Timestamp;
            let format = "%Y-%m-%dT%H:%M:%SZ";
            format!("{key},{},{},{value}", show(window.start, format), show(last, format))
        })
        .sink("sessions", FileSink::new(format!("{output}/sessions_by_aircraft"), Lines))
        .uid("sessions-sink");

    // The weather of the hour in which the flight leaves.
    flights
        .filter(|flight| flight.dep_delay != "NA")
        .key_by(|flight| flight.origin.clone())
        .interval_join(weather.key_by(|weather| weather.origin.clone()))
        .between(TimeBound::before(HOUR).exclusive(), TimeBound::after(Duration::ZERO))
        .join(|origin, flight, weather| (origin.clone(), flight.dep_delay.clone(), weather.precip > 0.0))
        .uid("weather-of-flights")
        .try_map(|(origin, delay, in_rain)| Ok(Departure { origin, delay: delay.parse()?, in_rain }))
        .key_by(|departure| departure.origin.clone())
        .window(TumblingWindows::of(24 * HOUR))
        .aggregate(Delays)
        .uid("delays-in-rain")
        .map(|Windowed { key, window, value: (flights, minutes) }| {
            let (day, [all, in_rain]) = (show(window.start, "%Y-%m-%d"), flights);
            format!("{day},{key},{all},{},{in_rain},{}", minutes[0], minutes[1])
        })
        .sink("delays-in-rain", FileSink::new(format!("{output}/delays_in_rain"), Lines))
        .uid("delays-in-rain-sink");
    Ok(())
}

reflow::main!(flights_and_weather);
