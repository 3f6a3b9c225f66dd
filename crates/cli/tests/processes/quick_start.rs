//! Test of the quick start, word for word, with real processes: a job that follows its TaskManagers through
//! starts, a stop and a `kill -9`, and whose output equals that of an undisturbed run.

use crate::distribution::{Distribution, JOB, lines, undisturbed};

const EVENTS: u64 = 4000;

#[test]
fn the_job_follows_its_task_managers_and_its_output_is_exact() {
    let d = Distribution::lay_out("");
    let output = d.home.path().join("out");
    d.run(&format!("cp ./examples/streaming/{JOB} lib/"));
    d.run(&format!(
        "./bin/standalone-job.sh start -Drestart-strategy=fixeddelay \
         -Drestart-strategy.fixed-delay.attempts=100000 -Djobmanager.scheduler=adaptive -Dscheduler-mode=reactive \
         -j {JOB} --events {EVENTS} --rate 400 --output {}",
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
    d.expect_no_failure();
    d.kill_last("taskmanager");
    d.wait_for_parallelism(1);
    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");

    let expected = undisturbed(EVENTS, &d.home.path().join("undisturbed"));
    assert!(expected.len() >= 100, "the job should say something: {expected:?}");
    assert_eq!(lines(&output), expected);
}
