//! Nexmark: queries on the events of an auction house, a benchmark of stream processors. `cargo xtask nexmark` compares
//! their results with those of DuckDB. `examples/nexmark/README.md` describes them.
//!
//! `cargo run --bin nexmark -- run --queries q4,q5 --output target/nexmark/out`

mod events;
mod inputs;
mod queries;

use events::Event;
use inputs::{auctions, bids, persons, time};
use reflow::connectors::Lines;
use reflow::prelude::*;

#[derive(clap::Args)]
struct Options {
    /// How many events there are.
    #[arg(long, default_value_t = 100_000)]
    events: u64,
    /// The most events a second.
    #[arg(long, default_value_t = 1e9)]
    rate: f64,
    /// The queries to run, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    queries: Vec<String>,
    /// The directory for the results, one directory a query.
    #[arg(long, default_value = "target/nexmark/out")]
    output: String,
}

/// Their names.
const QUERIES: [&str; 16] =
    ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q11", "q12", "q13", "q14", "q18", "q19", "q20"];

fn nexmark(env: &mut StreamEnv, options: Options) -> JobResult {
    let events = env
        .source("events", Generator::new(Event::new).count(options.events).rate(options.rate))
        .assign_event_time(time, Watermarks::monotonic())
        .share();
    let (persons, auctions, bids) = (|| persons(&events), || auctions(&events), || bids(&events));
    let selected: Vec<&str> = match options.queries.is_empty() {
        true => QUERIES.to_vec(),
        false => options.queries.iter().map(String::as_str).collect(),
    };
    for query in selected {
        let lines = match query {
            "q0" => queries::q0(bids()).boxed(),
            "q1" => queries::q1(bids()).boxed(),
            "q2" => queries::q2(bids()).boxed(),
            "q3" => queries::q3(auctions(), persons()).boxed(),
            "q4" => queries::q4(bids(), auctions()).boxed(),
            "q5" => queries::q5(bids()).boxed(),
            "q6" => queries::q6(bids(), auctions()).boxed(),
            "q7" => queries::q7(bids()).boxed(),
            "q8" => queries::q8(persons(), auctions()).boxed(),
            "q11" => queries::q11(bids()).boxed(),
            "q12" => queries::q12(bids()).boxed(),
            "q13" => queries::q13(bids()).boxed(),
            "q14" => queries::q14(bids()).boxed(),
            "q18" => queries::q18(bids()).boxed(),
            "q19" => queries::q19(bids()).boxed(),
            "q20" => queries::q20(bids(), auctions()).boxed(),
            other => {
                return Err(format!("there is no query {other}; there are {}", QUERIES.join(", ")).into());
            }
        };
        let sink = FileSink::new(format!("{}/{query}", options.output), Lines);
        lines.sink(query, sink).uid(&format!("{query}-sink"));
    }
    Ok(())
}

reflow::main!(nexmark);
