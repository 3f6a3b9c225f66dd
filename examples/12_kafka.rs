//! Counts the words of a topic's lines, and writes each new count to another topic, exactly once.
//!
//! ```sh
//! cargo run --features kafka --bin kafka_word_count -- run -- --bootstrap localhost:9092
//! ```
//!
//! `docs/jobs/kafka.md` shows how to start a broker, write lines, and read the counts.

use reflow::kafka::{KafkaSink, KafkaSource, ProducerRecord};
use reflow::prelude::*;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Addresses of brokers.
    #[arg(long, default_value = "localhost:9092")]
    bootstrap: String,
    /// The topic that is read.
    #[arg(long, default_value = "lines")]
    from: String,
    /// The topic that is written to.
    #[arg(long, default_value = "counts")]
    to: String,
}

#[derive(serde::Serialize)]
struct Count {
    word: String,
    count: u64,
}

pub(crate) fn word_count(env: &mut StreamEnv, options: Options) -> JobResult {
    let lines = KafkaSource::text(&options.bootstrap, [options.from]).group_id("word-count");
    // A topic that is compacted by its keys keeps the last count of each word.
    let counts = KafkaSink::json::<Count>(&options.bootstrap, options.to).with_record(
        |count: &Count, record: &mut ProducerRecord| {
            record.set_key(&count.word);
        },
    );
    env.source("lines", lines)
        .flat_map(|line: String| {
            line.split_whitespace().map(|word| (word.to_lowercase(), 1)).collect::<Vec<_>>()
        })
        .key_by(|(word, _)| word.clone())
        .reduce(|(word, count), (_, more)| (word, count + more))
        .map(|(word, count)| Count { word, count })
        .sink("counts", counts);
    Ok(())
}

reflow::main!(word_count);
