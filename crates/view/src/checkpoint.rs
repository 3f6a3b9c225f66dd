//! Checkpoints and savepoints, as statistics.
//!
//! A checkpoint is described by what each subtask acknowledged; sizes, durations and counts of vertices and
//! of the whole checkpoint follow from that and are methods here, so that they cannot contradict each other.

use std::sync::Arc;

use reflow_types::{CheckpointId, SubtaskIndex, VertexId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::summary::{Samples, Summary};

/// All that is known of a job's checkpoints.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckpointsView {
    /// How many there were.
    pub counts: CheckpointCounts,
    /// Figures over the completed ones.
    pub summary: CheckpointSummary,
    /// The retained ones, newest first.
    pub history: Vec<Arc<CheckpointView>>,
    /// The last completed checkpoint that is no savepoint.
    pub latest_completed: Option<Arc<CheckpointView>>,
    /// The last completed savepoint.
    pub latest_savepoint: Option<Arc<CheckpointView>>,
    /// The last one that failed.
    pub latest_failed: Option<Arc<CheckpointView>>,
    /// What the job last restored from.
    pub latest_restored: Option<RestoredView>,
    /// What governs them.
    pub config: CheckpointConfigView,
}

impl CheckpointsView {
    /// The retained checkpoint of that id.
    pub fn checkpoint(&self, id: CheckpointId) -> Option<&CheckpointView> {
        let latest = [&self.latest_completed, &self.latest_savepoint, &self.latest_failed];
        let known = self.history.iter().chain(latest.into_iter().flatten());
        known.map(Arc::as_ref).find(|checkpoint| checkpoint.id == id)
    }
}

/// How many checkpoints there were since the JobManager began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointCounts {
    /// Times the job was restored.
    pub restored: u64,
    /// All that were triggered.
    pub total: u64,
    /// Under way.
    pub in_progress: u64,
    /// Complete.
    pub completed: u64,
    /// Failed, expired or declined.
    pub failed: u64,
}

/// Figures over all completed checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CheckpointSummary {
    /// Bytes written.
    pub checkpointed_size: Summary,
    /// Bytes of state that the checkpoint stands for.
    pub state_size: Summary,
    /// Milliseconds from trigger to completion.
    pub end_to_end_duration: Summary,
    /// Bytes processed during alignment.
    pub processed_data: Summary,
    /// Bytes of records in flight that were stored.
    pub persisted_data: Summary,
}

/// Collects the figures of completed checkpoints for [`CheckpointSummary`]. The JobManager holds one a job.
#[derive(Debug, Clone, Default)]
pub struct CheckpointSamples {
    checkpointed_size: Samples,
    state_size: Samples,
    end_to_end_duration: Samples,
    processed_data: Samples,
    persisted_data: Samples,
}

impl CheckpointSamples {
    /// Counts a completed checkpoint in.
    pub fn add(&mut self, checkpoint: &CheckpointView) {
        self.checkpointed_size.add(checkpoint.sum(|ack| ack.checkpointed_size));
        self.state_size.add(checkpoint.sum(|ack| ack.state_size));
        self.end_to_end_duration.add(checkpoint.duration_ms());
        self.processed_data.add(checkpoint.sum(|ack| ack.processed_data));
        self.persisted_data.add(checkpoint.sum(|ack| ack.persisted_data));
    }

    /// The figures so far.
    pub fn summarize(&self) -> CheckpointSummary {
        CheckpointSummary {
            checkpointed_size: self.checkpointed_size.summarize(),
            state_size: self.state_size.summarize(),
            end_to_end_duration: self.end_to_end_duration.summarize(),
            processed_data: self.processed_data.summarize(),
            persisted_data: self.persisted_data.summarize(),
        }
    }
}

/// One checkpoint or savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointView {
    /// Its id.
    pub id: CheckpointId,
    /// What it is.
    pub kind: CheckpointKind,
    /// When it was triggered.
    pub triggered_at_ms: i64,
    /// How it stands.
    pub outcome: CheckpointOutcome,
    /// What the subtasks did for it, by vertex.
    pub vertices: Vec<VertexCheckpointView>,
}

/// What a checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// The engine's own.
    Checkpoint,
    /// The user's.
    Savepoint(SavepointFormat),
    /// The user's, after which the job ends.
    StopSavepoint(SavepointFormat),
}

/// How a savepoint is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SavepointFormat {
    /// Self-describing: every later release reads it.
    #[default]
    Canonical,
    /// As a checkpoint is.
    Native,
}

