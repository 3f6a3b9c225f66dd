//! Sessions and an interval join of a real table: the legs that an aircraft flew without a rest of 12 hours, and how late
//! flights left in rain. `examples/flights/README.md` describes the tables and the results, and how to fetch them.
//!
//! `cargo run --bin flights_and_weather -- run --input target/flights --output target/flights/out`

#[path = "flights/table.rs"]
mod table;
#[path = "flights/weather.rs"]
mod weather;

use reflow::connectors::{Lines, RateLimited};
use reflow::prelude::*;
use table::{Files, Flight, HOUR, show};
use weather::Weather;

/// Flights that were not cancelled: all of them, and those in rain, with the sums of their delays in minutes.
#[derive(Clone, Data)]
struct Departures {
    origin: String,
    flights: [u64; 2],
    minutes: [i64; 2],
}

impl Departures {
    fn one(origin: String, delay: i64, in_rain: bool) -> Self {
        Self { origin, flights: [1, in_rain.into()], minutes: [delay, if in_rain { delay } else { 0 }] }
    }

    fn and(self, more: Self) -> Self {
        let flights = [0, 1].map(|of| self.flights[of] + more.flights[of]);
        Self { flights, minutes: [0, 1].map(|of| self.minutes[of] + more.minutes[of]), ..self }
    }
}

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
    #[command(flatten)]
    files: Files,
}

fn flights_and_weather(env: &mut StreamEnv, Options { input, files }: Options) -> JobResult {
    let Files { output, split_size, rate } = &files;
    let flights = env
        .source("flights", files.flights(&format!("{input}/flights.csv")))
        .assign_event_time(Flight::time, Watermarks::bounded_out_of_orderness(24 * HOUR))
        .share();
    let weather = FileSource::csv::<Weather>(format!("{input}/weather.csv"));
    let weather = weather.splittable(true).split_size(split_size / u64::from(FLIGHTS_PER_WEATHER));
    let weather = env
        .source("weather", RateLimited::new(weather, rate / f64::from(FLIGHTS_PER_WEATHER)))
        .assign_event_time(Weather::time, Watermarks::monotonic());

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
        .try_map(|(origin, delay, in_rain)| Ok(Departures::one(origin, delay.parse()?, in_rain)))
        .key_by(|departures| departures.origin.clone())
        .window(TumblingWindows::of(24 * HOUR))
        .reduce(Departures::and)
        .uid("delays-in-rain")
        .map(|Windowed { key, window, value: Departures { flights, minutes, .. } }| {
            let day = show(window.start, "%Y-%m-%d");
            format!("{day},{key},{},{},{},{}", flights[0], minutes[0], flights[1], minutes[1])
        })
        .sink("delays-in-rain", FileSink::new(format!("{output}/delays_in_rain"), Lines))
        .uid("delays-in-rain-sink");
    Ok(())
}

reflow::main!(flights_and_weather);
