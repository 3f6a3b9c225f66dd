//! The ownership table, which assigns each key group of a vertex to a subtask.
//!
//! ```
//! use reflow_types::{KeyGroup, MaxParallelism, OwnershipTable, SubtaskIndex};
//!
//! let max = MaxParallelism::new(8).expect("8 groups are allowed");
//! let owners = |table: &OwnershipTable| (0..8).map(|group| table.owner(KeyGroup(group)).0).collect::<Vec<_>>();
//! let two = OwnershipTable::initial(max, 2);
//! assert_eq!(owners(&two), [0, 0, 0, 0, 1, 1, 1, 1]);
//!
//! // A third subtask gets two groups, from the ends of the others'. No other group moves.
//! let both = [Some(SubtaskIndex(0)), Some(SubtaskIndex(1))];
//! let three = two.rebalanced(3, &both);
//! assert_eq!(owners(&three), [0, 0, 0, 2, 1, 1, 1, 2]);
//!
//! // Subtask 0 leaves, and 1 and 2 become 0 and 1: only the groups of the one that leaves move.
//! let rest = [None, Some(SubtaskIndex(0)), Some(SubtaskIndex(1))];
//! assert_eq!(owners(&three.rebalanced(2, &rest)), [0, 1, 1, 1, 0, 0, 0, 1]);
//! ```

use crate::{KeyGroup, KeyGroupSet, KeyHash, MaxParallelism, SubtaskIndex};
use serde::{Deserialize, Serialize};

/// Key group → subtask index, for one vertex and one version.
///
/// # Invariants
/// - There is one owner for each key group of the vertex, and each is below `parallelism`.
/// - The numbers of groups of any two subtasks differ by at most one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct OwnershipTable {
    version: u64,
    parallelism: u32,
    owners: Vec<u16>,
}

/// A table from a file or a peer, before its invariants are checked.
#[derive(Deserialize)]
struct Unchecked {
    version: u64,
    parallelism: u32,
    owners: Vec<u16>,
}

impl TryFrom<Unchecked> for OwnershipTable {
    type Error = &'static str;
    fn try_from(Unchecked { version, parallelism, owners }: Unchecked) -> Result<Self, Self::Error> {
        let groups = u32::try_from(owners.len()).unwrap_or(u32::MAX);
        if MaxParallelism::new(groups).is_err() || !(1..=groups).contains(&parallelism) {
            return Err("an ownership table of an impossible size");
        }
        if owners.iter().any(|&owner| u32::from(owner) >= parallelism) {
            return Err("an ownership table with an owner that does not exist");
        }
        Ok(Self { version, parallelism, owners })
    }
}

impl OwnershipTable {
    /// The first table of a vertex: contiguous ranges.
    ///
    /// # Panics
    /// If `parallelism` is 0 or above the number of groups.
    pub fn initial(max: MaxParallelism, parallelism: u32) -> Self {
        assert!((1..=max.get()).contains(&parallelism), "parallelism {parallelism} is not in 1..={max}");
        let owners = (0..max.get()).map(|g| (g * parallelism / max.get()) as u16).collect();
        Self { version: 1, parallelism, owners }
    }

    /// The table for another parallelism, in which the fewest groups change their owner.
    ///
    /// `kept[i]` is the new index of the subtask that has index `i` in this table, or `None` if it is removed. New
    /// indices that no old subtask has belong to added subtasks.
    ///
    /// The minimum: with `m = q·p + r` groups over `p` subtasks, `r` of them get `q + 1`; those are the `r` that
    /// own the most now. Only groups above a subtask's share, and those of removed subtasks, move.
    #[must_use]
    pub fn rebalanced(&self, parallelism: u32, kept: &[Option<SubtaskIndex>]) -> Self {
        let groups = self.owners.len();
        assert!(
            (1..=groups as u32).contains(&parallelism),
            "parallelism {parallelism} is not in 1..={groups}"
        );
        let p = parallelism as usize;
        const NOBODY: u16 = u16::MAX;
        let mut owners: Vec<u16> = Vec::with_capacity(groups);
        let mut owned = vec![0usize; p];
        for &old in &self.owners {
            match kept.get(usize::from(old)).copied().flatten() {
                Some(new) if new.0 < parallelism => {
                    owned[new.0 as usize] += 1;
                    owners.push(new.0 as u16);
                }
                _ => owners.push(NOBODY),
            }
        }
        let (share, extra) = (groups / p, groups % p);
        let mut by_size: Vec<usize> = (0..p).collect();
        by_size.sort_by_key(|&i| (std::cmp::Reverse(owned[i]), i));
        let mut target = vec![share; p];
        for &i in by_size.iter().take(extra) {
            target[i] += 1;
        }
        // Take what is above the share from the end of each subtask's groups, so that ranges stay ranges.
        for owner in owners.iter_mut().rev() {
            if *owner != NOBODY && owned[usize::from(*owner)] > target[usize::from(*owner)] {
                owned[usize::from(*owner)] -= 1;
                *owner = NOBODY;
            }
        }
        let mut taker = 0;
        for owner in owners.iter_mut().filter(|owner| **owner == NOBODY) {
            while owned[taker] == target[taker] {
                taker += 1;
            }
            *owner = taker as u16;
            owned[taker] += 1;
        }
        let table = Self { version: self.version + 1, parallelism, owners };
        table.check_invariants();
        table
    }

