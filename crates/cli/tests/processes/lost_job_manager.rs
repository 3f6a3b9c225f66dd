//! A JobManager that is lost: the next one, or a standby, takes over the tasks as they run.

use crate::distribution::{Distribution, JOB, free_port, lines, undisturbed, until};
use crate::stores::executor_of;

/// The executors of all TaskManagers.
fn executors(d: &Distribution) -> Vec<u32> {
    d.pids("taskmanager").into_iter().map(executor_of).collect()
}

/// Waits until a JobManager has adopted the attempt, whose executors are these, and the job has ended with the output of an
/// undisturbed run.
fn expect_adopted(d: &Distribution, events: u64, before: &[u32]) {
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);
    assert_eq!(executors(d), before);
    assert_eq!(d.checkpoints().unwrap().restored, 0, "nothing was restored");
    d.expect_no_failure();
    d.wait_for_log("standalonejob", "the job has ended");
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), undisturbed(events, &d.home.path().join("undisturbed")));
}

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
    let before = executors(&d);

    d.kill_last("standalonejob");
    start();
    d.wait_for_log("standalonejob", "the attempt of the former JobManager goes on");
    expect_adopted(&d, EVENTS, &before);
}

/// Of two JobManagers the first leads and is killed. Then it is started again, and the second one hands the job over. At last the
/// first one is stopped.
#[test]
fn a_standby_takes_over_when_the_leader_is_killed_or_hands_over() {
    const EVENTS: u64 = 16_000;
    let (first, second) = (free_port(), free_port());
    let mut d = Distribution::lay_out(&format!(
        "scheduler-mode: reactive\nhigh-availability.type: storage\n\
         high-availability.storage.lease-duration: 1500 ms\n\
         high-availability.jobmanager.addresses: ['localhost:{first}', 'localhost:{second}']\n"
    ));
    let (rest_of_first, rest_of_second) = (d.rest, free_port());
    let start = |d: &Distribution, rpc: u16, rest: u16| {
        d.run(&format!(
            "./bin/standalone-job.sh start -Djobmanager.rpc.port={rpc} -Drest.port={rest} -j {JOB} --events {EVENTS} \
             --rate 400 --output out"
        ))
    };
    start(&d, first, rest_of_first);
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    start(&d, second, rest_of_second);
    d.wait_for_log("standalonejob", "another JobManager leads the job: standing by");
    d.wait_for_checkpoints(2);
    let before = executors(&d);
    let adoptions = |d: &Distribution| {
        d.log("standalonejob").matches("the attempt of the former JobManager goes on").count()
    };

    d.run(&format!("kill -9 {}", d.pids("standalonejob")[0]));
    d.rest = rest_of_second;
    until("the standby to adopt the attempt", || (adoptions(&d) == 1).then_some(()));
    d.wait_for_checkpoints(1);
    assert_eq!(executors(&d), before);

    let stands_by = |d: &Distribution, rest: u16| {
        let shown = d.try_run(&format!("./bin/reflow leader -m localhost:{rest}"));
        String::from_utf8_lossy(&shown.stdout).contains("stands by").then_some(())
    };
    start(&d, first, rest_of_first);
    until("the first one to stand by", || stands_by(&d, rest_of_first));
    d.run(&format!("./bin/reflow leader transfer -m localhost:{rest_of_second}"));
    d.rest = rest_of_first;
    until("the first one to adopt the attempt", || (adoptions(&d) == 2).then_some(()));
    until("the second one to stand by", || stands_by(&d, rest_of_second));
    let causes = d.run("./bin/reflow leader");
    assert!(causes.contains("HANDED_OVER") && causes.contains("LEASE_EXPIRED"), "{causes}");

    d.run(&format!("kill {}", d.pids("standalonejob").last().unwrap()));
    d.rest = rest_of_second;
    until("the second one to adopt the attempt", || (adoptions(&d) == 3).then_some(()));
    assert!(!d.log("standalonejob").contains("suspending the job"), "it is handed over");
    expect_adopted(&d, EVENTS, &before);
}
