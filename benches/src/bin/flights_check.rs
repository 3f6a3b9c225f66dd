//! `cargo xtask flights`: compares the output of the flights examples with that of DuckDB for the same files.

use clap::Parser;
use reflow_benches::compared::Compared;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares the flights examples with DuckDB.
#[derive(Parser)]
struct Arguments {
    /// The directory into which examples/flights/fetch.sh has put the table and the expected lines.
    #[arg(long)]
    data: PathBuf,
    /// Flights a second while the cluster changes.
    #[arg(long, default_value_t = 12_000)]
    rate: u32,
}

fn main() -> ExitCode {
    let Arguments { data, rate } = Arguments::parse();
    // The executable, what it reads in the directory of the tables, and its outputs.
    let examples: [(&str, &str, [&str; 2]); 2] = [
        ("flights", "flights.csv", ["delay_by_carrier_and_day", "busiest_origin"]),
        ("flights_and_weather", "", ["sessions_by_aircraft", "delays_in_rain"]),
    ];
    for (job, input, outputs) in examples {
        let input = data.join(input).display().to_string();
        let compared = Compared {
            job,
            arguments: ["--input", &input, "--split-size", "3000000"].map(str::to_owned).to_vec(),
            outputs: &outputs,
            expected: data.join("expected"),
            rate,
            canonical: |lines| lines,
        };
        if let Err(failed) = compared.check() {
            return failed;
        }
    }
    ExitCode::SUCCESS
}
