//! TopSpeedWindowing, Flink's example of elastic scaling: cars report their speed, and whenever a car has gone
//! another 50 metres, its highest speed over the last 10 seconds is printed.
//!
//! `cargo run --bin top_speed_windowing -- run` runs it until Ctrl-C; the web interface is at
//! http://localhost:8081.

use reflow::prelude::*;
use std::fmt;

/// What a car reports each 100 ms.
#[derive(Clone, Debug, Data)]
struct CarEvent {
    car: u64,
    /// km/h.
    speed: u32,
    /// Metres since the start.
    distance: f64,
    /// Milliseconds since the Unix epoch.
    time: Timestamp,
}

impl fmt::Display for CarEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "car {}: {} km/h at {:.0} m", self.car, self.speed, self.distance)
    }
}

/// Cars that speed up by 5 km/h a report until they do 100, slow down until they stand, and begin again.
fn drive(cars: u64) -> impl Fn(u64) -> CarEvent + Clone + Send {
    const CYCLE: u64 = 40;
    let speed = |step: u64| 5 * (step % CYCLE).min(CYCLE - step % CYCLE);
    move |index| {
        let (car, step) = (index % cars, index / cars + index % cars);
        let whole_cycles = step / CYCLE * (0..CYCLE).map(speed).sum::<u64>();
        let kmh_steps = whole_cycles + (0..=step % CYCLE).map(speed).sum::<u64>();
        let distance = kmh_steps as f64 / 3.6 * 0.1;
        CarEvent { car, speed: speed(step) as u32, distance, time: (index / cars * 100) as Timestamp }
    }
}

#[derive(clap::Args)]
struct Options {
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    cars: u32,
    /// Reports of all cars, per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// The number of reports after which the input ends. Without it the input is unbounded.
    #[arg(long)]
    events: Option<u64>,
    /// A directory for the results, which are printed otherwise.
    #[arg(long)]
    output: Option<String>,
}

fn top_speed(env: &mut StreamEnv, options: Options) -> JobResult {
    let cars = options.cars;
    // One split for each car. A split is read in order by one reader at a time, so the reports of a car stay in
    // order.
    let mut source = Generator::new(drive(cars.into())).splits(cars).rate(options.rate);
    if let Some(events) = options.events {
        source = source.count(events);
    }
    let top_speeds = env
        .source("cars", source)
        .assign_event_time(|event| event.time, Watermarks::monotonic())
        .key_by(|event| event.car)
        .window(GlobalWindows)
        .evict(TimeEvictor::keep_last(Duration::from_secs(10)))
        .trigger_on_rise(50.0, |event| event.distance)
        .max_by(|event| event.speed)
        .uid("top-speed");
    match options.output {
        Some(directory) => {
            let sink = FileSink::new(directory, reflow::connectors::format::Lines);
            top_speeds.sink("files", sink.rolling_policy(RollingPolicy::on_checkpoint()))
        }
        None => top_speeds.sink("print", Print::stdout()),
    };
    Ok(())
}

reflow::main!(top_speed);
