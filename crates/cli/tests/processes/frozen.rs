//! Machines that fall silent without closing a connection, and processes that do so only because everything was paused.

use crate::distribution::{Distribution, JOB, elapsed, lines, undisturbed, until};
use crate::stores::executor_of;
use std::sync::mpsc;
use std::time::Duration;

/// Far above the time that is promised, because the machine may be busy, and far below `heartbeat.timeout`.
const OUTPUT_AGAIN: Duration = Duration::from_secs(20);

/// SIGSTOP and SIGCONT have the effect of a machine that hangs and comes back.
fn signal(d: &Distribution, signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    d.run(&format!("kill -{signal} {pids}"));
}

#[test]
fn a_frozen_machine_is_replaced_and_does_no_harm_when_it_wakes_up() {
    const EVENTS: u64 = 10_000;
    let d = Distribution::lay_out("scheduler-mode: reactive\n");
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --events {EVENTS} --rate 400 --output out"));
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);
    let task_managers = d.pids("taskmanager");

    let executor = executor_of(task_managers[0]);
    let restored = || d.checkpoints().map(|counts| counts.restored);
    let took = elapsed(|| {
        signal(&d, "STOP", &[executor]);
        until("the frozen executor to be replaced", || restored().filter(|restored| *restored >= 1));
        d.wait_for_checkpoints(1);
    });
    assert!(took < OUTPUT_AGAIN, "{took:?}");
    d.wait_for_parallelism(2);
    assert_ne!(executor_of(task_managers[0]), executor);

    let machine = [task_managers[0], executor_of(task_managers[0])];
    let before = restored().unwrap();
    let took = elapsed(|| {
        signal(&d, "STOP", &machine);
        until("the job to go on without it", || restored().filter(|restored| *restored > before));
        d.wait_for_parallelism(1);
        d.wait_for_checkpoints(1);
    });
    assert!(took < OUTPUT_AGAIN, "{took:?}");
    signal(&d, "CONT", &machine);
    d.wait_for_parallelism(2);

    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), undisturbed(EVENTS, &d.home.path().join("undisturbed")));
}

/// A virtual machine is suspended or moved, a laptop sleeps, a container is paused.
#[test]
fn a_pause_of_all_processes_is_no_failure() {
    let d = Distribution::lay_out("scheduler-mode: reactive\nheartbeat.timeout: 4 s\n");
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --rate 400 --output out"));
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);
    let task_managers = d.pids("taskmanager");
    let mut all = d.pids("standalonejob");
    all.extend(task_managers.iter().copied().map(executor_of));
    all.extend(task_managers);
    let (_never, pause) = mpsc::channel::<()>();
    for _ in 0..2 {
        signal(&d, "STOP", &all);
        pause.recv_timeout(Duration::from_secs(6)).unwrap_err();
        signal(&d, "CONT", &all);
        d.wait_for_checkpoints(3);
    }
    d.wait_for_parallelism(2);
    d.expect_no_failure();
}
