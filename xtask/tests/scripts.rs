//! The scripts of the distribution, run against stand-ins for the executables: what is started with which
//! arguments, which one is stopped, and what a user is told who made a mistake. How the real executable reads the
//! configuration for them is tried by `crates/cli/tests/scripts.rs`.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test, and its helpers are too")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Writes its arguments to its log, then runs until it is told to end. `-Dfail=1` makes it end at once, `-Ddrain=FIFO`
/// not before somebody has written to that pipe. What the scripts ask of the configuration stands in a file.
const STAND_IN: &str = r#"#!/usr/bin/env bash
home=$(dirname "$0")/..
case $1 in
    --describe) echo '{"reflow":"0"}'; exit ;;
    config) cat "$home/conf/values"; exit ;;
esac
echo "arguments: $*" >&2
case "$*" in *-Dfail=1*) echo "port 8081 is taken" >&2; exit 3 ;; esac
drain=/dev/null
for last; do case $last in -Ddrain=*) drain=${last#-Ddrain=} ;; esac; done
trap 'cat "$drain"; kill $!; echo ended >&2; exit 0' TERM
sleep 600 & wait $!
"#;

/// Notes each signal in a file instead of sending it.
const NO_SIGNALS: &str = r#"() { echo "$*" >>"$KILL_LOG"; }"#;

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
        let values = format!("{}/log\0/tmp\x0010\0", home.display());
        fs::write(home.join("conf/values"), values).unwrap();
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
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("REFLOW_PID_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("pids"))
            .env("REFLOW_IDENT_STRING", "me")
            .env("HOSTNAME", "here")
            .stdin(Stdio::null());
        for variable in ["HOME", "USER", "REFLOW_CONF_DIR", "REFLOW_LOG_DIR"] {
            command.env_remove(variable);
        }
        command
    }

    fn script(&self, script: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(self.home.join("bin").join(script));
        command.args(arguments);
        command
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        self.script(script, arguments).output().unwrap()
    }

    /// The file of a service's process ids.
    fn pid_file(&self, service: &str) -> PathBuf {
        let text = r#". "$1/bin/config.sh"; pid_file "$2""#;
        let mut command = self.command("bash");
        let path = command.args(["-c", text, "bash"]).arg(&self.home).arg(service).output().unwrap().stdout;
        PathBuf::from(String::from_utf8(path).unwrap().trim_end())
    }

    /// The ids in it.
    fn pids(&self, service: &str) -> Vec<String> {
        let text = fs::read_to_string(self.pid_file(service)).unwrap_or_default();
        text.lines().map(|line| line.trim().to_owned()).collect()
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
         -Dexecution.state-recovery.ignore-unclaimed-state=true -Db=2 -- --rate 5 -Dc=3\n",
    );
}

#[test]
fn what_is_meant_for_the_job_is_no_option_of_the_job_manager() {
    let distribution = Distribution::new("job_arguments");
    distribution.add_executable("lib/top", STAND_IN);
    let arguments = ["start", "--allow-other-build", "--", "--fresh", "-s", "mine"];
    distribution.check("standalone-job.sh", &arguments, "Starting standalonejob daemon on host here.\n");
    distribution.check_log(
        "reflow-me-standalonejob-0-here.log",
        "arguments: jobmanager --config-dir HOME/conf --allow-other-build -- --fresh -s mine\n",
    );
}

#[test]
fn a_job_that_is_none_is_refused() {
    let distribution = Distribution::new("no_job");
    let start = |arguments: &[&str], expected: &str| {
        distribution.check_error("standalone-job.sh", &[&["start"], arguments].concat(), expected);
    };
    start(&[], "standalone-job.sh: no job is named; use -j JOB, HOME/lib contains: nothing\n");
    distribution.add_executable("lib/one", STAND_IN);
    distribution.add_executable("lib/other", "#!/bin/sh\nexit 1\n");
    fs::write(distribution.home.join("lib/notes"), "no job").unwrap();

    start(&[], "standalone-job.sh: no job is named; use -j JOB, HOME/lib contains: notes one other\n");
    start(
        &["-j", "two"],
        "standalone-job.sh: no job 'two' in HOME/lib, which contains: notes one other; copy the job's executable \
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
    let logs = distribution.home.join("else\nwhere");
    fs::write(distribution.home.join("conf/values"), format!("{}\0/tmp\x0010\0", logs.display())).unwrap();
    distribution.check("taskmanager.sh", &["start"], STARTING);
    assert!(logs.join("reflow-me-taskmanager-0-here.log").exists());
}

#[test]
fn a_configuration_that_cannot_be_read_stops_the_script() {
    let distribution = Distribution::new("unreadable");
    fs::write(distribution.home.join("conf/values"), "").unwrap();
    let expected = "taskmanager.sh: cannot read the configuration in HOME/conf; see above\n";
    distribution.check_error("taskmanager.sh", &["stop"], expected);
    fs::remove_file(distribution.home.join("bin/reflow")).unwrap();
    let expected = "taskmanager.sh: HOME/bin/reflow is missing; is the distribution complete?\n";
    distribution.check_error("taskmanager.sh", &["start"], expected);
}

#[test]
fn paths_may_hold_spaces_and_newlines() {
    let distribution = Distribution::new("a b\n*  c");
    distribution.check("taskmanager.sh", &["start"], STARTING);
    distribution.check("taskmanager.sh", &["stop"], STOPPING);
    distribution.check("taskmanager.sh", &["stop"], NONE_LEFT);
}

#[test]
fn what_is_no_process_id_is_never_signalled() {
    let distribution = Distribution::new("no_pids");
    let log = distribution.home.join("signals");
    for stop in ["stop", "stop-all"] {
        for line in ["-1", "0", "-2", "+5", "1.5", "x", "$$", "00"] {
            fs::write(distribution.pid_file("taskmanager"), line).unwrap();
            let mut command = distribution.script("taskmanager.sh", &[stop]);
            let output = command.env("BASH_FUNC_kill%%", NO_SIGNALS).env("KILL_LOG", &log).output().unwrap();
            assert!(output.status.success());
            assert_eq!(String::from_utf8(output.stdout).unwrap(), NONE_LEFT);
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("'{line}' in ")) && said.contains("is no process id"), "{said}");
            assert!(!log.exists(), "{line}: kill {}", fs::read_to_string(&log).unwrap());
        }
    }
}

