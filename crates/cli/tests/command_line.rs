//! Tests of the executable with a JobManager that answers from a table.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "command_line/cancelled_rescale.rs"]
mod cancelled_rescale;
#[path = "command_line/this_machine.rs"]
mod this_machine;

use reflow_schema::{ClusterOverview, TaskManager};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const ORDERS: &str = "9cb9b50e6b54f532c72a685bb021e65b";
const SOURCE: &str = "6bf01baa9d2ca23a3ef7ce311722523d";
const CLICKS: &str = "1111b50e6b54f532c72a685bb021e65b";

/// The answer to a request, which is given as text (`PATCH /jobs/1?mode=cancel {"body": 1}`).
type Answers = dyn FnMut(&str) -> (u16, Value) + Send;

struct JobManager {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl JobManager {
    /// Starts a JobManager that serves until the test ends.
    fn start(mut answers: Box<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&mut stream.unwrap(), |request| {
                    log.lock().unwrap().push(request.to_owned());
                    answers(request)
                });
            }
        });
        Self { address, asked }
    }

    /// A JobManager with two jobs, one of which has ended, and with savepoints that are complete at the third
    /// query.
    fn with_jobs() -> Self {
        let mut polls = 0;
        Self::start(Box::new(move |request| match request.split(' ').nth(1).unwrap() {
            "/jobs/overview" => (
                200,
                json!({ "jobs": [overview(CLICKS, "clicks", "FINISHED"), overview(ORDERS, "orders", "RUNNING")] }),
            ),
            path if path == format!("/jobs/{ORDERS}") => (200, details()),
            path if path == format!("/jobs/{ORDERS}?mode=cancel") => (202, json!({})),
            path if path.ends_with("/savepoints") || path.ends_with("/stop") => {
                (202, json!({ "request-id": "ab4f" }))
            }
            path if path.ends_with("/savepoints/ab4f") => {
                polls += 1;
                let done = polls == 3;
                let operation =
                    if done { json!({ "location": "file:/sp/savepoint-9cb9b5" }) } else { Value::Null };
                let id = if done { "COMPLETED" } else { "IN_PROGRESS" };
                (200, json!({ "status": { "id": id }, "operation": operation }))
            }
            path => {
                (404, json!({ "errors": [format!("Unable to load requested file {path}.\n\tat java.base")] }))
            }
        }))
    }

    /// Runs the command line against this JobManager.
    fn reflow(&self, line: &str) -> Ran {
        reflow(&format!("{line} --jobmanager {}", self.address))
    }

    fn last_request(&self, begin: &str) -> String {
        let asked = self.asked.lock().unwrap();
        asked.iter().rfind(|request| request.starts_with(begin)).unwrap().clone()
    }
}

fn serve(stream: &mut TcpStream, answer: impl FnOnce(&str) -> (u16, Value)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_ascii_lowercase()),
        }
    }
    let len = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; len.map_or(0, |len| len.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let first = head[0].trim_end_matches(" http/1.1");
    let (method, path) = first.split_once(' ').unwrap();
    let request = format!("{} {path} {}", method.to_uppercase(), String::from_utf8(body).unwrap());
    let (status, json) = answer(&request);
    let body = json.to_string();
    let len = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n{body}")
        .unwrap();
}

fn overview(jid: &str, name: &str, state: &str) -> Value {
    json!({
        "jid": jid, "name": name, "jobType": "STREAMING", "schedulerType": "Adaptive", "state": state,
        "start-time": 1_795_330_374_304_u64, "end-time": -1, "duration": 61_000,
        "last-modification": 1_795_330_374_304_u64, "tasks": { "running": 3, "total": 4 }, "pending-operators": 0,
    })
}

fn details() -> Value {
    details_at(2)
}

