//! The statistics of checkpoints and savepoints.
//!
//! A checkpoint is described by the acknowledgements of its subtasks. The sizes, durations and counts of vertices
//! and of the whole checkpoint are methods that compute them, so they cannot contradict each other.

use std::sync::Arc;

use reflow_types::{CheckpointId, SubtaskIndex, VertexId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::summary::{Samples, Summary};

/// The checkpoints of a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CheckpointsView {
    /// The numbers of checkpoints.
    pub counts: CheckpointCounts,
    /// Statistics over the completed ones.
    pub summary: CheckpointSummary,
    /// The retained ones, newest first.
    pub history: Vec<Arc<CheckpointView>>,
    /// The last completed checkpoint that is not a savepoint.
    pub latest_completed: Option<Arc<CheckpointView>>,
    /// The last completed savepoint.
    pub latest_savepoint: Option<Arc<CheckpointView>>,
    /// The last one that failed.
    pub latest_failed: Option<Arc<CheckpointView>>,
    /// The last restore of the job.
    pub latest_restored: Option<RestoredView>,
    /// The configuration of checkpoints.
    pub config: CheckpointConfigView,
}

impl CheckpointsView {
    /// The retained checkpoint with this id.
    pub fn checkpoint(&self, id: CheckpointId) -> Option<&CheckpointView> {
        let latest = [&self.latest_completed, &self.latest_savepoint, &self.latest_failed];
        let known = self.history.iter().chain(latest.into_iter().flatten());
        known.map(Arc::as_ref).find(|checkpoint| checkpoint.id == id)
    }
}

/// The numbers of checkpoints since this JobManager began to count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointCounts {
    /// How often the job was restored.
    pub restored: u64,
    /// All triggered checkpoints.
    pub total: u64,
    /// Under way.
    pub in_progress: u64,
    /// Complete.
    pub completed: u64,
    /// Failed, expired or declined.
    pub failed: u64,
}

/// Statistics over all completed checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CheckpointSummary {
    /// Bytes written.
    pub checkpointed_size: Summary,
    /// Bytes of state, including parts that earlier checkpoints have written.
    pub state_size: Summary,
    /// Milliseconds from trigger to completion.
    pub end_to_end_duration: Summary,
    /// Bytes processed during alignment.
    pub processed_data: Summary,
    /// Bytes of in-flight records that were stored.
    pub persisted_data: Summary,
}

/// Collects the values of completed checkpoints for [`CheckpointSummary`]. The JobManager has one for each job.
#[derive(Debug, Clone, Default)]
pub struct CheckpointSamples {
    checkpointed_size: Samples,
    state_size: Samples,
    end_to_end_duration: Samples,
    processed_data: Samples,
    persisted_data: Samples,
}

impl CheckpointSamples {
    /// Adds a completed checkpoint.
    pub fn add(&mut self, checkpoint: &CheckpointView) {
        self.checkpointed_size.add(checkpoint.sum(|ack| ack.checkpointed_size));
        self.state_size.add(checkpoint.sum(|ack| ack.state_size));
        self.end_to_end_duration.add(checkpoint.duration_ms());
        self.processed_data.add(checkpoint.sum(|ack| ack.processed_data));
        self.persisted_data.add(checkpoint.sum(|ack| ack.persisted_data));
    }

    /// The statistics so far.
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
    /// Whether it is a checkpoint or a savepoint.
    pub kind: CheckpointKind,
    /// When it was triggered.
    pub triggered_at_ms: i64,
    /// Its state.
    pub outcome: CheckpointOutcome,
    /// Its acknowledgements, by vertex.
    pub vertices: Vec<VertexCheckpointView>,
}

/// The kind of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointKind {
    /// A checkpoint that Reflow triggered.
    Checkpoint,
    /// A savepoint.
    Savepoint(SavepointFormat),
    /// A savepoint with which the job stops.
    StopSavepoint(SavepointFormat),
}

/// The format of a savepoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SavepointFormat {
    /// Self-describing, so that builds with other types can read it.
    #[default]
    Canonical,
    /// The format of checkpoints.
    Native,
}

/// The state of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointOutcome {
    /// Some acknowledgements have not arrived.
    InProgress,
    /// The checkpoint is complete.
    Completed {
        /// Its location.
        location: String,
        /// Whether it has been deleted since.
        discarded: bool,
    },
    /// The checkpoint has failed.
    Failed {
        /// When it failed.
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

    /// When the last acknowledgement arrived.
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

    /// The acknowledgements of a vertex.
    pub fn vertex(&self, id: VertexId) -> Option<&VertexCheckpointView> {
        self.vertices.iter().find(|vertex| vertex.id == id)
    }
}

/// A checkpoint's acknowledgements of one vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VertexCheckpointView {
    /// The vertex.
    pub id: VertexId,
    /// The subtasks by index.
    pub subtasks: Vec<SubtaskCheckpointView>,
}

impl VertexCheckpointView {
    /// The acknowledgements that have arrived.
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

/// A checkpoint's acknowledgement of one subtask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubtaskCheckpointView {
    /// The subtask.
    pub index: SubtaskIndex,
    /// Its acknowledgement; `None` until it arrives.
    pub ack: Option<AckView>,
}

/// An acknowledgement, with its sizes and durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AckView {
    /// When it arrived.
    pub at_ms: i64,
    /// Bytes written.
    pub checkpointed_size: u64,
    /// Bytes of state.
    pub state_size: u64,
    /// Bytes processed during alignment.
    pub processed_data: u64,
    /// Bytes of in-flight records that were stored.
    pub persisted_data: u64,
    /// The time for which the subtask was paused.
    pub sync_ms: u64,
    /// The time for writing while records were processed.
    pub async_ms: u64,
    /// The time between the first and the last barrier.
    pub alignment_ms: u64,
    /// The time from the trigger to the first barrier.
    pub start_delay_ms: u64,
}

impl AckView {
    /// Milliseconds from the trigger to the acknowledgement.
    pub fn duration_ms(&self, triggered_at_ms: i64) -> u64 {
        elapsed_ms(triggered_at_ms, Some(self.at_ms))
    }
}

/// A restore of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredView {
    /// The checkpoint.
    pub id: CheckpointId,
    /// When the job was restored.
    pub at_ms: i64,
    /// Whether it was a savepoint.
    pub is_savepoint: bool,
    /// Its location.
    pub location: String,
}

/// The configuration of checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckpointConfigView {
    /// The time between triggers; `None` if only users trigger checkpoints.
    pub interval_ms: Option<u64>,
    /// The time after which a checkpoint fails.
    pub timeout_ms: u64,
    /// The least time between the end of a checkpoint and the next trigger.
    pub min_pause_ms: u64,
    /// The most checkpoints under way.
    pub max_concurrent: u32,
    /// The number of consecutive checkpoint failures that the job tolerates.
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