#[test]
fn a_stale_id_that_is_another_process_by_now_is_left_alone() {
    let distribution = Distribution::new("stale");
    distribution.add_executable("lib/top", STAND_IN);
    distribution.check("standalone-job.sh", &["start"], "Starting standalonejob daemon on host here.\n");
    let job_manager = distribution.pids("standalonejob");
    let other = Distribution::new("stale_other");
    other.check("taskmanager.sh", &["start"], STARTING);
    let stale = [job_manager.clone(), other.pids("taskmanager"), vec![std::process::id().to_string()]];

    let log = distribution.home.join("signals");
    for pid in stale.concat() {
        for stop in ["stop", "stop-all"] {
            fs::write(distribution.pid_file("taskmanager"), format!("{pid}\n")).unwrap();
            let mut command = distribution.script("taskmanager.sh", &[stop]);
            let output = command.env("BASH_FUNC_kill%%", NO_SIGNALS).env("KILL_LOG", &log).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), NONE_LEFT);
            assert!(!log.exists(), "kill {}", fs::read_to_string(&log).unwrap());
        }
    }
    assert_eq!(distribution.pids("standalonejob"), job_manager);
}

#[test]
fn a_start_does_not_wait_for_another_to_drain() {
    let distribution = Distribution::new("drain");
    let pipe = distribution.home.join("drain");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let drain = format!("-Ddrain={}", pipe.display());
    distribution.check("taskmanager.sh", &["start", &drain], STARTING);
    let mut stop = distribution.script("taskmanager.sh", &["stop"]).stdout(Stdio::null()).spawn().unwrap();
    let draining = fs::OpenOptions::new().write(true).open(&pipe).unwrap(); // waits until it has been signalled

    let also = format!("[INFO] 1 instance(s) of taskmanager are already running on here.\n{STARTING}");
    distribution.check("taskmanager.sh", &["start"], &also);
    distribution.check("taskmanager.sh", &["stop"], STOPPING); // the new one: the other is being stopped
    let ids = distribution.pids("taskmanager");
    assert!(ids.len() == 1 && ids[0].ends_with(" stopping"), "{ids:?}");
    drop(draining);
    assert!(stop.wait().unwrap().success());
    distribution.check("taskmanager.sh", &["stop"], NONE_LEFT);
}

#[test]
fn who_is_being_stopped_is_waited_for_and_not_signalled_twice() {
    let distribution = Distribution::new("drain_twice");
    let pipe = distribution.home.join("drain");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let drain = format!("-Ddrain={}", pipe.display());
    distribution.check("taskmanager.sh", &["start", &drain], STARTING);
    let mut stop = distribution.script("taskmanager.sh", &["stop"]).stdout(Stdio::null()).spawn().unwrap();
    let draining = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let mut again = distribution.script("taskmanager.sh", &["stop-all"]);
    let again = again.stdout(Stdio::piped()).spawn().unwrap();
    drop(draining);
    assert!(stop.wait().unwrap().success());
    let said = String::from_utf8(again.wait_with_output().unwrap().stdout).unwrap();
    let waits = "taskmanager daemon (pid: ) on host here is being stopped already; waiting for it.\n";
    assert!([waits, NONE_LEFT].contains(&without_pids(&said).as_str()), "{said}");
    distribution.check_log(
        "reflow-me-taskmanager-0-here.log",
        "arguments: taskmanager --config-dir HOME/conf -Ddrain=HOME/drain\nended\n",
    );
}

#[test]
fn starts_at_the_same_time_are_all_known() {
    let distribution = Distribution::new("at_once");
    let start = |_| distribution.script("taskmanager.sh", &["start"]).stdout(Stdio::null()).spawn().unwrap();
    for mut start in (0..4).map(start).collect::<Vec<_>>() {
        assert!(start.wait().unwrap().success());
    }
    let logs = fs::read_dir(distribution.home.join("log")).unwrap().count();
    assert_eq!(logs, 8, "each has a .log and an .out of its own");
    distribution.check("taskmanager.sh", &["stop-all"], &STOPPING.repeat(4));
}

#[test]
fn nothing_is_started_whose_id_cannot_be_written() {
    let distribution = Distribution::new("full_disk");
    distribution.check("taskmanager.sh", &["start"], STARTING);
    let file = distribution.pid_file("taskmanager");
    let (former, full) = (fs::read(&file).unwrap(), file.with_extension("pid.new"));
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    let output = distribution.run("taskmanager.sh", &["start"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("so taskmanager was not started; is the disk full? See env.pid.dir"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), former);
    assert!(!distribution.home.join("log/reflow-me-taskmanager-1-here.log").exists());

    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    distribution.check("taskmanager.sh", &["stop"], STOPPING);
}
