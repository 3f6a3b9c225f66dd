//! The job that reads, its process, and its REST API.

use crate::server::pause;
use reflow::connectors::{FileSink, Lines};
use reflow::kafka::{KafkaSource, OffsetsInitializer};
use reflow::{JobResult, StreamEnv, clap};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

pub(crate) const GROUP: &str = "readers";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Addresses of brokers.
    #[arg(long)]
    bootstrap: String,
    /// A pattern of the topics.
    #[arg(long)]
    topics: String,
    /// Where the lines are written to.
    #[arg(long)]
    output: String,
    /// Ends at the offsets that are the last at its start.
    #[arg(long)]
    bounded: bool,
}

pub(crate) fn job(env: &mut StreamEnv, options: Options) -> JobResult {
    let source = KafkaSource::pattern(&options.bootstrap, &options.topics, reflow::kafka::Text)
        .group_id(GROUP)
        .partition_discovery(Some(Duration::from_millis(500)));
    let source = if options.bounded { source.bounded(OffsetsInitializer::Latest) } else { source };
    env.source("lines", source).sink("lines", FileSink::new(options.output, Lines));
    Ok(())
}

/// The job's process, which is killed if the test fails.
pub(crate) struct Job {
    process: Child,
    port: u16,
}

impl Job {
    pub(crate) fn start(bootstrap: &str, topics: &str, output: &Path, more: &[&str]) -> Self {
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
            .args(["--", "--bootstrap", bootstrap, "--topics", topics, "--output"])
            .arg(output)
            .args(more)
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
        !self.request("GET", &format!("{}/exceptions", self.path()), "").contains(r#""entries":[]"#)
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
