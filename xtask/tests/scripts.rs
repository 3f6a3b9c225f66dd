//! The scripts of the distribution, run against stand-ins for the executables: what is started with which
//! arguments, which one is stopped, and what a user is told who made a mistake.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test, and its helpers are too")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Writes its arguments to its log, then runs until it is told to end. `-Dfail=1` makes it end at once.
const STAND_IN: &str = r#"#!/usr/bin/env bash
if [ "$1" = --describe ]; then echo '{"reflow":"0"}'; exit; fi
echo "arguments: $*" >&2
case "$*" in *-Dfail=1*) echo "port 8081 is taken" >&2; exit 3 ;; esac
trap 'kill $!; echo ended >&2; exit 0' TERM
sleep 600 & wait $!
"#;

/// A distribution in a directory of its own; what still runs at the end is stopped.
struct Distribution {
    home: PathBuf,
}

impl Distribution {
    fn new(name: &str) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).join("reflow");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(home.join("lib")).unwrap();
        for directory in ["bin", "conf"] {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist").join(directory);
            fs::create_dir_all(home.join(directory)).unwrap();
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                fs::copy(entry.path(), home.join(directory).join(entry.file_name())).unwrap();
            }
        }
        let distribution = Self { home };
        distribution.add_executable("bin/reflow", STAND_IN);
        distribution
    }

    fn add_executable(&self, path: &str, text: &str) {
        let path = self.home.join(path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// All distributions share a directory of pid files, as they share /tmp.
    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        Command::new(self.home.join("bin").join(script))
            .args(arguments)
            .env("REFLOW_PID_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("pids"))
            .env("REFLOW_IDENT_STRING", "me")
            .env("HOSTNAME", "here")
            .env_remove("REFLOW_CONF_DIR")
            .env_remove("REFLOW_LOG_DIR")
            .output()
            .unwrap()
    }

    #[track_caller]
    fn check(&self, script: &str, arguments: &[&str], expected: &str) {
        let output = self.run(script, arguments);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(without_pids(&said), expected);
    }

    #[track_caller]
    fn check_error(&self, script: &str, arguments: &[&str], expected: &str) {
        let output = self.run(script, arguments);
        let said =
            String::from_utf8(output.stderr).unwrap().replace(&self.home.display().to_string(), "HOME");
        assert!(!output.status.success());
        assert_eq!(said, expected);
    }

    #[track_caller]
    fn check_log(&self, file: &str, expected: &str) {
        let path = self.home.join("log").join(file);
        let log = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(log.replace(&self.home.display().to_string(), "HOME"), expected);
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.run("taskmanager.sh", &["stop-all"]);
        self.run("standalone-job.sh", &["stop-all"]);
    }
}

fn without_pids(text: &str) -> String {
    let mut parts = text.split("(pid: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "(pid: " + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

const STARTING: &str = "Starting taskmanager daemon on host here.\n";
const STOPPING: &str = "Stopping taskmanager daemon (pid: ) on host here.\n";
const NONE_LEFT: &str = "No taskmanager daemon to stop on host here.\n";

#[test]
fn each_start_adds_one_and_each_stop_ends_the_last() {
    let distribution = Distribution::new("start_stop");
    let taskmanager = |argument, expected: &str| distribution.check("taskmanager.sh", &[argument], expected);
    let also =
        |count| format!("[INFO] {count} instance(s) of taskmanager are already running on here.\n{STARTING}");

    taskmanager("start", STARTING);
    taskmanager("start", &also(1));
    taskmanager("stop", STOPPING);
    let arguments = "arguments: taskmanager --config-dir HOME/conf\n";
    distribution.check_log("reflow-me-taskmanager-0-here.log", arguments);
    distribution.check_log("reflow-me-taskmanager-1-here.log", &format!("{arguments}ended\n"));

    taskmanager("start", &also(1)); // the log of the one that ended is kept
    distribution.check_log("reflow-me-taskmanager-1-here.log.1", &format!("{arguments}ended\n"));
    taskmanager("stop-all", &STOPPING.repeat(2));
    taskmanager("stop", NONE_LEFT);
}

#[test]
fn distributions_on_one_machine_do_not_mix() {
    let one = Distribution::new("one");
    let other = Distribution::new("other");
    one.check("taskmanager.sh", &["start"], STARTING);
    other.check("taskmanager.sh", &["stop"], NONE_LEFT);
    other.check("taskmanager.sh", &["start"], STARTING);
    other.check("taskmanager.sh", &["stop-all"], STOPPING);
    one.check("taskmanager.sh", &["stop"], STOPPING);
}

#[test]
fn a_daemon_that_cannot_start_says_so() {
    let distribution = Distribution::new("cannot_start");
    distribution.check_error(
        "taskmanager.sh",
        &["start", "-Dfail=1"],
        "arguments: taskmanager --config-dir HOME/conf -Dfail=1\nport 8081 is taken\n\
         taskmanager.sh: taskmanager ended with exit code 3; see HOME/log/reflow-me-taskmanager-0-here.log\n",
    );
    distribution.check("taskmanager.sh", &["stop"], NONE_LEFT);
}

#[test]
fn a_job_gets_its_options_and_arguments() {
    let distribution = Distribution::new("job");
    distribution.add_executable("lib/top", STAND_IN);
    let arguments = ["start", "-D", "a=1", "-s", "/savepoint", "-n", "--rate", "5", "-Db=2", "--", "-Dc=3"];
    distribution.check("standalone-job.sh", &arguments, "Starting standalonejob daemon on host here.\n");
    distribution.check_log(
        "reflow-me-standalonejob-0-here.log",
        "arguments: jobmanager --config-dir HOME/conf -Da=1 --fromSavepoint /savepoint \
         -Dexecution.state-recovery.ignore-unclaimed-state=true -Db=2 --rate 5 -Dc=3\n",
    );
}

#[test]
fn a_job_that_is_none_is_refused() {
    let distribution = Distribution::new("no_job");
    let start = |arguments: &[&str], expected: &str| {
        distribution.check_error("standalone-job.sh", &[&["start"], arguments].concat(), expected);
    };
    start(&[], "standalone-job.sh: which job? say -j JOB; in HOME/lib there is: nothing\n");
    distribution.add_executable("lib/one", STAND_IN);
    distribution.add_executable("lib/other", "#!/bin/sh\nexit 1\n");
    fs::write(distribution.home.join("lib/notes"), "no job").unwrap();

    start(&[], "standalone-job.sh: which job? say -j JOB; in HOME/lib there is: notes one other\n");
    start(
        &["-j", "two"],
        "standalone-job.sh: there is no job 'two' in HOME/lib (there is: notes one other); copy its executable \
         there\n",
    );
    start(&["-j", "notes"], "standalone-job.sh: HOME/lib/notes is not executable; chmod +x it\n");
    start(
        &["-j", "other"],
        "standalone-job.sh: HOME/lib/other is not a Reflow job: it does not answer --describe; its main must be \
         reflow::main!\n",
    );
    start(
        &["-j", "../bin/reflow"],
        "standalone-job.sh: -j takes the name of an executable in HOME/lib, not a path: ../bin/reflow\n",
    );
    start(&["-j"], "standalone-job.sh: -j needs a value; see standalone-job.sh --help\n");
}

#[test]
fn the_configuration_says_where_logs_go() {
    let distribution = Distribution::new("configured");
    let logs = distribution.home.join("elsewhere");
    let config = format!("# a comment\nenv:\n  log:\n    dir: \"{}\" # here\n", logs.display());
    fs::write(distribution.home.join("conf/config.yaml"), config).unwrap();
    distribution.check("taskmanager.sh", &["start"], STARTING);
    assert!(logs.join("reflow-me-taskmanager-0-here.log").exists());
}
