//! The JobManager's log files over REST.

use crate::client::{Response, Server};
use crate::fixture::{self, FakeCluster};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;

pub(crate) const LOG: &str = "reflow-me-standalonejob-0-here.log";

/// A directory of logs that is removed with the test, and a server of these logs.
pub(crate) struct Logs {
    directory: PathBuf,
    pub(crate) server: Server,
}

impl Logs {
    pub(crate) async fn serve(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("reflow-logs-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut cluster = FakeCluster::obedient(fixture::cluster());
        cluster.log_file = Some(directory.join(LOG));
        Self { directory, server: Server::start(cluster).await }
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.directory.join(name), content).unwrap();
    }

    async fn get_range(&self, path: &str, range: &str) -> Response {
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nRange: {range}\r\n\r\n");
        let mut answer = Vec::new();
        self.server.connect(&head).await.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Response { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
async fn log_files_are_listed_and_read_whole_or_in_part() {
    let logs = Logs::serve("read").await;
    let line = "a line of the log\n";
    logs.write(LOG, &line.repeat(100_000));
    logs.write(&LOG.replace(".log", ".out"), "printed\n");
    logs.write("syslog", "of others\n");
    for version in ["", "/v1"] {
        let whole = logs.server.get(&format!("{version}/jobmanager/log")).await;
        assert_eq!((whole.status, whole.body.len()), (200, line.len() * 100_000));
        assert!(whole.head.contains("content-type: text/plain"), "{}", whole.head);
        let out = logs.server.get(&format!("{version}/jobmanager/stdout")).await;
        assert_eq!((out.status, &*out.body), (200, "printed\n"));
    }
    let named = logs.server.get(&format!("/jobmanager/logs/{LOG}")).await;
    assert_eq!((named.status, named.body.len()), (200, line.len() * 100_000));
    let end = logs.get_range("/jobmanager/log", "bytes=-18").await;
    assert_eq!((end.status, &*end.body), (206, line));
    let beyond = logs.get_range("/jobmanager/log", "bytes=9999999-").await;
    assert_eq!(beyond.status, 416);

    let list = logs.server.get("/jobmanager/logs").await.json();
    let listed: Vec<_> = list["logs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["name"].clone(), file["size"].clone()))
        .collect();
    let out = LOG.replace(".log", ".out");
    assert_eq!(listed, [(Value::from(LOG), Value::from(line.len() * 100_000)), (out.into(), 8.into())]);
}

#[tokio::test]
async fn what_is_no_log_file_is_not_there() {
    let logs = Logs::serve("absent").await;
    logs.write("syslog", "of others\n");
    std::os::unix::fs::symlink(Path::new("/etc/passwd"), logs.directory.join("reflow-link")).unwrap();
    for path in [
        "/jobmanager/log",
        "/jobmanager/stdout",
        "/jobmanager/logs/reflow-gone.log",
        "/jobmanager/logs/syslog",
        "/jobmanager/logs/reflow-link",
        "/jobmanager/logs/..",
        "/jobmanager/logs/..%2F..%2Fetc%2Fpasswd",
        "/jobmanager/logs/reflow-x%2F..%2Fsyslog",
        "/jobmanager/logs/reflow-%00",
    ] {
        let response = logs.server.get(path).await;
        assert_eq!(response.status, 404, "{path}: {}", response.body);
        response.error();
    }
    let server = Server::start(FakeCluster::obedient(fixture::cluster())).await;
    assert_eq!(server.get("/jobmanager/log").await.status, 404, "a process without a log file");
    assert_eq!(server.get("/jobmanager/logs").await.json()["logs"], Value::from(Vec::<Value>::new()));
}