fn details_at(parallelism: u32) -> Value {
    json!({
        "jid": ORDERS, "application-id": ORDERS, "name": "orders", "isStoppable": false, "state": "RUNNING",
        "job-type": "STREAMING", "schedulerType": "Adaptive", "start-time": 1_795_330_374_304_u64, "end-time": -1,
        "duration": 61_000, "maxParallelism": -1, "now": 1_795_330_435_304_u64, "timestamps": {},
        "vertices": [{
            "id": SOURCE, "slotSharingGroupId": "5a", "name": "Source: orders", "maxParallelism": 8,
            "parallelism": parallelism, "status": "RUNNING", "start-time": 1_795_330_374_304_u64, "end-time": -1,
            "duration": 61_000, "tasks": { "RUNNING": parallelism, "FAILED": 0 },
            "metrics": {
                "read-bytes": 0, "read-bytes-complete": true, "write-bytes": 0, "write-bytes-complete": true,
                "read-records": 0, "read-records-complete": true, "write-records": 54_265,
                "write-records-complete": true, "accumulated-backpressured-time": 0, "accumulated-idle-time": 0,
                "accumulated-busy-time": 0.0,
            }
        }],
        "status-counts": {}, "plan": { "jid": ORDERS, "name": "orders", "type": "STREAMING", "nodes": [] },
        "pending-operators": 0,
    })
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn reflow(line: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflow"));
    command.args(line.split_whitespace()).env_remove("REFLOW_CONF_DIR").env_remove("REFLOW_PROPERTIES");
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[test]
fn list_shows_live_jobs_and_all_on_demand() {
    let cluster = JobManager::with_jobs();
    let header = "JOB                               NAME    STATE    TASKS  FOR\n";
    let orders = format!("{ORDERS}  orders  RUNNING  3/4    1 min 1 s\n");
    assert_eq!(cluster.reflow("list").out, format!("{header}{orders}"));
    let all = cluster.reflow("list --all").out;
    assert!(all.contains("orders  RUNNING ") && all.contains("clicks  FINISHED"), "{all}");
    let json: Value = serde_json::from_str(&cluster.reflow("list --json").out).unwrap();
    assert_eq!(json["jobs"].as_array().unwrap().len(), 1);
}

#[test]
fn info_shows_vertices() {
    let cluster = JobManager::with_jobs();
    let ran = cluster.reflow("info");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let expected = format!(
        "orders ({ORDERS})\nRUNNING for 1 min 1 s\n\n\
         VERTEX          STATE    PARALLELISM  TASKS      READ  WRITTEN\n\
         Source: orders  RUNNING  2            2 running  0     54265\n"
    );
    assert!(ran.out.starts_with(&expected), "{}", ran.out);
    let json: Value = serde_json::from_str(&cluster.reflow("info 9cb9 --json").out).unwrap();
    assert_eq!(json["vertices"][0]["parallelism"], 2);
}

#[test]
fn cancel_names_the_job() {
    let cluster = JobManager::with_jobs();
    assert_eq!(cluster.reflow("cancel orders").out, format!("Cancelling orders ({ORDERS}).\n"));
    cluster.last_request("PATCH /jobs/9cb9");
}

#[test]
fn a_savepoint_is_waited_for() {
    let cluster = JobManager::with_jobs();
    let ran = cluster.reflow("savepoint 9CB9 file:///sp");
    assert_eq!(ran.out, format!("Savepoint of orders ({ORDERS}): file:/sp/savepoint-9cb9b5\n"));
    assert_eq!(ran.err, "", "no progress where there is no terminal");
    let expected = format!("POST /jobs/{ORDERS}/savepoints {{\"target-directory\":\"file:///sp\"}}");
    assert_eq!(cluster.last_request("POST"), expected);
}

#[test]
fn stop_drains_on_demand() {
    let cluster = JobManager::with_jobs();
    let ran = cluster.reflow("stop --drain --json");
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["location"], "file:/sp/savepoint-9cb9b5");
    let expected = format!("POST /jobs/{ORDERS}/stop {{\"drain\":true}}");
    assert_eq!(cluster.last_request("POST"), expected);
}

#[test]
fn a_savepoint_that_fails_says_why() {
    let cluster = JobManager::start(Box::new(|request| match request.split(' ').nth(1).unwrap() {
        "/jobs/overview" => (200, json!({ "jobs": [overview(ORDERS, "orders", "RUNNING")] })),
        path if path.ends_with("/savepoints") => (202, json!({ "request-id": "1" })),
        _ => (
            200,
            json!({
                "status": { "id": "COMPLETED" },
                "operation": { "failure-cause": { "class": "x", "stack-trace": "/sp: No space left on device\n\tat" } }
            }),
        ),
    }));
    let ran = cluster.reflow("savepoint");
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.err, "reflow: the savepoint of orders failed: /sp: No space left on device\n");
}

