//! The manifest: what a complete checkpoint or savepoint holds.

use bytes::Bytes;
use reflow_protocol::snapshot::{Codec, OperatorState, RunRef};
use reflow_types::{CheckpointId, JobId, KeyGroupSet, MaxParallelism, OwnershipTable, SubtaskId, Timestamp, VertexId};
use serde::{Deserialize, Serialize};

/// A checkpoint's content, written last under its deciding name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The job that wrote it.
    pub job: JobId,
    /// The job's name.
    pub job_name: String,
    /// The codec of its state.
    pub codec: Codec,
    /// The version of the key encoding ([`reflow_types::key::ENCODING`]).
    pub key_encoding: u32,
    /// The fingerprint of the executable that wrote it (SHA-256): values in the exchange codec are private to it.
    pub build: String,
    /// When it was triggered, in milliseconds since the Unix epoch.
    pub triggered_at: Timestamp,
    /// One past the highest subtask id in use, so that ids are never reused.
    pub next_subtask: SubtaskId,
    /// The vertices' state.
    pub vertices: Vec<VertexState>,
    /// Each source's enumerator: `(operator uid, state)`.
    pub enumerators: Vec<(String, Bytes)>,
}

/// The state of one vertex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VertexState {
    /// The vertex.
    pub vertex: VertexId,
    /// Its name, for messages.
    pub name: String,
    /// The uids of its operators.
    pub operators: Vec<String>,
    /// Fixed for the life of the state.
    pub max_parallelism: MaxParallelism,
    /// Which subtask owned which group, for keyed vertices.
    pub table: Option<OwnershipTable>,
    /// The lowest watermark of its subtasks at the barrier.
    pub watermark: Timestamp,
    /// Keyed state by owner.
    pub keyed: Vec<OwnedRuns>,
    /// Operator state of all subtasks, one entry for each subtask and state.
    pub operator: Vec<OperatorState>,
}

/// The runs that hold the state of some groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedRuns {
    /// The groups, all of one owner.
    pub groups: KeyGroupSet,
    /// For each segment that holds anything: its runs, from the last full one on, in order of their checkpoints.
    pub segments: Vec<(u16, Vec<RunRef>)>,
}

/// What stands under a checkpoint's deciding name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decision {
    /// The checkpoint is complete.
    Complete(Box<Manifest>),
    /// The checkpoint will never be complete.
    Abandoned,
}
