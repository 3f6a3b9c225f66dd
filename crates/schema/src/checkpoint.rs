//! The JSON form of checkpoints: `/jobs/:id/checkpoints` and its `config`. `checkpoint_detail` has that of one
//! checkpoint in detail.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UNSET;
use crate::checkpoint_detail::{CheckpointStatus, VertexFigures};
use crate::statistics::Statistics;
use reflow_view::{
    CheckpointConfigView, CheckpointCounts, CheckpointKind, CheckpointOutcome, CheckpointSummary,
    CheckpointView, CheckpointsView, RestoredView, SavepointFormat,
};

/// `GET /jobs/:id/checkpoints`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Checkpoints {
    pub counts: CheckpointCounts,
    pub summary: CheckpointsSummary,
    pub latest: LatestCheckpoints,
    pub history: Vec<Checkpoint>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckpointsSummary {
    pub checkpointed_size: Statistics,
    pub state_size: Statistics,
    pub end_to_end_duration: Statistics,
    pub alignment_buffered: Statistics,
    pub processed_data: Statistics,
    pub persisted_data: Statistics,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LatestCheckpoints {
    #[schema(required)]
    pub completed: Option<Checkpoint>,
    #[schema(required)]
    pub savepoint: Option<Checkpoint>,
    #[schema(required)]
    pub failed: Option<Checkpoint>,
    #[schema(required)]
    pub restored: Option<RestoredCheckpoint>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RestoredCheckpoint {
    pub id: u64,
    pub restore_timestamp: i64,
    pub is_savepoint: bool,
    pub external_path: String,
}

/// A checkpoint. In lists, `tasks` is empty.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    #[serde(rename = "className")]
    pub class_name: String,
    pub id: u64,
    pub status: CheckpointStatus,
    pub is_savepoint: bool,
    #[serde(rename = "savepointFormat")]
    #[schema(required)]
    pub savepoint_format: Option<SavepointFormat>,
    pub trigger_timestamp: i64,
    pub latest_ack_timestamp: i64,
    pub checkpointed_size: u64,
    pub state_size: u64,
    pub end_to_end_duration: u64,
    pub alignment_buffered: u64,
    pub processed_data: u64,
    pub persisted_data: u64,
    pub num_subtasks: usize,
    pub num_acknowledged_subtasks: usize,
    pub checkpoint_type: String,
    pub tasks: BTreeMap<String, VertexFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub external_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub discarded: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failure_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failure_message: Option<String>,
}

impl Checkpoints {
    pub fn of(view: &CheckpointsView) -> Self {
        let latest =
            |checkpoint: &Option<Arc<CheckpointView>>| checkpoint.as_deref().map(Checkpoint::in_list);
        Self {
            counts: view.counts,
            summary: CheckpointsSummary::of(&view.summary),
            latest: LatestCheckpoints {
                completed: latest(&view.latest_completed),
                savepoint: latest(&view.latest_savepoint),
                failed: latest(&view.latest_failed),
                restored: view.latest_restored.as_ref().map(RestoredCheckpoint::of),
            },
            history: view.history.iter().map(|checkpoint| Checkpoint::in_list(checkpoint)).collect(),
        }
    }
}

impl CheckpointsSummary {
    fn of(summary: &CheckpointSummary) -> Self {
        Self {
            checkpointed_size: summary.checkpointed_size.into(),
            state_size: summary.state_size.into(),
            end_to_end_duration: summary.end_to_end_duration.into(),
            alignment_buffered: Statistics::zero(),
            processed_data: summary.processed_data.into(),
            persisted_data: summary.persisted_data.into(),
        }
    }
}

impl RestoredCheckpoint {
    fn of(restored: &RestoredView) -> Self {
        Self {
            id: restored.id.0,
            restore_timestamp: restored.at_ms,
            is_savepoint: restored.is_savepoint,
            external_path: restored.location.clone(),
        }
    }
}

impl Checkpoint {
    fn in_list(checkpoint: &CheckpointView) -> Self {
        let (checkpoint_type, savepoint_format) = match checkpoint.kind {
            CheckpointKind::Checkpoint => ("CHECKPOINT", None),
            CheckpointKind::Savepoint(format) => ("SAVEPOINT", Some(format)),
            CheckpointKind::StopSavepoint(format) => ("SYNC_SAVEPOINT", Some(format)),
        };
        let (external_path, discarded) = match &checkpoint.outcome {
            CheckpointOutcome::Completed { location, discarded } => {
                (Some(location.clone()), Some(*discarded))
            }
            CheckpointOutcome::InProgress | CheckpointOutcome::Failed { .. } => (None, None),
        };
        let (failure_timestamp, failure_message) = match &checkpoint.outcome {
            CheckpointOutcome::Failed { at_ms, reason } => (Some(*at_ms), Some(reason.clone())),
            CheckpointOutcome::InProgress | CheckpointOutcome::Completed { .. } => (None, None),
        };
        let class_name = match &checkpoint.outcome {
            CheckpointOutcome::InProgress => "in_progress",
            CheckpointOutcome::Completed { .. } => "completed",
            CheckpointOutcome::Failed { .. } => "failed",
        };
        Self {
            class_name: class_name.to_owned(),
            id: checkpoint.id.0,
            status: CheckpointStatus::of(&checkpoint.outcome),
            is_savepoint: savepoint_format.is_some(),
            savepoint_format,
            trigger_timestamp: checkpoint.triggered_at_ms,
            latest_ack_timestamp: checkpoint.latest_ack_ms().unwrap_or(UNSET),
            checkpointed_size: checkpoint.sum(|ack| ack.checkpointed_size),
            state_size: checkpoint.sum(|ack| ack.state_size),
            end_to_end_duration: checkpoint.duration_ms(),
            alignment_buffered: 0,
            processed_data: checkpoint.sum(|ack| ack.processed_data),
            persisted_data: checkpoint.sum(|ack| ack.persisted_data),
            num_subtasks: checkpoint.vertices.iter().map(|vertex| vertex.subtasks.len()).sum(),
            num_acknowledged_subtasks: checkpoint.vertices.iter().map(|vertex| vertex.acks().count()).sum(),
            checkpoint_type: checkpoint_type.to_owned(),
            tasks: BTreeMap::new(),
            external_path,
            discarded,
            failure_timestamp,
            failure_message,
        }
    }

    /// `GET /jobs/:id/checkpoints/details/:checkpoint`
    pub fn in_detail(checkpoint: &CheckpointView) -> Self {
        let tasks = checkpoint.vertices.iter();
        let tasks =
            tasks.map(|vertex| (vertex.id.to_string(), VertexFigures::of(checkpoint, vertex))).collect();
        Self { tasks, ..Self::in_list(checkpoint) }
    }
}

/// `GET /jobs/:id/checkpoints/config`
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckpointConfig {
    pub mode: String,
    pub interval: u64,
    pub timeout: u64,
    pub min_pause: u64,
    pub max_concurrent: u32,
    pub externalization: Externalization,
    pub state_backend: String,
    pub checkpoint_storage: String,
    pub unaligned_checkpoints: bool,
    pub tolerable_failed_checkpoints: u32,
    pub aligned_checkpoint_timeout: u64,
    pub checkpoints_after_tasks_finish: bool,
    pub state_changelog_enabled: bool,
    pub changelog_periodic_materialization_interval: u64,
    pub changelog_storage: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Externalization {
    pub enabled: bool,
    pub delete_on_cancellation: bool,
}

/// The interval with which Flink says that no checkpoints are triggered periodically.
const NEVER_MS: u64 = i64::MAX as u64;

impl CheckpointConfig {
    pub fn of(config: &CheckpointConfigView) -> Self {
        Self {
            mode: "exactly_once".to_owned(),
            interval: config.interval_ms.unwrap_or(NEVER_MS),
            timeout: config.timeout_ms,
            min_pause: config.min_pause_ms,
            max_concurrent: config.max_concurrent,
            externalization: Externalization {
                enabled: config.retained_on_cancellation,
                delete_on_cancellation: !config.retained_on_cancellation,
            },
            state_backend: config.state_backend.clone(),
            checkpoint_storage: config.storage.clone(),
            unaligned_checkpoints: false,
            tolerable_failed_checkpoints: config.tolerable_failures,
            aligned_checkpoint_timeout: 0,
            checkpoints_after_tasks_finish: true,
            state_changelog_enabled: false,
            changelog_periodic_materialization_interval: NEVER_MS,
            changelog_storage: "none".to_owned(),
        }
    }
}
