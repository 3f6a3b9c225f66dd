//! The client's routes for what a cluster does: checkpoints, failures, metrics, logs.

use super::Client;
use crate::error::CliError;
use reflow_schema::metrics::{Aggregate, Metric};
use reflow_schema::{Checkpoints, Exceptions, LogFiles, Rescale, Timeline};
use serde::de::DeserializeOwned;
use ureq::http::StatusCode;
use ureq::http::header::{CONTENT_RANGE, ETAG, HeaderName, RANGE};

/// The most names of metrics in one request, because a URL is limited.
const NAMES_PER_REQUEST: usize = 50;
/// The most bytes of a log in one request, so that it does not take long.
pub(crate) const LOG_PART_BYTES: u64 = 1 << 20;

/// Bytes of a log.
pub(crate) struct LogPart {
    /// Tells the file from another that gets its name later.
    pub(crate) file: Option<String>,
    /// The length of the whole log.
    pub(crate) size: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Client {
    /// The checkpoints of a job.
    pub(crate) fn checkpoints(&self, job: &str) -> Result<Checkpoints, CliError> {
        self.get(&format!("/jobs/{job}/checkpoints"))
    }

    /// The newest failures of a job.
    pub(crate) fn exceptions(&self, job: &str, max: usize) -> Result<Exceptions, CliError> {
        self.get(&format!("/jobs/{job}/exceptions?maxExceptions={max}"))
    }

    /// The figures and events of a job after a moment.
    pub(crate) fn timeline(&self, job: &str, since_ms: i64) -> Result<Timeline, CliError> {
        self.get(&format!("/jobs/{job}/timeline?since={since_ms}"))
    }

    /// The rescales in the history without details, newest first.
    pub(crate) fn rescale_history(&self, job: &str) -> Result<Vec<Rescale>, CliError> {
        self.get(&format!("/jobs/{job}/rescales/history"))
    }

    /// The names of the metrics at a path.
    pub(crate) fn metric_names(&self, path: &str) -> Result<Vec<String>, CliError> {
        let metrics: Vec<Metric> = self.get(path)?;
        Ok(metrics.into_iter().map(|metric| metric.id).collect())
    }

    /// The values of metrics at a path.
    pub(crate) fn metrics(&self, path: &str, names: &[String]) -> Result<Vec<Metric>, CliError> {
        self.of_names(path, names)
    }

    /// The values of metrics at a path, over all subtasks.
    pub(crate) fn aggregates(&self, path: &str, names: &[String]) -> Result<Vec<Aggregate>, CliError> {
        self.of_names(path, names)
    }

    fn of_names<T: DeserializeOwned>(&self, path: &str, names: &[String]) -> Result<Vec<T>, CliError> {
        let mut all = Vec::new();
        for names in names.chunks(NAMES_PER_REQUEST) {
            let names: Vec<String> = names.iter().map(|name| escape(name)).collect();
            all.extend(self.get::<Vec<T>>(&format!("{path}?get={}", names.join(",")))?);
        }
        Ok(all)
    }

    /// The log files of the process at a path.
    pub(crate) fn log_files(&self, process: &str) -> Result<LogFiles, CliError> {
        self.get(&format!("{process}/logs"))
    }

    /// Bytes of a log from a place on, at most so many and at most [`LOG_PART_BYTES`]. There are none behind its end.
    pub(crate) fn log_from(&self, path: &str, from: u64, length: u64) -> Result<LogPart, CliError> {
        let length = length.clamp(1, LOG_PART_BYTES);
        self.log_part(path, &format!("bytes={from}-{}", from.saturating_add(length - 1)))
    }

    /// The last bytes of a log, at most [`LOG_PART_BYTES`].
    pub(crate) fn log_end(&self, path: &str) -> Result<LogPart, CliError> {
        self.log_part(path, &format!("bytes=-{LOG_PART_BYTES}"))
    }

    fn log_part(&self, path: &str, range: &str) -> Result<LogPart, CliError> {
        let answer = self.agent.get(self.url(path)).header(RANGE, range).call();
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let text = |name: HeaderName| answer.headers().get(name)?.to_str().ok();
        let file = text(ETAG).map(str::to_owned);
        // `bytes 0-9/100`, or `bytes */100` behind the end.
        let size = text(CONTENT_RANGE).and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        match (answer.status(), size) {
            (StatusCode::PARTIAL_CONTENT, Some(size)) => {
                let bytes = answer.body_mut().with_config().limit(2 * LOG_PART_BYTES).read_to_vec();
                Ok(LogPart { file, size, bytes: bytes.map_err(|error| self.unreachable(&error))? })
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(size)) => Ok(LogPart { file, size, bytes: Vec::new() }),
            (status, _) if status.is_success() => Err(self.strange("it ignores ranges of a log")),
            _ => Err(self.read::<()>(Ok(answer)).err().unwrap_or_else(|| self.strange("no log"))),
        }
    }
}

/// A name as a part of a URL.
pub(crate) fn escape(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(escape("a.b-1"), "a.b-1");
        assert_eq!(escape("é /../,?#"), "%C3%A9%20%2F..%2F%2C%3F%23");
    }
}
