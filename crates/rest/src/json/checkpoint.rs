//! Checkpoints: `/jobs/:id/checkpoints` and its `config`. One in detail is `checkpoint_detail`.

use std::collections::BTreeMap;
use std::sync::Arc;

use reflow_types::{CheckpointId, VertexId};
use serde::Serialize;

use super::UNSET;
use super::checkpoint_detail::{CheckpointStatus, VertexFigures};
use super::statistics::Statistics;
use reflow_view::{
    CheckpointConfigView, CheckpointCounts, CheckpointKind, CheckpointOutcome, CheckpointSummary,
    CheckpointView, CheckpointsView, RestoredView, SavepointFormat,
};

/// `GET /jobs/:id/checkpoints`
#[derive(Serialize)]
pub(crate) struct Checkpoints<'a> {
    counts: CheckpointCounts,
    summary: SummaryFigures,
    latest: Latest<'a>,
    history: Vec<Checkpoint<'a>>,
}

#[derive(Serialize)]
struct SummaryFigures {
    checkpointed_size: Statistics,
    state_size: Statistics,
    end_to_end_duration: Statistics,
    alignment_buffered: Statistics,
    processed_data: Statistics,
    persisted_data: Statistics,
}

#[derive(Serialize)]
struct Latest<'a> {
    completed: Option<Checkpoint<'a>>,
    savepoint: Option<Checkpoint<'a>>,
    failed: Option<Checkpoint<'a>>,
    restored: Option<Restored<'a>>,
}

#[derive(Serialize)]
struct Restored<'a> {
    id: CheckpointId,
    restore_timestamp: i64,
    is_savepoint: bool,
    external_path: &'a str,
}

/// One checkpoint; in lists `tasks` is empty.
#[derive(Serialize)]
pub(crate) struct Checkpoint<'a> {
    #[serde(rename = "className")]
    class_name: &'static str,
    id: CheckpointId,
    status: CheckpointStatus,
    is_savepoint: bool,
    #[serde(rename = "savepointFormat")]
    savepoint_format: Option<SavepointFormat>,
    trigger_timestamp: i64,
    latest_ack_timestamp: i64,
    checkpointed_size: u64,
    state_size: u64,
    end_to_end_duration: u64,
    alignment_buffered: u64,
    processed_data: u64,
    persisted_data: u64,
    num_subtasks: usize,
    num_acknowledged_subtasks: usize,
    checkpoint_type: &'static str,
    tasks: BTreeMap<VertexId, VertexFigures>,
    #[serde(flatten)]
    ending: Ending<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Ending<'a> {
    InProgress {},
    Completed { external_path: &'a str, discarded: bool },
    Failed { failure_timestamp: i64, failure_message: &'a str },
}

impl<'a> Checkpoints<'a> {
    pub(crate) fn of(view: &'a CheckpointsView) -> Self {
        let latest =
            |checkpoint: &'a Option<Arc<CheckpointView>>| checkpoint.as_deref().map(Checkpoint::in_list);
        Self {
            counts: view.counts,
            summary: SummaryFigures::of(&view.summary),
            latest: Latest {
                completed: latest(&view.latest_completed),
                savepoint: latest(&view.latest_savepoint),
                failed: latest(&view.latest_failed),
                restored: view.latest_restored.as_ref().map(Restored::of),
            },
            history: view.history.iter().map(|checkpoint| Checkpoint::in_list(checkpoint)).collect(),
        }
    }
}

impl SummaryFigures {
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

impl<'a> Restored<'a> {
    fn of(restored: &'a RestoredView) -> Self {
        Self {
            id: restored.id,
            restore_timestamp: restored.at_ms,
            is_savepoint: restored.is_savepoint,
            external_path: &restored.location,
        }
    }
}

impl<'a> Checkpoint<'a> {
    fn in_list(checkpoint: &'a CheckpointView) -> Self {
        let (checkpoint_type, savepoint_format) = match checkpoint.kind {
            CheckpointKind::Checkpoint => ("CHECKPOINT", None),
            CheckpointKind::Savepoint(format) => ("SAVEPOINT", Some(format)),
            CheckpointKind::StopSavepoint(format) => ("SYNC_SAVEPOINT", Some(format)),
        };
        let (class_name, ending) = match &checkpoint.outcome {
            CheckpointOutcome::InProgress => ("in_progress", Ending::InProgress {}),
            CheckpointOutcome::Completed { location, discarded } => {
                ("completed", Ending::Completed { external_path: location, discarded: *discarded })
            }
            CheckpointOutcome::Failed { at_ms, reason } => {
                ("failed", Ending::Failed { failure_timestamp: *at_ms, failure_message: reason })
            }
        };
        Self {
            class_name,
            id: checkpoint.id,
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
            checkpoint_type,
            tasks: BTreeMap::new(),
            ending,
        }
    }

    /// `GET /jobs/:id/checkpoints/details/:checkpoint`
    pub(crate) fn in_detail(checkpoint: &'a CheckpointView) -> Self {
        let tasks = checkpoint.vertices.iter();
        let tasks = tasks.map(|vertex| (vertex.id, VertexFigures::of(checkpoint, vertex))).collect();
        Self { tasks, ..Self::in_list(checkpoint) }
    }
}

/// `GET /jobs/:id/checkpoints/config`
#[derive(Serialize)]
pub(crate) struct CheckpointConfig<'a> {
    mode: &'static str,
    interval: u64,
    timeout: u64,
    min_pause: u64,
    max_concurrent: u32,
    externalization: Externalization,
    state_backend: &'a str,
    checkpoint_storage: &'a str,
    unaligned_checkpoints: bool,
    tolerable_failed_checkpoints: u32,
    aligned_checkpoint_timeout: u64,
    checkpoints_after_tasks_finish: bool,
    state_changelog_enabled: bool,
    changelog_periodic_materialization_interval: u64,
    changelog_storage: &'static str,
}

#[derive(Serialize)]
struct Externalization {
    enabled: bool,
    delete_on_cancellation: bool,
}

/// Flink's interval where there is none.
const NEVER_MS: u64 = i64::MAX as u64;

impl<'a> CheckpointConfig<'a> {
    pub(crate) fn of(config: &'a CheckpointConfigView) -> Self {
        Self {
            mode: "exactly_once",
            interval: config.interval_ms.unwrap_or(NEVER_MS),
            timeout: config.timeout_ms,
            min_pause: config.min_pause_ms,
            max_concurrent: config.max_concurrent,
            externalization: Externalization {
                enabled: config.retained_on_cancellation,
                delete_on_cancellation: !config.retained_on_cancellation,
            },
            state_backend: &config.state_backend,
            checkpoint_storage: &config.storage,
            unaligned_checkpoints: false,
            tolerable_failed_checkpoints: config.tolerable_failures,
            aligned_checkpoint_timeout: 0,
            checkpoints_after_tasks_finish: true,
            state_changelog_enabled: false,
            changelog_periodic_materialization_interval: NEVER_MS,
            changelog_storage: "none",
        }
    }
}
