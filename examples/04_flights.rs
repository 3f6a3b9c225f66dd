//! A real table in event time: all flights that left New York in 2013. `examples/flights/README.md` describes the
//! table and the results; `examples/flights/fetch.sh` fetches the table and the expected results.
//!
//! `cargo run --bin flights -- run --input target/flights/flights.csv --output target/flights/out`
//!
//! `--rate 10000` reads at most this many flights per second, so that there is time to start and stop TaskManagers.

use jiff::Timestamp as Time;
use jiff::civil::date;
use jiff::tz::TimeZone;
use reflow::connectors::{Lines, RateLimited};
use reflow::prelude::*;
use serde::Deserialize;

/// A line of the table, with the columns that are needed.
#[derive(Clone, Debug, Deserialize, Data)]
struct Flight {
    year: i16,
    month: i8,
    day: i8,
    /// Hours × 100 + minutes.
    sched_dep_time: i16,
    /// Minutes, or `NA` for a flight that was cancelled.
    dep_delay: String,
    carrier: String,
    origin: String,
}

impl Flight {
    /// The scheduled departure by the wall clock, read as if it were UTC.
    fn time(&self) -> Timestamp {
        let (hour, minute) = (self.sched_dep_time / 100, self.sched_dep_time % 100);
        let at = date(self.year, self.month, self.day).at(hour as i8, minute as i8, 0, 0);
        at.to_zoned(TimeZone::UTC).map_or(i64::MAX, |at| at.timestamp().as_millisecond())
    }
}

/// A carrier's delays.
#[derive(Clone)]
struct Delays;

impl Aggregate for Delays {
    type In = (String, i64);
    type Acc = (u64, i64);
    type Out = (u64, i64);

    fn create(&self) -> (u64, i64) {
        (0, 0)
    }
    fn add(&self, (flights, minutes): &mut (u64, i64), (_, delay): (String, i64)) {
        *flights += 1;
        *minutes += delay;
    }
    fn result(&self, acc: &(u64, i64)) -> (u64, i64) {
        *acc
    }
}

const HOUR: Duration = Duration::from_secs(3600);

fn show(time: Timestamp, format: &str) -> String {
    Time::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.strftime(format).to_string())
}

#[derive(clap::Args)]
struct Options {
    /// The file or directory of flights.
    #[arg(long, default_value = "target/flights/flights.csv")]
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

fn flights(env: &mut StreamEnv, options: Options) -> JobResult {
    let output = &options.output;
    let source = FileSource::csv::<Flight>(&options.input).splittable(true).split_size(options.split_size);
    let flights = env
        .source("flights", RateLimited::new(source, options.rate))
        .assign_event_time(Flight::time, Watermarks::bounded_out_of_orderness(24 * HOUR))
        .share();

    flights
        .stream()
        .flat_map(|flight: Flight| flight.dep_delay.parse().ok().map(|delay: i64| (flight.carrier, delay)))
        .key_by(|(carrier, _)| carrier.clone())
        .window(TumblingWindows::of(24 * HOUR))
        .aggregate(Delays)
        .uid("delays")
        .map(|of: Windowed<String, (u64, i64)>| {
            let (flights, minutes) = of.value;
            let mean = minutes as f64 / flights as f64;
            format!("{},{},{flights},{minutes},{mean:.6}", show(of.window.start, "%Y-%m-%d"), of.key)
        })
        .sink("delays", FileSink::new(format!("{output}/delay_by_carrier_and_day"), Lines))
        .uid("delays-sink");

    flights
        .stream()
        .map(|flight: Flight| flight.origin)
        .key_by(|origin| origin.clone())
        .window(SlidingWindows::of(6 * HOUR, HOUR))
        .count()
        .uid("flights-by-origin")
        .key_by(|of| of.window)
        .window(TumblingWindows::of(HOUR))
        .reduce(|a, b| if (b.value, &a.key) > (a.value, &b.key) { b } else { a })
        .uid("busiest")
        .map(|of| {
            let (end, busiest) = (of.key.end, of.value);
            format!("{},{},{}", show(end, "%Y-%m-%dT%H:%M:%SZ"), busiest.key, busiest.value)
        })
        .sink("busiest", FileSink::new(format!("{output}/busiest_origin"), Lines))
        .uid("busiest-sink");
    Ok(())
}

reflow::main!(flights);
