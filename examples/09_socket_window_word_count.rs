//! Words from a socket, counted in windows by the wall clock: Flink's example SocketWindowWordCount.
//!
//! Run `nc -lk 9999` in one terminal and `cargo run --bin socket_window_word_count -- run` in another, then type words into
//! the first one. A socket keeps nothing, so lines that were received before a failure are lost; see `SocketSource`.

use reflow::prelude::*;

#[derive(clap::Args)]
struct Options {
    /// The address that sends lines.
    #[arg(long, default_value = "localhost:9999")]
    address: String,
    /// How often it connects again, one second after the stream has ended.
    #[arg(long, default_value_t = 0)]
    reconnects: u32,
    /// The length of windows in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    window_ms: u64,
}

fn socket_window_word_count(env: &mut StreamEnv, options: Options) -> JobResult {
    let lines = SocketSource::lines(options.address).reconnect(options.reconnects, Duration::from_secs(1));
    env.source("lines", lines)
        .flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .key_by(|word| word.clone())
        .window(TumblingWindows::of(Duration::from_millis(options.window_ms)).in_processing_time())
        .count()
        .map(|counted| format!("{} {}", counted.value, counted.key))
        .sink("counts", Print::stdout())
        .max_parallelism(1);
    Ok(())
}

reflow::main!(socket_window_word_count);
