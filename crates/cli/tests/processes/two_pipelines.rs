//! A job of two pipelines in slots of their own: one fails, and the other runs on.

use crate::distribution::{Distribution, build, lines, until};
use reflow_schema::{Exceptions, JobDetails, VertexDetails};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const JOB: &str = "rescale_job";
/// The number of splits of each source. Record *n* is of split *n* modulo this.
const SPLITS: u64 = 16;

/// What identifies a subtask: its vertex, attempt, TaskManager and start.
type Started = (String, u32, Option<String>, i64);

/// The subtasks of both pipelines, the first one's first.
fn started(d: &Distribution) -> [Vec<Started>; 2] {
    let path = format!("/jobs/{}", d.job().unwrap().jid);
    let details: JobDetails = d.get(&path).unwrap();
    let of = |is_second: bool| {
        let vertices = details.vertices.iter().filter(|vertex| vertex.name.contains("second") == is_second);
        let vertices: Vec<VertexDetails> =
            vertices.map(|vertex| d.get(&format!("{path}/vertices/{}", vertex.id)).unwrap()).collect();
        let started = |vertex: &VertexDetails| -> Vec<Started> {
            let name = &vertex.name;
            let subtasks = vertex.subtasks.iter();
            subtasks.map(|s| (name.clone(), s.attempt, s.taskmanager_id.clone(), s.start_time)).collect()
        };
        vertices.iter().flat_map(started).collect()
    };
    [of(false), of(true)]
}

/// Waits until regions have restarted so many times and all subtasks run, and checks that the first pipeline has not noticed it.
fn expect_restart(d: &Distribution, times: u64, before: &[Vec<Started>; 2]) -> [Vec<Started>; 2] {
    until("the second pipeline to restart", || (d.checkpoints()?.restored == times).then_some(()));
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);
    let after = started(d);
    assert_eq!(after[0], before[0], "the first pipeline runs on");
    assert!(
        after[1].iter().zip(&before[1]).all(|(after, before)| after.3 > before.3),
        "{after:#?} {before:#?}"
    );
    after
}

/// Each split of the output has all of its records up to the last one, each once.
fn expect_exact(output: &Path) {
    let mut splits: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in lines(output) {
        let record: u64 = line.split(' ').next().unwrap().parse().unwrap();
        splits.entry(record % SPLITS).or_default().push(record / SPLITS);
    }
    assert_eq!(splits.len() as u64, SPLITS);
    for (split, mut turns) in splits {
        turns.sort_unstable();
        assert_eq!(
            turns,
            (0..turns.len() as u64).collect::<Vec<_>>(),
            "split {split} of {}",
            output.display()
        );
    }
}

#[test]
fn a_pipeline_that_fails_restarts_alone() {
    let d = Distribution::lay_out("scheduler-mode: reactive\nexecution.checkpointing.interval: 200 ms\n");
    let at = |name: &str| d.home.path().join(name);
    fs::copy(build(JOB), at("lib").join(JOB)).unwrap();
    for directory in ["log-of-outputs", "second/log"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    d.run(&format!(
        "./bin/standalone-job.sh start -j {JOB} --keys 100 --rate 2000 --begin-us $(date +%s)000000 \
         --log {} --output {} --second {}",
        at("log-of-outputs").display(),
        at("out").display(),
        at("second").display()
    ));
    d.run("./bin/taskmanager.sh start && ./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(2);
    let before = started(&d);
    assert_eq!(before.each_ref().map(Vec::len), [2, 2], "{before:#?}");
    assert_ne!(before[0][0].2, before[1][0].2, "each has a TaskManager of its own");

    // User code returns an error once.
    fs::write(at("second/fail"), "").unwrap();
    let before = expect_restart(&d, 1, &before);
    let exceptions =
        || -> Exceptions { d.get(&format!("/jobs/{}/exceptions", d.job().unwrap().jid)).unwrap() };
    let failure = &exceptions().exception_history.entries[0].exception;
    assert!(failure.task_name.as_ref().is_some_and(|name| name.contains("second output")), "{failure:#?}");
    assert!(failure.stacktrace.contains("demands it"), "{failure:#?}");

    // Its executor is killed. The log that its subtasks write is named after it.
    let logs = fs::read_dir(at("second/log")).unwrap().map(|log| log.unwrap().file_name());
    let pids = logs.map(|name| name.to_str().unwrap().split('-').next().unwrap().parse::<u32>().unwrap());
    let executor = pids.max().unwrap();
    d.run(&format!("kill -9 {executor}"));
    expect_restart(&d, 2, &before);
    let failure = &exceptions().exception_history.entries[0].exception;
    assert!(failure.stacktrace.contains("is lost"), "{failure:#?}");

    d.run(&format!("./bin/reflow stop --savepoint-path {}", at("savepoints").display()));
    d.wait_for_end();
    d.run("./bin/taskmanager.sh stop-all");
    expect_exact(&at("out"));
    expect_exact(&at("second/output"));
}
