//! Jobs that read and write a real Kafka broker. Each record must be in the output exactly once, while the job changes its
//! size, topics get partitions, and the broker and the job are killed.
//!
//! This is a test and the executable of its job: it starts itself with `run`, as a user would. `cargo xtask kafka` says
//! where Kafka's jars are; without it the test says that it does nothing.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod deadly;
#[path = "../../../../examples/12_kafka.rs"]
mod example;
mod job;
mod secured;
mod server;
mod writing;

use job::{Job, lines};
use server::Kafka;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

const GROUP: &str = "readers";
const LIBRARIES: &str = "REFLOW_TEST_KAFKA_LIBRARIES";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("run") if std::env::var(job::JOB).is_ok_and(|job| job == job::EXAMPLE) => {
            reflow::launch::main("kafka_word_count", example::word_count)
        }
        Some("run") => reflow::launch::main("kafka", job::job),
        Some("--list") => ExitCode::SUCCESS,
        _ => {
            let Some(libraries) = std::env::var_os(LIBRARIES) else {
                println!("no test was run: {LIBRARIES} is not set; `cargo xtask kafka` runs them with Kafka");
                return ExitCode::SUCCESS;
            };
            let libraries = Path::new(&libraries);
            secured::a_job_reads_and_writes_by_tls_and_logins(libraries);
            println!("test a_job_reads_and_writes_by_tls_and_logins ... ok");
            let mut kafka = Kafka::start(libraries);
            a_bounded_job_reads_each_codec(&kafka);
            println!("test a_bounded_job_reads_each_codec ... ok");
            each_record_is_read_once_while_job_topic_and_broker_change(&mut kafka);
            println!("test each_record_is_read_once_while_job_topic_and_broker_change ... ok");
            writing::each_record_is_written_once_while_job_and_broker_die(&mut kafka);
            println!("test each_record_is_written_once_while_job_and_broker_die ... ok");
            writing::the_example_counts_words(&kafka);
            println!("test the_example_counts_words ... ok");
            writing::a_transaction_that_was_open_for_too_long_is_an_error(&kafka);
            println!("test a_transaction_that_was_open_for_too_long_is_an_error ... ok");
            writing::each_record_is_written_once_with_the_transactions_of_older_brokers(&kafka);
            println!("test each_record_is_written_once_with_the_transactions_of_older_brokers ... ok");
            ExitCode::SUCCESS
        }
    }
}

/// Starts the job that writes to files.
fn start(kafka: &Kafka, topics: &str, output: &Path, more: &[&str]) -> Job {
    let (address, output) = (kafka.address(), output.to_str().unwrap());
    let arguments = ["--bootstrap", &address, "--topics", topics, "--group", GROUP, "--output", output];
    Job::start(&[], &[&arguments[..], more].concat())
}

pub(crate) fn numbered(prefix: &str, count: u64) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix} {number} {}", "-".repeat(number as usize % 100)))
}

pub(crate) fn once(lines: impl IntoIterator<Item = String>) -> BTreeMap<String, u32> {
    lines.into_iter().map(|line| (line, 1)).collect()
}

fn a_bounded_job_reads_each_codec(kafka: &Kafka) {
    let mut expected = Vec::new();
    kafka.topic(&["--create", "--topic", "codecs", "--partitions", "2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        kafka.produce("codecs", codec, numbered(codec, 2_000));
        expected.extend(numbered(codec, 2_000));
    }
    let output = tempfile::tempdir().unwrap();
    start(kafka, "codecs", output.path(), &["--bounded"]).wait_for_success();
    assert_eq!(lines(output.path()), once(expected));
}

fn each_record_is_read_once_while_job_topic_and_broker_change(kafka: &mut Kafka) {
    let output = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    kafka.topic(&["--create", "--topic", "events-a", "--partitions", "4"]);
    let mut job = start(kafka, "events-.*", output.path(), &[]);
    job.wait_for_parallelism(3);
    job.rescale(1);
    let mut produce = |kafka: &Kafka, topic: &str, prefix: &str| {
        kafka.produce(topic, "lz4", numbered(prefix, 20_000));
        expected.extend(numbered(prefix, 20_000));
    };
    std::thread::scope(|scope| {
        let rescales = scope.spawn(|| {
            for parallelism in [3, 1, 2, 3, 1, 3] {
                job.rescale(parallelism);
            }
        });
        for round in 0..3 {
            produce(kafka, "events-a", &format!("while rescaled {round}"));
        }
        rescales.join().unwrap();
    });
    assert!(!job.attempts_failed(), "a live rescale fails no attempt");
    kafka.topic(&["--alter", "--topic", "events-a", "--partitions", "6"]);
    kafka.topic(&["--create", "--topic", "events-b", "--partitions", "1"]);
    produce(kafka, "events-a", "more partitions");
    produce(kafka, "events-b", "another topic");
    kafka.kill();
    kafka.start_again();
    produce(kafka, "events-a", "after the broker was killed");
    job.rescale(1);
    let expected = once(expected);
    job.wait_until("the output", |_| lines(output.path()).values().sum::<u32>() as usize >= expected.len());
    assert!(!job.attempts_failed(), "the job waits for the broker");
    job.wait_until("the committed offsets", |_| kafka.committed(GROUP) as usize == expected.len());
    drop(job);
    assert_eq!(lines(output.path()), expected);
}
