//! The client's routes for resource requirements and rescales.

use super::Client;
use crate::error::CliError;
use reflow_schema::{
    Accepted, ClusterOverview, Rescale, RescalesConfig, RescalesOverview, VertexRequirements,
};
use std::collections::BTreeMap;

impl Client {
    /// The bounds of all vertices, by id.
    pub(crate) fn requirements(&self, job: &str) -> Result<BTreeMap<String, VertexRequirements>, CliError> {
        self.get(&format!("/jobs/{job}/resource-requirements"))
    }

    /// Replaces the bounds of all vertices.
    pub(crate) fn update_requirements(
        &self,
        job: &str,
        requirements: &BTreeMap<String, VertexRequirements>,
    ) -> Result<(), CliError> {
        self.put(&format!("/jobs/{job}/resource-requirements"), requirements).map(|Accepted {}| ())
    }

    /// Whether the job runs in reactive mode.
    pub(crate) fn is_reactive(&self, job: &str) -> Result<bool, CliError> {
        let config: RescalesConfig = self.get(&format!("/jobs/{job}/rescales/config"))?;
        Ok(config.scheduler_execution_mode.is_some_and(|mode| mode.eq_ignore_ascii_case("reactive")))
    }

    /// The slots of the cluster.
    pub(crate) fn overview(&self) -> Result<ClusterOverview, CliError> {
        self.get("/overview")
    }

    /// Whether a rescale is under way.
    pub(crate) fn rescales_now(&self, job: &str) -> Result<bool, CliError> {
        let overview: RescalesOverview = self.get(&format!("/jobs/{job}/rescales/overview"))?;
        Ok(overview.rescales_counts.in_progress > 0)
    }

    /// The number of completed rescales.
    pub(crate) fn rescales_completed(&self, job: &str) -> Result<u64, CliError> {
        let overview: RescalesOverview = self.get(&format!("/jobs/{job}/rescales/overview"))?;
        Ok(overview.rescales_counts.completed)
    }

    /// The rescales in the history, with details, newest first.
    pub(crate) fn rescales(&self, job: &str) -> Result<Vec<Rescale>, CliError> {
        let history: Vec<Rescale> = self.get(&format!("/jobs/{job}/rescales/history"))?;
        let detail =
            |rescale: &Rescale| self.get(&format!("/jobs/{job}/rescales/details/{}", rescale.rescale_uuid));
        history.iter().map(detail).collect()
    }
}
