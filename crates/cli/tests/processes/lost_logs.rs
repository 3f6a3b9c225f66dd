//! Tests of processes whose output cannot be written: logs are lost, but nothing else.

use crate::distribution::{Distribution, JOB, free_port, job, lines, undisturbed, until};
use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};

const EVENTS: u64 = 2000;

/// A process that is killed when the test ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_full_disk_under_the_logs_ends_no_process() {
    runs_to_its_end(|| Stdio::from(File::options().write(true).open("/dev/full").unwrap()));
}

#[test]
fn a_full_pipe_that_nobody_reads_holds_nothing_up() {
    let (_reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'\n'; 64 << 10]).unwrap(); // all that a pipe takes
    runs_to_its_end(|| Stdio::from(writer.try_clone().unwrap()));
}

fn runs_to_its_end(stderr: impl Fn() -> Stdio) {
    let d = Distribution::lay_out("scheduler-mode: reactive\n");
    let output = d.home.path().join("out");
    let start = |program: &str, arguments: &str| {
        let mut command = Command::new(d.home.path().join(program));
        command.args(arguments.split(' ')).args(["--config-dir", "conf"]).current_dir(d.home.path());
        Ended(command.env("RUST_LOG", "debug").stdout(Stdio::null()).stderr(stderr()).spawn().unwrap())
    };
    let job_arguments = format!("--events {EVENTS} --rate 1000000 --output {}", output.display());
    let mut job_manager = {
        let mut command = Command::new(d.home.path().join("lib").join(JOB));
        command.args(["jobmanager", "--config-dir", "conf"]).args(job_arguments.split(' '));
        command.current_dir(d.home.path()).env("RUST_LOG", "debug").stderr(stderr());
        Ended(command.spawn().unwrap())
    };
    let mut task_manager = start("bin/reflow", "taskmanager");
    let code = until("the job's end", || job_manager.0.try_wait().unwrap()).code();
    assert_eq!(code, Some(0), "the JobManager");
    assert_eq!(task_manager.0.try_wait().unwrap(), None, "the TaskManager lives");
    assert!(
        Command::new("kill").args(["-TERM", &task_manager.0.id().to_string()]).status().unwrap().success()
    );
    let code = until("the TaskManager's end", || task_manager.0.try_wait().unwrap()).code();
    assert_eq!(code, Some(0), "the TaskManager");
    assert_eq!(lines(&output), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}

#[test]
fn a_full_disk_under_printed_output_fails_the_job_with_a_reason() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(job());
    command.args(["run", &format!("-Drest.port={}", free_port()), "-Drestart-strategy.type=none"]);
    command.args(["--events", "2000", "--rate", "1000000"]).stdout(full);
    let ended = command.output().unwrap();
    let printed = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{printed}");
    let why =
        "cannot print to standard output of the process that runs this subtask: No space left on device";
    assert!(printed.contains(why) && !printed.contains("panicked"), "{printed}");

    let full = File::options().write(true).open("/dev/full").unwrap();
    let plan = Command::new(job()).arg("plan").stdout(full).output().unwrap();
    let printed = String::from_utf8(plan.stderr).unwrap();
    assert_eq!(plan.status.code(), Some(1), "{printed}");
    assert!(printed.contains("cannot write to standard output: No space left on device"), "{printed}");
}
