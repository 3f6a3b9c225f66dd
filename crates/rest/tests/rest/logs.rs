//! Log files and threads of the JobManager and of TaskManagers over REST. How files are read is tested in `crates/launch`.

use crate::client::{Response, Server};
use crate::fixture::{self, FakeCluster, TASK_MANAGERS};
use reflow_types::inspection::{
    FileId, Finding, Inquiry, Inspection, InspectionError, LogFile, LogName, LogPart, MAX_LOG_PART_BYTES,
    Thread, ThreadState,
};
use reflow_view::{ClusterProcess, CommandError};
use serde_json::Value;
use std::sync::Mutex;
use tokio::io::AsyncReadExt;

pub(crate) const LOG: &str = "reflow-me-standalonejob-0-here.log";
const BINARY: &str = "reflow-me-standalonejob-0-here.out.1";
const LINE: &str = "a line of the log\n";
/// Reads a part of a log.
type Part = fn(u64, u32) -> Result<Inspection, CommandError>;
/// More than any part.
const LINES: usize = 100_000;

/// The logs of a process.
fn file(name: &LogName) -> Option<Vec<u8>> {
    match name {
        LogName::Log => Some(LINE.repeat(LINES).into_bytes()),
        LogName::Stdout => Some(b"printed\n".to_vec()),
        LogName::Named(name) if name == BINARY => Some(b"\0printed\xff\n".to_vec()),
        LogName::Named(name) if name == LOG => file(&LogName::Log),
        LogName::Named(_) => None,
    }
}

fn part(file: Vec<u8>, inode: u64, from: u64, length: u32) -> Finding {
    assert!(length <= MAX_LOG_PART_BYTES);
    let from = file.len().min(from as usize);
    let bytes = file[from..file.len().min(from + length as usize)].to_vec();
    Finding::LogPart(LogPart { file: FileId { device: 1, inode }, size: file.len() as u64, bytes })
}

fn answer(inquiry: &Inquiry) -> Inspection {
    match inquiry {
        Inquiry::LogFiles => {
            let file = LogFile { name: LOG.to_owned(), size: 7, modified_ms: 1_795_330_374_304 };
            Ok(Finding::LogFiles(vec![file]))
        }
        Inquiry::LogPart { log, from, length } => {
            file(log).map(|file| part(file, 1, *from, *length)).ok_or(InspectionError::NoSuchLog)
        }
        Inquiry::Threads => Ok(Finding::Threads(vec![Thread {
            process: 4711,
            id: 4712,
            name: "slot 0".to_owned(),
            state: ThreadState::Waiting,
            cpu_ms: 12_340,
            waits_in: Some("futex_do_wait".to_owned()),
        }])),
    }
}

/// A server of a cluster whose processes answer alike.
pub(crate) async fn serve() -> Server {
    serve_by(|_, inquiry| Ok(answer(inquiry))).await
}

async fn serve_by(
    inspect: impl Fn(ClusterProcess, &Inquiry) -> Result<Inspection, CommandError> + Send + Sync + 'static,
) -> Server {
    let mut cluster = FakeCluster::obedient(fixture::cluster());
    cluster.inspect = Box::new(inspect);
    Server::start(cluster).await
}

/// The processes' paths.
fn processes() -> [String; 2] {
    ["/jobmanager".to_owned(), format!("/taskmanagers/{}", TASK_MANAGERS[1])]
}

async fn get_range(server: &Server, path: &str, range: &str) -> Response {
    server.request_with("GET", path, &format!("Range: {range}\r\n"), "").await
}

