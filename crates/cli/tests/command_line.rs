//! The executable against a JobManager that only answers from a table.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

const ORDERS: &str = "9cb9b50e6b54f532c72a685bb021e65b";
const CLICKS: &str = "1111b50e6b54f532c72a685bb021e65b";

/// A request as text (`PATCH /jobs/1?mode=cancel {"body": 1}`), and what it gets.
type Answers = dyn FnMut(&str) -> (u16, Value) + Send;

struct JobManager {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl JobManager {
    /// Serves until the test ends.
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

    /// Two jobs, of which one has ended, and savepoints that take three questions.
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
        "jid": jid, "name": name, "state": state, "start-time": 1_795_330_374_304_u64, "end-time": -1,
        "duration": 61_000, "tasks": { "running": 3, "total": 4 }
    })
}

fn details() -> Value {
    json!({ "jid": ORDERS, "name": "orders", "state": "RUNNING", "vertices": [{
        "name": "Source: orders", "parallelism": 2, "status": "RUNNING",
        "tasks": { "RUNNING": 2, "FAILED": 0 },
        "metrics": { "read-records": 0, "write-records": 54_265 }
    }] })
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
    let expected = format!(
        "POST /jobs/{ORDERS}/savepoints {{\"cancel-job\":false,\"target-directory\":\"file:///sp\"}}"
    );
    assert_eq!(cluster.last_request("POST"), expected);
}

#[test]
fn stop_drains_on_demand() {
    let cluster = JobManager::with_jobs();
    let ran = cluster.reflow("stop --drain --json");
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["location"], "file:/sp/savepoint-9cb9b5");
    let expected = format!("POST /jobs/{ORDERS}/stop {{\"drain\":true,\"targetDirectory\":null}}");
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
    assert_eq!(ran.err, format!("reflow: the JobManager at {} refused: no leader yet\n", cluster.address));
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
    assert!(ran.err.contains("--jobmanager HOST:PORT names another"), "{}", ran.err);
}

#[test]
fn somebody_else_there_is_no_jobmanager() {
    let cluster = JobManager::start(Box::new(|_| (200, json!({ "hello": 1 }))));
    let ran = cluster.reflow("list");
    assert!(ran.err.contains("does not answer as a JobManager does: missing field `jobs`"), "{}", ran.err);
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
