//! Slot assignment.
//!
//! Two steps. [`parallelism`] decides how many slots each slot sharing group gets, and so how many subtasks each
//! vertex has, from the number of slots alone (Flink's `SlotSharingSlotAllocator`). [`assign`] then chooses the
//! slots: a group stays in the slots that it has, so that the fewest key groups move; keyed vertices keep their
//! slots within it; other vertices with fewer subtasks than the group has slots go to the least loaded ones; and
//! a forward partner of equal parallelism follows, so that its channels stay inside the slot.
//!
//! # Invariants
//! - A slot serves one slot sharing group.
//! - A slot runs at most one subtask of a vertex.
//! - The index of a vertex's subtasks grows with their slot's place in the group, and surviving slots keep their
//!   order: indices are stable as far as they can be.

use crate::event::ParallelismBounds;
use reflow_graph::{JobGraph, Shipping, VertexIndex};
use reflow_types::{SlotId, TaskManagerId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A slot that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offer {
    pub slot: SlotId,
    /// Whose it is.
    pub task_manager: TaskManagerId,
}

/// A slot sharing group with its vertices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharingGroup<'a> {
    pub name: &'a str,
    /// In the order of the job graph.
    pub vertices: Vec<VertexIndex>,
    /// Slots without which the job cannot run: the highest lower bound.
    pub lower: u32,
    /// Slots of which the job makes use: the highest upper bound.
    pub upper: u32,
}

/// How many slots and subtasks there are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parallelism {
    /// By vertex.
    pub vertices: Vec<u32>,
    /// By group, in the order of [`sharing_groups`].
    pub groups: Vec<u32>,
}

/// The slot sharing groups in the order in which the job names them. `bounds` is by vertex.
pub fn sharing_groups<'a>(job: &'a JobGraph, bounds: &[ParallelismBounds]) -> Vec<SharingGroup<'a>> {
    let mut groups: Vec<SharingGroup<'a>> = Vec::new();
    for ((index, vertex), bounds) in job.numbered_vertices().zip(bounds) {
        let name = vertex.slot_sharing_group.as_str();
        let at = groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            groups.push(SharingGroup { name, vertices: Vec::new(), lower: 0, upper: 0 });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.vertices.push(index);
        group.lower = group.lower.max(bounds.lower);
        group.upper = group.upper.max(bounds.upper);
    }
    groups
}

/// Shares `slots` slots out over the groups; `None` if they are fewer than the job needs.
///
/// Groups with the smallest range between their bounds come first; each gets its minimum and a fair part of
/// what is left after the minimum of all. A vertex has as many subtasks as its group has slots, up to its bound, and up
/// to as many as the vertices have that forward records to it.
pub fn parallelism(job: &JobGraph, bounds: &[ParallelismBounds], slots: u32) -> Option<Parallelism> {
    let groups = sharing_groups(job, bounds);
    let needed: u32 = groups.iter().map(|group| group.lower).sum();
    if slots < needed || groups.is_empty() {
        return None;
    }
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&g| groups[g].upper - groups[g].lower);
    let mut of_group = vec![0; groups.len()];
    let mut optional = slots - needed;
    for (done, &g) in order.iter().enumerate() {
        let fair = optional / (groups.len() - done) as u32;
        let extra = fair.min(groups[g].upper - groups[g].lower);
        optional -= extra;
        of_group[g] = groups[g].lower + extra;
    }
    Some(in_groups(job, bounds, &groups, of_group))
}

/// The same slots shared out as they are in an attempt with this parallelism, if `planned` has as many and the bounds allow
/// it. So a job does not move only because its slots could be shared out more evenly.
pub fn as_before(
    job: &JobGraph,
    bounds: &[ParallelismBounds],
    planned: &Parallelism,
    former: &[u32],
) -> Option<Parallelism> {
    let groups = sharing_groups(job, bounds);
    let width = |group: &SharingGroup<'_>| group.vertices.iter().map(|v| former[usize::from(v.0)]).max();
    let widths: Vec<u32> = groups.iter().filter_map(width).collect();
    let allowed =
        groups.iter().zip(&widths).all(|(group, width)| (group.lower..=group.upper).contains(width));
    let as_many = widths.iter().sum::<u32>() == planned.groups.iter().sum::<u32>();
    (allowed && as_many).then(|| in_groups(job, bounds, &groups, widths))
}

