//! The JobManager's REST API, as far as the command line needs it: jobs and savepoints here, the rest in modules.

mod rescale;
mod task_manager;

pub(crate) use rescale::{Bounds, Rescale, RescaledVertex, VertexRequirements};
pub(crate) use task_manager::TaskManager;

use crate::args::Connection;
use crate::error::CliError;
use reflow_config::{Config, options};
use reflow_view::JobStatus;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How long one request may take; what takes longer is polled.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Where a JobManager serves REST if nobody says otherwise.
const DEFAULT_ADDRESS: &str = "localhost:8081";

/// A connection to one JobManager.
pub(crate) struct Client {
    address: String,
    agent: ureq::Agent,
}

/// A job in `GET /jobs/overview`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct JobOverview {
    pub(crate) jid: String,
    pub(crate) name: String,
    pub(crate) state: JobStatus,
    /// Milliseconds since the Unix epoch.
    pub(crate) start_time: i64,
    /// Milliseconds.
    pub(crate) duration: u64,
    pub(crate) tasks: Tasks,
}

/// Tasks of a job by state.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Tasks {
    pub(crate) running: u32,
    pub(crate) total: u32,
}

impl JobOverview {
    /// Whether the job will never run again.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_terminal()
    }
}

/// `GET /jobs/:id`
#[derive(Debug, Deserialize)]
pub(crate) struct JobDetails {
    pub(crate) state: JobStatus,
    /// The JobManager's time, in milliseconds since the Unix epoch.
    pub(crate) now: i64,
    pub(crate) vertices: Vec<VertexDetails>,
}

/// A vertex of a job.
#[derive(Debug, Deserialize)]
pub(crate) struct VertexDetails {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(rename = "maxParallelism")]
    pub(crate) max_parallelism: u32,
    pub(crate) parallelism: i64,
    pub(crate) status: String,
    pub(crate) tasks: BTreeMap<String, u32>,
    pub(crate) metrics: VertexMetrics,
}

/// Counts of a vertex since it was deployed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VertexMetrics {
    pub(crate) read_records: u64,
    pub(crate) write_records: u64,
}

/// How a savepoint stands.
pub(crate) enum SavepointStatus {
    InProgress,
    Completed { location: String },
    Failed { cause: String },
}

