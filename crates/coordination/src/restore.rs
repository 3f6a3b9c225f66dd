//! Restore: how a checkpoint's state is redistributed at another parallelism.
//!
//! Keyed state follows its key groups: each new subtask gets the runs of the groups that it owns now, from all former owners.
//! Operator state is redistributed by its mode: split (round robin), union or broadcast. Only handles are handled here; the
//! subtasks read the objects.

mod evolution;

use crate::checkpoint::chain::Chain;
use crate::manifest::{Manifest, OwnedRuns, VertexState};
use bytes::Bytes;
use evolution::Evolution;
use reflow_graph::{DeclaredList, DeclaredState, ExecutionGraph, ExecutionVertex, JobGraph, Vertex};
use reflow_protocol::snapshot::{
    FirstCheckpoint, OperatorState, Redistribution, Restore, RestorePart, RunRef,
};
use reflow_types::{
    KeyGroup, KeyGroupSet, MaxParallelism, OwnershipTable, SubtaskId, SubtaskIndex, injected_fault,
};
use std::collections::BTreeMap;

/// A checkpoint that does not fit the job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The checkpoint has state that no operator of the job claims.
    #[error(
        "the checkpoint holds state of operators that the job does not have: {}: give them their former uids, \
         or allow state to be dropped (-n (--allowNonRestoredState))", .0.join(", ")
    )]
    Unclaimed(Vec<String>),
    /// The checkpoint has states that their operators do not declare any more.
    #[error(
        "the checkpoint holds states that the job does not declare: {}: declare them under these names, or allow state \
         to be dropped (-n (--allowNonRestoredState))", .0.join(", ")
    )]
    Undeclared(Vec<String>),
    /// A state has another type, which cannot hold its values.
    #[error("the checkpoint's state '{state}' of operator '{operator}' does not fit this build: {reason}")]
    Incompatible {
        /// The state's name.
        state: String,
        /// The operator's uid.
        operator: String,
        /// The field and both types.
        reason: String,
    },
    /// Operators without a uid of the user's cannot be told apart.
    #[error(
        "the job's operators have changed, so the state of those without a uid may be that of others: {}. Give each by \
         .uid(\"...\") the uid that is named here, if it is the one that had it", .0.join(", ")
    )]
    Displaced(Vec<String>),
    /// The number of key groups differs.
    #[error(
        "operator '{vertex}' has max parallelism {job}, its state in the checkpoint {checkpoint}: set \
         .max_parallelism({checkpoint})"
    )]
    MaxParallelism {
        /// The vertex's name.
        vertex: String,
        /// The max parallelism in the job.
        job: MaxParallelism,
        /// The max parallelism in the checkpoint.
        checkpoint: MaxParallelism,
    },
    /// The vertex was keyed and is no longer.
    #[error("operator '{0}' is not keyed, its state in the checkpoint is: give it another uid to begin anew")]
    NotKeyed(String),
    /// The vertex is keyed and was not.
    #[error("operator '{0}' is keyed, its state in the checkpoint is not: give it another uid to begin anew")]
    Keyed(String),
    /// Keys have another encoding and so another hash.
    #[error("the checkpoint has key encoding {checkpoint}, this release {release}: it cannot be restored")]
    KeyEncoding {
        /// The version in the checkpoint.
        checkpoint: u32,
        /// The version of this release.
        release: u32,
    },
}

/// What becomes of state in a checkpoint whose operator the job does not have
/// (`execution.state-recovery.ignore-unclaimed-state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnclaimedState {
    /// The checkpoint is not restored: the operator may have lost its uid by mistake.
    #[default]
    Refuse,
    /// The state is not restored, and the next checkpoint does not have it.
    Drop,
}

/// The state with which an attempt begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The state of each subtask that gets any, by subtask id.
    pub restore: Vec<(SubtaskId, Restore)>,
    /// What the first checkpoint contains.
    pub first_checkpoint: FirstCheckpoint,
}

impl Plan {
    /// The plan of a job that begins without state.
    pub fn empty() -> Self {
        Self { restore: Vec::new(), first_checkpoint: FirstCheckpoint::Changes }
    }
}

/// Whether a job can be restored from a checkpoint, as far as that does not depend on its parallelism. Nothing is read but
/// the manifest.
///
/// # Errors
/// If a state would be lost, or would be read as something else.
pub fn check(
    job: &JobGraph,
    manifest: &Manifest,
    unclaimed_state: UnclaimedState,
) -> Result<(), RestoreError> {
    checked(job, manifest, unclaimed_state).map(drop)
}

