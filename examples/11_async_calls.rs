//! Asynchronous calls: each number goes to a service that takes a while to answer, many at the same time.
//!
//! Flink's `AsyncIOExample`. The service is made up; it is overloaded at every tenth request, so that calls are repeated.
//!
//! ```sh
//! cargo run --bin async_calls -- run --numbers 1000 --ordered
//! ```

use reflow::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(clap::Args)]
struct Options {
    /// How many numbers are looked up.
    #[arg(long, default_value_t = 1_000)]
    numbers: u64,
    /// How many calls a subtask has under way.
    #[arg(long, default_value_t = 100)]
    capacity: usize,
    /// Whether results are in the order of the numbers.
    #[arg(long)]
    ordered: bool,
}

/// The error of a service that has too much to do.
#[derive(Debug)]
struct Overloaded;

impl std::fmt::Display for Overloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the service is overloaded")
    }
}

impl std::error::Error for Overloaded {}

/// Stands for a client library.
async fn look_up(number: u64) -> Result<String, Overloaded> {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    tokio::time::sleep(Duration::from_millis(5 + number * 7 % 20)).await;
    match REQUESTS.fetch_add(1, Ordering::Relaxed) % 10 {
        9 => Err(Overloaded),
        _ => Ok(format!("key {}", number % 10)),
    }
}

fn async_calls(env: &mut StreamEnv, options: Options) -> JobResult {
    let calls = if options.ordered { AsyncCalls::ordered() } else { AsyncCalls::unordered() };
    let calls = calls
        .capacity(options.capacity)
        .time_limit(Duration::from_secs(30))
        .retry(Retry::exponential(10, Duration::from_millis(10), Duration::from_secs(1)));
    env.source("numbers", Generator::new(|index| index).count(options.numbers).splits(1))
        .async_map(calls, |number| async move { Ok((number, look_up(number).await?)) })
        .uid("look-up")
        .map(|(number, key)| format!("{number}: {key}"))
        .sink("results", Print::stdout());
    Ok(())
}

reflow::main!(async_calls);
