//! `cargo xtask nexmark`: compares the output of the Nexmark example with that of DuckDB for the same events.

use clap::Parser;
use reflow_benches::compared::Compared;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares the Nexmark example with DuckDB.
#[derive(Parser)]
struct Arguments {
    /// The directory with the expected lines.
    #[arg(long)]
    data: PathBuf,
    /// How many events there are.
    #[arg(long)]
    events: u64,
    /// Events a second while the cluster changes. With 100,000 events, all changes fit into the run.
    #[arg(long, default_value_t = 1_000)]
    rate: u32,
}

const QUERIES: [&str; 16] =
    ["q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8", "q11", "q12", "q13", "q14", "q18", "q19", "q20"];

fn main() -> ExitCode {
    let Arguments { data, events, rate } = Arguments::parse();
    let compared = Compared {
        job: "nexmark",
        arguments: vec!["--events".to_owned(), events.to_string()],
        outputs: &QUERIES,
        expected: data.join("expected"),
        rate,
        canonical: add_up_windows_of_processing_time,
    };
    compared.check().err().unwrap_or(ExitCode::SUCCESS)
}

/// Of q12, only a bidder's number of bids over all windows is known.
fn add_up_windows_of_processing_time(lines: Vec<String>) -> Vec<String> {
    let mut bids: BTreeMap<String, u64> = BTreeMap::new();
    let mut canonical = Vec::new();
    for line in lines {
        let window = line.strip_prefix("q12: ").map(|window| window.split(',').collect::<Vec<_>>());
        match window.as_deref() {
            Some([bidder, count, ..]) => {
                *bids.entry((*bidder).to_owned()).or_default() += count.parse().unwrap_or(0)
            }
            _ => canonical.push(line),
        }
    }
    canonical.extend(bids.into_iter().map(|(bidder, count)| format!("q12: {bidder},{count}")));
    canonical.sort_unstable();
    canonical
}