#[test]
fn what_the_jobmanager_refuses_is_told_in_one_line() {
    let cluster =
        JobManager::start(Box::new(|_| (503, json!({ "errors": ["no leader yet\n\tat java.base"] }))));
    let ran = cluster.reflow("list");
    assert_eq!(
        ran.err,
        format!("reflow: the JobManager at {} refused the request: no leader yet\n", cluster.address)
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn an_unknown_job_lists_those_that_there_are() {
    let ran = JobManager::with_jobs().reflow("cancel payments");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("reflow: no job payments at "), "{}", ran.err);
    assert!(ran.err.contains(&format!("{ORDERS}  orders  RUNNING")), "{}", ran.err);
}

#[test]
fn nobody_there_is_said_with_a_hint() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = reflow(&format!("list -m {free}"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with(&format!("reflow: no JobManager answers at {free}: ")), "{}", ran.err);
    assert!(ran.err.contains("--jobmanager HOST:PORT sets another"), "{}", ran.err);
}

#[test]
fn somebody_else_there_is_no_jobmanager() {
    let cluster = JobManager::start(Box::new(|_| (200, json!({ "hello": 1 }))));
    let ran = cluster.reflow("list");
    assert!(ran.err.contains("is not that of a JobManager: missing field `jobs`"), "{}", ran.err);
}

#[test]
fn the_configuration_says_where_the_jobmanager_is() {
    let cluster = JobManager::with_jobs();
    let (host, port) = cluster.address.split_once(':').unwrap();
    let conf = tempfile::tempdir().unwrap();
    let text = format!("rest:\n  address: {host}\n  port: {port}\n");
    std::fs::write(conf.path().join("config.yaml"), text).unwrap();
    let ran = reflow(&format!("list --config-dir {}", conf.path().display()));
    assert!(ran.out.contains("orders"), "{}", ran.err);
}

#[test]
fn the_token_is_sent_from_a_file() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
        let body = r#"{"errors": ["the token or password is wrong"]}"#;
        write!(stream, "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        head
    });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "secret-0123456789abc\n").unwrap();
    let ran = reflow(&format!("list --jobmanager {address} --token-file {}", file.display()));
    let head = asked.join().unwrap();
    let sent = |line: &String| line.eq_ignore_ascii_case("authorization: bearer secret-0123456789abc");
    assert!(head.iter().any(sent), "{head:?}");
    assert!(ran.err.contains("asks who you are") && ran.err.contains("--token-file"), "{}", ran.err);
    assert!(!ran.err.contains("secret-0123456789abc"), "{}", ran.err);
    std::fs::write(&file, "\n").unwrap();
    let ran = reflow(&format!("list --token-file {}", file.display()));
    assert!(ran.err.contains("its first line is no token"), "{}", ran.err);
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    assert_eq!(reflow("lisst").code, Some(2));
    assert_eq!(reflow("list --jobmanager nowhere").code, Some(2));
    assert_eq!(reflow("--help").code, Some(0));
}

#[test]
fn a_taskmanager_with_a_bad_option_does_not_start() {
    let ran = reflow("taskmanager -Dtaskmanager.numberOfTaskSlot=2");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("did you mean `taskmanager.numberOfTaskSlots`?"), "{}", ran.err);
}

#[test]
fn a_directory_of_an_unknown_kind_is_refused_with_its_option() {
    let ran = reflow("taskmanager -Dexecution.checkpointing.dir=hdfs://host/checkpoints");
    assert_eq!(ran.code, Some(1));
    let text = "cannot use execution.checkpointing.dir: hdfs://host/checkpoints: unknown scheme hdfs";
    assert!(ran.err.contains(text), "{}", ran.err);
}

#[test]
fn a_taskmanager_gives_up_by_its_bound_and_says_whom_it_did_not_reach() {
    let ran = reflow("taskmanager -Djobmanager.rpc.port=1 -Dtaskmanager.registration.timeout=50ms");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("no JobManager at localhost:1 for "), "{}", ran.err);
}

