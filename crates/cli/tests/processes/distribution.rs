//! A distribution in its own directory, with the layout of `cargo xtask dist`, and the control of its processes.

use reflow_schema::{Checkpoints, Exceptions, JobOverview, JobsOverview};
use reflow_view::{CheckpointCounts, JobStatus};
use serde::de::DeserializeOwned;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

/// The example that runs.
pub(crate) const JOB: &str = "top_speed_windowing";

/// A distribution. Processes of it that still run are killed when it is dropped.
pub(crate) struct Distribution {
    pub(crate) home: tempfile::TempDir,
    pub(crate) rest: u16,
}

impl Distribution {
    /// Creates a distribution, with these lines of configuration besides those that every test needs.
    pub(crate) fn lay_out(configuration: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for directory in ["bin", "conf", "lib", "examples/streaming", "pids", "scaling"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for scripts in ["bin", "scaling"] {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist").join(scripts);
            for script in fs::read_dir(source).unwrap().map(Result::unwrap) {
                fs::copy(script.path(), at(scripts).join(script.file_name())).unwrap();
            }
        }
        fs::copy(env!("CARGO_BIN_EXE_reflow"), at("bin/reflow")).unwrap();
        fs::copy(job(), at("examples/streaming").join(JOB)).unwrap();
        fs::copy(job(), at("lib").join(JOB)).unwrap();
        let (rpc, rest) = (free_port(), free_port());
        let config = format!(
            "jobmanager.rpc.port: {rpc}\nrest.port: {rest}\nio.tmp.dirs: {}\nrestart-strategy.fixed-delay.delay: 0 s\n\
             {configuration}",
            home.path().display()
        );
        fs::write(at("conf/config.yaml"), config).unwrap();
        Self { home, rest }
    }

    /// Runs a shell command in the distribution's directory, which must succeed. Returns its output.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = self.try_run(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn try_run(&self, line: &str) -> Output {
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(self.home.path());
        command.env("REFLOW_PID_DIR", self.home.path().join("pids")).output().unwrap()
    }

    /// Waits until all subtasks run with this parallelism.
    pub(crate) fn wait_for_parallelism(&self, parallelism: usize) {
        until(&format!("parallelism {parallelism}"), || {
            let job = self.job()?;
            let running = job.tasks["running"];
            (job.state == JobStatus::Running && running == 2 * parallelism).then_some(())
        });
    }

    /// Waits until this many more checkpoints are complete.
    pub(crate) fn wait_for_checkpoints(&self, more: u64) {
        let before = until("the number of checkpoints", || self.checkpoints());
        let wanted = before.completed + more;
        until(&format!("{more} checkpoints"), || (self.checkpoints()?.completed >= wanted).then_some(()));
    }

    /// The numbers of checkpoints.
    pub(crate) fn checkpoints(&self) -> Option<CheckpointCounts> {
        let checkpoints: Checkpoints = self.get(&format!("/jobs/{}/checkpoints", self.job()?.jid))?;
        Some(checkpoints.counts)
    }

    /// Checks that no failure has ended an attempt.
    pub(crate) fn expect_no_failure(&self) {
        let id = self.job().unwrap().jid;
        let exceptions: Exceptions = self.get(&format!("/jobs/{id}/exceptions")).unwrap();
        assert!(exceptions.exception_history.entries.is_empty(), "{exceptions:#?}");
    }

    /// The job in the list of the REST API.
    pub(crate) fn job(&self) -> Option<JobOverview> {
        self.get::<JobsOverview>("/jobs/overview")?.jobs.into_iter().next()
    }

    /// Where the JobManager serves REST.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest)
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let mut answer = ureq::get(self.url() + path).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }

    /// The processes of a service (`taskmanager`, `standalonejob`) in the order of their start.
    pub(crate) fn pids(&self, service: &str) -> Vec<u32> {
        let files = fs::read_dir(self.home.path().join("pids")).unwrap().map(|entry| entry.unwrap().path());
        let is_ours = |path: &PathBuf| {
            path.to_string_lossy().contains(service) && path.extension().is_some_and(|e| e == "pid")
        };
        let text = files.filter(is_ours).map(|file| fs::read_to_string(file).unwrap()).collect::<String>();
        // Beside a process that is being stopped stands a mark.
        let pids = text.lines().filter_map(|line| line.split_whitespace().next());
        pids.map(|pid| pid.parse().unwrap()).collect()
    }

    /// Kills the last started process of a service.
    pub(crate) fn kill_last(&self, service: &str) {
        self.run(&format!("kill -9 {}", self.pids(service).last().unwrap()));
    }

    /// The log of the last started process of a service.
    pub(crate) fn log(&self, service: &str) -> String {
        let Ok(logs) = fs::read_dir(self.home.path().join("log")) else { return String::new() };
        let is_ours = |path: &PathBuf| {
            path.to_string_lossy().contains(service) && path.extension().is_some_and(|e| e == "log")
        };
        let logs = logs.map(|entry| entry.unwrap().path()).filter(is_ours);
        logs.map(|log| fs::read_to_string(log).unwrap()).collect()
    }

    pub(crate) fn wait_for_log(&self, service: &str, text: &str) {
        until(&format!("'{text}' in the log of {service}"), || {
            self.log(service).contains(text).then_some(())
        });
    }

    pub(crate) fn wait_for_end(&self) {
        self.wait_for_log("standalonejob", "the JobManager ends");
    }
}

impl Drop for Distribution {
    /// Kills all processes, also if the test fails. In that case it prints their logs.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}\n{}", self.log("standalonejob"), self.log("taskmanager"));
        }
        for service in ["taskmanager", "standalonejob"] {
            for pid in self.pids(service) {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
            }
        }
    }
}

/// The job's executable, which is built here because cargo builds only the executables of the tested package. It has
/// S3, as in the distribution, and the features with which the whole workspace is tested (as `build_as_for_tests` in
/// xtask): with others, cargo would compile the engine again.
pub(crate) fn job() -> PathBuf {
    build(JOB)
}

/// As [`job`], another job of the workspace.
pub(crate) fn build(job: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--test", "page", "--bin", job]);
    // Build scripts of dependencies watch what cargo tells tests of their package.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    assert!(cargo.status().unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_reflow")).with_file_name(job)
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// How long something takes.
pub(crate) fn elapsed(work: impl FnOnce()) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "real processes take real time")]
    let begun = std::time::Instant::now();
    work();
    begun.elapsed()
}

/// Polls a condition, for at most two minutes.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let (_never, pause) = mpsc::channel::<()>();
    for _ in 0..2400 {
        if let Some(value) = condition() {
            return value;
        }
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

/// The output of the job in an undisturbed run.
pub(crate) fn undisturbed(events: u64, output: &Path) -> Vec<String> {
    let mut alone = Command::new(job());
    alone.args(["run", "--task-managers", "1", &format!("-Drest.port={}", free_port())]);
    alone.args(["--events", &events.to_string(), "--rate", "1000000", "--output", output.to_str().unwrap()]);
    let ended = alone.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    lines(output)
}

/// All committed lines below a directory, sorted.
pub(crate) fn lines(directory: &Path) -> Vec<String> {
    let parts =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut lines: Vec<String> = parts
        .flat_map(|part| fs::read_to_string(part).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines
}
