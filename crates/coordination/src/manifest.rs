//! The manifest: the content of a complete checkpoint or savepoint.
//!
//! A checkpoint's manifest has absolute names of its data objects; a savepoint's has names relative to its own
//! directory, so that the directory can be moved. Readers call [`Manifest::rebase`] first, which makes all names
//! absolute. [`wire`] is the encoded form, [`lineage`] shows which leadership wrote it.

pub mod lineage;
pub mod wire;

use crate::end_state::EndState;
use bytes::Bytes;
use reflow_graph::{DeclaredState, JobGraph, Operator, VertexIndex};
use reflow_protocol::snapshot::{AfterBarrier, OperatorState, RunRef, StateFormat};
use reflow_types::{
    CheckpointId, JobId, KeyGroupSet, MaxParallelism, OwnershipTable, SubtaskId, Timestamp, VertexId,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
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
    /// How its keyed state is written.
    pub format: StateFormat,
    /// The version of the key encoding ([`reflow_types::key::ENCODING`]).
    pub key_encoding: u32,
    /// The SHA-256 of the executable that wrote it.
    pub build: String,
    /// When it was triggered, in milliseconds since the Unix epoch.
    pub triggered_at: Timestamp,
    /// One past the highest subtask id in use, so that ids are never reused.
    pub next_subtask: SubtaskId,
    pub vertices: Vec<VertexState>,
    /// Each source's enumerator: `(operator uid, state)`.
    pub enumerators: Vec<(String, Bytes)>,
    /// The leadership that completed it. [`wire`] writes it after the rest, as for every decision.
    #[serde(skip)]
    pub lineage: Lineage,
    /// The version of the format in which it is stored ([`wire::FORMAT`]).
    #[serde(skip)]
    pub version: u16,
    /// What is left to do if the job ends with it: an attempt that is restored from it ends the job. Written like
    /// `lineage`.
    #[serde(skip)]
    pub ending: Option<Ending>,
}

/// How a job ends whose last checkpoint is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// What sources do: with [`AfterBarrier::Finish`] only commits are left, with [`AfterBarrier::Drain`] they
    /// end their output first.
    pub then: AfterBarrier,
    /// The state in which the job ends.
    pub state: EndState,
}

/// The state of one vertex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VertexState {
    pub vertex: VertexId,
    /// Its name, for error messages.
    pub name: String,
    /// Its operators, with the schemas of their states. [`wire`] writes all but the uids after the rest.
    #[serde(serialize_with = "wire::only_uids", deserialize_with = "wire::of_uids")]
    pub operators: Vec<Operator>,
    /// The max parallelism, which is fixed as long as the state exists.
    pub max_parallelism: MaxParallelism,
    /// The ownership table, for keyed vertices.
    pub table: Option<OwnershipTable>,
    /// The last checkpoint in which its subtasks took part. That is the manifest's own, or an earlier one from which this
    /// state was taken over because the region was being restarted. Written like `lineage`.
    #[serde(skip)]
    pub taken_in: CheckpointId,
    /// The lowest watermark of its subtasks at the barrier.
    pub watermark: Timestamp,
    /// Keyed state by owner. The groups of the entries are disjoint.
    pub keyed: Vec<OwnedRuns>,
    /// Operator state of all subtasks, one entry for each subtask and state.
    pub operator: Vec<OperatorState>,
}

/// The runs that contain the state of some groups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedRuns {
    /// The groups, all of one owner. Only their entries in the runs count.
    pub groups: KeyGroupSet,
    /// The runs by segment and table, in ascending order.
    pub segments: Vec<SegmentRuns>,
}

/// The runs that contain one segment of one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentRuns {
    /// The segment ([`reflow_types::key_group::segment_groups`]).
    pub segment: u16,
    /// Which table.
    pub table: u16,
    /// The runs from the last full one on, in the order of their checkpoints.
    pub runs: Vec<RunRef>,
}

