//! Finds Maven and Java, by which Kafka and Flink are fetched, and builds what benchmarks run on Flink.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::process::{root, succeed, target_directory};

/// The variable by which a benchmark finds Flink.
pub(crate) const FLINK: &str = "REFLOW_BENCH_FLINK";

/// What is missing of these tools of Java, and how to get it.
pub(crate) fn missing(tools: &[&str]) -> Option<Failure> {
    let missing = tools.iter().find(|tool| !is_found(tool))?;
    Some(format!("{missing} is not installed; `apt-get install maven default-jdk-headless`"))
}

fn is_found(tool: &str) -> bool {
    Command::new(tool).arg("-version").output().is_ok_and(|output| output.status.success())
}

/// Compiles the job for Flink and fetches Flink, the first time, and returns the directory with both.
pub(crate) fn build_flink() -> Result<PathBuf, Failure> {
    if let Some(missing) = missing(&["java", "javac", "mvn"]) {
        return Err(missing);
    }
    let directory = target_directory().join("flink");
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "-f"]).arg(root().join("benches/flink/pom.xml"));
    maven.arg(format!("-DbuiltDirectory={}", directory.display()));
    succeed(maven.args(["compile", "dependency:copy-dependencies"]))?;
    Ok(directory)
}
