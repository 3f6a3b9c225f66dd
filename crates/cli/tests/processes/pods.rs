//! What an orchestrator such as Kubernetes does to processes: it probes them, and ends them with 30 s of grace.

use crate::distribution::{Distribution, JOB, free_port, lines, undisturbed, until};
use std::fs;

/// The status that a path answers without a token, if the port is open.
fn status(port: u16, path: &str) -> Option<u16> {
    match ureq::get(format!("http://127.0.0.1:{port}{path}")).call() {
        Ok(answer) => Some(answer.status().as_u16()),
        Err(ureq::Error::StatusCode(status)) => Some(status),
        Err(_) => None,
    }
}

fn wait_for(port: u16, path: &str, expected: u16) {
    until(&format!("{expected} from {path}"), || (status(port, path)? == expected).then_some(()));
}

#[test]
fn probes_without_a_token_tell_whether_a_process_can_do_its_work() {
    let probes = free_port();
    let d = Distribution::lay_out(&format!(
        "rest.authentication.file: conf/users\ntaskmanager.probes.port: {probes}\n"
    ));
    fs::write(d.home.path().join("conf/users"), "anna:read:reader-token-0123456789\n").unwrap();
    d.run("./bin/taskmanager.sh start");
    wait_for(probes, "/livez", 200);
    assert_eq!(status(probes, "/readyz"), Some(503), "it has no JobManager");
    assert_eq!(status(probes, "/"), Some(404));

    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events 1000000 --rate 100 --output out"));
    wait_for(d.rest, "/readyz", 200);
    wait_for(d.rest, "/livez", 200);
    assert_eq!(status(d.rest, "/jobs"), Some(401), "all else needs a token");
    wait_for(probes, "/readyz", 200);

    d.kill_last("standalonejob");
    wait_for(probes, "/readyz", 503);
    assert_eq!(status(probes, "/livez"), Some(200));
}

#[test]
fn evicted_processes_interrupt_the_job_as_little_as_their_grace_allows() {
    const EVENTS: u64 = 8000;
    let d = Distribution::lay_out(
        "scheduler-mode: reactive\njobmanager.adoption.timeout: 2 min\njobmanager.termination: hand-over\n",
    );
    let start = || {
        d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events {EVENTS} --rate 400 --output out"))
    };
    start();
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);

    // The JobManager's pod is replaced: its tasks go on.
    d.run("./bin/standalone-job.sh stop");
    start();
    d.wait_for_log("standalonejob", "the attempt of the former JobManager goes on");
    d.wait_for_parallelism(2);
    assert_eq!(d.checkpoints().unwrap().restored, 0, "nothing was restored");

    // All TaskManagers are evicted together: nowhere to move to, so the job restarts from a fresh checkpoint.
    d.run("timeout 30 ./bin/taskmanager.sh stop-all");
    d.expect_no_failure();
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.expect_no_failure();
    assert_eq!(d.checkpoints().unwrap().restored, 1, "a planned restart");

    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}