#[tokio::test]
async fn log_files_are_listed_and_read_whole_or_in_part() {
    let server = serve().await;
    for process in processes() {
        for version in ["", "/v1"] {
            let whole = server.get(&format!("{version}{process}/log")).await;
            assert_eq!((whole.status, whole.body), (200, LINE.repeat(LINES)));
            assert!(whole.head.contains("content-type: text/plain"), "{}", whole.head);
            assert!(whole.head.contains("content-length: 1800000"), "{}", whole.head);
        }
        let named = server.get(&format!("{process}/logs/{LOG}")).await;
        assert_eq!((named.status, named.body.len()), (200, LINE.len() * LINES));
        let end = get_range(&server, &format!("{process}/log"), "bytes=-18").await;
        assert_eq!((end.status, &*end.body), (206, LINE));
        assert!(end.head.contains("content-range: bytes 1799982-1799999/1800000"), "{}", end.head);
        let two_parts = get_range(&server, &format!("{process}/log"), "bytes=18-360017").await;
        assert_eq!((two_parts.status, two_parts.body), (206, LINE.repeat(20_000)));
        let beyond = get_range(&server, &format!("{process}/log"), "bytes=1800000-").await;
        assert_eq!((beyond.status, beyond.error()), (416, "the log has 1800000 bytes".to_owned()));
        assert!(beyond.head.contains("content-range: bytes */1800000"), "{}", beyond.head);
        let tag = |head: &str| head.lines().find(|line| line.starts_with("etag: w/\"")).map(str::to_owned);
        assert!(tag(&end.head).is_some() && tag(&end.head) == tag(&beyond.head), "{}", beyond.head);
        let head = server.request("HEAD", &format!("{process}/log"), "").await;
        assert_eq!((head.status, &*head.body), (200, ""));
        let list = server.get(&format!("{process}/logs")).await.json();
        let expected = r#"{"logs": [{"name": "reflow-me-standalonejob-0-here.log", "size": 7, "mtime": 1795330374304}]}"#;
        assert_eq!(list, serde_json::from_str::<Value>(expected).unwrap());
    }
}

#[tokio::test]
async fn a_binary_log_is_sent_as_it_is() {
    let server = serve().await;
    for process in processes() {
        let request =
            format!("GET {process}/logs/{BINARY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = Vec::new();
        server.connect(&request).await.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(b"\r\n\r\n\0printed\xff\n"), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn what_is_no_log_file_is_not_there() {
    let server = serve().await;
    for process in processes() {
        for name in ["reflow-gone.log", "..", "..%2F..%2Fetc%2Fpasswd", "reflow-%00"] {
            let response = server.get(&format!("{process}/logs/{name}")).await;
            assert_eq!(response.status, 404, "{name}: {}", response.body);
            response.error();
        }
    }
    let unnamed = Server::start(FakeCluster::obedient(fixture::cluster())).await;
    let absent = unnamed.get("/jobmanager/log").await;
    assert_eq!(absent.error(), "This file does not exist in JobManager log dir.");
    for unknown in ["no-id", "ffff0000ffff0000ffff0000ffff0000"] {
        let server = serve_by(|process, _| match process {
            ClusterProcess::TaskManager(id) => Err(CommandError::UnknownTaskManager(id)),
            ClusterProcess::JobManager => panic!("a TaskManager is asked"),
        })
        .await;
        let response = server.get(&format!("/taskmanagers/{unknown}/log")).await;
        assert_eq!((response.status, response.error()), (404, format!("TaskManager {unknown} not found")));
    }
}

/// The answer to a request for a whole log after whose first part `later` happens. Returns what arrives.
async fn read_until(later: fn(u64, u32) -> Result<Inspection, CommandError>) -> String {
    let parts = Mutex::new(0);
    let server = serve_by(move |_, inquiry| {
        let Inquiry::LogPart { log, from, length } = inquiry else { panic!("{inquiry:?}") };
        *parts.lock().unwrap() += 1;
        if *parts.lock().unwrap() <= 2 {
            return Ok(Ok(part(file(log).unwrap(), 1, *from, *length)));
        }
        later(*from, *length)
    })
    .await;
    let path = format!("/taskmanagers/{}/log", TASK_MANAGERS[0]);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    // The connection may be reset, which is an error, or just end.
    let _ = server.connect(&request).await.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
}

#[tokio::test]
async fn an_answer_breaks_off_when_its_file_or_its_process_is_gone() {
    let another_file = |from, length| Ok(Ok(part(vec![b'x'; 1 << 21], 2, from, length)));
    let truncated = |from, length| Ok(Ok(part(b"start".to_vec(), 1, from, length)));
    let gone = |_, _| Err(CommandError::Failed("TaskManager 148842 is gone".to_owned()));
    let whole = LINE.repeat(LINES);
    let cases: [Part; 3] = [another_file, truncated, gone];
    for later in cases {
        let read = read_until(later).await;
        assert!(
            read.len() <= MAX_LOG_PART_BYTES as usize && whole.starts_with(&read),
            "{} bytes",
            read.len()
        );
    }
}

#[tokio::test]
async fn threads_are_listed_in_flinks_form() {
    let server = serve().await;
    for process in processes() {
        let dump = server.get(&format!("{process}/thread-dump")).await.json();
        let thread = &dump["threadInfos"][0];
        assert_eq!(thread["threadName"], "slot 0");
        let line = "\"slot 0\" Id=4712 WAITING on futex_do_wait, 12.34 s of processor time, process 4711\n";
        assert_eq!(thread["stringifiedThreadInfo"], line);
    }
}
