//! Jobs that write to topics. Kafka's own consumer reads what they have written.

use crate::deadly::Death;
use crate::job::Job;
use crate::server::{Kafka, pause};
use crate::{numbered, once};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A job from one topic to another, and where it keeps its state.
struct Copying<'a> {
    name: &'a str,
    files: tempfile::TempDir,
    savepoint: Option<PathBuf>,
    /// The lines that the output topic must have.
    expected: Vec<String>,
}

impl<'a> Copying<'a> {
    fn new(kafka: &Kafka, name: &'a str) -> Self {
        for (end, partitions) in [("in", "4"), ("out", "3")] {
            let topic = format!("{name}-{end}");
            kafka.topic(&["--create", "--topic", &topic, "--partitions", partitions]);
        }
        let files = tempfile::tempdir().unwrap();
        Self { name, files, savepoint: None, expected: Vec::new() }
    }

    fn directory(&self, name: &str) -> PathBuf {
        let directory = self.files.path().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    /// Starts the job, or continues it.
    fn start(&self, kafka: &Kafka, more: &[&str]) -> Job {
        let [input, output, group] = ["in", "out", "group"].map(|end| format!("{}-{end}", self.name));
        let (address, deaths) = (kafka.address(), self.directory("deaths"));
        let job = ["--bootstrap", &address, "--topics", &input, "--group", &group, "--to", &output];
        let deaths = ["--deaths", deaths.to_str().unwrap()];
        // Another job has checkpoints of its own.
        let checkpoints = if self.savepoint.is_some() { "checkpoints-2" } else { "checkpoints" };
        let checkpoints = format!("-Dexecution.checkpointing.dir={}", self.directory(checkpoints).display());
        let mut options = vec![checkpoints.as_str()];
        if let Some(savepoint) = &self.savepoint {
            options.extend(["--fromSavepoint", savepoint.to_str().unwrap()]);
        }
        Job::start(&options, &[&job[..], &deaths, more].concat())
    }

    fn produce(&mut self, kafka: &Kafka, prefix: &str, count: u64) {
        kafka.produce(&format!("{}-in", self.name), "none", numbered(prefix, count));
        self.expected.extend(numbered(prefix, count).map(|line| format!("{line} 1")));
    }

    /// Lets the job die while it writes these lines.
    fn die(&mut self, kafka: &Kafka, mut job: Job, death: Death, count: u64) {
        std::fs::write(self.directory("deaths").join(death.name()), "").unwrap();
        self.produce(kafka, &format!("{death:?}"), count);
        job.wait_for_death();
    }

    /// Waits until all is read, and stops the job with a savepoint.
    fn stop(&self, kafka: &Kafka, mut job: Job, count: usize) -> PathBuf {
        let group = format!("{}-group", self.name);
        job.wait_until("the committed offsets", |_| kafka.committed(&group) as usize == count);
        job.stop(&self.directory("savepoints"))
    }

    fn output(&self, kafka: &Kafka) -> BTreeMap<String, u32> {
        kafka.consume(&format!("{}-out", self.name))
    }
}

pub(crate) fn each_record_is_written_once_while_job_and_broker_die(kafka: &mut Kafka) {
    let mut copying = Copying::new(kafka, "copied");
    let mut job = copying.start(kafka, &[]);
    job.wait_for_parallelism(3);
    std::thread::scope(|scope| {
        let rescales = scope.spawn(|| {
            for parallelism in [1, 3, 1, 2] {
                job.rescale(parallelism);
            }
        });
        for round in 0..3 {
            copying.produce(kafka, &format!("while rescaled {round}"), 5_000);
        }
        rescales.join().unwrap();
    });
    assert!(!job.attempts_failed(), "a live rescale fails no attempt: {}", job.exceptions());
    for death in [Death::Prepared, Death::Completed, Death::Committed] {
        copying.die(kafka, job, death, 3_000);
        job = copying.start(kafka, &[]);
    }
    // At any time.
    copying.produce(kafka, "before it is killed", 5_000);
    drop(job);
    job = copying.start(kafka, &[]);
    copying.produce(kafka, "before the broker is killed", 5_000);
    kafka.kill();
    kafka.start_again();
    copying.produce(kafka, "after the broker was killed", 1_000);
    assert!(!job.attempts_failed(), "the job waits for the broker: {}", job.exceptions());
    copying.savepoint = Some(copying.stop(kafka, job, copying.expected.len()));

    let mut job = copying.start(kafka, &[]);
    copying.produce(kafka, "behind a savepoint", 1_000);
    job.rescale(1);
    let count = copying.expected.len();
    let group = format!("{}-group", copying.name);
    job.wait_until("the committed offsets", |_| kafka.committed(&group) as usize == count);
    job.stop(&copying.directory("savepoints-2"));
    assert_same(&copying.output(kafka), &once(copying.expected));
    assert_eq!(kafka.open_transactions(), Vec::<String>::new());
}

pub(crate) fn the_example_counts_words(kafka: &Kafka) {
    for topic in ["lines", "counts"] {
        kafka.topic(&["--create", "--topic", topic, "--partitions", "2"]);
    }
    let mut job = Job::start_example(&["--bootstrap", &kafka.address()]);
    kafka.produce("lines", "none", ["To be", "or not", "to be"].map(str::to_owned));
    job.wait_until("the committed offsets", |_| kafka.committed("word-count") == 3);
    job.stop(tempfile::tempdir().unwrap().path());
    let counts = [("to", 1), ("be", 1), ("or", 1), ("not", 1), ("to", 2), ("be", 2)];
    let counts = counts.map(|(word, count)| format!(r#"{{"word":"{word}","count":{count}}}"#));
    assert_eq!(kafka.consume("counts"), once(counts));
}

pub(crate) fn each_record_is_written_once_with_the_transactions_of_older_brokers(kafka: &Kafka) {
    kafka.downgrade_transactions();
    let mut copying = Copying::new(kafka, "older");
    let mut job = copying.start(kafka, &[]);
    for death in [Death::Prepared, Death::Completed, Death::Committed] {
        copying.die(kafka, job, death, 500);
        job = copying.start(kafka, &[]);
    }
    copying.stop(kafka, job, copying.expected.len());
    assert_same(&copying.output(kafka), &once(copying.expected));
    assert_eq!(kafka.open_transactions(), Vec::<String>::new());
}

pub(crate) fn a_transaction_that_was_open_for_too_long_is_an_error(kafka: &Kafka) {
    let mut copying = Copying::new(kafka, "late");
    let timeout = ["--transaction-timeout-ms", "3000"];
    let job = copying.start(kafka, &timeout);
    copying.die(kafka, job, Death::Completed, 100);
    for _ in 0..200 {
        if kafka.open_transactions().is_empty() {
            break;
        }
        pause();
    }
    let mut job = copying.start(kafka, &timeout);
    job.wait_until("the error", |job| {
        let exceptions = job.exceptions();
        exceptions.contains("the transaction test-")
            && exceptions.contains("is lost: the broker has aborted it")
    });
    drop(job);
    let lost = once(std::mem::take(&mut copying.expected));
    let job = copying.start(kafka, &["--skip-lost"]);
    copying.produce(kafka, "later", 100);
    copying.stop(kafka, job, 200);
    let output = copying.output(kafka);
    for (line, count) in once(copying.expected.clone()) {
        assert_eq!(output.get(&line), Some(&count), "{line}");
    }
    assert!(output.values().all(|count| *count == 1), "{output:?}");
    assert!(lost.keys().any(|line| !output.contains_key(line)), "nothing is lost");
}

/// As `assert_eq`, but shows differences only.
fn assert_same(output: &BTreeMap<String, u32>, expected: &BTreeMap<String, u32>) {
    let missing: Vec<&String> = expected.keys().filter(|line| !output.contains_key(*line)).collect();
    let wrong: Vec<_> = output.iter().filter(|(line, count)| expected.get(*line) != Some(count)).collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "{} missing, {} wrong: {:?} {:?}",
        missing.len(),
        wrong.len(),
        &missing[..missing.len().min(5)],
        &wrong[..wrong.len().min(5)]
    );
}