/// What is translated, if the job can be restored.
fn checked(
    job: &JobGraph,
    manifest: &Manifest,
    unclaimed_state: UnclaimedState,
) -> Result<Evolution, RestoreError> {
    let (checkpoint, release) = (manifest.key_encoding, reflow_types::key::ENCODING);
    if checkpoint != release {
        return Err(RestoreError::KeyEncoding { checkpoint, release });
    }
    let unclaimed = unclaimed(job, manifest);
    if !unclaimed.is_empty() && unclaimed_state == UnclaimedState::Refuse {
        return Err(RestoreError::Unclaimed(unclaimed));
    }
    let undeclared = undeclared(job, manifest);
    if !undeclared.is_empty() && unclaimed_state == UnclaimedState::Refuse {
        return Err(RestoreError::Undeclared(undeclared));
    }
    let displaced = evolution::displaced(job, manifest);
    if !displaced.is_empty() {
        return Err(RestoreError::Displaced(displaced));
    }
    Evolution::of(job, manifest)
}

/// What the first checkpoint of an attempt contains that restores `manifest`, which fits the job.
pub fn first_checkpoint(job: &JobGraph, manifest: &Manifest) -> FirstCheckpoint {
    let evolution = Evolution::of(job, manifest).unwrap_or_default();
    evolution.first_checkpoint(manifest.format)
}

/// The state with which each subtask of `graph` begins. The manifest's names must be absolute ([`Manifest::rebase`]).
///
/// Operators are found by uid, so chains may be divided differently. Keyed state goes to the vertex with the same
/// head operator, and there to the state of the same name.
pub fn plan(
    job: &JobGraph,
    manifest: &Manifest,
    graph: &ExecutionGraph,
    unclaimed_state: UnclaimedState,
) -> Result<Plan, RestoreError> {
    let evolution = checked(job, manifest, unclaimed_state)?;
    let mut restores: BTreeMap<SubtaskId, Restore> = BTreeMap::new();
    for (index, vertex) in job.numbered_vertices() {
        let placed = graph.vertex(index);
        for former in manifest.vertices.iter().filter(|former| keyed_home(former, vertex)) {
            let owned = |table: &OwnershipTable, index, _| table.groups_of(index);
            share_keyed(vertex, former, placed, owned, &mut restores)?;
            for subtask in placed.subtasks.iter().filter(|_| !evolution.schemas(vertex.id).is_empty()) {
                let restore = restores.entry(subtask.id).or_default();
                restore.schemas = evolution.schemas(vertex.id).to_vec();
            }
        }
        share_operator(vertex, manifest, placed, &evolution, &mut restores)?;
        share_watermark(vertex, manifest, placed, |_| true, &mut restores);
    }
    let restore = restores.into_iter().filter(|(_, restore)| *restore != Restore::default()).collect();
    Ok(Plan { restore, first_checkpoint: evolution.first_checkpoint(manifest.format) })
}

/// The state that a live rescale from `old` to `new` prefetches from a checkpoint of this job: for each subtask
/// the keyed state of its incoming groups, and for added subtasks the vertex's watermark. Operator state comes
/// from the old subtasks themselves.
pub fn gained(
    job: &JobGraph,
    manifest: &Manifest,
    old: &ExecutionGraph,
    new: &ExecutionGraph,
) -> Result<Vec<(SubtaskId, Restore)>, RestoreError> {
    let mut gains: BTreeMap<SubtaskId, Vec<KeyGroup>> = BTreeMap::new();
    for change in old.moves(new) {
        gains.entry(change.to).or_default().extend(change.groups.iter());
    }
    let mut restores: BTreeMap<SubtaskId, Restore> = BTreeMap::new();
    for (index, vertex) in job.numbered_vertices() {
        let placed = new.vertex(index);
        for former in manifest.vertices.iter().filter(|former| keyed_home(former, vertex)) {
            let gained = |_: &OwnershipTable, _, id| gains.get(&id).into_iter().flatten().copied().collect();
            share_keyed(vertex, former, placed, gained, &mut restores)?;
        }
        share_watermark(vertex, manifest, placed, |id| old.find(id).is_none(), &mut restores);
    }
    Ok(restores.into_iter().filter(|(_, restore)| *restore != Restore::default()).collect())
}

/// Whether `former`'s keyed state belongs to `vertex`.
fn keyed_home(former: &VertexState, vertex: &Vertex) -> bool {
    former.vertex == vertex.id
}

