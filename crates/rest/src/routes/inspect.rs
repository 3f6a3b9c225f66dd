//! The log files and threads of the JobManager and of TaskManagers. A TaskManager's are also those of its executors, which
//! share its log.
//!
//! A file is read and sent in parts, so a huge or binary one costs bounded memory, and `Range` selects some of its bytes. It
//! has the length that it had at first; if it is rotated away meanwhile, the answer breaks off, so that no client takes
//! the beginning of another file for the rest.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::ask::PathParameters;
use super::failure::Failure;
use super::range::{Selection, select};
use super::read::{json, respond};
use reflow_schema::{LogFiles, ThreadDump};
use reflow_types::inspection::{
    FileId, Finding, Inquiry, InspectionError, LogName, LogPart, MAX_LOG_PART_BYTES,
};
use reflow_view::{Cluster, ClusterProcess};

type Outcome = Result<Response, Failure>;

/// `GET …/log`
pub(super) async fn log<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    headers: HeaderMap,
) -> Outcome {
    send(cluster, path.process()?, LogName::Log, &headers).await
}

/// `GET …/stdout`
pub(super) async fn stdout<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    headers: HeaderMap,
) -> Outcome {
    send(cluster, path.process()?, LogName::Stdout, &headers).await
}

/// `GET …/logs/:filename`
pub(super) async fn named<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    headers: HeaderMap,
) -> Outcome {
    let name = LogName::Named(path.get("filename", "filename")?);
    send(cluster, path.process()?, name, &headers).await
}

/// `GET …/logs`
pub(super) async fn list<C: Cluster>(State(cluster): State<Arc<C>>, path: PathParameters) -> Outcome {
    match inspect(&*cluster, path.process()?, Inquiry::LogFiles).await? {
        Finding::LogFiles(files) => Ok(respond(StatusCode::OK, json(&LogFiles::of(files))?)),
        _ => Err(Failure::unexpected_reply()),
    }
}

/// `GET …/thread-dump`
pub(super) async fn threads<C: Cluster>(State(cluster): State<Arc<C>>, path: PathParameters) -> Outcome {
    match inspect(&*cluster, path.process()?, Inquiry::Threads).await? {
        Finding::Threads(threads) => Ok(respond(StatusCode::OK, json(&ThreadDump::of(threads))?)),
        _ => Err(Failure::unexpected_reply()),
    }
}

async fn inspect<C: Cluster>(
    cluster: &C,
    process: ClusterProcess,
    inquiry: Inquiry,
) -> Result<Finding, Failure> {
    let name = match process {
        ClusterProcess::JobManager => "JobManager",
        ClusterProcess::TaskManager(_) => "TaskManager",
    };
    cluster.inspect(process, inquiry).await?.map_err(|error| match error {
        InspectionError::NoSuchLog => {
            Failure::not_found(format!("This file does not exist in {name} log dir."))
        }
        InspectionError::Failed(reason) => {
            let text = format!("the {name} cannot answer: {reason}");
            Failure::new(StatusCode::INTERNAL_SERVER_ERROR, text)
        }
    })
}

/// A log file of a process.
struct Log<C> {
    cluster: Arc<C>,
    process: ClusterProcess,
    name: LogName,
}

impl<C: Cluster> Log<C> {
    async fn part(&self, from: u64, length: u32) -> Result<LogPart, Failure> {
        let inquiry = Inquiry::LogPart { log: self.name.clone(), from, length };
        match inspect(&*self.cluster, self.process, inquiry).await? {
            Finding::LogPart(part) => Ok(part),
            _ => Err(Failure::unexpected_reply()),
        }
    }

    /// The bytes at the beginning of a range of this file, at least one.
    async fn next(&self, file: FileId, range: &Range<u64>) -> io::Result<Bytes> {
        let length = u32::try_from(range.end - range.start).unwrap_or(u32::MAX).min(MAX_LOG_PART_BYTES);
        let part = self.part(range.start, length).await;
        let part = part.map_err(|failure| io::Error::other(failure.text().to_owned()))?;
        if part.file != file || part.bytes.is_empty() || part.bytes.len() > length as usize {
            return Err(io::Error::other("the log was rotated or truncated while it was read"));
        }
        Ok(part.bytes.into())
    }
}

async fn send<C: Cluster>(
    cluster: Arc<C>,
    process: ClusterProcess,
    name: LogName,
    headers: &HeaderMap,
) -> Outcome {
    let log = Log { cluster, process, name };
    let LogPart { file, size, .. } = log.part(0, 0).await?;
    let requested = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let (status, range) = match select(requested, size) {
        Selection::Whole => (StatusCode::OK, 0..size),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::Unsatisfiable => {
            let headers = [(CONTENT_RANGE, format!("bytes */{size}")), (ETAG, tag(file))];
            let failure =
                Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("the log has {size} bytes"));
            return Ok((headers, failure).into_response());
        }
    };
    let content_range = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
    let length = range.end - range.start;
    let next = move |(log, range): (Log<C>, Range<u64>)| async move {
        if range.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        let bytes = log.next(file, &range).await?;
        let rest = range.start + bytes.len() as u64..range.end;
        Ok(Some((bytes, (log, rest))))
    };
    let parts = stream::try_unfold((log, range), next);
    let mut response = (status, Body::from_stream(parts)).into_response();
    let etag = HeaderValue::try_from(tag(file)).expect("digits and signs are a header's value");
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = HeaderValue::try_from(content_range).expect("digits and signs are a header's value");
        headers.insert(CONTENT_RANGE, range);
    }
    Ok(response)
}

/// A tag by which a reader that follows a log sees that another file has its name now. It is a weak one: the same file
/// grows.
fn tag(FileId { device, inode }: FileId) -> String {
    format!("W/\"{device:x}-{inode:x}\"")
}
