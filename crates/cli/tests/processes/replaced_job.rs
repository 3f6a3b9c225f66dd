//! Test of another build of a job that is put into `lib/` while the job runs: the job continues with the build
//! with which it was started.

use crate::distribution::{Distribution, JOB, until};
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