    /// The version, which grows by one with each new table of the vertex.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The number of subtasks that own groups.
    pub fn parallelism(&self) -> u32 {
        self.parallelism
    }

    /// The number of key groups.
    pub fn max_parallelism(&self) -> MaxParallelism {
        MaxParallelism::new(self.owners.len() as u32).expect("a table is built from a max parallelism")
    }

    /// The owner of `group`.
    #[inline]
    pub fn owner(&self, group: KeyGroup) -> SubtaskIndex {
        SubtaskIndex(u32::from(self.owners[usize::from(group.0)]))
    }

    /// The owner of the key with `hash`.
    #[inline]
    pub fn owner_of(&self, hash: KeyHash) -> SubtaskIndex {
        let group = (u64::from((hash.0 >> 24) as u32) * self.owners.len() as u64) >> 32;
        SubtaskIndex(u32::from(self.owners[group as usize]))
    }

    /// The groups of one subtask.
    pub fn groups_of(&self, subtask: SubtaskIndex) -> KeyGroupSet {
        let owned = |&(_, &owner): &(usize, &u16)| u32::from(owner) == subtask.0;
        self.owners.iter().enumerate().filter(owned).map(|(group, _)| KeyGroup(group as u16)).collect()
    }

    /// Panics if the table breaks the type's invariants.
    pub fn check_invariants(&self) {
        let mut owned = vec![0usize; self.parallelism as usize];
        for &owner in &self.owners {
            owned[usize::from(owner)] += 1;
        }
        let (least, most) = (owned.iter().min(), owned.iter().max());
        let (Some(least), Some(most)) = (least, most) else { panic!("a table without subtasks") };
        assert!(most - least <= 1, "subtasks own from {least} to {most} groups");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(a: &OwnershipTable, b: &OwnershipTable, kept: &[Option<SubtaskIndex>]) -> usize {
        let stays = |old: u16, new: u16| kept[usize::from(old)] == Some(SubtaskIndex(u32::from(new)));
        a.owners.iter().zip(&b.owners).filter(|&(&old, &new)| !stays(old, new)).count()
    }

    fn identity(old: u32, new: u32) -> Vec<Option<SubtaskIndex>> {
        (0..old).map(|i| (i < new).then_some(SubtaskIndex(i))).collect()
    }

    #[test]
    fn growing_and_shrinking_moves_the_minimum() {
        for (max, from, to) in [
            (720, 2, 3),
            (720, 4, 5),
            (720, 8, 9),
            (720, 16, 24),
            (720, 8, 4),
            (128, 1, 2),
            (128, 3, 3),
            (7, 7, 5),
        ] {
            let a = OwnershipTable::initial(MaxParallelism::new(max).unwrap(), from);
            let kept = identity(from, to);
            let b = a.rebalanced(to, &kept);
            let minimum: u32 = if to > from {
                (from..to).map(|i| max / to + u32::from(i >= to - (to - from) && i < max % to)).sum()
            } else {
                (to..from).map(|i| a.groups_of(SubtaskIndex(i)).len() as u32).sum()
            };
            assert_eq!(moved(&a, &b, &kept) as u32, minimum, "{max}: {from} -> {to}");
            assert_eq!(b.version(), a.version() + 1);
        }
    }

    #[test]
    fn walks_stay_balanced() {
        let mut table = OwnershipTable::initial(MaxParallelism::new(32768).unwrap(), 1);
        for to in [2, 3, 7, 6, 1, 50, 49, 1000, 13] {
            let before = table.clone();
            table = table.rebalanced(to, &identity(table.parallelism(), to));
            table.check_invariants();
            // A task with outgoing key groups fires nothing, so it installs no incoming ones meanwhile.
            for subtask in (0..to.min(before.parallelism())).map(SubtaskIndex) {
                let (old, new) = (before.groups_of(subtask), table.groups_of(subtask));
                let lost = old.iter().any(|group| !new.contains(group));
                let gained = new.iter().any(|group| !old.contains(group));
                assert!(
                    !(lost && gained),
                    "subtask {subtask:?} loses and gains key groups with {to} subtasks"
                );
            }
            let total: usize = (0..to).map(|i| table.groups_of(SubtaskIndex(i)).len()).sum();
            assert_eq!(total, 32768);
        }
    }

    #[test]
    fn a_middle_subtask_may_leave() {
        let a = OwnershipTable::initial(MaxParallelism::new(9).unwrap(), 3);
        let kept = [Some(SubtaskIndex(0)), None, Some(SubtaskIndex(1))];
        let b = a.rebalanced(2, &kept);
        assert_eq!(moved(&a, &b, &kept), 3);
        b.check_invariants();
    }
}
