//! Real processes for benchmarks: a JobManager, TaskManagers, directories and ports of their own.

use crate::measure::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::{fs, io};

/// An executable that was built beside this one.
pub fn binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name(name)
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let pids = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    pids.flat_map(|pids| pids.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A directory for one run.
pub fn scratch() -> Result<PathBuf, Error> {
    let made = tempfile::Builder::new().prefix("reflow-bench-").tempdir();
    made.map(tempfile::TempDir::keep).map_err(|source| Error::Write { path: std::env::temp_dir(), source })
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.map_or(0, |address| address.port())
}

/// Options that keep a run to itself: checkpoints each second in `scratch`, a REST port of its own.
pub fn options(scratch: &Path) -> Vec<String> {
    vec![
        format!("-Dexecution.checkpointing.dir=file://{}/checkpoints", scratch.display()),
        "-Dexecution.checkpointing.interval=1s".to_owned(),
        format!("-Drest.port={}", free_port()),
    ]
}

/// Whether a command was started and ended well.
pub fn succeeded(command: &Command, status: io::Result<ExitStatus>) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = status.map_err(|source| Error::Start { program: program.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::NoFigure { program, output: status.to_string() }) }
}

/// Runs a bounded job with a JobManager and `task_managers` TaskManagers, each a process, to its end.
pub fn run_to_end(job: &str, arguments: &[String], task_managers: u32, scratch: &Path) -> Result<(), Error> {
    let port = format!("-Djobmanager.rpc.port={}", free_port());
    let mut common = options(scratch);
    common.extend([port, "-Djobmanager.rpc.address=127.0.0.1".to_owned()]);
    common.push(format!("-Dio.tmp.dirs={}", scratch.display()));
    let mut job_manager = Command::new(binary(job));
    job_manager.arg("jobmanager").args(&common);
    job_manager.args(["-Djobmanager.scheduler=adaptive", "-Dscheduler-mode=reactive"]).args(arguments);
    let mut leader = start(&mut job_manager, scratch, "jobmanager")?;
    let mut members = Vec::new();
    for number in 0..task_managers {
        let mut member = Command::new(binary("reflow"));
        member.arg("taskmanager").args(&common);
        members.push(start(&mut member, scratch, &format!("taskmanager-{number}"))?);
    }
    let ended = leader.wait();
    for mut member in members {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(member.id() as i32), Signal::SIGTERM);
        let _ = member.wait();
    }
    succeeded(&job_manager, ended)
}

/// Starts a process that logs into `scratch`.
pub fn start(command: &mut Command, scratch: &Path, log: &str) -> Result<Child, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let path = scratch.join(format!("{log}.log"));
    let file = std::fs::File::create(&path).map_err(|source| Error::Write { path, source })?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
    child.map_err(|source| Error::Start { program, source })
}
