//! The manifest: what a complete checkpoint or savepoint holds.
//!
//! A checkpoint's manifest names its data objects absolutely; a savepoint's names them below the savepoint's own
//! directory, so that the directory can be moved. Whoever reads a manifest calls [`Manifest::rebase`] first, and
//! from then on all names are absolute. [`wire`] is its form as bytes, [`lineage`] says which leadership wrote it.

pub mod lineage;
pub mod wire;

use crate::end_state::EndState;
use bytes::Bytes;
use reflow_protocol::snapshot::{AfterBarrier, Codec, OperatorState, RunRef};
use reflow_types::{
    CheckpointId, JobId, KeyGroupSet, MaxParallelism, OwnershipTable, SubtaskId, Timestamp, VertexId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

pub use lineage::{Lineage, Takeover};
pub use wire::{ManifestError, decode, encode};

/// A checkpoint's content, written last under its deciding name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub checkpoint: CheckpointId,
    /// The job that wrote it.
    pub job: JobId,
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
    pub vertices: Vec<VertexState>,
    /// Each source's enumerator: `(operator uid, state)`.
    pub enumerators: Vec<(String, Bytes)>,
    /// The leadership that completed it. [`wire`] writes it behind the rest, as that of every decision.
    #[serde(skip)]
    pub lineage: Lineage,
    /// What is left to be done if the job ends with it: whoever goes on from it ends the job. Written like `lineage`.
    #[serde(skip)]
    pub ending: Option<Ending>,
}

/// How a job ends whose last checkpoint is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What sources do: with [`AfterBarrier::Finish`] all that is left is to commit, with [`AfterBarrier::Drain`] they
    /// end their output first.
    pub then: AfterBarrier,
    /// The state in which the job ends.
    pub state: EndState,
}

/// The state of one vertex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VertexState {
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
    /// Keyed state by owner. The groups of the entries are disjoint.
    pub keyed: Vec<OwnedRuns>,
    /// Operator state of all subtasks, one entry for each subtask and state.
    pub operator: Vec<OperatorState>,
}

/// The runs that hold the state of some groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedRuns {
    /// The groups, all of one owner. Of the runs' blocks only those of these groups count.
    pub groups: KeyGroupSet,
    /// For each segment of each table that holds anything, in ascending order of segment and table.
    pub segments: Vec<SegmentRuns>,
}

/// The runs that hold one segment of one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentRuns {
    /// Which segment ([`reflow_types::key_group::segment_groups`]).
    pub segment: u16,
    /// Which table.
    pub table: u16,
    /// From the last full one on, in order of their checkpoints.
    pub runs: Vec<RunRef>,
}

/// What stands under a checkpoint's deciding name.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The checkpoint is complete.
    Complete(Box<Manifest>),
    /// The checkpoint will never be complete. A new leader's first decision is one as well: it keeps the lineage.
    Abandoned(Lineage),
    /// The job has ended for good: nothing follows.
    Ended {
        state: EndState,
        /// Who decided that.
        lineage: Lineage,
    },
}

impl Decision {
    /// The leadership that decided.
    pub fn lineage(&self) -> &Lineage {
        match self {
            Decision::Complete(manifest) => &manifest.lineage,
            Decision::Abandoned(lineage) | Decision::Ended { lineage, .. } => lineage,
        }
    }
}

/// Whether a name is absolute: it has a scheme, or begins at the root.
pub(crate) fn is_absolute(object: &str) -> bool {
    object.contains("://") || object.starts_with('/')
}

/// `object` as seen from outside `directory`.
pub(crate) fn below(directory: &str, object: &str) -> String {
    if is_absolute(object) { object.to_owned() } else { format!("{directory}/{object}") }
}

impl Manifest {
    /// Makes the names that are relative absolute: `directory` is the manifest's own, without a slash at the end.
    pub fn rebase(&mut self, directory: &str) {
        for run in self.vertices.iter_mut().flat_map(VertexState::runs_mut) {
            if !is_absolute(&run.object) {
                run.object = below(directory, &run.object);
            }
        }
    }

    /// The data objects that it names.
    pub fn objects(&self) -> BTreeSet<&str> {
        self.vertices.iter().flat_map(VertexState::runs).map(|run| run.object.as_str()).collect()
    }

    /// The data objects that it names, with absolute names, and how long each must be at least: `directory` is the
    /// manifest's own, without a slash at the end.
    pub fn extents(&self, directory: &str) -> BTreeMap<String, u64> {
        let mut extents = BTreeMap::new();
        for run in self.vertices.iter().flat_map(VertexState::runs) {
            let end = extents.entry(run.object.as_str()).or_insert(0);
            *end = run.offset.saturating_add(u64::from(run.len)).max(*end);
        }
        extents.into_iter().map(|(object, end)| (below(directory, object), end)).collect()
    }

    /// Which vertex has the most of what a deployment sends of this checkpoint, if that is above `limit` bytes: operator
    /// state and the names of runs.
    pub fn too_large(&self, limit: u64) -> Option<String> {
        let sent = |vertex: &VertexState| {
            let run = |run: &RunRef| (run.object.len() + size_of::<RunRef>()) as u64;
            vertex.operator_bytes() + vertex.runs().map(run).sum::<u64>()
        };
        let total: u64 = self.vertices.iter().map(sent).sum();
        let largest = self.vertices.iter().max_by_key(|vertex| sent(vertex)).filter(|_| total > limit)?;
        Some(format!(
            "operator state and lists of runs take {total} bytes, above the limit of {limit}; '{}' has {} of them in \
             operator state and {} in runs: keep less state without a key (splits, transactions, lists)",
            largest.name,
            largest.operator_bytes(),
            sent(largest) - largest.operator_bytes()
        ))
    }

    /// The bytes of state that it stands for.
    pub fn state_bytes(&self) -> u64 {
        self.vertices.iter().map(|vertex| vertex.keyed_bytes() + vertex.operator_bytes()).sum()
    }
}

impl VertexState {
    /// All runs.
    pub fn runs(&self) -> impl Iterator<Item = &RunRef> {
        self.keyed.iter().flat_map(OwnedRuns::runs)
    }

    fn runs_mut(&mut self) -> impl Iterator<Item = &mut RunRef> {
        self.keyed
            .iter_mut()
            .flat_map(|part| part.segments.iter_mut())
            .flat_map(|segment| segment.runs.iter_mut())
    }

    fn keyed_bytes(&self) -> u64 {
        self.runs().map(|run| u64::from(run.len)).sum()
    }

    fn operator_bytes(&self) -> u64 {
        self.operator.iter().map(operator_bytes).sum()
    }

    /// Whether a restore without this vertex would lose anything.
    pub fn holds_state(&self) -> bool {
        self.runs().next().is_some() || self.operator.iter().any(|state| !state.items.is_empty())
    }
}

impl OwnedRuns {
    /// All runs.
    pub fn runs(&self) -> impl Iterator<Item = &RunRef> {
        self.segments.iter().flat_map(|segment| &segment.runs)
    }
}

/// The bytes of an operator's items.
pub(crate) fn operator_bytes(state: &OperatorState) -> u64 {
    state.items.iter().map(|item| item.len() as u64).sum()
}
