//! The JobManager's log files: the log itself, standard output, and others of Reflow in the same directory, such as older
//! ones and those of TaskManagers on this machine.
//!
//! A file is sent piece by piece, so a huge or binary one costs bounded memory, and `Range` selects a part: `bytes=-65536`
//! is its end. Only regular files whose names begin with `reflow-` are there, because `env.log.dir` may be a directory in
//! which others write, too.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tower_http::services::ServeFile;

use super::ask::PathParameters;
use super::failure::Failure;
use super::read::{json, respond};
use reflow_schema::{LogFile, LogFiles};
use reflow_view::Cluster;

type Outcome = Result<Response, Failure>;

/// What the names of Reflow's log files begin with.
const PREFIX: &str = "reflow-";

/// `GET /jobmanager/log`
pub(super) async fn log<C: Cluster>(State(cluster): State<Arc<C>>, request: Request) -> Outcome {
    send(cluster.log_file(), request).await
}

/// `GET /jobmanager/stdout`
pub(super) async fn stdout<C: Cluster>(State(cluster): State<Arc<C>>, request: Request) -> Outcome {
    send(cluster.log_file().map(|log| log.with_extension("out")), request).await
}

/// `GET /jobmanager/logs/:filename`
pub(super) async fn named<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    request: Request,
) -> Outcome {
    let name: PathBuf = path.get("filename", "filename")?;
    // A name with a directory in it is none of the files in the list.
    let is_name = name.file_name() == Some(name.as_os_str()) && is_log(name.as_os_str());
    let log = cluster.log_file().filter(|_| is_name);
    send(log.map(|log| log.with_file_name(name)), request).await
}

/// `GET /jobmanager/logs`
pub(super) async fn list<C: Cluster>(State(cluster): State<Arc<C>>) -> Outcome {
    let directory = cluster.log_file().and_then(|log| Some(log.parent()?.to_owned()));
    let list = || directory.map_or(Ok(Vec::new()), |directory| files(&directory));
    let listed = tokio::task::spawn_blocking(list).await.map_err(io::Error::other).flatten();
    let logs = listed.map_err(|error| unreadable("the directory of logs", &error))?;
    Ok(respond(StatusCode::OK, json(&LogFiles { logs })?))
}

/// The log files in a directory, by name.
fn files(directory: &Path) -> io::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // A file that is rotated away meanwhile is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() || !is_log(&entry.file_name()) {
            continue;
        }
        let since_epoch = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        files.push(LogFile {
            name: entry.file_name().to_string_lossy().into_owned(),
            size: metadata.len(),
            mtime: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn is_log(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

async fn send(file: Option<PathBuf>, request: Request) -> Outcome {
    let absent = || Failure::not_found("This file does not exist in JobManager log dir.");
    let file = file.ok_or_else(absent)?;
    let is_file = tokio::fs::symlink_metadata(&file).await.is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Err(absent());
    }
    let sent = ServeFile::new(&file).try_call(request).await;
    let mut response = sent.map_err(|error| unreadable("the log file", &error))?.map(Body::new);
    match response.status() {
        StatusCode::NOT_FOUND => return Err(absent()),
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
            let text = HeaderValue::from_static("text/plain; charset=UTF-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
        }
        _ => {}
    }
    Ok(response)
}

fn unreadable(what: &str, error: &io::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read {what}: {error}"))
}
