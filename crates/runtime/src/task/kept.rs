//! What outlives an attempt: a task's tables, for a task of the next attempt in the same slot.
//!
//! The next attempt need not know: it names the checkpoint that it restores, and everything that checkpoint has of a
//! task's key groups. A task that finds the tables of its predecessor rolls them back to that checkpoint in place, and
//! reads only what it has not got: groups of a process that is gone. Where that cannot be (the tables do not lead back
//! to this checkpoint), it reads everything.

use crate::stage::Control;
use reflow_types::{CheckpointId, KeyGroup, KeyGroupSet, MaxParallelism};
use std::any::Any;

/// The tables of a task that has ended.
pub struct Kept {
    /// The groups that they hold.
    groups: KeyGroupSet,
    tables: Vec<Box<dyn Any + Send>>,
}

impl Kept {
    /// Takes the tables of a chain that owns `groups`.
    pub(super) fn take(groups: KeyGroupSet, chain: &mut impl Control) -> Self {
        let mut tables = Vec::new();
        chain.tables(&mut |table| tables.push(table.take()));
        Self { groups, tables }
    }

    /// Gives them to a chain that owns `groups`, rolled back to `checkpoint`; returns the groups that it has now.
    pub(super) fn give(
        self,
        (checkpoint, groups, max): (CheckpointId, &KeyGroupSet, MaxParallelism),
        chain: &mut impl Control,
    ) -> KeyGroupSet {
        let here = self.groups.intersection(groups);
        let mut former = self.tables.into_iter();
        let mut could = !here.is_empty();
        chain.tables(&mut |table| {
            could = could && former.next().is_some_and(|former| table.go_on_with(former, checkpoint));
        });
        if !could {
            chain.tables(&mut |table| table.reset());
            return KeyGroupSet::default();
        }
        let elsewhere = without(&KeyGroupSet::all(max), &here);
        chain.tables(&mut |table| table.release(&elsewhere));
        here
    }
}

/// The groups that are in `all` and not in `some`.
pub(super) fn without(all: &KeyGroupSet, some: &KeyGroupSet) -> KeyGroupSet {
    all.iter().filter(|group: &KeyGroup| !some.contains(*group)).collect()
}
