//! What each vertex and subtask did for a checkpoint: `/jobs/:id/checkpoints/details/…`.

use reflow_types::{CheckpointId, SubtaskIndex};
use serde::Serialize;

use super::UNSET;
use super::statistics::Statistics;
use reflow_view::{AckView, CheckpointOutcome, CheckpointView, SubtaskCheckpointView, VertexCheckpointView};

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CheckpointStatus {
    InProgress,
    Completed,
    Failed,
}

impl CheckpointStatus {
    pub(crate) fn of(outcome: &CheckpointOutcome) -> Self {
        match outcome {
            CheckpointOutcome::InProgress => Self::InProgress,
            CheckpointOutcome::Completed { .. } => Self::Completed,
            CheckpointOutcome::Failed { .. } => Self::Failed,
        }
    }
}

/// A vertex within a checkpoint.
#[derive(Serialize)]
pub(crate) struct VertexFigures {
    id: CheckpointId,
    status: CheckpointStatus,
    latest_ack_timestamp: i64,
    checkpointed_size: u64,
    state_size: u64,
    end_to_end_duration: u64,
    alignment_buffered: u64,
    processed_data: u64,
    persisted_data: u64,
    num_subtasks: usize,
    num_acknowledged_subtasks: usize,
}

impl VertexFigures {
    pub(crate) fn of(checkpoint: &CheckpointView, vertex: &VertexCheckpointView) -> Self {
        let acknowledged = vertex.acks().count();
        let status = match CheckpointStatus::of(&checkpoint.outcome) {
            CheckpointStatus::InProgress if acknowledged == vertex.subtasks.len() => {
                CheckpointStatus::Completed
            }
            status => status,
        };
        Self {
            id: checkpoint.id,
            status,
            latest_ack_timestamp: vertex.latest_ack_ms().unwrap_or(UNSET),
            checkpointed_size: vertex.sum(|ack| ack.checkpointed_size),
            state_size: vertex.sum(|ack| ack.state_size),
            end_to_end_duration: vertex.duration_ms(checkpoint.triggered_at_ms),
            alignment_buffered: 0,
            processed_data: vertex.sum(|ack| ack.processed_data),
            persisted_data: vertex.sum(|ack| ack.persisted_data),
            num_subtasks: vertex.subtasks.len(),
            num_acknowledged_subtasks: acknowledged,
        }
    }
}

/// `GET /jobs/:id/checkpoints/details/:checkpoint/subtasks/:vertex`
#[derive(Serialize)]
pub(crate) struct VertexCheckpoint {
    #[serde(flatten)]
    figures: VertexFigures,
    summary: SubtaskSummary,
    subtasks: Vec<SubtaskCheckpoint>,
}

#[derive(Serialize)]
struct SubtaskSummary {
    checkpointed_size: Statistics,
    state_size: Statistics,
    end_to_end_duration: Statistics,
    checkpoint_duration: Phases<Statistics>,
    alignment: Alignment<Statistics>,
    start_delay: Statistics,
}

#[derive(Serialize)]
struct Phases<T> {
    sync: T,
    r#async: T,
}

#[derive(Serialize)]
struct Alignment<T> {
    buffered: T,
    processed: T,
    persisted: T,
    duration: T,
}

#[derive(Serialize)]
#[serde(tag = "className", rename_all = "snake_case")]
enum SubtaskCheckpoint {
    Completed {
        index: SubtaskIndex,
        ack_timestamp: i64,
        end_to_end_duration: u64,
        checkpointed_size: u64,
        state_size: u64,
        checkpoint: Phases<u64>,
        alignment: Alignment<u64>,
        start_delay: u64,
        unaligned_checkpoint: bool,
        aborted: bool,
        status: &'static str,
    },
    Pending {
        index: SubtaskIndex,
        status: &'static str,
    },
}

impl VertexCheckpoint {
    pub(crate) fn of(checkpoint: &CheckpointView, vertex: &VertexCheckpointView) -> Self {
        let triggered_at_ms = checkpoint.triggered_at_ms;
        let over_acks = |figure: fn(&AckView) -> u64| Statistics::of(vertex.acks().map(figure));
        let summary = SubtaskSummary {
            checkpointed_size: over_acks(|ack| ack.checkpointed_size),
            state_size: over_acks(|ack| ack.state_size),
            end_to_end_duration: Statistics::of(vertex.acks().map(|ack| ack.duration_ms(triggered_at_ms))),
            checkpoint_duration: Phases {
                sync: over_acks(|ack| ack.sync_ms),
                r#async: over_acks(|ack| ack.async_ms),
            },
            alignment: Alignment {
                buffered: Statistics::zero(),
                processed: over_acks(|ack| ack.processed_data),
                persisted: over_acks(|ack| ack.persisted_data),
                duration: over_acks(|ack| ack.alignment_ms),
            },
            start_delay: over_acks(|ack| ack.start_delay_ms),
        };
        Self {
            figures: VertexFigures::of(checkpoint, vertex),
            summary,
            subtasks: vertex.subtasks.iter().map(|it| SubtaskCheckpoint::of(it, triggered_at_ms)).collect(),
        }
    }
}

impl SubtaskCheckpoint {
    fn of(subtask: &SubtaskCheckpointView, triggered_at_ms: i64) -> Self {
        let index = subtask.index;
        let Some(ack) = subtask.ack else {
            return Self::Pending { index, status: "pending_or_failed" };
        };
        Self::Completed {
            index,
            ack_timestamp: ack.at_ms,
            end_to_end_duration: ack.duration_ms(triggered_at_ms),
            checkpointed_size: ack.checkpointed_size,
            state_size: ack.state_size,
            checkpoint: Phases { sync: ack.sync_ms, r#async: ack.async_ms },
            alignment: Alignment {
                buffered: 0,
                processed: ack.processed_data,
                persisted: ack.persisted_data,
                duration: ack.alignment_ms,
            },
            start_delay: ack.start_delay_ms,
            unaligned_checkpoint: false,
            aborted: false,
            status: "completed",
        }
    }
}