#[test]
fn sigterm_ends_a_taskmanager_in_good_order() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reflow"));
    command.args(["taskmanager", "-Djobmanager.rpc.port=1"]).stderr(Stdio::piped()).env("RUST_LOG", "info");
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("trying again") {
        assert!(log.read_line(&mut text).unwrap() > 0, "{text}");
    }
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    log.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{text}");
}

#[test]
fn run_names_what_is_in_lib() {
    let ran = reflow("run nothing");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.starts_with("reflow: no job nothing in "), "{}", ran.err);
}

/// A JobManager with a job at parallelism 2, which reaches a requested parallelism at the second query, and two
/// TaskManagers, one of which can be drained.
fn elastic() -> JobManager {
    elastic_with_free_slots(6, "REACTIVE")
}

/// The same with this number of free slots. Without one, the job stays at parallelism 2.
fn elastic_with_free_slots(free: u32, mode: &'static str) -> JobManager {
    let mut wanted = 2;
    let mut polls = 0;
    let mut left = None;
    JobManager::start(Box::new(move |request| {
        let (method, rest) = request.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap();
        let path = path.trim_start_matches(&format!("/jobs/{ORDERS}"));
        match (method, path) {
            (_, "/jobs/overview") => (200, json!({ "jobs": [overview(ORDERS, "orders", "RUNNING")] })),
            ("GET", "/resource-requirements") => {
                (200, json!({ SOURCE: { "parallelism": { "lowerBound": 3, "upperBound": 8 } } }))
            }
            ("PUT", "/resource-requirements") => {
                let body: Value = serde_json::from_str(body).unwrap();
                wanted = u32::try_from(body[SOURCE]["parallelism"]["upperBound"].as_u64().unwrap()).unwrap();
                match wanted {
                    7 => (400, json!({ "errors": ["Seven is wrong.\nSo is all else.\n\tat java.base"] })),
                    _ => (200, json!({})),
                }
            }
            ("GET", "") => {
                polls += 1;
                (200, details_at(if polls > 2 && free > 0 { wanted } else { 2 }))
            }
            (_, "/rescales/overview") => {
                let under_way = u32::from(polls < 4);
                let counts = json!({ "ignored": 0, "inProgress": under_way, "completed": 1, "failed": 0 });
                let latest = json!({ "completed": null, "failed": null, "ignored": null });
                (200, json!({ "rescalesCounts": counts, "latest": latest }))
            }
            (_, "/rescales/config") => (200, rescales_config(mode)),
            (_, "/overview") => {
                let overview = ClusterOverview {
                    slots_total: 2 + free,
                    slots_available: free,
                    ..ClusterOverview::default()
                };
                (200, serde_json::to_value(overview).unwrap())
            }
            (_, "/rescales/history") => (200, json!([live_rescale(), first_rescale()])),
            (_, "/rescales/details/b") => (200, live_rescale()),
            (_, "/rescales/details/a") => (200, first_rescale()),
            (_, "/taskmanagers") => {
                let there = ["1488", "1a2b"].map(task_manager);
                let stays = |tm: &&Value| left != tm["id"].as_str();
                (200, json!({ "taskmanagers": there.iter().filter(stays).collect::<Vec<_>>() }))
            }
            ("POST", "/taskmanagers/1488/drain") => {
                left = Some("1488");
                (202, json!({}))
            }
            ("POST", "/taskmanagers/1a2b/drain") if body.contains("true") => {
                left = Some("1a2b");
                (202, json!({ "request-id": "ab4f" }))
            }
            ("POST", "/taskmanagers/1a2b/drain") => (409, json!({ "errors": ["start another first"] })),
            (_, "/savepoints/ab4f") => {
                (200, json!({ "status": { "id": "COMPLETED" }, "operation": { "checkpointId": 36 } }))
            }
            (_, path) => panic!("{method} {path}"),
        }
    }))
}

fn rescales_config(mode: &str) -> Value {
    json!({
        "rescaleHistoryMax": 100, "schedulerExecutionMode": mode, "submissionResourceWaitTimeoutInMillis": -1,
        "submissionResourceStabilizationTimeoutInMillis": 0, "slotIdleTimeoutInMillis": 0,
        "executingCooldownTimeoutInMillis": 0, "executingResourceStabilizationTimeoutInMillis": 0,
        "maximumDelayForTriggeringRescaleInMillis": 0, "rescaleOnFailedCheckpointCount": 2,
    })
}

