//! What benchmarks ask a JobManager for.

use crate::measure::Error;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io;

/// A JobManager's REST API.
pub struct Rest {
    base: String,
}

/// `GET /jobs/:id/checkpoints`
#[derive(Debug, Deserialize)]
pub struct Checkpoints {
    /// The last ones, newest first.
    pub history: Vec<Checkpoint>,
    /// The newest of each kind.
    pub latest: Latest,
}

/// The newest of each kind.
#[derive(Debug, Deserialize)]
pub struct Latest {
    /// What the job was restored from.
    pub restored: Option<Restored>,
}

/// What the job was restored from.
#[derive(Debug, Deserialize)]
pub struct Restored {
    /// The checkpoint.
    pub id: u64,
}

/// A checkpoint.
#[derive(Debug, Clone, Deserialize)]
pub struct Checkpoint {
    /// Counts from 1.
    pub id: u64,
    /// `COMPLETED`, `IN_PROGRESS` or `FAILED`.
    pub status: String,
    /// Bytes that were written for it.
    pub checkpointed_size: u64,
    /// Bytes that a restore reads.
    pub state_size: u64,
    /// Milliseconds.
    pub end_to_end_duration: u64,
}

/// `GET /jobs/:id`
#[derive(Debug, Deserialize)]
pub struct JobDetails {
    /// `RUNNING`, `FINISHED`, …
    pub state: String,
    /// In the order of the graph.
    pub vertices: Vec<Vertex>,
}

/// A vertex of the job.
#[derive(Debug, Deserialize)]
pub struct Vertex {
    /// As of now.
    pub parallelism: u32,
    /// `RUNNING` if all of its subtasks do.
    pub status: String,
}

impl JobDetails {
    /// Whether every subtask runs, so many of each vertex.
    pub fn runs_at(&self, parallelism: u32) -> bool {
        let runs = |vertex: &Vertex| vertex.status == "RUNNING" && vertex.parallelism == parallelism;
        self.state == "RUNNING" && self.vertices.iter().all(runs)
    }
}

/// A rescale that went live, in `GET /jobs/:id/rescales/details/:rescale`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRescale {
    /// Bytes of state that old owners handed over.
    pub handed_over_bytes: u64,
    /// The longest time for which a key group was nobody's.
    pub longest_pause_in_micros: u64,
    /// `COMMITTED`, `GIVEN_UP` or `INTERRUPTED`.
    pub outcome: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RescaleEntry {
    rescale_uuid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RescaleDetails {
    live_rescale: Option<LiveRescale>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Triggered {
    request_id: String,
}

#[derive(Deserialize)]
struct Operation {
    operation: Option<Value>,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    id: String,
}

/// `GET /jobs/:id`
#[derive(Deserialize)]
struct Details {
    vertices: Vec<VertexId>,
}

#[derive(Deserialize)]
struct VertexId {
    id: String,
}

/// `GET /jobs/:id/vertices/:id`
#[derive(Deserialize)]
struct VertexDetails {
    subtasks: Vec<Subtask>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Subtask {
    /// Milliseconds in each state.
    status_duration: BTreeMap<String, i64>,
}

impl Rest {
    /// The API on this port of this machine.
    pub fn new(port: u16) -> Self {
        Self { base: format!("http://127.0.0.1:{port}") }
    }

    /// The checkpoints of the JobManager's job.
    pub fn checkpoints(&self) -> Result<Checkpoints, Error> {
        self.get(&format!("{}/checkpoints", self.job()?))
    }

    /// The JobManager's job.
    pub fn details(&self) -> Result<JobDetails, Error> {
        self.get(&self.job()?)
    }

    /// How long the subtasks of the attempt that runs took from their deployment until they ran: the longest, in
    /// milliseconds.
    pub fn deploying_ms(&self) -> Result<i64, Error> {
        let job = self.job()?;
        let details: Details = self.get(&job)?;
        let mut longest = 0;
        for vertex in details.vertices {
            let vertex: VertexDetails = self.get(&format!("{job}/vertices/{}", vertex.id))?;
            let deploying = |subtask: Subtask| subtask.status_duration.get("DEPLOYING").copied();
            longest = vertex.subtasks.into_iter().filter_map(deploying).fold(longest, i64::max);
        }
        Ok(longest)
    }

    /// Bounds the parallelism of all vertices.
    pub fn require(&self, upper: u32) -> Result<(), Error> {
        let path = format!("{}/resource-requirements", self.job()?);
        let present: BTreeMap<String, Value> = self.get(&path)?;
        let bounds = json!({ "parallelism": { "lowerBound": 1, "upperBound": upper } });
        let wanted: BTreeMap<&String, &Value> = present.keys().map(|vertex| (vertex, &bounds)).collect();
        let request = ureq::put(self.url(&path)).content_type("application/json");
        self.read::<Value>(&path, request.send(json!(wanted).to_string())).map(drop)
    }

    /// How the newest rescale went, if it went live.
    pub fn newest_rescale(&self) -> Result<Option<LiveRescale>, Error> {
        let job = self.job()?;
        let history: Vec<RescaleEntry> = self.get(&format!("{job}/rescales/history"))?;
        let Some(RescaleEntry { rescale_uuid }) = history.first() else { return Ok(None) };
        let details: RescaleDetails = self.get(&format!("{job}/rescales/details/{rescale_uuid}"))?;
        Ok(details.live_rescale)
    }

    /// Stops the job with a savepoint below `directory`; gives the request to ask by.
    pub fn stop(&self, directory: &str) -> Result<String, Error> {
        let path = format!("{}/stop", self.job()?);
        let request = ureq::post(self.url(&path)).content_type("application/json");
        let answer = request.send(json!({ "targetDirectory": directory }).to_string());
        Ok(self.read::<Triggered>(&path, answer)?.request_id)
    }

    /// Whether that has ended; an error if it came to nothing.
    pub fn has_stopped(&self, request: &str) -> Result<bool, Error> {
        let path = format!("{}/savepoints/{request}", self.job()?);
        match self.get::<Operation>(&path)?.operation {
            None => Ok(false),
            Some(operation) if operation.get("location").is_some() => Ok(true),
            Some(operation) => Err(self.error(&path, io::Error::other(operation.to_string()))),
        }
    }

    /// The path of the JobManager's job.
    fn job(&self) -> Result<String, Error> {
        let jobs: Jobs = self.get("/jobs")?;
        let job =
            jobs.jobs.first().ok_or_else(|| self.error("/jobs", io::Error::other("there is no job")))?;
        Ok(format!("/jobs/{}", job.id))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(path, ureq::get(self.url(path)).call())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, Error> {
        let text = response.and_then(|mut response| response.body_mut().read_to_string());
        let text = text.map_err(|error| self.error(path, io::Error::other(error)))?;
        serde_json::from_str(&text).map_err(|error| self.error(path, error.into()))
    }

    fn error(&self, path: &str, source: io::Error) -> Error {
        Error::Read { path: format!("{}{path}", self.base).into(), source }
    }
}
