//! The quick start, word for word, on real processes: a job that follows its TaskManagers through starts, a stop
//! and a `kill -9`, and whose output is exactly that of an undisturbed run.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

const JOB: &str = "top_speed_windowing";
const EVENTS: [&str; 4] = ["--events", "4000", "--rate", "400"];

/// A distribution in a directory of its own, as `cargo xtask dist` lays it out.
struct Distribution {
    home: tempfile::TempDir,
    rest: u16,
}

impl Distribution {
    fn lay_out() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        for directory in ["bin", "conf", "lib", "examples/streaming", "pids"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/bin");
        for script in fs::read_dir(source).unwrap().map(Result::unwrap) {
            fs::copy(script.path(), at("bin").join(script.file_name())).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_reflow"), at("bin/reflow")).unwrap();
        fs::copy(job(), at("examples/streaming").join(JOB)).unwrap();
        let (rpc, rest) = (free_port(), free_port());
        let config = format!(
            "jobmanager.rpc.port: {rpc}\nrest.port: {rest}\nio.tmp.dirs: {}\nrestart-strategy.fixed-delay.delay: 0 s\n",
            home.path().display()
        );
        fs::write(at("conf/config.yaml"), config).unwrap();
        Self { home, rest }
    }

    /// Runs a line of the quick start.
    fn run(&self, line: &str) {
        let mut command = Command::new("bash");
        command.args(["-c", line]).current_dir(self.home.path());
        command.env("REFLOW_PID_DIR", self.home.path().join("pids"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
    }

    /// Waits until the job runs with this parallelism, all of it.
    fn wait_for_parallelism(&self, parallelism: u64) {
        let url = format!("http://127.0.0.1:{}/jobs/overview", self.rest);
        until(&format!("parallelism {parallelism}"), || {
            let mut answer = ureq::get(&url).call().ok()?;
            let json: serde_json::Value =
                serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()?;
            let job = &json["jobs"][0];
            let running = job["tasks"]["running"].as_u64()?;
            (job["state"] == "RUNNING" && running == 2 * parallelism).then_some(())
        });
    }

    /// Kills the TaskManager that was started last.
    fn kill_task_manager(&self) {
        let pids = fs::read_dir(self.home.path().join("pids")).unwrap().map(|entry| entry.unwrap().path());
        let is_ours = |path: &PathBuf| {
            path.to_string_lossy().contains("taskmanager") && path.extension().is_some_and(|e| e == "pid")
        };
        let file = pids.into_iter().find(is_ours).unwrap();
        let text = fs::read_to_string(file).unwrap();
        let pid = text.split_whitespace().last().unwrap();
        self.run(&format!("kill -9 {pid}"));
    }

    fn wait_for_end(&self) {
        until("the job's end", || {
            let log = fs::read_dir(self.home.path().join("log")).ok()?.map(|entry| entry.unwrap().path());
            let is_job_manager = |path: &PathBuf| path.to_string_lossy().contains("standalonejob");
            let log =
                log.into_iter().find(|path| is_job_manager(path) && path.extension().unwrap() == "log")?;
            fs::read_to_string(log).unwrap().contains("the JobManager ends").then_some(())
        });
    }
}

/// The job's executable: cargo builds only this package's for a test.
fn job() -> PathBuf {
    let built = ["build", "--quiet", "--package", "reflow-examples", "--bin", JOB];
    assert!(Command::new(env!("CARGO")).args(built).status().unwrap().success());
    Path::new(env!("CARGO_BIN_EXE_reflow")).with_file_name(JOB)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks again and again, for at most two minutes.
fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let (_never, pause) = mpsc::channel::<()>();
    for _ in 0..2400 {
        if let Some(value) = condition() {
            return value;
        }
        let _ = pause.recv_timeout(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

/// All committed lines below a directory, sorted.
fn lines(directory: &Path) -> Vec<String> {
    let parts =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut lines: Vec<String> = parts
        .flat_map(|part| fs::read_to_string(part).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_job_follows_its_task_managers_and_its_output_is_exact() {
    let d = Distribution::lay_out();
    let (output, undisturbed) = (d.home.path().join("out"), d.home.path().join("undisturbed"));
    d.run(&format!("cp ./examples/streaming/{JOB} lib/"));
    d.run(&format!(
        "./bin/standalone-job.sh start -Drestart-strategy=fixeddelay \
         -Drestart-strategy.fixed-delay.attempts=100000 -Djobmanager.scheduler=adaptive -Dscheduler-mode=reactive \
         -j {JOB} {} --output {}",
        EVENTS.join(" "),
        output.display()
    ));
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.run("./bin/taskmanager.sh stop");
    d.wait_for_parallelism(1);
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.kill_task_manager();
    d.wait_for_parallelism(1);
    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");

    let mut alone = Command::new(d.home.path().join("lib").join(JOB));
    alone.args(["run", "--task-managers", "1", &format!("-Drest.port={}", free_port())]);
    alone.args(["--events", EVENTS[1], "--rate", "1000000", "--output", undisturbed.to_str().unwrap()]);
    let ended = alone.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");

    let expected = lines(&undisturbed);
    assert!(expected.len() >= 100, "the job should say something: {expected:?}");
    assert_eq!(lines(&output), expected);
}
