//! Progress of the cut: which subtasks have passed it, which have installed their incoming key groups, and what old subtasks
//! have released.
//!
//! If the subtasks of a vertex change, its old subtasks report their union and broadcast state, the records under way that
//! they release, and readers the splits that they release. Once all have reported, new readers are assigned the splits,
//! other new subtasks get that state, and the records under way go to the subtasks to which they belong now.

use crate::action::Action;
use crate::checkpoint::Coordinator;
use crate::restore::owner_of_item;
use crate::scheduler::rescale_plan::Plan;
use bytes::Bytes;
use reflow_graph::{ExecutionVertex, JobGraph, Operator, Subtask, VertexIndex};
use reflow_protocol::command::{AttemptCommand, Command, SubtaskCommand};
use reflow_protocol::deployment::Attempt;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::{OperatorState, Redistribution};
use reflow_types::SubtaskId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The name of the state in which sources keep their splits.
const SPLITS: &str = "splits";

/// The progress of a cut after its trigger.
pub(super) struct Cutting {
    /// Old subtasks that have not passed the cut.
    to_cut: BTreeSet<SubtaskId>,
    /// Subtasks of the next graph that have not installed all of their groups.
    to_install: BTreeSet<SubtaskId>,
    /// Vertices whose reports are not complete.
    gathers: Vec<Gather>,
}

/// A vertex whose old subtasks report state or splits for new ones.
struct Gather {
    vertex: VertexIndex,
    source: bool,
    /// Whether its subtasks wait for records under way that others release.
    moves_records: bool,
    to_cut: BTreeSet<SubtaskId>,
    splits: Vec<Bytes>,
    operator: BTreeMap<SubtaskId, Vec<OperatorState>>,
    /// The number of splits that each reader keeps.
    kept: BTreeMap<SubtaskId, usize>,
}

/// A vertex whose reports are complete.
pub(super) struct Gathered {
    pub(super) vertex: VertexIndex,
    pub(super) source: bool,
    moves_records: bool,
    splits: Vec<Bytes>,
    /// Union and broadcast state.
    states: Vec<OperatorState>,
    /// State of which each item belongs to one subtask.
    released: Vec<OperatorState>,
    kept: BTreeMap<SubtaskId, usize>,
}

/// The content of the cut's barrier. The splits of a vertex are shared evenly by its new readers, as far as their
/// number is known from the last complete checkpoint.
pub(super) fn cut(job: &JobGraph, plan: &Plan, coordinator: &Coordinator) -> Cut {
    let mut splits = Vec::new();
    for vertex in plan.changing(job).filter(|&vertex| job.vertex(vertex).source) {
        let kept = kept_splits(plan, vertex, coordinator);
        for subtask in &plan.old.vertex(vertex).subtasks {
            match kept.get(&subtask.id) {
                Some(&kept) if count_splits(coordinator, subtask.id) <= kept => {}
                kept => {
                    let kept = kept.copied().unwrap_or_default();
                    splits.push((subtask.id, u32::try_from(kept).unwrap_or(u32::MAX)));
                }
            }
        }
    }
    Cut { version: plan.version, splits }
}

/// The number of splits that each new reader of a source keeps. When the others are assigned to the readers with
/// the fewest, no two readers differ by more than one.
fn kept_splits(plan: &Plan, vertex: VertexIndex, coordinator: &Coordinator) -> BTreeMap<SubtaskId, usize> {
    let count = |subtask: &Subtask| (subtask.id, count_splits(coordinator, subtask.id));
    let total = plan.old.vertex(vertex).subtasks.iter().map(|subtask| count(subtask).1).sum();
    share_out(total, plan.new.vertex(vertex).subtasks.iter().map(count).collect())
}

/// The numbers of splits that readers keep so that they share `total` evenly. Those with the most keep the
/// remainder of the division, so that the fewest splits move.
fn share_out(total: usize, mut readers: Vec<(SubtaskId, usize)>) -> BTreeMap<SubtaskId, usize> {
    let parallelism = readers.len().max(1);
    let (each, mut left_over) = (total / parallelism, total % parallelism);
    readers.sort_by_key(|&(reader, count)| (Reverse(count), reader));
    let keep = |(reader, count): (SubtaskId, usize)| {
        let one_more = usize::from(count > each && left_over > 0);
        left_over -= one_more;
        (reader, count.min(each + one_more))
    };
    readers.into_iter().map(keep).collect()
}

