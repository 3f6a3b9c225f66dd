//! What requests become, and what bad ones get.

use crate::client::Server;
use crate::fixture::{self, FakeCluster, JOB, REQUEST, SOURCE, TASK_MANAGERS};
use reflow_types::metric::Accumulated;
use reflow_types::{CheckpointId, JobId, TaskManagerId};
use reflow_view::{Command, CommandError, OperationStatus, Reply};
use reflow_view::{ParallelismBounds, SavepointFormat};
use serde_json::json;

async fn obedient() -> Server {
    Server::start(FakeCluster::obedient(fixture::cluster())).await
}

async fn answering(answer: Result<Reply, CommandError>) -> Server {
    Server::start(FakeCluster::new(fixture::cluster(), move |_| answer.clone())).await
}

/// The request becomes this command, and is answered so.
async fn check(request: (&str, &str, &str), command: Command, status: u16, answer: serde_json::Value) {
    let server = obedient().await;
    let (method, path, body) = request;
    let response = server.request(method, &format!("/jobs/{JOB}{path}"), body).await;
    assert_eq!((response.status, response.json()), (status, answer), "{request:?}");
    assert_eq!(*server.cluster.commands.lock().unwrap(), [command], "{request:?}");
}

#[tokio::test]
async fn requests_become_commands() {
    let triggered = json!({"request-id": REQUEST.to_string()});
    let savepoint = |target: Option<&str>, cancel_job, format| Command::TriggerSavepoint {
        job: JOB,
        request: None,
        target_directory: target.map(str::to_owned),
        cancel_job,
        format,
    };
    let stop = |target: Option<&str>, drain| Command::StopWithSavepoint {
        job: JOB,
        request: None,
        target_directory: target.map(str::to_owned),
        drain,
        format: SavepointFormat::Canonical,
    };
    check(("PATCH", "", ""), Command::Cancel { job: JOB }, 202, json!({})).await;
    check(("PATCH", "?mode=cancel", ""), Command::Cancel { job: JOB }, 202, json!({})).await;
    check(
        (
            "POST",
            "/savepoints",
            r#"{"target-directory": "file:///sp", "cancel-job": true, "formatType": "NATIVE"}"#,
        ),
        savepoint(Some("file:///sp"), true, SavepointFormat::Native),
        202,
        triggered.clone(),
    )
    .await;
    check(
        ("POST", "/savepoints", ""),
        savepoint(None, false, SavepointFormat::Canonical),
        202,
        triggered.clone(),
    )
    .await;
    check(
        ("POST", "/stop", r#"{"targetDirectory": "s3://b/sp", "drain": true}"#),
        stop(Some("s3://b/sp"), true),
        202,
        triggered.clone(),
    )
    .await;
    check(("POST", "/stop", "{}"), stop(None, false), 202, triggered.clone()).await;
    check(
        ("POST", "/checkpoints", &format!(r#"{{"checkpointType": "FULL", "triggerId": "{REQUEST}"}}"#)),
        Command::TriggerCheckpoint { job: JOB, request: Some(REQUEST) },
        202,
        triggered,
    )
    .await;
    check(
        (
            "PUT",
            "/resource-requirements",
            &format!(r#"{{"{SOURCE}": {{"parallelism": {{"lowerBound": 1, "upperBound": 3}}}}}}"#),
        ),
        Command::UpdateRequirements {
            job: JOB,
            requirements: [(SOURCE, ParallelismBounds { lower: 1, upper: 3 })].into(),
        },
        200,
        json!({}),
    )
    .await;
    check(
        ("GET", &format!("/savepoints/{REQUEST}"), ""),
        Command::QueryOperation { job: JOB, request: REQUEST },
        200,
        json!({"status": {"id": "COMPLETED"},
            "operation": {"location": "file:/flink/sp/savepoint-9cb9b5-1c1985471f60"}}),
    )
    .await;
}

#[tokio::test]
async fn task_managers_are_drained() {
    let check = async |body: &str, force, answer: serde_json::Value| {
        let server = obedient().await;
        let [task_manager, _] = TASK_MANAGERS;
        let response = server.request("POST", &format!("/v1/taskmanagers/{task_manager}/drain"), body).await;
        assert_eq!((response.status, response.json()), (202, answer), "{body}");
        let expected = Command::DrainTaskManager { task_manager, force };
        assert_eq!(*server.cluster.commands.lock().unwrap(), [expected], "{body}");
    };
    check("", false, json!({})).await;
    check(r#"{"force": false}"#, false, json!({})).await;
    check(r#"{"force": true}"#, true, json!({"request-id": REQUEST.to_string()})).await;
}

#[tokio::test]
async fn operations_stand_as_flink_says_it() {
    let check = async |status: OperationStatus, expected: serde_json::Value| {
        let server = answering(Ok(Reply::Operation(status))).await;
        let response = server.get(&format!("/jobs/{JOB}/checkpoints/{REQUEST}")).await;
        assert_eq!((response.status, response.json()), (200, expected));
    };
    check(OperationStatus::InProgress, json!({"status": {"id": "IN_PROGRESS"}, "operation": null})).await;
    check(
        OperationStatus::CheckpointCompleted { checkpoint: CheckpointId(36) },
        json!({"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 36}}),
    )
    .await;
    check(
        OperationStatus::Failed { cause: "disk full".to_owned() },
        json!({"status": {"id": "COMPLETED"},
            "operation": {"failure-cause": {"class": "reflow::CheckpointFailed", "stack-trace": "disk full"}}}),
    )
    .await;
}

#[tokio::test]
async fn savepoints_are_disposed_of() {
    let server = obedient().await;
    let body = r#"{"savepoint-path": "s3://b/sp/savepoint-9cb9b5-1"}"#;
    let response = server.request("POST", "/savepoint-disposal", body).await;
    assert_eq!((response.status, response.json()), (200, json!({"request-id": REQUEST.to_string()})));
    let directory = "s3://b/sp/savepoint-9cb9b5-1".to_owned();
    assert_eq!(*server.cluster.commands.lock().unwrap(), [Command::DisposeSavepoint { directory }]);
    let check = async |status: OperationStatus, expected: serde_json::Value| {
        let server = answering(Ok(Reply::Operation(status))).await;
        let response = server.get(&format!("/v1/savepoint-disposal/{REQUEST}")).await;
        assert_eq!((response.status, response.json()), (200, expected));
        let query = Command::QueryDisposal { request: REQUEST };
        assert_eq!(*server.cluster.commands.lock().unwrap(), [query]);
    };
    check(OperationStatus::InProgress, json!({"status": {"id": "IN_PROGRESS"}, "operation": null})).await;
    check(OperationStatus::SavepointDisposed, json!({"status": {"id": "COMPLETED"}, "operation": {}})).await;
    let cause = json!({"class": "reflow::DisposalFailed", "stack-trace": "it is needed"});
    check(
        OperationStatus::Failed { cause: "it is needed".to_owned() },
        json!({"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}),
    )
    .await;
}

#[tokio::test]
async fn flame_graphs_are_off_as_they_are_in_flink_by_default() {
    let server = obedient().await;
    for query in ["", "?type=full", "?type=ON_CPU&subtaskindex=1", "?type=off_cpu"] {
        let path = format!("/jobs/{JOB}/vertices/{SOURCE}/flamegraph{query}");
        assert_eq!(server.get(&path).await.json(), json!({"endTimestamp": -2}), "{query}");
    }
}

#[tokio::test]
async fn refusals_have_a_status_and_a_text() {
    let check = async |error: CommandError, status: u16, text: &str| {
        let server = answering(Err(error)).await;
        let path = format!("/v1/jobs/{JOB}/resource-requirements");
        let body = format!(r#"{{"{SOURCE}": {{"parallelism": {{"lowerBound": 1, "upperBound": 1}}}}}}"#);
        let response = server.request("PUT", &path, &body).await;
        assert_eq!((response.status, response.error()), (status, text.to_owned()));
    };
    check(CommandError::UnknownJob(JobId(5)), 404, "Job 00000000000000000000000000000005 not found").await;
    let gone = CommandError::UnknownTaskManager(TaskManagerId(5));
    check(gone, 404, "TaskManager 00000000000000000000000000000005 not found").await;
    check(CommandError::Invalid("no".to_owned()), 400, "no").await;
    check(CommandError::Conflict("the job has ended".to_owned()), 409, "the job has ended").await;
    check(CommandError::Unavailable("starting".to_owned()), 503, "starting").await;
    check(CommandError::Failed("disk full".to_owned()), 500, "disk full").await;
}

#[tokio::test]
async fn bad_requests_are_refused_before_they_are_commands() {
    let server = obedient().await;
    let requirements = format!("/jobs/{JOB}/resource-requirements");
    let savepoints = format!("/jobs/{JOB}/savepoints");
    let bounds = |lower, upper| {
        format!(r#"{{"{SOURCE}": {{"parallelism": {{"lowerBound": {lower}, "upperBound": {upper}}}}}}}"#)
    };
    let long = " ".repeat((1 << 20) + 1);
    let drain = format!("/taskmanagers/{}/drain", TASK_MANAGERS[0]);
    let flame_graph = format!("/jobs/{JOB}/vertices/{SOURCE}/flamegraph");
    let unknown_job = "/jobs/00000000000000000000000000000000";
    let cases: &[(&str, &str, &str, u16, &str)] = &[
        ("GET", "/nonexistent", "", 404, "Unable to load requested file /nonexistent."),
        ("GET", "/v2/jobs", "", 404, "Unable to load"),
        ("GET", unknown_job, "", 404, "Job 00000000000000000000000000000000 not found"),
        ("GET", "/jobs/xyz", "", 400, "Cannot resolve path parameter (jobid) from value \"xyz\"."),
        ("GET", "/jobs/%22%3Cscript%3E", "", 400, "Cannot resolve path parameter (jobid)"),
        ("GET", "/jobs/%ff", "", 400, ""),
        ("GET", &format!("/jobs/{JOB}/vertices/{REQUEST}"), "", 404, "has no vertex"),
        ("GET", &format!("/jobs/{JOB}/vertices/0"), "", 400, "(vertexid)"),
        ("GET", &format!("/jobs/{JOB}/checkpoints/details/99"), "", 404, "checkpoint 99"),
        ("GET", &format!("/jobs/{JOB}/checkpoints/details/-1"), "", 400, "(checkpointid)"),
        ("GET", &format!("/jobs/{JOB}/checkpoints/1"), "", 400, "(triggerid)"),
        ("GET", &format!("/jobs/{JOB}/rescales/details/{REQUEST}"), "", 404, "rescale"),
        ("GET", &format!("/jobs/{JOB}/exceptions?maxExceptions=many"), "", 400, "maxExceptions"),
        ("GET", &format!("/jobs/{JOB}/vertices/{SOURCE}/subtasks/metrics?agg=mode"), "", 400, "agg"),
        ("GET", &format!("/jobs/{JOB}/vertices/{SOURCE}/subtasks/metrics?subtasks=1-x"), "", 400, "subtasks"),
        ("GET", "/taskmanagers/localhost:1", "", 404, "TaskManager localhost:1 not found"),
        ("POST", "/taskmanagers/localhost:1/drain", "", 404, "TaskManager localhost:1 not found"),
        ("POST", &drain, r#"{"force": "yes"}"#, 400, "request body"),
        ("POST", &drain, r#"{"forced": true}"#, 400, "forced"),
        ("GET", &drain, "", 405, "does not take GET"),
        ("PATCH", &format!("/jobs/{JOB}?mode=stop"), "", 308, "use POST /jobs/:jobid/stop"),
        ("PATCH", &format!("/jobs/{JOB}?mode=explode"), "", 400, "explode"),
        ("DELETE", "/jobs", "", 405, "/jobs does not take DELETE"),
        ("POST", "/overview", "", 405, "does not take POST"),
        ("PUT", &requirements, "", 400, "request body"),
        ("PUT", &requirements, "{", 400, "request body"),
        ("PUT", &requirements, "[]", 400, "request body"),
        ("PUT", &requirements, r#"{"xyz": {"parallelism": {"lowerBound": 1, "upperBound": 1}}}"#, 400, "xyz"),
        ("PUT", &requirements, &bounds(0, 1), 400, "lower bound"),
        ("PUT", &requirements, &bounds(3, 2), 400, "lower bound"),
        ("PUT", &requirements, &bounds(1, 9_999_999_999_i64), 400, "bounds"),
        ("POST", &savepoints, r#"{"targetDirectory": "/x"}"#, 400, "targetDirectory"),
        ("POST", &savepoints, r#"{"cancel-job": "yes"}"#, 400, "request body"),
        ("POST", &savepoints, r#"{"triggerId": "1"}"#, 400, "triggerId"),
        ("POST", &savepoints, "\u{0}\u{1}", 400, "request body"),
        ("POST", "/savepoint-disposal", "", 400, "savepoint-path must not be omitted"),
        (
            "POST",
            "/savepoint-disposal",
            r#"{"savepoint-path": null}"#,
            400,
            "savepoint-path must not be omitted",
        ),
        ("POST", "/savepoint-disposal", r#"{"path": "/sp"}"#, 400, "request body"),
        ("GET", "/savepoint-disposal/1", "", 400, "(triggerid)"),
        ("DELETE", "/savepoint-disposal", "", 405, "does not take DELETE"),
        ("GET", &format!("{flame_graph}?type=heat"), "", 400, "heat"),
        ("GET", &format!("{flame_graph}?subtaskindex=-1"), "", 400, "subtaskindex"),
        ("POST", &savepoints, &long, 413, "longer than 1048576 bytes"),
    ];
    for &(method, path, body, status, text) in cases {
        let response = server.request(method, path, body).await;
        assert_eq!(response.status, status, "{method} {path}: {}", response.body);
        let json = response.json();
        assert!(response.error().contains(text), "{method} {path}: {json}");
    }
    assert_eq!(*server.cluster.commands.lock().unwrap(), []);
}

#[tokio::test]
async fn only_allowed_origins_read_in_a_browser() {
    let server = obedient().await;
    for path in ["/overview", "/v1/jobs", "/nonexistent", "/"] {
        let allowed = server.request_with("GET", path, "Origin: https://dash.example\r\n", "").await;
        let origin = "\r\naccess-control-allow-origin: https://dash.example\r\n";
        assert!(allowed.head.contains(origin), "{path}: {}", allowed.head);
        let other = server.request_with("GET", path, "Origin: http://evil.example\r\n", "").await;
        assert!(!other.head.contains("access-control-allow"), "{path}: {}", other.head);
    }
    let wrong_method = server.request("DELETE", &format!("/jobs/{JOB}"), "").await;
    assert!(wrong_method.head.contains("\r\nallow: "), "{}", wrong_method.head);
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let server = obedient().await;
    let savepoints = format!("/v1/jobs/{JOB}/savepoints");
    for header in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let refused = server.request_with("POST", &savepoints, header, "{}").await;
        assert_eq!(refused.status, 403, "{header}");
        assert!(refused.error().contains("web.access-control-allow-origin"), "{}", refused.body);
    }
    assert_eq!(*server.cluster.commands.lock().unwrap(), []);
    let asks = "Origin: https://dash.example\r\nAccess-Control-Request-Method: POST\r\n";
    let preflight = server.request_with("OPTIONS", &savepoints, asks, "").await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.head.contains("\r\naccess-control-allow-methods: get, post,"), "{}", preflight.head);
    let allowed = server.request_with("POST", &savepoints, "Origin: https://dash.example\r\n", "{}").await;
    assert_eq!(allowed.status, 202);
}

#[tokio::test]
async fn metrics_without_names_are_listed_and_unknown_names_left_out() {
    let server = obedient().await;
    let vertex = format!("/jobs/{JOB}/vertices/{SOURCE}");
    let names = server.get(&format!("{vertex}/subtasks/metrics")).await.json();
    assert!(names.as_array().unwrap().contains(&json!({"id": "numRecordsOut"})));
    let listed =
        server.get(&format!("{vertex}/metrics?get=1.numRecordsOut,9.numRecordsOut,none")).await.json();
    assert_eq!(listed, json!([{"id": "1.numRecordsOut", "value": "28723"}]));
    let some =
        server.get(&format!("{vertex}/subtasks/metrics?get=numRecordsOut&agg=max,sum&subtasks=1")).await;
    assert_eq!(some.json(), json!([{"id": "numRecordsOut", "max": 28723.0, "sum": 28723.0}]));
}

#[tokio::test]
async fn checkpoints_of_a_job_without_them_are_not_found() {
    let mut cluster = fixture::cluster();
    cluster.jobs[0].checkpoints = None;
    let server = Server::start(FakeCluster::obedient(cluster)).await;
    let response = server.get(&format!("/jobs/{JOB}/checkpoints")).await;
    assert_eq!(response.status, 404);
    assert!(response.error().starts_with("checkpointing is not enabled"));
}

#[tokio::test]
async fn garbage_harms_nobody_else() {
    let server = obedient().await;
    let garbage = server.connect("\u{16}\u{3}\u{1}\0\u{7f} hello\r\n\r\n").await;
    assert_eq!(server.get("/overview").await.status, 200);
    drop(garbage);
}

#[tokio::test]
async fn the_server_ends_when_told_to_whatever_its_clients_do() {
    let server = obedient().await;
    let silent = server.connect("").await;
    let halfway = server.connect("GET /overview HTTP/1.1\r\nHost:").await;
    assert_eq!(server.get("/overview").await.status, 200);
    server.stop().await.unwrap();
    drop((silent, halfway));
}

#[tokio::test]
async fn cancelling_can_be_switched_off() {
    let cluster = reflow_view::ClusterView { cancel_enabled: false, ..fixture::cluster() };
    let server = Server::start(FakeCluster::obedient(cluster)).await;
    let refused = server.request("PATCH", &format!("/jobs/{JOB}?mode=cancel"), "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.error().contains("web.cancel.enable"), "{}", refused.error());
    assert!(server.cluster.commands.lock().unwrap().is_empty());
    assert_eq!(server.request("GET", "/config", "").await.json()["features"]["web-cancel"], false);
    assert_eq!(server.request("POST", &format!("/jobs/{JOB}/stop"), "").await.status, 202);
}

#[tokio::test]
async fn the_timeline_is_shown_whole_or_from_a_time_on() {
    let server = obedient().await;
    let whole = server.get(&format!("/jobs/{JOB}/timeline")).await.json();
    assert_eq!((&whole["interval"], &whole["now"]), (&1_000.into(), &1_795_330_416_879_i64.into()));
    assert_eq!(
        whole["points"][1],
        json!({
            "t": 1_795_330_405_000_i64, "parallelism": 2, "slots-total": 2, "slots-free": 0, "task-managers": 2,
            "records-in-per-second": 5_000.0, "records-out-per-second": 10.0, "lag": 7, "event-time-lag-ms": 1_500,
            "busy": 0.4, "backpressured": 0.0, "checkpoint-duration": 52, "latency-median-ms": 1.5, "latency-p99-ms": 20.0,
        })
    );
    assert_eq!(whole["points"][0]["lag"], json!(null));
    assert_eq!(whole["events"][0]["kind"], "RESCALE");
    let rest = server.get(&format!("/jobs/{JOB}/timeline?since=1795330404486")).await.json();
    assert_eq!(rest["points"].as_array().map(Vec::len), Some(1));
    assert_eq!(rest["events"], json!([]));
    let bad = server.get(&format!("/jobs/{JOB}/timeline?since=yesterday")).await;
    assert_eq!((bad.status, bad.error().contains("yesterday")), (400, true));
}

#[tokio::test]
async fn the_leader_is_shown_and_changed() {
    let server = obedient().await;
    let leader = server.get("/leader").await.json();
    let since = 1_795_330_403_000_i64;
    let last = json!({ "epoch": 2, "since": since, "cause": "LEASE_EXPIRED", "silent-ms": 3_010 });
    assert_eq!((&leader["status"], &leader["takeover"]), (&json!("LEADING"), &json!("ADOPTED")));
    assert_eq!(leader["leaderships"][1], last);
    assert_eq!(server.request("POST", "/leader/transfer", "").await.status, 200);
    assert_eq!(*server.cluster.commands.lock().unwrap(), [reflow_view::Command::TransferLeadership]);
}

#[tokio::test]
async fn rescaling_can_be_switched_off() {
    let cluster = reflow_view::ClusterView { rescale_enabled: false, ..fixture::cluster() };
    let server = Server::start(FakeCluster::obedient(cluster)).await;
    for (method, path) in [
        ("PUT", format!("/jobs/{JOB}/resource-requirements")),
        ("POST", format!("/taskmanagers/{}/drain", fixture::TASK_MANAGERS[0])),
    ] {
        let refused = server.request(method, &path, "{}").await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.error().contains("web.rescale.enable"), "{}", refused.error());
    }
    assert!(server.cluster.commands.lock().unwrap().is_empty());
    assert_eq!(server.request("GET", "/config", "").await.json()["features"]["web-rescale"], false);
}

#[tokio::test]
async fn the_document_is_served_as_it_is_committed() {
    let server = Server::start(FakeCluster::obedient(fixture::cluster())).await;
    for path in ["/openapi.json", "/v1/openapi.json"] {
        assert_eq!(server.get(path).await.body, include_str!("../../../../docs/openapi.json"));
    }
}

#[tokio::test]
async fn functions_accumulate_over_their_subtasks() {
    let mut view = fixture::cluster();
    for (vertex, subtasks) in view.jobs[0].vertices.iter_mut().zip([[3, 4], [10, 0]]) {
        for (subtask, count) in vertex.subtasks.iter_mut().zip(subtasks) {
            subtask.accumulators.insert("Parse.broken".to_owned(), Accumulated::Count(count));
            subtask.accumulators.insert("Parse.dearest".to_owned(), Accumulated::Maximum(count as f64));
        }
    }
    let server = Server::start(FakeCluster::obedient(view)).await;
    let of = |count: &str, dearest: &str| {
        [
            json!({"name": "Parse.broken", "type": "LongCounter", "value": count}),
            json!({"name": "Parse.dearest", "type": "DoubleMaximum", "value": dearest}),
        ]
    };
    let job = server.request("GET", &format!("/jobs/{JOB}/accumulators"), "").await.json();
    assert_eq!(job["user-task-accumulators"], json!([of("7", "4.0"), of("10", "10.0")].concat()));
    let vertex =
        server.request("GET", &format!("/jobs/{JOB}/vertices/{SOURCE}/accumulators"), "").await.json();
    assert_eq!(vertex, json!({"id": SOURCE.to_string(), "user-accumulators": of("7", "4.0")}));
}
