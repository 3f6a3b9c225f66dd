//! Metrics for Prometheus, and those of REST that are more than Flink's fields.

use crate::client::Server;
use crate::fixture::{self, COUNT, FakeCluster, JOB, SOURCE, TASK_MANAGERS};
use reflow_types::metric::Distribution;
use reflow_view::{ClusterView, Figure};
use serde_json::json;
use std::io::{ErrorKind, Write, stderr};
use std::process::{Command, Output, Stdio};

/// The fixture, with metrics of operators and users.
fn cluster() -> ClusterView {
    let mut cluster = fixture::cluster();
    let subtask = &mut cluster.jobs[0].vertices[0].subtasks[0];
    let sizes = Distribution::of(7, &mut [1.0, 2.0, 3.0]);
    subtask.metrics = [
        ("Source__gen.numRecordsIn", Figure::Number(32_316.0)),
        ("Source__gen.sizes", Figure::Distribution(sizes)),
        ("Source__gen.io.calls", Figure::Number(f64::INFINITY)),
    ]
    .map(|(id, figure)| (id.to_owned(), figure))
    .into();
    let behind = &mut cluster.jobs[0].vertices[1].subtasks[0];
    behind.latencies_ms.insert(SOURCE, Distribution::of(9, &mut [1.5, 4.0, 250.0]));
    cluster
}

#[tokio::test]
async fn prometheus_reads_flinks_names_labels_and_types() {
    let server = Server::start(FakeCluster::obedient(cluster())).await;
    let response = server.get("/metrics").await;
    assert!(response.head.contains("content-type: text/plain; version=0.0.4"), "{}", response.head);
    let [tm_id, _] = TASK_MANAGERS;
    let subtask = format!(
        "host=\"127_0_0_1\",tm_id=\"{tm_id}\",subtask_index=\"0\",job_id=\"{JOB}\",job_name=\"reactive\",\
         task_id=\"{SOURCE}\",task_name=\"Source:_gen\""
    );
    let operator = format!("{subtask},operator_name=\"Source:_gen\"");
    let job = format!("host=\"localhost\",job_id=\"{JOB}\",job_name=\"reactive\"");
    let of_operator = "flink_taskmanager_job_task_operator";
    let latency = format!(
        "host=\"127_0_0_1\",tm_id=\"{tm_id}\",job_id=\"{JOB}\",job_name=\"reactive\",source_id=\"{SOURCE}\",\
         operator_id=\"{COUNT}\",operator_subtask_index=\"0\""
    );
    let of_latency = "flink_taskmanager_job_latency_source_id_operator_id_operator_subtask_index_latency";
    for line in [
        "flink_jobmanager_taskSlotsTotal{host=\"localhost\"} 2",
        "# TYPE flink_jobmanager_job_numRestarts gauge",
        &format!("flink_jobmanager_job_numRestarts{{{job}}} 1"),
        "# HELP flink_taskmanager_job_task_numRecordsOut numRecordsOut (scope: taskmanager_job_task)",
        &format!("flink_taskmanager_job_task_numRecordsOut{{{subtask}}} 32316"),
        &format!("{of_operator}_numRecordsIn{{{operator}}} 32316"),
        &format!("{of_operator}_io_calls{{{operator}}} +Inf"),
        "# TYPE flink_taskmanager_job_task_operator_sizes summary",
        &format!("{of_operator}_sizes{{{operator},quantile=\"0.5\"}} 2"),
        &format!("{of_operator}_sizes_count{{{operator}}} 7"),
        &format!("# TYPE {of_latency} summary"),
        &format!("{of_latency}{{{latency},quantile=\"0.99\"}} 250"),
        &format!("{of_latency}_count{{{latency}}} 9"),
        "flink_jobmanager_metricsLeftOut{scope=\"jobmanager\"} 0",
    ] {
        assert!(response.body.lines().any(|there| there == line), "{line}\nin\n{}", response.body);
    }
    let memory = "flink_taskmanager_Status_JVM_Memory_Heap_Used{";
    assert_eq!(response.body.lines().filter(|line| line.starts_with(memory)).count(), 2);
    assert!(!response.body.contains("lastCheckpointExternalPath"), "a text is no sample");
}

