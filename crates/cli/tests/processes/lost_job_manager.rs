//! A JobManager that is killed: the next one takes over the tasks as they run.

use crate::distribution::{Distribution, JOB, lines, undisturbed};
use crate::stores::executor_of;

#[test]
fn tasks_go_on_when_their_job_manager_is_killed() {
    const EVENTS: u64 = 8000;
    let d = Distribution::lay_out("scheduler-mode: reactive\n");
    let start = || {
        d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events {EVENTS} --rate 400 --output out"))
    };
    start();
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);
    let executors = || d.pids("taskmanager").into_iter().map(executor_of).collect::<Vec<_>>();
    let before = executors();

    d.kill_last("standalonejob");
    start();
    d.wait_for_log("standalonejob", "the attempt of the former JobManager goes on");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);
    assert_eq!(executors(), before);
    assert_eq!(d.checkpoints().unwrap().restored, 0, "nothing was restored");
    d.expect_no_failure();

    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}
