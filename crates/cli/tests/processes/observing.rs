//! Test of the commands that show what a cluster does, of logs over REST, and of a TaskManager that ends meanwhile.

use crate::distribution::{Distribution, JOB, until};
use reflow_schema::{LogFiles, TaskManagers, ThreadDump};
use serde_json::Value;
use std::fs::{self, File};

#[test]
fn a_cluster_is_seen_from_the_terminal() {
    let d = Distribution::lay_out("execution.checkpointing.interval: 200 ms\n");
    d.run(&format!(
        "./bin/standalone-job.sh start -Djobmanager.scheduler=adaptive -Dscheduler-mode=reactive \
         -j {JOB} --events 1000000 --rate 400 --output {}",
        d.home.path().join("out").display()
    ));
    d.run("./bin/taskmanager.sh start && ./bin/taskmanager.sh start");
    d.wait_for_parallelism(2);
    d.wait_for_checkpoints(1);
    let reflow = |line: &str| d.run(&format!("./bin/reflow {line}"));
    let json = |line: &str| -> Value { serde_json::from_str(&reflow(&format!("{line} --json"))).unwrap() };

    // The figures of a second are there after it.
    until("records a second", || {
        json("top")["vertices"]
            .as_array()?
            .iter()
            .all(|vertex| vertex["read"].as_f64() > Some(0.0))
            .then_some(())
    });
    let top = reflow("top");
    assert!(top.contains("RUNNING for") && top.contains("VERTEX") && top.contains("2/2"), "{top}");
    assert!(top.contains("checkpoint ") && !top.contains('\x1b'), "{top}");
    let graph = reflow("graph");
    assert!(graph.lines().any(|line| line.starts_with("└─ HASH → ") && line.ends_with("[2]")), "{graph}");
    assert!(json("graph")["nodes"].is_array());
    let checkpoints = reflow("checkpoints");
    assert!(
        checkpoints.contains(" completed, 0 failed") && checkpoints.contains("COMPLETED"),
        "{checkpoints}"
    );
    assert!(json("checkpoints")["counts"]["completed"].as_u64() >= Some(1));
    assert!(reflow("exceptions").contains("has not failed"));
    let metrics = reflow("metrics --name CHECKPOINTS");
    assert!(metrics.contains("numberOfCompletedCheckpoints"), "{metrics}");
    let vertex = json("graph")["nodes"][0]["id"].as_str().unwrap().to_owned();
    let of_vertex = reflow(&format!("metrics --vertex {vertex} --name numRecordsOut"));
    assert!(of_vertex.starts_with("METRIC") && of_vertex.contains("numRecordsOutPerSecond"), "{of_vertex}");
    assert!(reflow("metrics --cluster").contains("taskSlotsTotal"));
    let TaskManagers { taskmanagers } = d.get("/taskmanagers").unwrap();
    let id = &taskmanagers[0].id;
    assert!(reflow("taskmanagers").contains(id));
    assert!(reflow(&format!("metrics --task-manager {id}")).contains("Status.JVM.Memory.Heap.Used"));

    let log = reflow(&format!("logs {id}"));
    assert!(log.contains(&format!("TaskManager {id}: ")), "{log}");
    assert!(reflow("logs").contains("a TaskManager has registered"));
    let last = reflow(&format!("logs {} -n 1", &id[..8]));
    assert!(last.lines().count() <= 1 && log.len() > last.len(), "{last}");
    let files: LogFiles = d.get(&format!("/taskmanagers/{id}/logs")).unwrap();
    let name = &files
        .logs
        .iter()
        .find(|file| file.name.contains("taskmanager") && file.name.ends_with(".log"))
        .unwrap()
        .name;
    assert!(reflow(&format!("logs {id} --list")).contains(name));
    assert!(reflow(&format!("logs {id} --file {name}")).contains(": "));
    let refused = d.try_run(&format!("./bin/reflow logs {id} --file ../conf/config.yaml"));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("does not exist in TaskManager log dir"), "{why}");
    let ThreadDump { thread_infos } = d.get(&format!("/taskmanagers/{id}/thread-dump")).unwrap();
    assert!(thread_infos.iter().any(|thread| thread.thread_name.starts_with("slot")), "{thread_infos:#?}");

    // A log is followed until its process ends. What it writes last may come too late to be asked for.
    let (out, err) = (d.home.path().join("followed.out"), d.home.path().join("followed.err"));
    let mut follow = std::process::Command::new("./bin/reflow");
    follow.args(["logs", id, "--follow"]).current_dir(d.home.path());
    follow.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
    let mut follow = follow.spawn().unwrap();
    until("the log is followed", || {
        fs::read_to_string(&out).unwrap().contains(&format!("TaskManager {id}: ")).then_some(())
    });
    d.run(&format!("./bin/reflow drain {id}"));
    let code = follow.wait().unwrap().code();
    let said = fs::read_to_string(&err).unwrap();
    assert_eq!(
        (code, said),
        (
            Some(0),
            format!("reflow: TaskManager {id} has left; the end of its log is in the file on its machine\n")
        )
    );
    d.run("./bin/reflow cancel && ./bin/taskmanager.sh stop-all");
}
