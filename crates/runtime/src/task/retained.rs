//! The retained state of a task: its tables, which outlive a failed attempt for the task of the same vertex and
//! slot in the next one.
//!
//! The JobManager does not know about it: a deployment names the checkpoint to restore and all runs of the task's
//! key groups. A task that finds the tables of its predecessor rolls them back to that checkpoint in place and
//! reads only the groups that they lack, those of a lost process. If the tables cannot be rolled back to that
//! checkpoint, the task reads everything.

use super::stateful_chain::StatefulChain;
use reflow_types::{CheckpointId, KeyGroup, KeyGroupSet, MaxParallelism};
use std::any::Any;

/// The tables of a task that has ended.
pub struct RetainedState {
    /// The key groups in the tables.
    groups: KeyGroupSet,
    tables: Vec<Box<dyn Any + Send>>,
}

impl RetainedState {
    /// Takes the tables of a chain that owns `groups`.
    pub(super) fn take(groups: KeyGroupSet, chain: &mut dyn StatefulChain) -> Self {
        let mut tables = Vec::new();
        chain.tables(&mut |table| tables.push(table.take()));
        Self { groups, tables }
    }

    /// Moves the tables into a chain that owns `groups`, rolled back to `checkpoint`. Returns the groups that the chain
    /// has now: none if any table cannot be rolled back to that checkpoint.
    pub(super) fn restore(
        self,
        checkpoint: CheckpointId,
        groups: &KeyGroupSet,
        max: MaxParallelism,
        chain: &mut dyn StatefulChain,
    ) -> KeyGroupSet {
        let here = self.groups.intersection(groups);
        let mut retained = self.tables.into_iter();
        let mut possible = !here.is_empty();
        chain.tables(&mut |table| {
            possible = possible && retained.next().is_some_and(|former| table.go_on_with(former, checkpoint));
        });
        if !possible {
            chain.tables(&mut |table| table.reset());
            return KeyGroupSet::default();
        }
        let elsewhere = without(&KeyGroupSet::all(max), &here);
        chain.tables(&mut |table| table.release(&elsewhere));
        here
    }
}

/// The groups of `all` that are not in `some`.
pub(super) fn without(all: &KeyGroupSet, some: &KeyGroupSet) -> KeyGroupSet {
    all.iter().filter(|group: &KeyGroup| !some.contains(*group)).collect()
}