fn has(vertex: &Vertex, uid: &str) -> bool {
    vertex.operators.iter().any(|operator| operator.uid == uid)
}

/// The uids of operators with state that the job does not have, in order.
fn unclaimed(job: &JobGraph, manifest: &Manifest) -> Vec<String> {
    let mut unclaimed = Vec::new();
    for former in &manifest.vertices {
        if former.runs().next().is_some() && job.find(former.vertex).is_none() {
            unclaimed.push(format!("'{}'", former.operators.first().map_or(&former.name, |head| &head.uid)));
        }
        let stateful = former.operator.iter().filter(|state| !state.items.is_empty());
        for uid in stateful.map(|state| &state.operator) {
            if !job.vertices.iter().any(|vertex| has(vertex, uid)) {
                unclaimed.push(format!("'{uid}'"));
            }
        }
    }
    for (uid, state) in &manifest.enumerators {
        if !state.is_empty() && !job.vertices.iter().any(|vertex| has(vertex, uid)) {
            unclaimed.push(format!("'{uid}'"));
        }
    }
    unclaimed.sort();
    unclaimed.dedup();
    unclaimed
}

/// The states that the function of a vertex's head declares.
pub(crate) fn declared(vertex: &Vertex) -> &[DeclaredState] {
    vertex.operators.first().map_or(&[], |head| &head.states)
}

/// The states that operators of the job do not declare any more, in order.
fn undeclared(job: &JobGraph, manifest: &Manifest) -> Vec<String> {
    let mut undeclared = Vec::new();
    for former in &manifest.vertices {
        let Some((_, vertex)) = job.find(former.vertex) else { continue };
        let uid = vertex.operators.first().map_or(&vertex.name, |head| &head.uid);
        let states = former.undeclared(declared(vertex)).into_iter();
        undeclared.extend(states.map(|state| format!("'{}' of '{uid}'", state.name)));
    }
    let stateful = manifest.vertices.iter().flat_map(|former| &former.operator);
    for state in stateful.filter(|state| !state.items.is_empty()) {
        let Some(operator) = evolution::operator(job, &state.operator) else { continue };
        if !operator.lists.iter().any(|list| list.name == state.name) {
            let list = DeclaredList::display_name(&state.name);
            undeclared.push(format!("'{list}' of '{}'", state.operator));
        }
    }
    undeclared.sort();
    undeclared.dedup();
    undeclared
}

fn share_keyed(
    vertex: &Vertex,
    former: &VertexState,
    placed: &ExecutionVertex,
    groups_of: impl Fn(&OwnershipTable, SubtaskIndex, SubtaskId) -> KeyGroupSet,
    restores: &mut BTreeMap<SubtaskId, Restore>,
) -> Result<(), RestoreError> {
    let table = match (&placed.table, &former.table) {
        (Some(table), Some(_)) => table,
        (None, None) => return Ok(()),
        (None, Some(_)) if former.runs().next().is_none() => return Ok(()),
        (Some(_), None) if !former.holds_state() => return Ok(()),
        (None, Some(_)) => return Err(RestoreError::NotKeyed(vertex.name.clone())),
        (Some(_), None) => return Err(RestoreError::Keyed(vertex.name.clone())),
    };
    let (job, checkpoint) = (table.max_parallelism(), former.max_parallelism);
    if job != checkpoint {
        return Err(RestoreError::MaxParallelism { vertex: vertex.name.clone(), job, checkpoint });
    }
    let keyed = former.keyed_of(declared(vertex));
    let ranks = Ranks::of(&keyed);
    for (index, subtask) in placed.numbered() {
        // The injected fault gives every subtask the state of all groups: the simulator must notice.
        let injected = injected_fault::is_active("group_restored_twice");
        let groups = if injected { KeyGroupSet::all(job) } else { groups_of(table, index, subtask.id) };
        let chain = Chain::inherit(groups, job, &keyed);
        let parts = chain.parts().into_iter().filter(|part| !part.segments.is_empty());
        let parts = parts.map(|part| RestorePart { runs: ranks.in_order(&part), groups: part.groups });
        restores.entry(subtask.id).or_default().keyed.extend(parts);
    }
    Ok(())
}

/// The order in which objects were written, as far as runs show it, so that a reader reads a part's objects one
/// after the other and each from its beginning to its end.
struct Ranks<'a>(BTreeMap<&'a str, usize>);