/// What promtool does with this input. `None` if it is not installed, which the output of the tests says; CI fetches it.
fn promtool<const N: usize>(arguments: [&str; N], input: &str) -> Option<Output> {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = match promtool.spawn() {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let said = format!("promtool is not installed: `{}` is not run\n", arguments.join(" "));
            stderr().write_all(said.as_bytes()).unwrap(); // not captured, as what `eprintln!` prints is
            return None;
        }
        Err(error) => panic!("cannot run promtool: {error}"),
    };
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(promtool.wait_with_output().unwrap())
}

#[tokio::test]
async fn promtool_accepts_the_text() {
    let server = Server::start(FakeCluster::obedient(cluster())).await;
    let text = server.get("/metrics").await.body;
    let Some(output) = promtool(["check", "metrics"], &text) else { return };
    let objections = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
    let others: Vec<_> = objections.lines().filter(|line| !line.contains("camelCase")).collect();
    assert_eq!(others, [""; 0]);
    assert!(objections.contains("camelCase"), "promtool has read it");
}

#[test]
fn alert_rules_fire() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dist/monitoring/alerts_test.yml");
    let Some(output) = promtool(["test", "rules", rules], "") else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn metrics_are_selected_and_aggregated_at_every_scope() {
    let server = Server::start(FakeCluster::obedient(cluster())).await;
    let get = async |path: &str| server.get(path).await.json();
    let vertex = format!("/jobs/{JOB}/vertices/{SOURCE}");
    assert_eq!(
        get(&format!("{vertex}/metrics?get=0.Source__gen.numRecordsIn,0.Source__gen.sizes_median,0.absent"))
            .await,
        json!([
            { "id": "0.Source__gen.numRecordsIn", "value": "32316" },
            { "id": "0.Source__gen.sizes_median", "value": "2" },
        ])
    );
    assert_eq!(
        get(&format!("{vertex}/subtasks/0/metrics?get=Source__gen.numRecordsIn")).await,
        json!([{ "id": "Source__gen.numRecordsIn", "value": "32316" }])
    );
    assert_eq!(
        get(&format!("{vertex}/subtasks/metrics?get=numRecordsOut&agg=sum,max&subtasks=1")).await,
        json!([{ "id": "numRecordsOut", "max": 28_723.0, "sum": 28_723.0 }])
    );
    assert_eq!(
        get(&format!("/jobs/metrics?get=numRestarts,lastCheckpointExternalPath&agg=sum&jobs={JOB}")).await,
        json!([{ "id": "numRestarts", "sum": 1.0 }])
    );
    let latency =
        format!("latency.source_id.{SOURCE}.operator_id.{COUNT}.operator_subtask_index.0.latency_p99");
    assert_eq!(
        get(&format!("/jobs/{JOB}/metrics?get={latency}")).await,
        json!([{ "id": latency, "value": "250" }])
    );
    let [first, _] = TASK_MANAGERS;
    let used = "get=Status.JVM.Memory.Heap.Used&agg=sum";
    assert_eq!(
        get(&format!("/taskmanagers/metrics?{used}&taskmanagers={first}")).await,
        json!([{ "id": "Status.JVM.Memory.Heap.Used", "sum": 41_720_296.0 }])
    );
    assert_eq!(
        get(&format!("/taskmanagers/metrics?{used}")).await,
        json!([{ "id": "Status.JVM.Memory.Heap.Used", "sum": 83_440_592.0 }])
    );
    assert_eq!(get(&format!("/jobs/{JOB}/vertices/{COUNT}/jm-operator-metrics")).await, json!([]));
    for (path, status) in [
        ("/jobs/metrics?jobs=nonsense", 400),
        ("/taskmanagers/metrics?agg=median", 400),
        ("/taskmanagers/1/metrics", 404),
        (&*format!("{vertex}/subtasks/7/metrics"), 404),
        (&*format!("{vertex}/subtasks/x"), 400),
        (&*format!("{vertex}/subtasks/0/attempts/0"), 404),
    ] {
        let response = server.get(path).await;
        assert_eq!(response.status, status, "{path}");
        response.error();
    }
}