fn count_splits(coordinator: &Coordinator, subtask: SubtaskId) -> usize {
    let states = coordinator.last_operator(subtask).iter();
    let splits = states.filter(|s| s.name == SPLITS && s.redistribution == Redistribution::Split);
    splits.map(|state| state.items.len()).sum()
}

impl Cutting {
    /// The cut was triggered. Vertices that need nothing from their old subtasks are complete at once.
    pub(super) fn begin(job: &JobGraph, plan: &Plan, coordinator: &Coordinator) -> Self {
        let (old, new) = (plan.old_subtasks(), plan.new_subtasks());
        let mut gathers = Vec::new();
        for vertex in plan.changing(job) {
            let subtasks = &plan.old.vertex(vertex).subtasks;
            let source = job.vertex(vertex).source;
            let shared = |s: &OperatorState| !s.redistribution.is_exclusive();
            let moves_records = job.vertex(vertex).operators.iter().any(Operator::has_records_under_way);
            let reports = source
                || moves_records
                || subtasks.iter().any(|s| coordinator.last_operator(s.id).iter().any(shared));
            gathers.push(Gather {
                vertex,
                source,
                moves_records,
                to_cut: subtasks.iter().filter(|_| reports).map(|subtask| subtask.id).collect(),
                splits: Vec::new(),
                operator: BTreeMap::new(),
                kept: if source { kept_splits(plan, vertex, coordinator) } else { BTreeMap::new() },
            });
        }
        let to_install = new.iter().filter(|id| plan.gaining.contains(id) || !old.contains(id));
        Self { to_install: to_install.copied().collect(), to_cut: old, gathers }
    }

    /// A subtask has passed the cut. Returns whether that was not known before.
    pub(super) fn on_cut(
        &mut self,
        subtask: SubtaskId,
        splits: &[Bytes],
        operator: &[OperatorState],
    ) -> bool {
        if !self.to_cut.remove(&subtask) {
            return false;
        }
        if let Some(gather) = self.gathers.iter_mut().find(|gather| gather.to_cut.contains(&subtask)) {
            gather.to_cut.remove(&subtask);
            gather.splits.extend_from_slice(splits);
            gather.operator.insert(subtask, operator.to_vec());
        }
        true
    }

    /// A subtask has installed its groups. Returns whether that was not known before.
    pub(super) fn on_installed(&mut self, subtask: SubtaskId) -> bool {
        self.to_install.remove(&subtask)
    }

    /// Takes the vertices whose reports are complete.
    pub(super) fn take_gathered(&mut self) -> Vec<Gathered> {
        let (ready, waiting) =
            std::mem::take(&mut self.gathers).into_iter().partition(|gather| gather.to_cut.is_empty());
        self.gathers = waiting;
        let ready: Vec<Gather> = ready;
        ready.into_iter().map(Gathered::of).collect()
    }

    /// Whether the next graph is in effect.
    pub(super) fn is_done(&self) -> bool {
        self.to_cut.is_empty() && self.to_install.is_empty() && self.gathers.is_empty()
    }
}

impl Gathered {
    /// Combines the reports: union state and released items of all old subtasks, and broadcast state of one, because it is
    /// the same in all.
    fn of(gather: Gather) -> Self {
        let Gather { vertex, source, moves_records, splits, operator, kept, .. } = gather;
        let mut states: BTreeMap<(String, String), OperatorState> = BTreeMap::new();
        for state in operator.into_values().flatten() {
            let key = (state.operator.clone(), state.name.clone());
            match (states.get_mut(&key), state.redistribution) {
                (None, _) => drop(states.insert(key, state)),
                (Some(_), Redistribution::Broadcast) => {}
                (Some(whole), _) => whole.items.extend(state.items),
            }
        }
        let (released, states) =
            states.into_values().partition(|state: &OperatorState| state.redistribution.is_exclusive());
        Self { vertex, source, moves_records, splits, states, released, kept }
    }

    /// Moves released splits to those readers that have not ended. An error if there are splits but no such
    /// reader.
    pub(super) fn move_splits(
        self,
        attempt: Attempt,
        reads: impl Fn(SubtaskId) -> bool,
    ) -> Result<Action, String> {
        let Self { vertex, splits, states, kept, .. } = self;
        let readers: Vec<_> = kept.into_iter().filter(|(reader, _)| reads(*reader)).collect();
        if readers.is_empty() && !splits.is_empty() {
            let count = splits.len();
            return Err(format!("{count} splits are to be moved, and every reader that stays has ended"));
        }
        Ok(Action::MoveSplits { attempt, vertex, splits, states, readers })
    }

