//! A TaskManager whose machine does not have the job fetches it from the JobManager.

use crate::distribution::{Distribution, JOB};

#[test]
fn a_job_that_is_not_in_lib_is_fetched_where_rest_listens() {
    let d = fetched("");
    assert!(d.log("taskmanager").contains(&format!("url=http://localhost:{}/artifacts/", d.rest)));
}

#[test]
fn a_job_is_fetched_from_a_second_port_if_rest_listens_elsewhere() {
    let d = fetched("jobmanager.bind-host: 127.0.0.1\njobmanager.rpc.address: 127.0.0.1\n");
    d.wait_for_log("standalonejob", "the job's executable for TaskManagers on http://127.0.0.1:");
    assert!(!d.log("taskmanager").contains(&format!("url=http://127.0.0.1:{}/artifacts/", d.rest)));
}

/// A distribution with a TaskManager that runs a job which only the JobManager has.
fn fetched(configuration: &str) -> Distribution {
    let d = Distribution::lay_out(&format!("scheduler-mode: reactive\n{configuration}"));
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events 1000000 --rate 100 --output out"));
    d.wait_for_log("standalonejob", "REST API and web interface on");
    d.run(&format!("rm lib/{JOB}"));
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.wait_for_log("taskmanager", "fetching the job's executable");
    d.expect_no_failure();
    d
}
