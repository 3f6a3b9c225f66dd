//! Real processes for benchmarks: a JobManager, TaskManagers, directories and ports of their own.

use crate::clock;
use crate::measure::Error;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use std::{error, fs, io};

/// How long a start, a rescale or a recovery may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

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

/// The same in reactive mode, with a checkpoint each `interval_ms` and REST on `rest_port`.
pub fn reactive_options(scratch: &Path, interval_ms: u64, rest_port: u16) -> Vec<String> {
    let mut options = options(scratch);
    options.retain(|option| !option.contains("interval") && !option.contains("rest.port"));
    options.extend([
        format!("-Dexecution.checkpointing.interval={interval_ms}ms"),
        format!("-Drest.port={rest_port}"),
        format!("-Djobmanager.rpc.port={}", free_port()),
        "-Djobmanager.rpc.address=127.0.0.1".to_owned(),
        format!("-Dio.tmp.dirs={}", scratch.display()),
        "-Djobmanager.scheduler=adaptive".to_owned(),
        "-Dscheduler-mode=reactive".to_owned(),
    ]);
    options
}

/// A process that ends with the benchmark.
pub struct Process(Child);

impl Process {
    /// Starts it; it logs into `scratch`.
    pub fn start(command: &mut Command, scratch: &Path, log: &str) -> Result<Self, Error> {
        start(command, scratch, log).map(Self)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Ends it at once, and waits until it is gone.
    pub fn kill(&mut self) -> io::Result<()> {
        self.0.kill()?;
        self.0.wait().map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; nothing else can be done about it here.
        let _ = self.kill();
    }
}

/// Asks again after each `pause`. That REST does not answer for a moment is no failure.
pub fn until(
    what: &str,
    pause: Duration,
    mut condition: impl FnMut() -> Result<bool, Box<dyn error::Error>>,
) -> Result<(), Box<dyn error::Error>> {
    let began = clock::now();
    loop {
        let answer = condition();
        if matches!(answer, Ok(true)) {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            let last = answer.err().map_or(String::new(), |error| format!(": {error}"));
            return Err(format!("waited {} s in vain for {what}{last}", PATIENCE.as_secs()).into());
        }
        clock::sleep(pause);
    }
}

/// Runs a benchmark in a directory of its own, which stays if it fails.
pub fn run_in_scratch(name: &str, run: impl FnOnce(&Path) -> Result<(), Box<dyn error::Error>>) -> ExitCode {
    let result = scratch().map_err(Into::into).and_then(|scratch| {
        run(&scratch).inspect_err(|_| eprintln!("{name}: see {}", scratch.display()))?;
        Ok(std::fs::remove_dir_all(scratch)?)
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err::<_, Box<dyn error::Error>>(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether a command was started and ended well.
pub fn succeeded(command: &Command, status: io::Result<ExitStatus>) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = status.map_err(|source| Error::Start { program: program.clone(), source })?;
    if status.success() { Ok(()) } else { Err(Error::NoFigure { program, output: status.to_string() }) }
}

/// Options that encrypt the connections between processes, with certificates in `scratch`.
pub fn encrypted(scratch: &Path) -> Result<Vec<String>, Error> {
    let mut certs = Command::new(binary("reflow"));
    certs.arg("certs").arg(scratch.join("tls")).stderr(Stdio::null());
    let program = "reflow certs".to_owned();
    let made = certs.output().map_err(|source| Error::Start { program, source })?;
    succeeded(&certs, Ok(made.status))?;
    let lines = String::from_utf8_lossy(&made.stdout).into_owned();
    let internal = lines.lines().filter(|line| line.starts_with("security.ssl.internal."));
    Ok(internal.map(|line| format!("-D{}", line.replacen(": ", "=", 1))).collect())
}

/// Runs a bounded job with a JobManager and `task_managers` TaskManagers, each a process, to its end. `more` are options of all.
pub fn run_to_end(
    job: &str,
    arguments: &[String],
    task_managers: u32,
    scratch: &Path,
    more: &[String],
) -> Result<(), Error> {
    let port = format!("-Djobmanager.rpc.port={}", free_port());
    let mut common = options(scratch);
    common.extend([port, "-Djobmanager.rpc.address=127.0.0.1".to_owned()]);
    common.push(format!("-Dio.tmp.dirs={}", scratch.display()));
    common.extend_from_slice(more);
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
