//! Test of a job that is rescaled and drained from the command line, and whose output equals that of an
//! undisturbed run.

use crate::distribution::{Distribution, JOB, lines, undisturbed};
use reflow_schema::{LiveOutcome, LiveRescale, Rescale, TaskManagers};

const EVENTS: u64 = 12_000;

#[test]
fn a_job_is_rescaled_and_its_task_managers_are_drained() {
    let d = Distribution::lay_out("");
    let output = d.home.path().join("out");
    d.run(&format!(
        "./bin/standalone-job.sh start -Djobmanager.scheduler=adaptive -Dscheduler-mode=reactive \
         -j {JOB} --events {EVENTS} --rate 400 --output {}",
        output.display()
    ));
    d.run("./bin/taskmanager.sh start && ./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.run("./bin/reflow rescale --parallelism 1");
    d.wait_for_parallelism(1);
    d.run("./bin/reflow rescale --parallelism 2");
    d.wait_for_parallelism(2);
    let there: TaskManagers = d.get("/taskmanagers").unwrap();
    d.run(&format!("./bin/reflow drain {}", there.taskmanagers[0].id));
    d.wait_for_parallelism(1);
    let rescales: Vec<Rescale> = serde_json::from_str(&d.run("./bin/reflow rescales --json")).unwrap();
    // The newest rescale is first. Whether the second TaskManager caused a rescale depends on when it registered.
    let newest = &rescales[..3];
    let is_committed = |live: &LiveRescale| live.outcome == Some(LiveOutcome::Committed);
    let live = |rescale: &Rescale| rescale.live_rescale.as_ref().is_some_and(is_committed);
    assert!(newest.iter().all(live), "{newest:#?}");
    d.expect_no_failure();

    let refused = d.try_run("./bin/reflow drain localhost");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("start another TaskManager first"), "{why}");
    d.run("./bin/reflow drain localhost --force");
    let there: TaskManagers = d.get("/taskmanagers").unwrap();
    assert!(there.taskmanagers.is_empty(), "{there:#?}");
    d.run("./bin/taskmanager.sh start");
    d.wait_for_parallelism(1);
    d.expect_no_failure();
    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");

    let expected = undisturbed(EVENTS, &d.home.path().join("undisturbed"));
    assert!(expected.len() >= 100, "the job should say something: {expected:?}");
    assert_eq!(lines(&output), expected);
}