/// How a checkpoint stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointOutcome {
    /// Acknowledgements are awaited.
    InProgress,
    /// All is stored.
    Completed {
        /// Where.
        location: String,
        /// Whether it was deleted since.
        discarded: bool,
    },
    /// It was given up.
    Failed {
        /// When.
        at_ms: i64,
        /// Why.
        reason: String,
    },
}

impl CheckpointView {
    /// The sum of `figure` over all acknowledgements.
    pub fn sum(&self, figure: impl Fn(&AckView) -> u64) -> u64 {
        self.vertices.iter().map(|vertex| vertex.sum(&figure)).sum()
    }

    /// When the last acknowledgement came.
    pub fn latest_ack_ms(&self) -> Option<i64> {
        self.vertices.iter().filter_map(VertexCheckpointView::latest_ack_ms).max()
    }

    /// Milliseconds from the trigger to the last acknowledgement, or to failure.
    pub fn duration_ms(&self) -> u64 {
        let end = match self.outcome {
            CheckpointOutcome::Failed { at_ms, .. } => Some(at_ms),
            CheckpointOutcome::InProgress | CheckpointOutcome::Completed { .. } => self.latest_ack_ms(),
        };
        elapsed_ms(self.triggered_at_ms, end)
    }

    /// What the subtasks of a vertex did for it.
    pub fn vertex(&self, id: VertexId) -> Option<&VertexCheckpointView> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }
}

/// What the subtasks of one vertex did for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexCheckpointView {
    /// The vertex.
    pub id: VertexId,
    /// Its subtasks by index.
    pub subtasks: Vec<SubtaskCheckpointView>,
}

impl VertexCheckpointView {
    /// Those that acknowledged.
    pub fn acks(&self) -> impl Iterator<Item = &AckView> {
        self.subtasks.iter().filter_map(|subtask| subtask.ack.as_ref())
    }

    /// The sum of `figure` over the acknowledgements.
    pub fn sum(&self, figure: impl Fn(&AckView) -> u64) -> u64 {
        self.acks().map(figure).sum()
    }

    /// When the last acknowledgement came.
    pub fn latest_ack_ms(&self) -> Option<i64> {
        self.acks().map(|ack| ack.at_ms).max()
    }

    /// Milliseconds from the trigger to the last acknowledgement.
    pub fn duration_ms(&self, triggered_at_ms: i64) -> u64 {
        elapsed_ms(triggered_at_ms, self.latest_ack_ms())
    }
}

/// What one subtask did for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtaskCheckpointView {
    /// The subtask.
    pub index: SubtaskIndex,
    /// Its acknowledgement; `None` until it comes.
    pub ack: Option<AckView>,
}

/// An acknowledgement, with what it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckView {
    /// When it came.
    pub at_ms: i64,
    /// Bytes written.
    pub checkpointed_size: u64,
    /// Bytes of state.
    pub state_size: u64,
    /// Bytes processed during alignment.
    pub processed_data: u64,
    /// Bytes of records in flight that were stored.
    pub persisted_data: u64,
    /// Time for which the subtask stood still.
    pub sync_ms: u64,
    /// Time for writing beside the stream.
    pub async_ms: u64,
    /// Time between the first and the last barrier.
    pub alignment_ms: u64,
    /// Time from the trigger to the first barrier.
    pub start_delay_ms: u64,
}

impl AckView {
    /// Milliseconds from the trigger to the acknowledgement.
    pub fn duration_ms(&self, triggered_at_ms: i64) -> u64 {
        elapsed_ms(triggered_at_ms, Some(self.at_ms))
    }
}

/// What a job was restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredView {
    /// The checkpoint.
    pub id: CheckpointId,
    /// When.
    pub at_ms: i64,
    /// Whether it was a savepoint.
    pub is_savepoint: bool,
    /// Where it lies.
    pub location: String,
}

/// What governs checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointConfigView {
    /// Time between triggers; `None` for none but the user's.
    pub interval_ms: Option<u64>,
    /// After which one is given up.
    pub timeout_ms: u64,
    /// Least time between the end of one and the trigger of the next.
    pub min_pause_ms: u64,
    /// How many may be under way.
    pub max_concurrent: u32,
    /// How many may fail in a row before the job does.
    pub tolerable_failures: u32,
    /// Whether the last one is kept when the job is cancelled.
    pub retained_on_cancellation: bool,
    /// The state backend's name.
    pub state_backend: String,
    /// The storage's name.
    pub storage: String,
}

fn elapsed_ms(from_ms: i64, to_ms: Option<i64>) -> u64 {
    to_ms.map_or(0, |to_ms| u64::try_from(to_ms - from_ms).unwrap_or(0))
}
