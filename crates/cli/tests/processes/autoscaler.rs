//! The built-in autoscaler with processes: a job whose load grows and falls starts and stops TaskManagers.

use crate::distribution::{Distribution, build, lines, until};
use reflow_schema::{Autoscaler, Timeline};
use std::fs;

const JOB: &str = "load_job";
/// 0.2 of a slot, then 1.6, then 0.2 again, at 200 records a second.
const PHASES: [(usize, u32); 3] = [(1200, 1), (2400, 8), (3000, 1)];
const KEYS: usize = 16;

/// Reacts within seconds, with one slot a TaskManager.
const OPTIONS: &str = "scheduler-mode: reactive\n\
    execution.checkpointing.interval: 500 ms\n\
    job.autoscaler.enabled: true\n\
    job.autoscaler.task-managers.provider: scripts\n\
    job.autoscaler.task-managers.max: 2\n\
    job.autoscaler.vertex.max-parallelism: 2\n\
    job.autoscaler.metrics.window: 3 s\n\
    job.autoscaler.stabilization.interval: 1 s\n\
    job.autoscaler.scale-down.interval: 4 s\n\
    job.autoscaler.scale-up.grace-period: 4 s\n";

fn autoscaler(d: &Distribution) -> Option<Autoscaler> {
    d.get(&format!("/jobs/{}/autoscaler", d.job()?.jid))
}

/// Each record once, with the number that it has in its key.
fn expected() -> Vec<String> {
    let records = PHASES.iter().map(|(records, _)| records).sum();
    let mut lines: Vec<_> = (0..records).map(|record| format!("{record} {}", record / KEYS + 1)).collect();
    lines.sort();
    lines
}

#[test]
fn a_load_that_grows_and_falls_starts_and_stops_task_managers() {
    let d = Distribution::lay_out(OPTIONS);
    fs::copy(build(JOB), d.home.path().join("lib").join(JOB)).unwrap();
    let phases = PHASES.map(|(records, ms)| format!("{records}:{ms}")).join(",");
    // There is no TaskManager. It starts the first one, too.
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --rate 200 --phases {phases} --output out"));
    d.wait_for_parallelism(1);
    assert_eq!(d.pids("taskmanager").len(), 1);

    d.wait_for_parallelism(2);
    assert_eq!(d.pids("taskmanager").len(), 2);
    let grown = autoscaler(&d).unwrap();
    let decision = grown.decisions.last().unwrap();
    assert!(decision.reason.starts_with("scaled from 1 to 2 slots: "), "{grown:#?}");
    assert_eq!(grown.desired_task_managers, Some(2));

    d.wait_for_parallelism(1);
    until("a TaskManager to end", || (d.pids("taskmanager").len() == 1).then_some(()));
    let fallen = autoscaler(&d).unwrap();
    let decision = fallen.decisions.last().unwrap();
    assert!(decision.reason.starts_with("scaled from 2 to 1 slots: "), "{fallen:#?}");
    let timeline: Timeline = d.get(&format!("/jobs/{}/timeline", d.job().unwrap().jid)).unwrap();
    assert!(timeline.events.iter().any(|event| event.text == decision.reason), "{:#?}", timeline.events);

    assert_eq!(d.checkpoints().unwrap().restored, 0, "each rescale was live");
    d.expect_no_failure();
    d.wait_for_end();
    let log = d.log("standalonejob");
    assert!(!log.contains("which the autoscaler has not asked for"), "it recognizes its own changes");
    d.run("./bin/taskmanager.sh stop-all");
    assert_eq!(lines(&d.home.path().join("out")), expected());
}
