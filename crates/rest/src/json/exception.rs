//! Failures: `/jobs/:id/exceptions`.

use std::collections::BTreeMap;

use reflow_types::TaskManagerId;
use serde::Serialize;

use reflow_view::{ExceptionView, JobView};

/// How many failures Flink gives where the client names no number.
pub(crate) const DEFAULT_MAX_EXCEPTIONS: usize = 20;

/// `GET /jobs/:id/exceptions`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exceptions<'a> {
    exception_history: History<'a>,
}

#[derive(Serialize)]
struct History<'a> {
    entries: Vec<Entry<'a>>,
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(flatten)]
    exception: Exception<'a>,
    concurrent_exceptions: Vec<Exception<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exception<'a> {
    exception_name: &'a str,
    stacktrace: &'a str,
    timestamp: i64,
    failure_labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_manager_id: Option<TaskManagerId>,
}

impl<'a> Exceptions<'a> {
    /// The newest `max` failures.
    pub(crate) fn of(job: &'a JobView, max: usize) -> Self {
        let entry = |exception: &'a ExceptionView| Entry {
            exception: Exception::of(exception),
            concurrent_exceptions: exception.concurrent.iter().map(Exception::of).collect(),
        };
        let entries = job.exceptions.iter().take(max).map(entry).collect();
        let truncated = job.exceptions_truncated || job.exceptions.len() > max;
        Self { exception_history: History { entries, truncated } }
    }
}

impl<'a> Exception<'a> {
    fn of(exception: &'a ExceptionView) -> Self {
        Self {
            exception_name: &exception.name,
            stacktrace: &exception.message,
            timestamp: exception.at_ms,
            failure_labels: &exception.labels,
            task_name: exception.task_name.as_deref(),
            endpoint: exception.endpoint.as_deref(),
            task_manager_id: exception.task_manager,
        }
    }
}