/// The content of a checkpoint's deciding name.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// The checkpoint is complete.
    Complete(Box<Manifest>),
    /// The checkpoint will never be complete. A new leader's first decision is an abandonment as well, which
    /// records its lineage.
    Abandoned(Lineage),
    /// The job has ended for good.
    Ended {
        state: EndState,
        /// The leadership that decided that.
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

/// The absolute name of `object` in `directory`.
pub(crate) fn below(directory: &str, object: &str) -> String {
    if is_absolute(object) { object.to_owned() } else { format!("{directory}/{object}") }
}

impl Manifest {
    /// Makes relative names absolute. `directory` is the manifest's own, without a trailing slash.
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

    /// The absolute names of its data objects, each with its least length. `directory` is the manifest's own,
    /// without a trailing slash.
    pub fn extents(&self, directory: &str) -> BTreeMap<String, u64> {
        let mut extents = BTreeMap::new();
        for run in self.vertices.iter().flat_map(VertexState::runs) {
            let end = extents.entry(run.object.as_str()).or_insert(0);
            *end = run.offset.saturating_add(u64::from(run.len)).max(*end);
        }
        extents.into_iter().map(|(object, end)| (below(directory, object), end)).collect()
    }

    /// The vertex with the most operator state and names of runs, if a deployment from this checkpoint would send
    /// more than `limit` bytes.
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

    /// The vertices of a job whose state was taken over from an earlier checkpoint, with that.
    pub fn taken_over(&self, job: &JobGraph) -> BTreeMap<VertexIndex, CheckpointId> {
        let older = self.vertices.iter().filter(|vertex| vertex.taken_in != self.checkpoint);
        let numbered = older.filter_map(|vertex| Some((job.find(vertex.vertex)?.0, vertex.taken_in)));
        numbered.collect()
    }

    /// Whether it has the operators' names and the schemas of their states. Earlier releases did not write them.
    pub fn has_schemas(&self) -> bool {
        self.version >= wire::FIRST_WITH_SCHEMAS
    }

    /// Whether it has state of the operator with this uid.
    pub fn has_state_of(&self, uid: &str) -> bool {
        let is_head = |vertex: &VertexState| vertex.operators.first().is_some_and(|head| head.uid == uid);
        self.enumerators.iter().any(|(of, state)| of == uid && !state.is_empty())
            || self.vertices.iter().any(|vertex| {
                vertex.operator.iter().any(|state| state.operator == uid && !state.items.is_empty())
                    || is_head(vertex) && vertex.runs().next().is_some()
            })
    }

    /// The bytes of state, including objects of earlier checkpoints.
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

    /// The states by key, which its head has.
    pub fn states(&self) -> &[DeclaredState] {
        self.operators.first().map_or(&[], |head| &head.states)
    }

    /// Whether a table has entries.
    pub fn has_entries(&self, table: u16) -> bool {
        self.runs().any(|run| run.table == table && run.len > 0)
    }

    /// The states with entries that `declared` does not have.
    pub fn undeclared(&self, declared: &[DeclaredState]) -> Vec<&DeclaredState> {
        let is_declared = |state: &DeclaredState| declared.iter().any(|other| other.is_named_as(state));
        let undeclared = self.states().iter().filter(|state| !is_declared(state));
        undeclared.filter(|state| self.has_entries(state.table)).collect()
    }

    /// The keyed state by owner, without the states that `declared` does not have.
    pub fn keyed_of(&self, declared: &[DeclaredState]) -> Cow<'_, [OwnedRuns]> {
        let undeclared: BTreeSet<u16> = self.undeclared(declared).iter().map(|state| state.table).collect();
        if undeclared.is_empty() {
            return Cow::Borrowed(&self.keyed);
        }
        let mut keyed = self.keyed.clone();
        keyed.iter_mut().for_each(|part| part.segments.retain(|runs| !undeclared.contains(&runs.table)));
        Cow::Owned(keyed)
    }

    fn keyed_bytes(&self) -> u64 {
        self.runs().map(|run| u64::from(run.len)).sum()
    }

    fn operator_bytes(&self) -> u64 {
        self.operator.iter().map(operator_bytes).sum()
    }

    /// Whether a restore without this vertex would lose state.
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
