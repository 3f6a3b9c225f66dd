//! The client's routes for TaskManagers.

use super::Client;
use crate::error::CliError;
use reflow_schema::{DrainAccepted, DrainRequest, TaskManager, TaskManagers};

impl Client {
    /// All registered TaskManagers.
    pub(crate) fn task_managers(&self) -> Result<Vec<TaskManager>, CliError> {
        let TaskManagers { taskmanagers } = self.get("/taskmanagers")?;
        Ok(taskmanagers)
    }

    /// Requests a drain. Returns the id of the request if a savepoint or checkpoint is taken first.
    pub(crate) fn drain(&self, id: &str, wanted: &DrainRequest) -> Result<Option<String>, CliError> {
        let DrainAccepted { request_id } = self.post(&format!("/taskmanagers/{id}/drain"), wanted)?;
        Ok(request_id)
    }
}