fn task_manager(id: &str) -> Value {
    let task_manager = TaskManager {
        id: id.to_owned(),
        path: "h1:6122".to_owned(),
        slots_number: 1,
        assigned_tasks: 3,
        ..TaskManager::default()
    };
    serde_json::to_value(task_manager).unwrap()
}

fn rescale(id: &str, pre: Value, cause: &str, started: u64) -> Value {
    let state = |state: &str, duration: u64| {
        json!({
            "state": state, "enterTimestampInMillis": started, "leaveTimestampInMillis": started + duration,
            "durationInMillis": duration, "stringifiedException": null,
        })
    };
    json!({
        "rescaleUuid": id, "resourceRequirementsUuid": "c", "rescaleAttemptId": 1,
        "triggerCause": cause, "terminalState": "COMPLETED", "terminatedReason": "SUCCEEDED",
        "startTimestampInMillis": started, "endTimestampInMillis": started + 340,
        "vertices": { SOURCE: {
            "jobVertexId": SOURCE, "jobVertexName": "Source: orders", "slotSharingGroupId": "5a",
            "slotSharingGroupName": "default", "desiredParallelism": 2, "sufficientParallelism": 1,
            "preRescaleParallelism": pre, "postRescaleParallelism": 2,
        } },
        "slots": {},
        "schedulerStates": [state("WaitingForResources", 300), state("Executing", 0)],
    })
}

fn first_rescale() -> Value {
    let mut first = rescale("a", Value::Null, "INITIAL_SCHEDULE", 1_795_330_374_304);
    first["restartReason"] = json!("not all subtasks run");
    first
}

fn live_rescale() -> Value {
    let phase = |phase: &str, duration: Option<u64>| {
        json!({
            "phase": phase, "enterTimestampInMillis": 1_795_330_433_304_u64,
            "leaveTimestampInMillis": duration.map(|duration| 1_795_330_433_304 + duration),
            "durationInMillis": duration,
        })
    };
    let mut rescale = rescale("b", json!(1), "NEW_RESOURCE_AVAILABLE", 1_795_330_433_304);
    rescale["liveRescale"] = json!({
        "graphVersion": 2, "phases": [phase("PREPARE", Some(210)), phase("CATCH_UP", Some(30)), phase("CUT", None)],
        "keyGroupsMoved": 64, "keyGroupsKept": 64, "readBytes": 4_194_304, "bytesToRead": 4_194_304, "handedOverBytes": 0, "parkedRecords": 0,
        "longestPauseInMicros": 2_345, "outcome": null, "reason": null,
    });
    rescale
}

#[test]
fn rescale_asks_and_waits_until_the_job_runs_so() {
    let cluster = elastic();
    let ran = cluster.reflow("rescale orders --parallelism 4");
    assert_eq!(ran.out, format!("orders ({ORDERS}) runs at parallelism 4.\n"), "{}", ran.err);
    let expected = format!(
        "PUT /jobs/{ORDERS}/resource-requirements \
         {{\"{SOURCE}\":{{\"parallelism\":{{\"lowerBound\":3,\"upperBound\":4}}}}}}"
    );
    assert_eq!(cluster.last_request("PUT"), expected);
    assert_eq!(ran.err, "", "no progress where there is no terminal");
}

