//! Reflow's answers beside Flink's: the same fields, of the same JSON types, and where the fixture holds what
//! Flink's cluster did, the same values.

use crate::client::Server;
use crate::fixture::{self, FakeCluster};
use reflow_schema::metrics::{Aggregate, Metric};
use reflow_schema::*;
use reflow_view::{CheckpointOutcome, CheckpointView, ExceptionView, SubtaskCheckpointView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads an answer as a client does, and writes it again.
type ReadBack = fn(&str) -> Value;

fn read_back<T: Serialize + DeserializeOwned>(answer: &str) -> Value {
    serde_json::to_value(serde_json::from_str::<T>(answer).unwrap()).unwrap()
}

/// Path, Flink's answer, whether ours is to be equal in value too, and its type.
const ANSWERS: &[(&str, &str, Compare, ReadBack)] = &[
    ("/config", "config", Compare::Shape, read_back::<DashboardConfig>),
    ("/overview", "overview", Compare::Value, read_back::<ClusterOverview>),
    ("/jobs", "jobs", Compare::Value, read_back::<Jobs>),
    ("/jobs/overview", "jobs_overview", Compare::Shape, read_back::<JobsOverview>),
    ("/jobs/JOB", "job", Compare::Shape, read_back::<JobDetails>),
    ("/jobs/JOB/plan", "job_plan", Compare::Value, read_back::<JobPlan>),
    ("/jobs/JOB/config", "job_config", Compare::Value, read_back::<JobConfig>),
    ("/jobs/JOB/accumulators", "job_accumulators", Compare::Value, read_back::<JobAccumulators>),
    (
        "/jobs/JOB/vertices/COUNT/accumulators",
        "vertex1_accumulators",
        Compare::Shape,
        read_back::<VertexAccumulators>,
    ),
    ("/jobs/JOB/status", "job_status", Compare::Value, read_back::<JobStatusInfo>),
    ("/jobs/JOB/exceptions", "job_exceptions", Compare::Value, read_back::<Exceptions>),
    (
        "/jobs/JOB/resource-requirements",
        "job_resource-requirements",
        Compare::Value,
        read_back::<BTreeMap<String, VertexRequirements>>,
    ),
    ("/jobs/JOB/checkpoints", "job_checkpoints", Compare::Shape, read_back::<Checkpoints>),
    ("/jobs/JOB/checkpoints/config", "job_checkpoints_config", Compare::Shape, read_back::<CheckpointConfig>),
    ("/jobs/JOB/checkpoints/details/28", "job_checkpoint_details", Compare::Value, read_back::<Checkpoint>),
    (
        "/jobs/JOB/checkpoints/details/28/subtasks/COUNT",
        "job_checkpoint_details_vertex",
        Compare::Shape,
        read_back::<VertexCheckpoint>,
    ),
    ("/jobs/JOB/rescales/overview", "job_rescales_overview", Compare::Value, read_back::<RescalesOverview>),
    ("/jobs/JOB/rescales/history", "job_rescales_history", Compare::Value, read_back::<Vec<Rescale>>),
    ("/jobs/JOB/rescales/summary", "job_rescales_summary", Compare::Value, read_back::<RescalesSummary>),
    ("/jobs/JOB/rescales/config", "job_rescales_config", Compare::Value, read_back::<RescalesConfig>),
    (
        "/jobs/JOB/rescales/details/2b8b98b65ec94d442122dda5429ebc46",
        "job_rescale_details",
        Compare::Value,
        read_back::<Rescale>,
    ),
    ("/jobs/JOB/vertices/SOURCE", "vertex0", Compare::Shape, read_back::<VertexDetails>),
    ("/jobs/JOB/vertices/COUNT", "vertex1", Compare::Shape, read_back::<VertexDetails>),
    (
        "/jobs/JOB/vertices/SOURCE/backpressure",
        "vertex0_backpressure",
        Compare::Shape,
        read_back::<Backpressure>,
    ),
    ("/jobs/JOB/vertices/SOURCE/watermarks", "vertex0_watermarks", Compare::Value, read_back::<Vec<Metric>>),
    ("/jobs/JOB/vertices/COUNT/watermarks", "vertex1_watermarks", Compare::Value, read_back::<Vec<Metric>>),
    (
        "/jobs/JOB/vertices/SOURCE/subtasks/metrics?get=numRecordsIn,numRecordsOut,busyTimeMsPerSecond,\
         backPressuredTimeMsPerSecond,idleTimeMsPerSecond",
        "vertex0_subtasks_metrics_get",
        Compare::Shape,
        read_back::<Vec<Aggregate>>,
    ),
    (
        "/jobs/JOB/metrics?get=numberOfCompletedCheckpoints,numRestarts",
        "job_metrics_get",
        Compare::Shape,
        read_back::<Vec<Metric>>,
    ),
    (
        "/jobmanager/metrics?get=numRunningJobs,taskSlotsTotal",
        "jobmanager_metrics_get",
        Compare::Shape,
        read_back::<Vec<Metric>>,
    ),
    ("/jobmanager/config", "jobmanager_config", Compare::Shape, read_back::<Vec<ConfigEntry>>),
    ("/jobs/JOB/jobmanager/config", "jobmanager_config", Compare::Shape, read_back::<Vec<ConfigEntry>>),
    ("/applications/overview", "applications_overview", Compare::Shape, read_back::<ApplicationsOverview>),
    ("/datasets", "cluster_datasets", Compare::Value, read_back::<DataSets>),
    ("/jobs/metrics", "jobs_metrics", Compare::Shape, read_back::<Vec<Aggregate>>),
    (
        "/taskmanagers/metrics?get=Status.JVM.Memory.Heap.Used",
        "taskmanagers_metrics_get",
        Compare::Shape,
        read_back::<Vec<Aggregate>>,
    ),
    (
        "/taskmanagers/00000000000000000000000000148842/metrics?get=Status.JVM.Memory.Heap.Used",
        "taskmanager_metrics_get",
        Compare::Shape,
        read_back::<Vec<Metric>>,
    ),
    (
        "/jobs/JOB/vertices/SOURCE/subtasktimes",
        "vertex0_subtasktimes",
        Compare::Shape,
        read_back::<SubtaskTimes>,
    ),
    ("/jobs/JOB/vertices/SOURCE/subtasks/0", "vertex0_subtask0", Compare::Shape, read_back::<Subtask>),
    (
        "/jobs/JOB/vertices/SOURCE/subtasks/0/attempts/1",
        "vertex0_subtask0",
        Compare::Shape,
        read_back::<Subtask>,
    ),
    (
        "/jobs/JOB/vertices/SOURCE/subtasks/0/metrics",
        "vertex0_subtask0_metrics",
        Compare::Shape,
        read_back::<Vec<Metric>>,
    ),
    ("/taskmanagers", "taskmanagers", Compare::Shape, read_back::<TaskManagers>),
    (
        "/taskmanagers/00000000000000000000000000148842",
        "taskmanager",
        Compare::Shape,
        read_back::<TaskManagerDetails>,
    ),
];

#[derive(Clone, Copy, PartialEq)]
enum Compare {
    Shape,
    Value,
}

fn flink(name: &str) -> Value {
    let path = format!("{}/tests/flink/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

fn path(template: &str) -> String {
    let names = [
        ("JOB", fixture::JOB.to_string()),
        ("SOURCE", fixture::SOURCE.to_string()),
        ("COUNT", fixture::COUNT.to_string()),
    ];
    names.iter().fold(template.to_owned(), |path, (name, id)| path.replace(name, id))
}

/// Where `ours` has other fields or types than `flinks`.
fn differences(at: &str, flinks: &Value, ours: &Value) -> Vec<String> {
    let nan = |value: &Value| value == "NaN";
    match (flinks, ours) {
        // Nothing is known of the type; or there is no value in Flink's run.
        (Value::Null, _) => vec![],
        (Value::Object(flinks), Value::Object(ours)) => {
            let of_flink = flinks.iter().flat_map(|(key, value)| match ours.get(key) {
                Some(our_value) => differences(&format!("{at}.{key}"), value, our_value),
                None => vec![format!("{at}.{key} is missing")],
            });
            let only_ours = ours.keys().filter(|key| !flinks.contains_key(*key));
            of_flink.chain(only_ours.map(|key| format!("{at}.{key} is not Flink's"))).collect()
        }
        (Value::Array(flinks), Value::Array(ours)) => {
            let pairs = ours
                .iter()
                .enumerate()
                .filter_map(|(index, our)| Some((index, flinks.get(index).or(flinks.first())?, our)));
            pairs.flat_map(|(index, flink, our)| differences(&format!("{at}[{index}]"), flink, our)).collect()
        }
        (Value::Number(flink), Value::Number(our)) if flink.is_f64() != our.is_f64() => {
            vec![format!("{at}: Flink has {flink}, we have {our}")]
        }
        // A percentile of nothing is the string "NaN".
        (flink, our) if (nan(flink) && our.is_number()) || (flink.is_number() && nan(our)) => vec![],
        (flink, our) if std::mem::discriminant(flink) == std::mem::discriminant(our) => vec![],
        (flink, our) => vec![format!("{at}: Flink has {flink}, we have {our}")],
    }
}

#[tokio::test]
async fn answers_have_flinks_fields_and_types() {
    let server = Server::start(FakeCluster::obedient(fixture::cluster())).await;
    for &(template, name, compare, read_back) in ANSWERS {
        let response = server.get(&path(template)).await;
        assert_eq!(response.status, 200, "{template}: {}", response.body);
        let (flinks, ours) = (flink(name), response.json());
        assert_eq!(differences(name, &flinks, &ours), Vec::<String>::new(), "{template}");
        if compare == Compare::Value {
            assert_eq!(ours, flinks, "{template}");
        }
        assert_eq!(read_back(&response.body), ours, "{template}");
        let versioned = server.get(&format!("/v1{}", path(template))).await;
        assert_eq!(versioned.body, response.body, "/v1{template}");
    }
}

#[tokio::test]
async fn a_failure_has_flinks_fields() {
    let mut cluster = fixture::cluster();
    let failure = ExceptionView { name: "TaskManagerLost".to_owned(), at_ms: 5, ..Default::default() };
    cluster.jobs[0].exceptions =
        vec![ExceptionView { concurrent: vec![failure.clone()], ..failure.clone() }, failure];
    let server = Server::start(FakeCluster::obedient(cluster)).await;
    let ours = server.get(&path("/jobs/JOB/exceptions")).await.json();
    assert_eq!(differences("exceptions", &flink("job_exceptions_after_kill"), &ours), Vec::<String>::new());
    assert_eq!(ours["exceptionHistory"]["truncated"], false);

    let newest = server.get(&path("/jobs/JOB/exceptions?maxExceptions=1")).await.json();
    assert_eq!(newest["exceptionHistory"]["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(newest["exceptionHistory"]["truncated"], true);
}

#[tokio::test]
async fn a_checkpoint_under_way_and_a_failed_one() {
    let mut cluster = fixture::cluster();
    let checkpoints = cluster.jobs[0].checkpoints.as_mut().unwrap();
    let mut vertices = fixture::checkpoint().vertices;
    vertices[1].subtasks[1] = SubtaskCheckpointView { ack: None, ..vertices[1].subtasks[1] };
    let under_way =
        CheckpointView { outcome: CheckpointOutcome::InProgress, vertices, ..fixture::checkpoint() };
    let outcome = CheckpointOutcome::Failed { at_ms: 1_795_330_416_934, reason: "disk full".to_owned() };
    let failed = CheckpointView { outcome, ..fixture::checkpoint() };
    checkpoints.history = vec![under_way.into(), failed.into()];
    let server = Server::start(FakeCluster::obedient(cluster)).await;

    let history = server.get(&path("/jobs/JOB/checkpoints")).await.json()["history"].clone();
    assert_eq!(history[0]["status"], "IN_PROGRESS");
    assert_eq!(
        (&history[0]["num_subtasks"], &history[0]["num_acknowledged_subtasks"]),
        (&4.into(), &3.into())
    );
    assert_eq!(history[1]["status"], "FAILED");
    assert_eq!(history[1]["failure_message"], "disk full");
    assert_eq!(history[1]["end_to_end_duration"], 300);

    let vertex = server.get(&path("/jobs/JOB/checkpoints/details/28/subtasks/COUNT")).await.json();
    assert_eq!(vertex["subtasks"][0]["className"], "completed");
    assert_eq!(
        vertex["subtasks"][1],
        serde_json::json!({
            "className": "pending", "index": 1, "status": "pending_or_failed"
        })
    );
}
