//! Storage: names that are created once, data objects, and whether a manifest gives back what was written.

use super::task::{Entries, Key, State, place, split};
use super::{JOB_DIR, Random, job};
use crate::manifest::{Decision, Lineage, decode, encode};
use crate::restore::{self, UnclaimedState};
use reflow_graph::{ExecutionGraph, ExecutionVertex, Subtask};
use reflow_protocol::snapshot::{Restore, StateFormat};
use reflow_types::{
    CheckpointId, ExecutorId, KeyGroup, KeyGroupSet, MaxParallelism, OwnershipTable, SlotId, SubtaskId,
};
use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Storage {
    pub(super) names: BTreeMap<String, Decision>,
    pub(super) objects: BTreeMap<String, BTreeMap<u64, Entries>>,
}

impl Storage {
    /// Reads keyed state as a subtask does. The order of parts must not matter.
    pub(super) fn read(
        &self,
        max: MaxParallelism,
        owned: &KeyGroupSet,
        restore: &Restore,
        random: &mut Random,
    ) -> BTreeMap<Key, u64> {
        let mut state = BTreeMap::new();
        let mut parts: Vec<_> = restore.keyed.iter().collect();
        if random.one_in(2) {
            parts.reverse();
        }
        for part in parts {
            assert_eq!(part.groups.intersection(owned), part.groups, "groups of another subtask");
            for run in &part.runs {
                let object =
                    self.objects.get(&run.object).unwrap_or_else(|| panic!("{} is gone", run.object));
                for (key, value) in &object[&run.offset] {
                    assert_eq!(place(max, *key).0, run.table, "a run of another table");
                    match value {
                        _ if !part.groups.contains(KeyGroup(key.0)) => {}
                        Some(value) => drop(state.insert(*key, *value)),
                        None => drop(state.remove(key)),
                    }
                }
            }
        }
        state
    }

    /// All objects of an existing manifest exist.
    pub(super) fn check_names(&self, lineage: &Lineage) {
        for (name, decision) in &self.names {
            let Decision::Complete(manifest) = decision else { continue };
            if lineage.voids(manifest.checkpoint, manifest.lineage.epoch) {
                continue;
            }
            for object in manifest.objects() {
                let directory = name.trim_end_matches("/_metadata");
                let object = crate::manifest::below(directory, object);
                assert!(self.objects.contains_key(&object), "{name} names {object}, which is gone");
            }
        }
    }

    /// What the manifest in `at` gives back.
    pub(super) fn restored(&self, at: &str, max: MaxParallelism, random: &mut Random) -> State {
        let Some(decision) = self.names.get(&format!("{at}/_metadata")) else {
            panic!("{at} does not stand")
        };
        let Ok(Decision::Complete(mut manifest)) = decode(&encode(decision)) else { panic!("unreadable") };
        assert_eq!(&Decision::Complete(manifest.clone()), decision);
        if manifest.format == StateFormat::Savepoint {
            assert!(
                manifest.objects().iter().all(|object| !object.contains('/')),
                "a savepoint may be moved"
            );
        }
        manifest.rebase(at);
        let state = &manifest.vertices[1];
        let mut covered = 0;
        for (i, part) in state.keyed.iter().enumerate() {
            covered += part.groups.len();
            assert!(state.keyed[..i].iter().all(|p| p.groups.intersection(&part.groups).is_empty()));
        }
        assert_eq!(covered as u32, max.get(), "every group is in one part");
        let all = ExecutionVertex {
            subtasks: vec![Subtask { id: SubtaskId(0), slot: SlotId { executor: ExecutorId(1), index: 0 } }],
            table: Some(OwnershipTable::initial(max, 1)),
            attempt: reflow_types::Attempt::default(),
        };
        let graph =
            ExecutionGraph { vertices: vec![ExecutionVertex { table: None, ..all.clone() }, all.clone()] };
        // Both have id 0 here: one restore holds everything.
        let plan = restore::plan(&job(max), &manifest, &graph, UnclaimedState::Refuse).unwrap();
        let [(_, restore)] = plan.restore.as_slice() else { panic!("one restore for the one subtask") };
        let owned = KeyGroupSet::all(max);
        let keyed = self.read(max, &owned, restore, random);
        let splits: BTreeMap<u64, u64> =
            restore.operator.iter().flat_map(|s| s.items.iter().map(split)).collect();
        (keyed, splits)
    }

    /// Checkpoints do not build on savepoints.
    pub(super) fn is_savepoint(&self, n: CheckpointId) -> bool {
        let stands = |d: &Decision| matches!(d, Decision::Complete(m) if m.checkpoint == n);
        let of = |(name, d): (&String, &Decision)| (stands(d) && !name.starts_with(JOB_DIR)).then_some(());
        self.names.iter().find_map(of).is_some()
    }
}