#[derive(Deserialize)]
struct JobsOverview {
    jobs: Vec<JobOverview>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Triggered {
    request_id: String,
}

#[derive(Deserialize)]
struct Progress {
    status: ProgressStatus,
    operation: Option<Outcome>,
}

#[derive(Deserialize)]
struct ProgressStatus {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Outcome {
    location: Option<String>,
    #[serde(rename = "checkpointId")]
    checkpoint: Option<u64>,
    failure_cause: Option<Cause>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cause {
    stack_trace: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<String>,
}

impl Client {
    /// A client for the JobManager that the arguments or the configuration name.
    pub(crate) fn new(connection: &Connection) -> Result<Self, CliError> {
        let address = match &connection.jobmanager {
            Some(address) => address.clone(),
            None => configured_address(connection.config_dir.clone())?,
        };
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build();
        Ok(Self { address, agent: config.into() })
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// All jobs that the JobManager knows.
    pub(crate) fn jobs(&self) -> Result<Vec<JobOverview>, CliError> {
        Ok(self.read::<JobsOverview>(self.jobs_json()?)?.jobs)
    }

    /// `GET /jobs/overview`, as it is.
    pub(crate) fn jobs_json(&self) -> Result<Value, CliError> {
        self.take(self.agent.get(self.url("/jobs/overview")).call())
    }

    /// `GET /jobs/:id`
    pub(crate) fn job(&self, id: &str) -> Result<JobDetails, CliError> {
        self.read(self.job_json(id)?)
    }

    /// `GET /jobs/:id`, as it is.
    pub(crate) fn job_json(&self, id: &str) -> Result<Value, CliError> {
        self.take(self.agent.get(self.url(&format!("/jobs/{id}"))).call())
    }

    /// Begins to cancel a job.
    pub(crate) fn cancel(&self, id: &str) -> Result<(), CliError> {
        let url = self.url(&format!("/jobs/{id}?mode=cancel"));
        self.take(self.agent.patch(url).send_empty()).map(drop)
    }

    /// Begins a savepoint; gives the request to ask by.
    pub(crate) fn trigger_savepoint(&self, id: &str, directory: Option<&str>) -> Result<String, CliError> {
        let body = serde_json::json!({ "target-directory": directory, "cancel-job": false });
        self.trigger(&format!("/jobs/{id}/savepoints"), &body)
    }

    /// Begins to stop a job with a savepoint; gives the request to ask by.
    pub(crate) fn stop(&self, id: &str, directory: Option<&str>, drain: Drain) -> Result<String, CliError> {
        let body = serde_json::json!({ "targetDirectory": directory, "drain": drain == Drain::Yes });
        self.trigger(&format!("/jobs/{id}/stop"), &body)
    }

    /// How a request stands.
    pub(crate) fn savepoint_status(&self, id: &str, request: &str) -> Result<SavepointStatus, CliError> {
        let url = self.url(&format!("/jobs/{id}/savepoints/{request}"));
        let progress: Progress = self.read(self.take(self.agent.get(url).call())?)?;
        match (progress.status.id.as_str(), progress.operation) {
            ("COMPLETED", Some(Outcome { location: Some(location), .. })) => {
                Ok(SavepointStatus::Completed { location })
            }
            ("COMPLETED", Some(Outcome { checkpoint: Some(id), .. })) => {
                Ok(SavepointStatus::Completed { location: format!("checkpoint {id}") })
            }
            ("COMPLETED", Some(Outcome { failure_cause: Some(cause), .. })) => {
                Ok(SavepointStatus::Failed { cause: first_line(&cause.stack_trace) })
            }
            ("COMPLETED", _) => Err(self.strange("a savepoint without location and failure cause")),
            _ => Ok(SavepointStatus::InProgress),
        }
    }

    fn trigger(&self, path: &str, body: &Value) -> Result<String, CliError> {
        let request = self.agent.post(self.url(path)).content_type("application/json");
        let answer = self.take(request.send(body.to_string()))?;
        Ok(self.read::<Triggered>(answer)?.request_id)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The JSON of an answer; an error if its status is one.
    fn take(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, CliError> {
        let unreachable =
            |e: ureq::Error| CliError::Unreachable { address: self.address.clone(), cause: e.to_string() };
        let mut answer = answer.map_err(unreachable)?;
        let status = answer.status();
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let json = serde_json::from_str::<Value>(&text);
        if status.is_success() {
            return json.map_err(|_| self.strange("its answer is not JSON"));
        }
        match json.ok().and_then(|json| serde_json::from_value::<Errors>(json).ok()) {
            Some(Errors { errors }) => {
                let text = without_stack_traces(&errors);
                Err(CliError::Refused { address: self.address.clone(), text })
            }
            None => Err(self.strange(&format!("HTTP status {status}"))),
        }
    }

    fn read<T: DeserializeOwned>(&self, json: Value) -> Result<T, CliError> {
        serde_json::from_value(json).map_err(|e| self.strange(&e.to_string()))
    }

    fn strange(&self, cause: &str) -> CliError {
        CliError::NotAJobManager { address: self.address.clone(), cause: cause.to_owned() }
    }
}

/// Whether timers and windows fire before a job stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    Yes,
    No,
}

fn configured_address(directory: Option<PathBuf>) -> Result<String, CliError> {
    let Some(directory) = directory.or_else(own_config_directory) else {
        return Ok(DEFAULT_ADDRESS.to_owned());
    };
    let config = Config::load(Some(&directory), &[])?.config;
    let host = options::REST_ADDRESS.get(&config);
    let port = options::REST_PORT.get(&config);
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}

/// `conf/` of the distribution that this executable lies in.
pub(crate) fn own_config_directory() -> Option<PathBuf> {
    let directory = distribution()?.join("conf");
    directory.join("config.yaml").is_file().then_some(directory)
}

/// The directory above this executable's.
pub(crate) fn distribution() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.to_owned())
}

/// All lines of the texts but those of Java's stack traces.
fn without_stack_traces(errors: &[String]) -> String {
    let lines = errors.iter().flat_map(|error| error.lines().take_while(|line| !line.starts_with("\tat ")));
    lines.map(str::trim).collect::<Vec<_>>().join("\n  ")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
