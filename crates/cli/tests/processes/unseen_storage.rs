//! Test of a TaskManager that does not see the directory of the JobManager's checkpoints, which must end and log
//! the reason.

use crate::distribution::{Distribution, JOB};

/// `memory://` is a different place in each process, as `/data` is on machines that share no file system.
#[test]
fn a_task_manager_that_sees_another_directory_ends_and_both_logs_say_why() {
    let d = Distribution::lay_out(
        "execution.checkpointing.dir: memory://checkpoints\nscheduler-mode: reactive\n",
    );
    d.run(&format!("./bin/standalone-job.sh start -j {JOB}"));
    let ended = d.try_run("./bin/taskmanager.sh start-foreground");
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let printed = String::from_utf8(ended.stderr).unwrap();
    for part in [
        "this machine does not see the storage of the job's checkpoints",
        &format!("memory://checkpoints/default/{JOB}/epochs/00000000000000000001 is not there"),
        "Let execution.checkpointing.dir be a directory that every machine shares",
    ] {
        assert!(printed.contains(part), "{printed}");
    }
    d.wait_for_log(
        "standalonejob",
        "a TaskManager does not see the storage of the job's checkpoints and ends",
    );
}