impl<'a> Ranks<'a> {
    /// An object's rank is above the rank of each that some segment names before it.
    fn of(parts: &'a [OwnedRuns]) -> Self {
        let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
        let chains = || parts.iter().flat_map(|part| part.segments.iter().map(|segment| &segment.runs));
        for run in chains().flatten() {
            ranks.insert(&run.object, 0);
        }
        // The longest path has as many steps as there are objects. The bound also ends a cycle, which no
        // coordinator writes.
        for _ in 0..ranks.len() {
            let mut settled = true;
            for pair in
                chains().flat_map(|runs| runs.windows(2)).filter(|pair| pair[0].object != pair[1].object)
            {
                let least = ranks[pair[0].object.as_str()] + 1;
                let rank = ranks.entry(&pair[1].object).or_default();
                settled &= *rank >= least;
                *rank = least.max(*rank);
            }
            if settled {
                break;
            }
        }
        Self(ranks)
    }

    /// All runs of a part. Those of one segment stay in their order.
    fn in_order(&self, part: &OwnedRuns) -> Vec<RunRef> {
        let mut runs: Vec<RunRef> = part.runs().cloned().collect();
        runs.sort_by_key(|run| (self.0.get(run.object.as_str()).copied(), run.object.clone(), run.offset));
        runs
    }
}

/// Redistributes operator state by uid: the items of a state of all former subtasks together, in order.
fn share_operator(
    vertex: &Vertex,
    manifest: &Manifest,
    placed: &ExecutionVertex,
    evolution: &Evolution,
    restores: &mut BTreeMap<SubtaskId, Restore>,
) -> Result<(), RestoreError> {
    let declares = |state: &OperatorState| {
        let operator = vertex.operators.iter().find(|operator| operator.uid == state.operator);
        operator.is_some_and(|operator| operator.lists.iter().any(|list| list.name == state.name))
    };
    let mut states: BTreeMap<(&str, &str), Vec<OperatorState>> = BTreeMap::new();
    for state in manifest.vertices.iter().flat_map(|former| &former.operator) {
        if declares(state) {
            let items = evolution.items(state)?;
            states
                .entry((&state.operator, &state.name))
                .or_default()
                .push(OperatorState { items, ..state.clone() });
        }
    }
    // The subtask of the next split item. It continues over all states, so that small ones do not all go to the
    // first subtask.
    let mut next = 0;
    for former in states.into_values() {
        let redistribution = match (former[0].redistribution, &placed.table) {
            // The operator was by key and is not any more.
            (Redistribution::ByKey, None) => Redistribution::Split,
            (redistribution, _) => redistribution,
        };
        for (SubtaskIndex(index), subtask) in placed.numbered() {
            let items = match redistribution {
                Redistribution::Split => {
                    let p = placed.subtasks.len();
                    let items = former.iter().flat_map(|state| &state.items).enumerate();
                    items
                        .filter(|(i, _)| (i + next) % p == index as usize)
                        .map(|(_, item)| item.clone())
                        .collect()
                }
                Redistribution::Union => {
                    former.iter().flat_map(|state| state.items.iter().cloned()).collect()
                }
                Redistribution::Broadcast => former[0].items.clone(),
                Redistribution::ByKey => {
                    let table = placed.table.as_ref().expect("checked above");
                    let items = former.iter().flat_map(|state| &state.items);
                    items.filter(|item| owner_of_item(table, item) == SubtaskIndex(index)).cloned().collect()
                }
            };
            let state = OperatorState { items, ..former[0].clone() };
            restores.entry(subtask.id).or_default().operator.push(state);
        }
        if redistribution == Redistribution::Split {
            next =
                (next + former.iter().map(|state| state.items.len()).sum::<usize>()) % placed.subtasks.len();
        }
    }
    Ok(())
}

/// The owner of an item's key group. An item that has no hash belongs to the first subtask, which reports it.
pub(crate) fn owner_of_item(table: &OwnershipTable, item: &Bytes) -> SubtaskIndex {
    OperatorState::key_of_item(item).map_or(SubtaskIndex(0), |hash| table.owner_of(hash))
}

fn share_watermark(
    vertex: &Vertex,
    manifest: &Manifest,
    placed: &ExecutionVertex,
    gets_it: impl Fn(SubtaskId) -> bool,
    restores: &mut BTreeMap<SubtaskId, Restore>,
) {
    if let Some(former) = manifest.vertices.iter().find(|former| former.vertex == vertex.id) {
        for subtask in placed.subtasks.iter().filter(|subtask| gets_it(subtask.id)) {
            restores.entry(subtask.id).or_default().watermark = Some(former.watermark);
        }
    }
}
