//! TaskManagers.

use super::{Client, Triggered};
use crate::error::CliError;
use serde::Deserialize;

/// A TaskManager in `GET /taskmanagers`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskManager {
    pub(crate) id: String,
    /// `host:port`
    pub(crate) path: String,
    pub(crate) slots_number: u32,
    pub(crate) assigned_tasks: u32,
}

impl TaskManager {
    pub(crate) fn host(&self) -> &str {
        self.path.rsplit_once(':').map_or(self.path.as_str(), |(host, _)| host)
    }
}

#[derive(Deserialize)]
struct TaskManagers {
    taskmanagers: Vec<TaskManager>,
}

impl Client {
    /// All that are registered.
    pub(crate) fn task_managers(&self) -> Result<Vec<TaskManager>, CliError> {
        let json = self.take(self.agent.get(self.url("/taskmanagers")).call())?;
        Ok(self.read::<TaskManagers>(json)?.taskmanagers)
    }

    /// Begins to drain one. Gives the request to ask by if a savepoint or checkpoint is taken first.
    pub(crate) fn drain(&self, id: &str, force: bool) -> Result<Option<String>, CliError> {
        let request = self.agent.post(self.url(&format!("/taskmanagers/{id}/drain")));
        let body = serde_json::json!({ "force": force }).to_string();
        let json = self.take(request.content_type("application/json").send(body))?;
        if json.get("request-id").is_none() {
            return Ok(None);
        }
        Ok(Some(self.read::<Triggered>(json)?.request_id))
    }
}
