//! Tests of checkpoints and savepoints on each kind of store: a job that loses an executor and its JobManager, is
//! stopped with a savepoint and started from it, writes the output of an undisturbed run.
//!
//! Local files are always tested, S3 if `cargo xtask s3` has started a server.

use crate::distribution::{Distribution, JOB, lines, undisturbed, until};
use std::fs;
use std::path::Path;

/// More events than the job can read before the savepoint, at the rate of the first part.
const EVENTS: u64 = 60_000;

#[test]
fn a_job_comes_back_from_each_store() {
    let home = tempfile::tempdir().unwrap();
    let expected = undisturbed(EVENTS, &home.path().join("undisturbed"));
    assert!(expected.len() >= 100, "the job should say something: {expected:?}");
    check(&home.path().join("store").display().to_string(), "", &expected);
    if let Ok(endpoint) = std::env::var("REFLOW_TEST_S3_ENDPOINT") {
        let variable = |name: &str| std::env::var(name).unwrap();
        let credentials = format!(
            "s3.endpoint: {endpoint}\ns3.path.style.access: true\ns3.access-key: {}\ns3.secret-key: {}\n",
            variable("REFLOW_TEST_S3_ACCESS_KEY"),
            variable("REFLOW_TEST_S3_SECRET_KEY"),
        );
        let unique = home.path().file_name().unwrap().to_str().unwrap();
        check(&format!("s3://reflow-test/{unique}"), &credentials, &expected);
    }
}

fn check(store: &str, credentials: &str, expected: &[String]) {
    let d = Distribution::lay_out(&format!(
        "execution.checkpointing.dir: {store}/checkpoints\nscheduler-mode: reactive\n{credentials}"
    ));
    let output = d.home.path().join("out");
    let start = |rate: u32, options: &str| {
        d.run(&format!(
            "./bin/standalone-job.sh start {options} -j {JOB} --events {EVENTS} --rate {rate} --output {}",
            output.display()
        ));
    };
    start(400, "");
    d.run("./bin/taskmanager.sh start");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);

    d.run(&format!("kill -9 {}", executor_of(d.pids("taskmanager")[0])));
    until("the job to be restored", || d.checkpoints().filter(|counts| counts.restored > 0));
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);

    d.kill_last("standalonejob");
    start(400, "");
    d.wait_for_log("standalonejob", "resuming the job");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);

    let printed = d.run(&format!("./bin/reflow stop --savepoint-path {store}/savepoints"));
    let savepoint = printed.trim().rsplit(' ').next().unwrap();
    assert!(savepoint.starts_with(&format!("{store}/savepoints/savepoint-")), "{printed}");
    d.wait_for_end();
    let export =
        format!("./bin/reflow savepoint export {savepoint} --uid top-speed --format parquet --to columns");
    assert!(d.run(&export).starts_with("columns/panes.parquet: "));
    let again = d.try_run(&export);
    let refusal = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && refusal.contains("columns/panes.parquet exists"), "{refusal}");
    assert!(d.home.path().join("columns/panes.parquet").exists(), "the first export stays");

    start(1_000_000, &format!("-s {savepoint}"));
    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&output), expected);
}

/// The task executor of a TaskManager.
pub(crate) fn executor_of(task_manager: u32) -> u32 {
    let threads = fs::read_dir(Path::new("/proc").join(task_manager.to_string()).join("task")).unwrap();
    let children: String =
        threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap()).collect();
    children.split_whitespace().next().unwrap().parse().unwrap()
}
