//! Apache Flink as the system under test: a standalone application cluster, each process a Java virtual machine.
//!
//! `cargo xtask bench` compiles `benches/flink` and gathers the jars, and names the directory by [`HOME`]. Without high availability
//! a JobManager that is lost takes its job with it; one that is started afterwards restores the newest checkpoint.

use crate::chaos::system::Launch;
use crate::measure::Error;
use clap::ValueEnum;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The variable that names the directory with the job's classes and the jars.
pub const HOME: &str = "REFLOW_BENCH_FLINK";

const JOB: &str = "reflow.RescaleJob";
const JOB_MANAGER: &str = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint";
const TASK_MANAGER: &str = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner";

/// Parts of the platform that Flink's own scripts open to it.
const OPENED: [&str; 8] = [
    "java.lang",
    "java.net",
    "java.io",
    "java.nio",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "sun.nio.ch",
];

/// Flink's scripts compute these; a process that is started without them must be given them.
const TASK_MANAGER_RESOURCES: [&str; 9] = [
    "taskmanager.cpu.cores=1.0",
    "taskmanager.memory.framework.heap.size=128m",
    "taskmanager.memory.framework.off-heap.size=128m",
    "taskmanager.memory.jvm-metaspace.size=256m",
    "taskmanager.memory.jvm-overhead.min=192m",
    "taskmanager.memory.jvm-overhead.max=192m",
    "taskmanager.memory.task.off-heap.size=0m",
    "taskmanager.memory.network.min=64m",
    "taskmanager.memory.network.max=64m",
];

/// What delays a rescale or a recovery, as short as it goes. A buffer that is not full leaves after 5 ms, not 100. Flink reads
/// state on the heap from local files byte by byte unless it is compressed.
const FAST: [&str; 9] = [
    "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout=0ms",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout=0ms",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=0ms",
    "restart-strategy.fixed-delay.delay=10ms",
    "heartbeat.interval=500ms",
    "heartbeat.timeout=2s",
    "taskmanager.slot.timeout=2s",
    "execution.buffer-timeout.interval=5ms",
    "execution.checkpointing.snapshot-compression=true",
];

const MIB: u64 = 1 << 20;
/// The heap of a process beside the state.
const HEAP_MB: u64 = 512;
/// The part of it that is not the task's.
const FRAMEWORK_HEAP_MB: u64 = 128;
/// What RocksDB may keep in memory.
const MANAGED_MB: u64 = 512;

/// Where Flink keeps state.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Objects on the heap. A checkpoint has all of it.
    Hashmap,
    /// RocksDB on the local disk. A checkpoint has what is new.
    Rocksdb,
}

/// How Flink is configured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// As its page on elastic scaling starts a job.
    Default,
    /// With [`FAST`].
    Fast,
}

/// Where Flink is, and what a cluster of it needs.
pub struct Flink {
    home: PathBuf,
    /// The directory with the file of options, which is empty: all options are arguments.
    configuration: PathBuf,
    checkpoints: PathBuf,
    /// Of a TaskManager.
    heap_mb: u64,
    managed_mb: u64,
}

impl Flink {
    /// For a cluster with directories in `scratch` and a job with this much state, which one TaskManager must be able to hold.
    pub fn new(scratch: &Path, backend: Backend, state_bytes: u64) -> Result<Self, Error> {
        let home = std::env::var_os(HOME).map(PathBuf::from).ok_or_else(|| Error::Start {
            program: "Flink".to_owned(),
            source: io::Error::other(format!("{HOME} is not set: run `cargo xtask bench`")),
        })?;
        let configuration = scratch.join("flink");
        let file = configuration.join("config.yaml");
        let written = fs::create_dir_all(&configuration).and_then(|()| fs::write(&file, "{}\n"));
        written.map_err(|source| Error::Write { path: file, source })?;
        let checkpoints = scratch.join("checkpoints");
        let (heap_mb, managed_mb) = match backend {
            // The state, the copies of what changes during a checkpoint, and room for the collector.
            Backend::Hashmap => (HEAP_MB + 5 * state_bytes / (2 * MIB), 0),
            Backend::Rocksdb => (HEAP_MB, MANAGED_MB),
        };
        Ok(Self { home, configuration, checkpoints, heap_mb, managed_mb })
    }

