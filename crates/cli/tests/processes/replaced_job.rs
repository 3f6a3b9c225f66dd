//! Tests of another build of a job that is put into `lib/`. While the job runs, it continues with the build with which it was
//! started; the next start resumes it with the other build.

use crate::distribution::{Distribution, JOB, lines, undisturbed, until};
use crate::stores::executor_of;

#[test]
fn a_job_whose_executable_is_replaced_still_grows_and_recovers() {
    let d = Distribution::lay_out("scheduler-mode: reactive\n");
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events 1000000 --rate 100 --output out"));
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.run(&format!("cp bin/reflow lib/new && mv lib/new lib/{JOB}"));
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.run(&format!("kill -9 {}", executor_of(d.pids("taskmanager")[0])));
    until("the job to be restored", || d.checkpoints().filter(|counts| counts.restored > 0));
    d.wait_for_parallelism(2);
}

/// An executable with a byte more is another build, of which the types of state are the same.
#[test]
fn another_build_resumes_the_job_from_its_checkpoint() {
    const EVENTS: u64 = 20_000;
    let home = tempfile::tempdir().unwrap();
    let expected = undisturbed(EVENTS, &home.path().join("undisturbed"));
    let d = Distribution::lay_out("scheduler-mode: reactive\n");
    let start = |rate: u32| {
        d.run(&format!(
            "./bin/standalone-job.sh start -j {JOB} --events {EVENTS} --rate {rate} --output out"
        ));
    };
    start(400);
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.wait_for_checkpoints(2);
    d.run("./bin/standalone-job.sh stop");
    d.run(&format!("printf x >> lib/{JOB}"));
    start(1_000_000);
    d.wait_for_log("standalonejob", "the state was written by another build, and fits");
    d.wait_for_end();
    assert_eq!(lines(&d.home.path().join("out")), expected);
}
