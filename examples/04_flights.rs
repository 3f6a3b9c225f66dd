//! A real table in event time: all flights that left New York in 2013. `examples/flights/README.md` describes the
//! table and the results; `examples/flights/fetch.sh` fetches the table and the expected results.
//!
//! `cargo run --bin flights -- run --input target/flights/flights.csv --output target/flights/out`
//!
//! `--rate 10000` reads at most this many flights per second, so that there is time to start and stop TaskManagers.

#[path = "flights/table.rs"]
mod table;

use reflow::connectors::Lines;
use reflow::prelude::*;
use table::{Files, Flight, HOUR, show};

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

#[derive(clap::Args)]
struct Options {
    /// The file or directory of flights.
    #[arg(long, default_value = "target/flights/flights.csv")]
    input: String,
    #[command(flatten)]
    files: Files,
}

fn flights(env: &mut StreamEnv, Options { input, files }: Options) -> JobResult {
    let output = &files.output;
    let flights = env
        .source("flights", files.flights(&input))
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
