//! Resource requirements and rescales.

use super::Client;
use crate::error::CliError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A vertex in `GET` and `PUT /jobs/:id/resource-requirements`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VertexRequirements {
    pub(crate) parallelism: Bounds,
}

/// Between which the parallelism is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bounds {
    pub(crate) lower_bound: u32,
    pub(crate) upper_bound: u32,
}

/// `GET /jobs/:id/rescales/details/:rescale`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rescale {
    pub(crate) start_timestamp_in_millis: i64,
    pub(crate) end_timestamp_in_millis: Option<i64>,
    pub(crate) trigger_cause: String,
    pub(crate) terminal_state: Option<String>,
    pub(crate) terminated_reason: Option<String>,
    pub(crate) vertices: BTreeMap<String, RescaledVertex>,
    pub(crate) scheduler_states: Vec<SchedulerState>,
    /// Reflow's own: how it went while the job ran on.
    pub(crate) live_rescale: Option<LiveRescale>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RescaledVertex {
    pub(crate) pre_rescale_parallelism: Option<u32>,
    pub(crate) post_rescale_parallelism: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchedulerState {
    pub(crate) state: String,
    pub(crate) duration_in_millis: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LiveRescale {
    pub(crate) phases: Vec<LivePhase>,
    pub(crate) longest_pause_in_micros: u64,
    pub(crate) key_groups_moved: u64,
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LivePhase {
    pub(crate) phase: String,
    pub(crate) duration_in_millis: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    rescale_uuid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    rescales_counts: Counts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    in_progress: u64,
}

impl Client {
    /// The bounds of all vertices, by id.
    pub(crate) fn requirements(&self, job: &str) -> Result<BTreeMap<String, VertexRequirements>, CliError> {
        let url = self.url(&format!("/jobs/{job}/resource-requirements"));
        self.read(self.take(self.agent.get(url).call())?)
    }

    /// Replaces them.
    pub(crate) fn update_requirements(
        &self,
        job: &str,
        requirements: &BTreeMap<String, VertexRequirements>,
    ) -> Result<(), CliError> {
        let request = self.agent.put(self.url(&format!("/jobs/{job}/resource-requirements")));
        let body = serde_json::json!(requirements).to_string();
        self.take(request.content_type("application/json").send(body)).map(drop)
    }

    /// Whether a rescale is under way.
    pub(crate) fn rescales_now(&self, job: &str) -> Result<bool, CliError> {
        let url = self.url(&format!("/jobs/{job}/rescales/overview"));
        let overview: Overview = self.read(self.take(self.agent.get(url).call())?)?;
        Ok(overview.rescales_counts.in_progress > 0)
    }

    /// The rescales that are remembered, in detail and as they are, newest first.
    pub(crate) fn rescales_json(&self, job: &str) -> Result<Vec<Value>, CliError> {
        let url = self.url(&format!("/jobs/{job}/rescales/history"));
        let history: Vec<Entry> = self.read(self.take(self.agent.get(url).call())?)?;
        let detail = |entry: &Entry| {
            let url = self.url(&format!("/jobs/{job}/rescales/details/{}", entry.rescale_uuid));
            self.take(self.agent.get(url).call())
        };
        history.iter().map(detail).collect()
    }

    /// The same, read.
    pub(crate) fn rescales(&self, job: &str) -> Result<Vec<Rescale>, CliError> {
        self.rescales_json(job)?.into_iter().map(|json| self.read(json)).collect()
    }
}
