//! The jobs, their process, and its REST API.

use crate::deadly::Deadly;
use crate::server::pause;
use reflow::connectors::{FileSink, Lines};
use reflow::kafka::{
    Compression, KafkaSecurity, KafkaSink, KafkaSource, LostTransaction, OffsetsInitializer, ProducerRecord,
};
use reflow::{JobResult, StreamEnv, clap};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// The variable that names the job.
pub(crate) const JOB: &str = "REFLOW_TEST_JOB";
/// The name of the example.
pub(crate) const EXAMPLE: &str = "example";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Addresses of brokers.
    #[arg(long)]
    bootstrap: String,
    /// A pattern of the topics.
    #[arg(long)]
    topics: String,
    /// The consumer group whose offsets are committed.
    #[arg(long)]
    group: String,
    /// The directory that the lines are written to.
    #[arg(long)]
    output: Option<String>,
    /// The topic that the lines are written to.
    #[arg(long)]
    to: Option<String>,
    /// A directory in which the test says when the process dies.
    #[arg(long)]
    deaths: Option<PathBuf>,
    /// How long transactions may be open.
    #[arg(long, default_value_t = 300_000)]
    transaction_timeout_ms: u64,
    /// Goes on if a transaction is lost.
    #[arg(long)]
    skip_lost: bool,
    /// A file of Kafka's properties, by which the connections are secured.
    #[arg(long)]
    security: Option<PathBuf>,
    /// Ends at the offsets that are the last at its start.
    #[arg(long)]
    bounded: bool,
}

pub(crate) fn job(env: &mut StreamEnv, options: Options) -> JobResult {
    let source = KafkaSource::pattern(&options.bootstrap, &options.topics, reflow::kafka::Text)
        .group_id(options.group)
        .partition_discovery(Some(Duration::from_millis(500)));
    let security = options.security.map(KafkaSecurity::from_file);
    let source = match &security {
        Some(security) => source.security(security.clone()),
        None => source,
    };
    let source = if options.bounded { source.bounded(OffsetsInitializer::Latest) } else { source };
    let lines = env.source("lines", source);
    if let Some(output) = options.output {
        lines.sink("lines", FileSink::new(output, Lines));
        return Ok(());
    }
    let lost = if options.skip_lost { LostTransaction::Skip } else { LostTransaction::Fail };
    let sink = KafkaSink::text::<String>(&options.bootstrap, options.to.unwrap_or_default())
        .with_record(|line: &String, record: &mut ProducerRecord| {
            record
                .set_key(line.rsplit('-').next().unwrap_or_default())
                .add_header("length", line.len().to_string());
        })
        .transactional_id_prefix("test")
        .transaction_timeout(Duration::from_millis(options.transaction_timeout_ms))
        .on_lost_transaction(lost)
        .compression(Compression::Lz4);
    let sink = match security {
        Some(security) => sink.security(security),
        None => sink,
    };
    // Each line comes once, so a count of 2 is that of one that was read again with the state behind it.
    let counted = lines.map(|line| (line, 1u32)).key_by(|(line, _)| line.clone());
    let counted = counted.reduce(|(line, count), _| (line, count + 1));
    counted
        .map(|(line, count)| format!("{line} {count}"))
        .sink("lines", Deadly { sink, deaths: options.deaths });
    Ok(())
}

/// The job's process, which is killed if the test fails.
pub(crate) struct Job {
    process: Child,
    port: u16,
}

impl Job {
    /// Starts the test's job with options of the engine, and arguments of the job.
    pub(crate) fn start(options: &[&str], arguments: &[&str]) -> Self {
        Self::spawn("test", options, arguments)
    }

    /// Starts the example.
    pub(crate) fn start_example(arguments: &[&str]) -> Self {
        Self::spawn(EXAMPLE, &[], arguments)
    }

