//! Test of the quick start, word for word, with real processes: a job that follows its TaskManagers through
//! starts, a stop and a `kill -9`, and whose output equals that of an undisturbed run.

use crate::distribution::{Distribution, JOB, lines, undisturbed};
use std::process::{Child, Command};

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

/// `scaling/autoscale.py`, which ends with the test.
struct Scaler(Child);

impl Scaler {
    fn start(d: &Distribution, target: &str) -> Self {
        let mut command = Command::new("python3");
        command.arg(d.home.path().join("scaling/autoscale.py")).args(["--rest", &d.url()]);
        command.args(["--max", "2", "--interval", "1", "--patience", "2", "--target", target]);
        Self(command.env("REFLOW_PID_DIR", d.home.path().join("pids")).spawn().unwrap())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_service_that_watches_the_load_starts_and_stops_task_managers() {
    let d = Distribution::lay_out("");
    let output = d.home.path().join("out");
    d.run(&format!(
        "./bin/standalone-job.sh start -Djobmanager.scheduler=adaptive -Dscheduler-mode=reactive \
         -j {JOB} --events {EVENTS} --rate 200 --output {}",
        output.display()
    ));
    let scaler = Scaler::start(&d, "0.000001"); // any load is too much
    d.wait_for_parallelism(2);
    drop(scaler);
    let scaler = Scaler::start(&d, "1000"); // and now none is
    d.wait_for_parallelism(1);
    d.expect_no_failure();
    d.wait_for_end();
    drop(scaler);
    d.run("./bin/taskmanager.sh stop-all");

    assert_eq!(lines(&output), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}
