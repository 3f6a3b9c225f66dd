//! The JSON form of the acknowledgements of a checkpoint, by vertex and subtask:
//! `/jobs/:id/checkpoints/details/…`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UNSET;
use crate::statistics::Statistics;
use reflow_view::{AckView, CheckpointOutcome, CheckpointView, SubtaskCheckpointView, VertexCheckpointView};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CheckpointStatus {
    InProgress,
    Completed,
    Failed,
}

impl CheckpointStatus {
    pub fn of(outcome: &CheckpointOutcome) -> Self {
        match outcome {
            CheckpointOutcome::InProgress => Self::InProgress,
            CheckpointOutcome::Completed { .. } => Self::Completed,
            CheckpointOutcome::Failed { .. } => Self::Failed,
        }
    }
}

/// The acknowledgements of a vertex in a checkpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VertexFigures {
    pub id: u64,
    pub status: CheckpointStatus,
    pub latest_ack_timestamp: i64,
    pub checkpointed_size: u64,
    pub state_size: u64,
    pub end_to_end_duration: u64,
    pub alignment_buffered: u64,
    pub processed_data: u64,
    pub persisted_data: u64,
    pub num_subtasks: usize,
    pub num_acknowledged_subtasks: usize,
}

impl VertexFigures {
    pub fn of(checkpoint: &CheckpointView, vertex: &VertexCheckpointView) -> Self {
        let acknowledged = vertex.acks().count();
        let status = match CheckpointStatus::of(&checkpoint.outcome) {
            CheckpointStatus::InProgress if acknowledged == vertex.subtasks.len() => {
                CheckpointStatus::Completed
            }
            status => status,
        };
        Self {
            id: checkpoint.id.0,
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
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct VertexCheckpoint {
    #[serde(flatten)]
    pub figures: VertexFigures,
    pub summary: SubtaskCheckpointSummary,
    pub subtasks: Vec<SubtaskCheckpoint>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SubtaskCheckpointSummary {
    pub checkpointed_size: Statistics,
    pub state_size: Statistics,
    pub end_to_end_duration: Statistics,
    pub checkpoint_duration: Phases<Statistics>,
    pub alignment: Alignment<Statistics>,
    pub start_delay: Statistics,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Phases<T> {
    pub sync: T,
    pub r#async: T,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Alignment<T> {
    pub buffered: T,
    pub processed: T,
    pub persisted: T,
    pub duration: T,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "className", rename_all = "snake_case")]
pub enum SubtaskCheckpoint {
    Completed {
        index: u32,
        ack_timestamp: i64,
        end_to_end_duration: u64,
        checkpointed_size: u64,
        state_size: u64,
        checkpoint: Phases<u64>,
        alignment: Alignment<u64>,
        start_delay: u64,
        unaligned_checkpoint: bool,
        aborted: bool,
        status: String,
    },
    Pending {
        index: u32,
        status: String,
    },
}

impl VertexCheckpoint {
    pub fn of(checkpoint: &CheckpointView, vertex: &VertexCheckpointView) -> Self {
        let triggered_at_ms = checkpoint.triggered_at_ms;
        let over_acks = |figure: fn(&AckView) -> u64| Statistics::of(vertex.acks().map(figure));
        let summary = SubtaskCheckpointSummary {
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
        let index = subtask.index.0;
        let Some(ack) = subtask.ack else {
            return Self::Pending { index, status: "pending_or_failed".to_owned() };
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
            status: "completed".to_owned(),
        }
    }
}