#[test]
fn a_rescale_beyond_the_slots_says_at_once_what_happens() {
    let ran = elastic_with_free_slots(0, "REACTIVE").reflow("rescale --parallelism 99999");
    let expected = format!(
        "orders ({ORDERS}) runs at parallelism 2. It uses all slots of the cluster; with more slots, its parallelism may \
         be up to 8.\n"
    );
    assert_eq!(
        (ran.out, ran.err),
        (expected, String::new()),
        "the bound is in effect: there is nothing to wait for"
    );
    let ran = elastic_with_free_slots(0, "none").reflow("rescale --parallelism 4 --timeout 1s");
    let notice = "orders uses all slots of the cluster (2): it rescales when TaskManagers with more slots register. \
                  Waiting for 1 s; --no-wait does not wait.\n";
    assert!(ran.err.starts_with(notice) && ran.err.contains("is not done after 1"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
}

#[test]
fn a_vertex_is_named_by_name_or_id_and_its_bounds_are_kept() {
    let cluster = elastic();
    let ran = cluster.reflow("rescale --vertex 6BF0=2 --json");
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let vertex = json!({ "id": SOURCE, "name": "Source: orders", "parallelism": 2, "upperBound": 2 });
    assert_eq!((&json["jid"], &json["vertices"]), (&json!(ORDERS), &json!([vertex])));
    assert!(cluster.last_request("PUT").contains("\"lowerBound\":2"), "not above the upper bound");
    let ran = cluster.reflow("rescale --vertex count=2");
    assert!(
        ran.err.starts_with("reflow: orders has no vertex count; its vertices are:\nVERTEX "),
        "{}",
        ran.err
    );
    let ran = cluster.reflow("rescale --vertex 6bf0=9");
    assert_eq!(ran.err, "reflow: Source: orders has max parallelism 8: it cannot run with 9 subtasks\n");
    let ran = cluster.reflow("rescale -p 9 --no-wait");
    assert_eq!(ran.out, format!("orders ({ORDERS}) will run at parallelism 8.\n"), "bounded by it");
}

#[test]
fn a_rescale_that_is_refused_or_takes_too_long_says_so() {
    let cluster = elastic();
    let ran = cluster.reflow("rescale -p 7");
    let address = &cluster.address;
    let expected = format!(
        "reflow: the JobManager at {address} refused the request: Seven is wrong.\n  So is all else.\n"
    );
    assert_eq!((ran.code, ran.err), (Some(1), expected));
    let ran = elastic().reflow("rescale -p 3 --timeout 0ms");
    assert_eq!(ran.code, Some(1));
    let expected = "reflow: the rescale of orders is not done after 0 s (orders is RUNNING at parallelism 2, rescaling to \
                    3); it continues, --timeout waits longer\n";
    assert_eq!(ran.err, expected);
}

#[test]
fn a_drained_task_manager_is_waited_for() {
    let cluster = elastic();
    let ran = cluster.reflow("drain 148");
    assert_eq!(ran.out, "TaskManager 1488 on h1 has left.\n", "{}", ran.err);
    assert_eq!(cluster.last_request("POST"), "POST /taskmanagers/1488/drain {\"force\":false}");
    let ran = cluster.reflow("drain 1488");
    assert!(ran.err.starts_with("reflow: no TaskManager 1488 at "), "{}", ran.err);
    assert!(ran.err.contains("1a2b         h1    1      3"), "{}", ran.err);
}

#[test]
fn the_last_task_manager_is_drained_by_force_after_its_state_is_safe() {
    let cluster = elastic();
    let ran = cluster.reflow("drain 1a2b");
    assert!(
        ran.code == Some(1) && ran.err.contains("refused the request: start another first"),
        "{}",
        ran.err
    );
    let ran = cluster.reflow("drain 1a2b --force");
    assert_eq!(ran.out, "Its state before: checkpoint 36\nTaskManager 1a2b on h1 has left.\n", "{}", ran.err);
}

#[test]
fn rescales_are_listed_with_their_phases() {
    let cluster = elastic();
    let expected = "\
AGO        CAUSE                   PARALLELISM  OUTCOME    REASON     TOOK    PHASES
2 s        NEW_RESOURCE_AVAILABLE  1 → 2        COMPLETED  SUCCEEDED  340 ms  prepare 210, catch up 30, cut … ms; \
64 key groups paused up to 2.3 ms
1 min 1 s  INITIAL_SCHEDULE        - → 2        COMPLETED  SUCCEEDED  340 ms  WaitingForResources 300 ms; \
restarted the job: not all subtasks run
";
    let ran = cluster.reflow("rescales");
    assert_eq!(ran.out, expected, "{}", ran.err);
    let json: Value = serde_json::from_str(&cluster.reflow("rescales --json").out).unwrap();
    assert_eq!(json[0]["liveRescale"]["keyGroupsMoved"], 64);
}