    /// Options for all processes.
    pub fn options(tuning: Tuning, backend: Backend) -> Vec<String> {
        let fast: &[&str] = if tuning == Tuning::Fast { &FAST } else { &[] };
        let backend: &[&str] = match backend {
            Backend::Hashmap => &["state.backend.type=hashmap"],
            Backend::Rocksdb => &["state.backend.type=rocksdb", "execution.checkpointing.incremental=true"],
        };
        let retained = "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION";
        fast.iter().chain(backend).chain([&retained]).map(|option| format!("-D{option}")).collect()
    }

    /// A JobManager with the job, from the newest checkpoint if there is one.
    pub fn job_manager(&self) -> Launch {
        let mut launch = self.java(HEAP_MB, JOB_MANAGER);
        launch.arguments.extend(["--job-classname", JOB].map(str::to_owned));
        if let Some(checkpoint) = self.newest_checkpoint() {
            launch.arguments.extend(["--fromSavepoint".to_owned(), checkpoint.display().to_string()]);
        }
        launch
    }

    /// A TaskManager with one slot.
    pub fn task_manager(&self) -> Launch {
        let mut launch = self.java(self.heap_mb, TASK_MANAGER);
        let task_heap_mb = self.heap_mb - FRAMEWORK_HEAP_MB;
        launch.arguments.push(format!("-Dtaskmanager.memory.task.heap.size={task_heap_mb}m"));
        launch.arguments.push(format!("-Dtaskmanager.memory.managed.size={}m", self.managed_mb));
        launch.arguments.extend(TASK_MANAGER_RESOURCES.map(|option| format!("-D{option}")));
        launch
    }

    fn java(&self, heap_mb: u64, class: &str) -> Launch {
        let home = self.home.display();
        let mut arguments = vec![format!("-Xmx{heap_mb}m"), format!("-Xms{heap_mb}m")];
        arguments.push("-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned());
        arguments.extend(OPENED.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")));
        arguments.extend(["-cp".to_owned(), format!("{home}/classes:{home}/lib/*"), class.to_owned()]);
        arguments.extend(["--configDir".to_owned(), self.configuration.display().to_string()]);
        Launch { program: PathBuf::from("java"), arguments }
    }

    /// The directory of the checkpoint whose metadata were written last: `checkpoints/JOB/chk-N`.
    fn newest_checkpoint(&self) -> Option<PathBuf> {
        let below = |directory: &Path| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let checkpoints = below(&self.checkpoints).into_iter().flat_map(|job| below(&job));
        let written = |checkpoint: &PathBuf| {
            let metadata = fs::metadata(checkpoint.join("_metadata"));
            metadata.and_then(|metadata| metadata.modified()).ok()
        };
        let complete = checkpoints.filter_map(|checkpoint| Some((written(&checkpoint)?, checkpoint)));
        complete.max().map(|(_, checkpoint)| checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_manager_continues_from_the_newest_complete_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let (home, configuration) = (PathBuf::from("flink"), PathBuf::from("conf"));
        let checkpoints = directory.path().to_owned();
        let flink =
            Flink { home, configuration, checkpoints: checkpoints.clone(), heap_mb: 1, managed_mb: 0 };
        assert_eq!(flink.newest_checkpoint(), None);
        for number in [9, 10, 11] {
            fs::create_dir_all(checkpoints.join(format!("job/chk-{number}"))).unwrap();
        }
        fs::create_dir_all(checkpoints.join("job/shared")).unwrap();
        let metadata = |number: u32| checkpoints.join(format!("job/chk-{number}/_metadata"));
        fs::write(metadata(10), "").unwrap();
        fs::write(metadata(9), "").unwrap();
        let earlier = fs::metadata(metadata(10)).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(metadata(9)).unwrap();
        file.set_modified(earlier - std::time::Duration::from_secs(1)).unwrap();
        assert_eq!(flink.newest_checkpoint(), Some(checkpoints.join("job/chk-10")));
    }
}