    /// Sends subtasks of a vertex without splits the state that they wait for: added ones that of all, and those that have
    /// not ended the records under way that were released. An error if there are such records and no such subtask.
    pub(super) fn adopt(
        self,
        attempt: Attempt,
        plan: &Plan,
        runs: impl Fn(SubtaskId) -> bool,
    ) -> Result<Vec<Action>, String> {
        let (old, new) = (&plan.old.vertex(self.vertex).subtasks, plan.new.vertex(self.vertex));
        let is_added = |id: SubtaskId| !old.iter().any(|stays| stays.id == id);
        let takers: Vec<SubtaskId> = new.subtasks.iter().map(|s| s.id).filter(|id| runs(*id)).collect();
        let mut states: BTreeMap<SubtaskId, Vec<OperatorState>> = BTreeMap::new();
        for subtask in &new.subtasks {
            match is_added(subtask.id) {
                true => drop(states.insert(subtask.id, self.states.clone())),
                false if self.moves_records => drop(states.insert(subtask.id, Vec::new())),
                false => {}
            }
        }
        for OperatorState { operator, name, redistribution, items } in self.released {
            if takers.is_empty() && !items.is_empty() {
                let count = items.len();
                return Err(format!(
                    "{count} records under way are to be moved, and every subtask has ended"
                ));
            }
            let mut shares: BTreeMap<SubtaskId, Vec<Bytes>> = BTreeMap::new();
            for (number, item) in items.into_iter().enumerate() {
                let owner = owner(new, redistribution, &item).filter(|owner| takers.contains(owner));
                // If its owner has ended, no further record of the key comes, so any other subtask will do.
                let taker = owner.unwrap_or_else(|| takers[number % takers.len()]);
                shares.entry(taker).or_default().push(item);
            }
            for (taker, items) in shares {
                let (operator, name) = (operator.clone(), name.clone());
                let state = OperatorState { operator, name, redistribution, items };
                states.entry(taker).or_default().push(state);
            }
        }
        let adopt = |(subtask, states)| {
            let command = Command::Subtask { subtask, command: SubtaskCommand::AdoptState(states) };
            Action::Command(AttemptCommand { attempt, command })
        };
        Ok(states.into_iter().map(adopt).collect())
    }
}

/// The subtask to which an item belongs, if that depends on its key.
fn owner(vertex: &ExecutionVertex, redistribution: Redistribution, item: &Bytes) -> Option<SubtaskId> {
    let table = vertex.table.as_ref().filter(|_| redistribution == Redistribution::ByKey)?;
    let index = usize::try_from(owner_of_item(table, item).0).ok()?;
    vertex.subtasks.get(index).map(|subtask| subtask.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many splits each reader has after a change of the parallelism, those that leave being the last.
    fn rescale(readers: &[usize], parallelism: usize) -> Vec<usize> {
        let total = readers.iter().sum();
        let stays = |i| (SubtaskId(i as u64), readers.get(i).copied().unwrap_or_default());
        let mut after: Vec<usize> =
            share_out(total, (0..parallelism).map(stays).collect()).into_values().collect();
        let moved = total - after.iter().sum::<usize>();
        // As the enumerators hand out what moves.
        for _ in 0..moved {
            *after.iter_mut().min().unwrap() += 1;
        }
        after
    }

    #[test]
    fn splits_are_shared_evenly_at_every_parallelism() {
        assert_eq!(rescale(&[4, 4, 4, 4], 5), [4, 3, 3, 3, 3], "the new reader gets some");
        assert_eq!(rescale(&[5, 5, 6], 3), [5, 5, 6], "nothing moves without need");
        for total in 0..40 {
            let mut readers = vec![total];
            for parallelism in [1, 2, 3, 4, 5, 6, 7, 16, 20, 33, 9, 5, 4, 8, 3, 1] {
                readers = rescale(&readers, parallelism);
                let (least, most) = (readers.iter().min().unwrap(), readers.iter().max().unwrap());
                assert!(most - least <= 1, "{total} splits for {parallelism} readers: {readers:?}");
                assert_eq!(readers.iter().sum::<usize>(), total);
            }
        }
    }
}