    fn spawn(job: &str, options: &[&str], arguments: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(std::env::current_exe().unwrap())
            .args([
                "run",
                "--task-managers",
                "1",
                "-Dexecution.checkpointing.interval=300ms",
                "-Dtaskmanager.numberOfTaskSlots=3",
            ])
            .arg("-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=0s")
            .arg("-Djobmanager.adaptive-scheduler.executing.resource-stabilization-timeout=0s")
            .arg(format!("-Drest.port={port}"))
            .env(JOB, job)
            .args(options)
            .arg("--")
            .args(arguments)
            .spawn()
            .unwrap();
        Self { process, port }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    pub(crate) fn wait_for_success(&mut self) {
        assert!(self.process.wait().unwrap().success(), "the job has failed");
    }

    /// Waits until the job runs, at a parallelism.
    pub(crate) fn wait_for_parallelism(&mut self, parallelism: usize) {
        self.wait_until(&format!("parallelism {parallelism}"), |job| {
            let details = job.request("GET", &job.path(), "");
            let running = details.matches(r#""status":"RUNNING""#).count();
            running > 0 && details.contains(&format!(r#""parallelism":{parallelism},"#))
        });
    }

    pub(crate) fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        for _ in 0..1_800 {
            if condition(self) {
                return;
            }
            assert!(!self.has_ended(), "the job has ended");
            pause();
        }
        panic!("{what} does not come; the job: {}", self.request("GET", &self.path(), ""));
    }

    /// Rescales all vertices.
    pub(crate) fn rescale(&mut self, parallelism: usize) {
        let requirements = format!("{}/resource-requirements", self.path());
        let now = self.request("GET", &requirements, "");
        let vertices = now.split('"').filter(|text| text.len() == 32);
        let bounds = format!(r#"{{"parallelism":{{"lowerBound":1,"upperBound":{parallelism}}}}}"#);
        let vertices: Vec<String> = vertices.map(|vertex| format!(r#""{vertex}":{bounds}"#)).collect();
        self.request("PUT", &requirements, &format!("{{{}}}", vertices.join(",")));
        self.wait_for_parallelism(parallelism);
    }

    pub(crate) fn attempts_failed(&self) -> bool {
        !self.exceptions().contains(r#""entries":[]"#)
    }

    pub(crate) fn exceptions(&self) -> String {
        self.request("GET", &format!("{}/exceptions", self.path()), "")
    }

    /// Stops it with a savepoint in a directory, and returns the path of that.
    pub(crate) fn stop(mut self, directory: &Path) -> PathBuf {
        let request = format!(r#"{{"targetDirectory":"{}","drain":false}}"#, directory.display());
        let answer = self.request("POST", &format!("{}/stop", self.path()), &request);
        assert!(answer.contains("request-id"), "{answer}");
        self.wait_for_success();
        let mut savepoints = std::fs::read_dir(directory).unwrap();
        savepoints.next().unwrap().unwrap().path()
    }

    pub(crate) fn wait_for_death(&mut self) {
        for _ in 0..1_200 {
            if self.has_ended() {
                return;
            }
            pause();
        }
        panic!("the job does not die: {}", self.request("GET", &self.path(), ""));
    }

    fn path(&self) -> String {
        let jobs = self.request("GET", "/jobs", "");
        let id = jobs.split('"').find(|text| text.len() == 32).unwrap_or("none");
        format!("/jobs/{id}")
    }

    /// The body of the answer; empty if there is none.
    fn request(&self, method: &str, path: &str, body: &str) -> String {
        let request = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            let length = body.len();
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
        };
        request().unwrap_or_default()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// How often each line is in the output.
pub(crate) fn lines(output: &Path) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    let Ok(files) = std::fs::read_dir(output) else { return lines };
    for file in files.filter_map(Result::ok) {
        let is_hidden = file.file_name().to_string_lossy().starts_with('.');
        let Some(text) = std::fs::read_to_string(file.path()).ok().filter(|_| !is_hidden) else { continue };
        for line in text.lines() {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}