/// The parallelism of the vertices of groups with these numbers of slots.
fn in_groups(
    job: &JobGraph,
    bounds: &[ParallelismBounds],
    groups: &[SharingGroup<'_>],
    of_group: Vec<u32>,
) -> Parallelism {
    let mut vertices = vec![0; job.vertices.len()];
    for (group, slots) in groups.iter().zip(&of_group) {
        for index in &group.vertices {
            let index = usize::from(index.0);
            vertices[index] = bounds[index].upper.min(*slots);
        }
    }
    job.cap_forward(&mut vertices);
    Parallelism { vertices, groups: of_group }
}

/// Where the subtasks of an attempt were or will be: by vertex, by index.
pub type Placement = Vec<Vec<SlotId>>;

/// Chooses a slot for each subtask.
///
/// `offers` has at least as many slots as `parallelism` asks for; `previous` is where the subtasks of the last
/// attempt were.
pub fn assign(
    job: &JobGraph,
    bounds: &[ParallelismBounds],
    parallelism: &Parallelism,
    offers: &[Offer],
    previous: Option<&Placement>,
) -> Placement {
    let groups = sharing_groups(job, bounds);
    let mut placement = vec![Vec::new(); job.vertices.len()];
    let chosen = choose_group_slots(&groups, &parallelism.groups, offers, previous);
    for (group, slots) in groups.iter().zip(&chosen) {
        place_group(job, group, &parallelism.vertices, slots, previous, &mut placement);
    }
    placement
}

/// For each group its slots, those that it keeps first, in the order of its former indices.
fn choose_group_slots(
    groups: &[SharingGroup<'_>],
    counts: &[u32],
    offers: &[Offer],
    previous: Option<&Placement>,
) -> Vec<Vec<SlotId>> {
    let mut free: BTreeMap<SlotId, TaskManagerId> =
        offers.iter().map(|offer| (offer.slot, offer.task_manager)).collect();
    let mut chosen: Vec<Vec<SlotId>> = Vec::new();
    for (group, &count) in groups.iter().zip(counts) {
        let mut kept = former_slots(group, previous);
        kept.retain(|former| free.contains_key(&former.slot));
        kept.sort_by_key(|former| (Reverse(former.subtasks), former.first_index));
        kept.truncate(count as usize);
        kept.sort_by_key(|former| former.first_index);
        chosen.push(kept.iter().map(|former| former.slot).collect());
        for former in kept {
            free.remove(&former.slot);
        }
    }
    let mut used: BTreeSet<TaskManagerId> = offers
        .iter()
        .filter(|offer| chosen.iter().flatten().any(|slot| *slot == offer.slot))
        .map(|offer| offer.task_manager)
        .collect();
    for (slots, &count) in chosen.iter_mut().zip(counts) {
        while slots.len() < count as usize {
            let (slot, task_manager) =
                next_free(&free, &used).expect("the parallelism was made from the number of offers");
            free.remove(&slot);
            used.insert(task_manager);
            slots.push(slot);
        }
    }
    chosen
}

/// The free slot to take next: from a TaskManager that is in use, otherwise from the one with the most free
/// slots, so that the job needs as few TaskManagers as possible.
fn next_free(
    free: &BTreeMap<SlotId, TaskManagerId>,
    used: &BTreeSet<TaskManagerId>,
) -> Option<(SlotId, TaskManagerId)> {
    let mut offered: BTreeMap<TaskManagerId, u32> = BTreeMap::new();
    free.values().for_each(|task_manager| *offered.entry(*task_manager).or_default() += 1);
    free.iter()
        .min_by_key(|(slot, task_manager)| {
            (!used.contains(task_manager), Reverse(offered[*task_manager]), **task_manager, **slot)
        })
        .map(|(slot, task_manager)| (*slot, *task_manager))
}

struct FormerSlot {
    slot: SlotId,
    subtasks: usize,
    first_index: usize,
}

/// The slots in which a group was.
fn former_slots(group: &SharingGroup<'_>, previous: Option<&Placement>) -> Vec<FormerSlot> {
    let mut found: BTreeMap<SlotId, (usize, usize)> = BTreeMap::new();
    let vertices = group.vertices.iter().filter_map(|v| previous?.get(usize::from(v.0)));
    for slots in vertices {
        for (index, slot) in slots.iter().enumerate() {
            let entry = found.entry(*slot).or_insert((0, index));
            *entry = (entry.0 + 1, entry.1.min(index));
        }
    }
    found
        .into_iter()
        .map(|(slot, (subtasks, first_index))| FormerSlot { slot, subtasks, first_index })
        .collect()
}

/// Places the vertices of a group in its slots: the widest first, since they leave no choice, then the keyed
/// ones, which keep their slots.
fn place_group(
    job: &JobGraph,
    group: &SharingGroup<'_>,
    parallelism: &[u32],
    slots: &[SlotId],
    previous: Option<&Placement>,
    placement: &mut Placement,
) {
    let mut load = vec![0usize; slots.len()];
    let mut order = group.vertices.clone();
    let width = |v: VertexIndex| parallelism[usize::from(v.0)];
    order.sort_by_key(|&v| (Reverse(width(v)), !job.vertex(v).keyed, v));
    for v in order {
        let wanted = width(v) as usize;
        let partner = forward_partner(job, v, wanted, placement);
        let kept = previous.filter(|_| job.vertex(v).keyed).and_then(|p| p.get(usize::from(v.0)));
        let mut candidates: Vec<usize> = (0..slots.len()).collect();
        candidates.sort_by_key(|&i| {
            let with_partner = partner.is_some_and(|p| placement[p].contains(&slots[i]));
            let stays = kept.is_some_and(|former| former.contains(&slots[i]));
            (!stays, !with_partner, load[i], i)
        });
        candidates.truncate(wanted);
        candidates.sort_unstable();
        for &i in &candidates {
            load[i] += 1;
            placement[usize::from(v.0)].push(slots[i]);
        }
    }
}

/// A vertex at the other end of a forward edge that has as many subtasks, already placed.
fn forward_partner(job: &JobGraph, v: VertexIndex, width: usize, placement: &Placement) -> Option<usize> {
    let sharing = |v: VertexIndex| job.vertex(v).slot_sharing_group.as_str();
    let ends = job.edges.iter().filter(|edge| edge.shipping == Shipping::Forward);
    ends.filter_map(|edge| match v {
        _ if edge.from == v => Some(edge.to),
        _ if edge.to == v => Some(edge.from),
        _ => None,
    })
    .filter(|other| sharing(*other) == sharing(v))
    .map(|other| usize::from(other.0))
    .find(|other| placement[*other].len() == width)
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
