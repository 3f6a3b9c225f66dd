//! The JSON form of a vertex by TaskManager: `/jobs/:id/vertices/:v/taskmanagers`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::vertex::{Aggregated, IoMetrics};
use crate::{UNSET, duration_ms};
use reflow_types::TaskManagerId;
use reflow_view::{ExecutionState, SubtaskView, VertexView};

/// `GET /jobs/:id/vertices/:v/taskmanagers`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VertexTaskManagers {
    pub id: String,
    pub name: String,
    pub now: i64,
    pub taskmanagers: Vec<VertexTaskManager>,
}

/// The subtasks of a vertex that one TaskManager runs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct VertexTaskManager {
    pub endpoint: String,
    pub status: ExecutionState,
    pub start_time: i64,
    pub end_time: i64,
    pub duration: i64,
    pub metrics: IoMetrics,
    pub status_counts: BTreeMap<ExecutionState, usize>,
    pub taskmanager_id: String,
    pub aggregated: Aggregated,
}

impl VertexTaskManagers {
    pub fn of(vertex: &VertexView, now_ms: i64) -> Self {
        let mut by_task_manager: BTreeMap<Option<TaskManagerId>, Vec<&SubtaskView>> = BTreeMap::new();
        for subtask in &vertex.subtasks {
            let task_manager = subtask.placement.as_ref().map(|placement| placement.task_manager);
            by_task_manager.entry(task_manager).or_default().push(subtask);
        }
        let entries = by_task_manager.into_iter();
        Self {
            id: vertex.id.to_string(),
            name: vertex.name(),
            now: now_ms,
            taskmanagers: entries
                .map(|(id, subtasks)| VertexTaskManager::of(id, &subtasks, now_ms))
                .collect(),
        }
    }
}

impl VertexTaskManager {
    /// `id` is `None` for subtasks that have no slot yet, which Flink calls unassigned.
    fn of(id: Option<TaskManagerId>, subtasks: &[&SubtaskView], now_ms: i64) -> Self {
        let unassigned = || "(unassigned)".to_owned();
        let endpoint = subtasks.iter().find_map(|subtask| subtask.placement.as_ref());
        let started_at_ms = subtasks.iter().filter_map(|subtask| subtask.started_at_ms()).min();
        let ends: Option<Vec<i64>> = subtasks.iter().map(|subtask| subtask.ended_at_ms()).collect();
        let ended_at_ms = ends.and_then(|ends| ends.into_iter().max());
        let count = |state| subtasks.iter().filter(|subtask| subtask.state == state).count();
        Self {
            endpoint: endpoint.map_or_else(unassigned, |placement| placement.endpoint.clone()),
            status: ExecutionState::of_vertex(subtasks.iter().map(|subtask| subtask.state)),
            start_time: started_at_ms.unwrap_or(UNSET),
            end_time: ended_at_ms.unwrap_or(UNSET),
            duration: duration_ms(started_at_ms, ended_at_ms.unwrap_or(now_ms)),
            metrics: IoMetrics::sum(subtasks.iter().map(|subtask| &subtask.io)),
            status_counts: ExecutionState::ALL.map(|state| (state, count(state))).into(),
            taskmanager_id: id.map_or_else(unassigned, |id| id.to_string()),
            aggregated: Aggregated::of(subtasks.iter().copied(), now_ms),
        }
    }
}
