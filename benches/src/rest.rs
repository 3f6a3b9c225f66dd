//! What benchmarks ask a JobManager for.

use crate::measure::Error;
use reflow_schema::{
    Accepted, Checkpoints, JobDetails, Jobs, LiveRescale, OperationOutcome, OperationProgress,
    RequirementBounds, Rescale, StopRequest, Triggered, VertexDetails, VertexRequirements,
};
use reflow_view::{CheckpointCounts, ExecutionState, JobStatus};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

/// A JobManager's REST API. What `rescale` asks for is answered by Flink as well.
pub struct Rest {
    base: String,
}

/// The part of a job's details in which Reflow and Flink agree.
#[derive(Deserialize)]
struct Progress {
    state: JobStatus,
    vertices: Vec<VertexProgress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VertexProgress {
    parallelism: u32,
    max_parallelism: u32,
    status: ExecutionState,
}

/// The same part of the checkpoints.
#[derive(Deserialize)]
struct Counted {
    counts: CheckpointCounts,
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

    /// How often the job was restored since the JobManager leads.
    pub fn restored(&self) -> Result<u64, Error> {
        let Counted { counts } = self.get(&format!("{}/checkpoints", self.job()?))?;
        Ok(counts.restored)
    }

    /// Whether every vertex has this number of subtasks, or its max parallelism, and all of them run.
    pub fn runs_at(&self, parallelism: u32) -> Result<bool, Error> {
        let job: Progress = self.get(&self.job()?)?;
        let runs = |vertex: &VertexProgress| {
            vertex.status == ExecutionState::Running
                && vertex.parallelism == parallelism.min(vertex.max_parallelism)
        };
        Ok(job.state == JobStatus::Running && job.vertices.iter().all(runs))
    }

    /// How long the subtasks of the attempt that runs took from their deployment until they ran: the longest, in
    /// milliseconds.
    pub fn deploying_ms(&self) -> Result<i64, Error> {
        let job = self.job()?;
        let mut longest = 0;
        for vertex in self.get::<JobDetails>(&job)?.vertices {
            let vertex: VertexDetails = self.get(&format!("{job}/vertices/{}", vertex.id))?;
            let durations = vertex.subtasks.iter().map(|subtask| &subtask.status_duration);
            let deploying = durations.filter_map(|by_state| by_state.get(&ExecutionState::Deploying));
            longest = deploying.copied().fold(longest, i64::max);
        }
        Ok(longest)
    }

    /// Bounds the parallelism of all vertices.
    pub fn require(&self, upper: u32) -> Result<(), Error> {
        let path = format!("{}/resource-requirements", self.job()?);
        let mut requirements: BTreeMap<String, VertexRequirements> = self.get(&path)?;
        for vertex in requirements.values_mut() {
            vertex.parallelism = RequirementBounds { lower_bound: 1, upper_bound: upper.into() };
        }
        self.send(ureq::put(self.url(&path)), &path, &requirements).map(|Accepted {}| ())
    }

    /// How the newest rescale went, if it went live.
    pub fn newest_rescale(&self) -> Result<Option<LiveRescale>, Error> {
        let job = self.job()?;
        let history: Vec<Rescale> = self.get(&format!("{job}/rescales/history"))?;
        let Some(newest) = history.first() else { return Ok(None) };
        let details: Rescale = self.get(&format!("{job}/rescales/details/{}", newest.rescale_uuid))?;
        Ok(details.live_rescale)
    }

    /// Stops the job with a savepoint below `directory`; gives the request to ask by.
    pub fn stop(&self, directory: &str) -> Result<String, Error> {
        let path = format!("{}/stop", self.job()?);
        let body = StopRequest { target_directory: Some(directory.to_owned()), ..StopRequest::default() };
        let Triggered { request_id } = self.send(ureq::post(self.url(&path)), &path, &body)?;
        Ok(request_id)
    }

    /// Whether that has ended; an error if it came to nothing.
    pub fn has_stopped(&self, request: &str) -> Result<bool, Error> {
        let path = format!("{}/savepoints/{request}", self.job()?);
        match self.get::<OperationProgress>(&path)?.operation {
            None => Ok(false),
            Some(OperationOutcome::Location(_)) => Ok(true),
            Some(other) => Err(self.error(&path, io::Error::other(format!("{other:?}")))),
        }
    }

    /// Hands the job over to a standby, which leads when this returns.
    pub fn transfer_leadership(&self) -> Result<(), Error> {
        let path = "/leader/transfer";
        self.read(path, ureq::post(self.url(path)).send_empty()).map(|Accepted {}| ())
    }

    /// The path of the JobManager's job.
    fn job(&self) -> Result<String, Error> {
        let Jobs { jobs } = self.get("/jobs")?;
        let job = jobs.first().ok_or_else(|| self.error("/jobs", io::Error::other("there is no job")))?;
        Ok(format!("/jobs/{}", job.id))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.read(path, ureq::get(self.url(path)).call())
    }

    fn send<T: DeserializeOwned>(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let body = serde_json::to_string(body).map_err(|error| self.error(path, error.into()))?;
        self.read(path, request.content_type("application/json").send(body))
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
