//! Compares tables with a map through checkpoints that overlap, fail and complete, roll-backs in place, and
//! restores with other ownerships.
#![expect(clippy::unwrap_used, reason = "a test")]

extern crate reflow_types as reflow;

mod chain;

use chain::{Link, RunChain};
use proptest::prelude::*;
use reflow_state::{
    KeyedTable, Origin, Progress, Restore, Run, SnapshotKind, SnapshotWriter, StateKey, TableId,
};
use reflow_types::{Bounds, CheckpointId, Data, KeyGroup, KeyGroupSet, KeyHash, MaxParallelism};
use std::collections::BTreeMap;

const TABLE: TableId = TableId(3);
const GROUPS: u32 = 2048;

/// A key that collides: few groups, two segments, and few different tags.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Data)]
struct Cramped(u16);

impl StateKey for Cramped {
    fn state_hash(&self) -> KeyHash {
        let group = u64::from(self.0 % 8) << (24 + 32 - 11);
        let tag = u64::from(self.0 / 24).wrapping_mul(0x9e37_79b9) & 0xffff_ffff;
        KeyHash(group | (tag & 0x00ff_ffff) | ((tag >> 24) << 56))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u16, u32),
    Remove(u16),
    RemoveRange(u16, u16),
    Freeze,
    Walk { budget: usize },
    CompleteOldest,
    CompleteNewest,
    AbortNewest,
    RollBack,
    Restore { seed: u64, owners: usize },
    Savepoint { seed: u64, owners: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0..600u16, any::<u32>()).prop_map(|(k, v)| Step::Put(k, v)),
        10 => (0..600u16).prop_map(Step::Remove),
        1 => (0..600u16, 0..300u16).prop_map(|(first, n)| Step::RemoveRange(first, n)),
        6 => Just(Step::Freeze),
        14 => prop_oneof![Just(1usize), 1..200usize, Just(100_000)].prop_map(|budget| Step::Walk { budget }),
        6 => Just(Step::CompleteOldest),
        1 => Just(Step::CompleteNewest),
        2 => Just(Step::AbortNewest),
        2 => Just(Step::RollBack),
        1 => (any::<u64>(), 1..4usize).prop_map(|(seed, owners)| Step::Restore { seed, owners }),
        1 => (any::<u64>(), 1..4usize).prop_map(|(seed, owners)| Step::Savepoint { seed, owners }),
    ];
    proptest::collection::vec(step, 1..400)
}

type Content = BTreeMap<Cramped, u32>;

/// A subtask.
struct Owner {
    groups: KeyGroupSet,
    table: KeyedTable<Cramped, u32>,
    writer: Option<SnapshotWriter<Vec<u8>>>,
}

/// A checkpoint that is written or being written.
struct Checkpoint {
    id: CheckpointId,
    content: Content,
    acknowledged: Vec<(KeyGroupSet, usize, Vec<Run>)>,
}

struct World {
    model: Content,
    owners: Vec<Owner>,
    objects: Vec<Vec<u8>>,
    chains: BTreeMap<u16, RunChain<usize>>,
    complete: Content,
    /// That checkpoint, if the tables can be rolled back to it in place.
    complete_id: Option<CheckpointId>,
    /// A roll-back to this one and to each later one is possible, because none was undecided when it began.
    way_back: CheckpointId,
    writing: Option<Checkpoint>,
    awaiting: Vec<Checkpoint>,
    next_id: CheckpointId,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            model: Content::new(),
            owners: Vec::new(),
            objects: Vec::new(),
            chains: BTreeMap::new(),
            complete: Content::new(),
            complete_id: None,
            way_back: CheckpointId(0),
            writing: None,
            awaiting: Vec::new(),
            next_id: CheckpointId(1),
        };
        world.deploy(1, 2);
        world
    }

    /// Empty subtasks with groups assigned by `seed`.
    fn deploy(&mut self, seed: u64, owners: usize) {
        let bounds = Bounds { tombstone_bytes: 1 + seed as usize % 500, ..Bounds::default() };
        let max = MaxParallelism::new(GROUPS).unwrap();
        let deal = |group: u32| (u64::from(group / 2).wrapping_mul(seed | 1) >> 3) as usize % owners;
        let owner = |index| Owner {
            groups: (0..GROUPS).filter(|&g| deal(g) == index).map(|g| KeyGroup(g as u16)).collect(),
            table: KeyedTable::new(TABLE, "model", max),
            writer: None,
        };
        self.owners = (0..owners).map(owner).collect();
        self.owners.iter_mut().for_each(|owner| {
            owner.table.set_bounds(bounds);
            owner.table.remember(None);
        });
        self.writing = None;
        self.awaiting.clear();
        self.way_back = CheckpointId(0);
    }

    fn owner(&mut self, key: &Cramped) -> &mut Owner {
        let group = key.state_hash().group(MaxParallelism::new(GROUPS).unwrap());
        self.owners.iter_mut().find(|owner| owner.groups.contains(group)).unwrap()
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Put(key, value) => {
                let key = Cramped(key);
                *self.owner(&key).table.upsert(key.state_hash(), &key, || 0) = value;
                self.model.insert(key, value);
            }
            Step::Remove(key) => self.remove(Cramped(key)),
            Step::RemoveRange(first, n) => (first..first + n).for_each(|key| self.remove(Cramped(key))),
            Step::Freeze if self.writing.is_none() => self.freeze(SnapshotKind::Checkpoint),
            Step::Freeze => {}
            Step::Walk { budget } => self.walk(budget),
            Step::CompleteOldest if !self.awaiting.is_empty() => self.complete(0),
            Step::CompleteNewest if !self.awaiting.is_empty() => self.complete(self.awaiting.len() - 1),
            Step::CompleteOldest | Step::CompleteNewest => {}
            Step::AbortNewest => match self.writing.take() {
                Some(writing) => {
                    self.abort(writing.id);
                    self.owners.iter_mut().for_each(|owner| owner.writer = None);
                }
                None => {
                    if let Some(awaiting) = self.awaiting.pop() {
                        self.abort(awaiting.id);
                    }
                }
            },
            Step::RollBack => self.roll_back(),
            Step::Restore { seed, owners } => {
                self.deploy(seed, owners);
                self.model = self.complete.clone();
                self.load_all(Origin::Own);
                self.owners.iter_mut().for_each(|owner| owner.table.remember(self.complete_id));
            }
            Step::Savepoint { seed, owners } => self.rescale_by_savepoint(seed, owners),
        }
    }

    /// A failure elsewhere: the tables are rolled back to the last complete checkpoint.
    fn roll_back(&mut self) {
        let Some(id) = self.complete_id else { return };
        for owner in &mut self.owners {
            if owner.table.roll_back(id) {
                assert!(id >= self.way_back);
            } else {
                assert!(id < self.way_back);
                owner.table.reset();
                Self::load(&self.chains, &self.objects, owner, Origin::Own);
            }
            owner.table.remember(Some(id));
            owner.writer = None;
        }
        self.model = self.complete.clone();
        self.writing = None;
        self.awaiting.clear();
        self.way_back = CheckpointId(0);
    }

    fn remove(&mut self, key: Cramped) {
        let removed = self.owner(&key).table.remove(key.state_hash(), &key);
        assert_eq!(removed, self.model.remove(&key));
    }

    fn freeze(&mut self, kind: SnapshotKind) {
        let id = self.next_id;
        self.next_id = id.next();
        if !self.awaiting.is_empty() {
            self.way_back = id;
        }
        for owner in &mut self.owners {
            owner.table.freeze(id, kind);
            owner.writer = Some(SnapshotWriter::new(Vec::new()));
        }
        self.writing = Some(Checkpoint { id, content: self.model.clone(), acknowledged: Vec::new() });
    }

    fn walk(&mut self, budget: usize) {
        let Some(writing) = &mut self.writing else { return };
        for owner in &mut self.owners {
            let Some(mut writer) = owner.writer.take() else { continue };
            match owner.table.snapshot_step(budget, &mut writer).unwrap() {
                Progress::More => owner.writer = Some(writer),
                Progress::Done => {
                    let (object, runs) = writer.finish();
                    self.objects.push(object);
                    writing.acknowledged.push((owner.groups.clone(), self.objects.len() - 1, runs));
                }
            }
        }
        if writing.acknowledged.len() == self.owners.len() {
            self.awaiting.extend(self.writing.take());
        }
    }

    fn complete(&mut self, index: usize) {
        let checkpoint = self.awaiting.remove(index);
        self.awaiting.drain(..index); // subsumed
        self.owners.iter_mut().for_each(|owner| owner.table.complete(checkpoint.id));
        Self::chain(&mut self.chains, &checkpoint);
        self.complete = checkpoint.content;
        self.complete_id = Some(checkpoint.id);
    }

    fn chain(chains: &mut BTreeMap<u16, RunChain<usize>>, checkpoint: &Checkpoint) {
        let layout = reflow_state::SegmentLayout::new(MaxParallelism::new(GROUPS).unwrap());
        for (groups, object, runs) in &checkpoint.acknowledged {
            for run in runs {
                assert_eq!(run.table, TABLE);
                let (first, last) = layout.groups(run.segment);
                let of_segment = (first.0..=last.0).map(KeyGroup).collect();
                chains.entry(run.segment).or_default().push(*object, *run, groups, &of_segment);
            }
        }
    }

    fn abort(&mut self, id: CheckpointId) {
        self.owners.iter_mut().for_each(|owner| owner.table.abort(id));
    }

    fn load_all(&mut self, origin: Origin) {
        for owner in &mut self.owners {
            Self::load(&self.chains, &self.objects, owner, origin);
        }
    }

    fn load(chains: &BTreeMap<u16, RunChain<usize>>, objects: &[Vec<u8>], owner: &mut Owner, origin: Origin) {
        for Link { object, run, groups } in chains.values().flat_map(RunChain::links) {
            let bytes = &objects[*object][run.offset as usize..][..run.len as usize];
            let owned = &owner.groups.intersection(groups);
            owner.table.load(bytes, Restore { table: TABLE, owned, origin }).unwrap();
        }
    }

    /// Stops with a savepoint and restores it, so changes since the last checkpoint are kept.
    fn rescale_by_savepoint(&mut self, seed: u64, owners: usize) {
        if let Some(writing) = self.writing.take() {
            self.abort(writing.id);
        }
        self.freeze(SnapshotKind::Savepoint);
        while self.writing.is_some() {
            self.walk(1 << 20);
        }
        let savepoint = self.awaiting.pop().unwrap();
        self.chains.clear();
        Self::chain(&mut self.chains, &savepoint);
        self.complete = savepoint.content;
        self.complete_id = None;
        self.deploy(seed, owners);
        self.load_all(Origin::Foreign);
    }

    fn check(&self) {
        let mut content = Content::new();
        for owner in &self.owners {
            owner.table.check_invariants();
            content.extend(owner.table.iter().map(|(k, v)| (k.clone(), *v)));
        }
        assert_eq!(content, self.model);
        for (key, value) in &self.model {
            let found = self.owners.iter().find_map(|owner| owner.table.get(key.state_hash(), key));
            assert_eq!(found, Some(value));
        }
    }
}

/// Takes `steps`, and compares the table and what can be restored of it with the model.
fn check(steps: &[Step]) {
    let mut world = World::new();
    // A complete checkpoint to build increments on.
    (0..600).step_by(2).for_each(|key| world.apply(&Step::Put(key, 0)));
    [Step::Freeze, Step::Walk { budget: 1 << 20 }, Step::CompleteOldest]
        .iter()
        .for_each(|step| world.apply(step));
    for step in steps {
        world.apply(step);
    }
    world.check();
    world.apply(&Step::RollBack);
    world.check();
    world.apply(&Step::Restore { seed: 7, owners: 3 });
    world.check();
    // A checkpoint on top of the restored state.
    for key in (0..600).step_by(5) {
        world.apply(&Step::Put(key, 1));
        world.apply(&Step::Remove(key + 2));
    }
    world.apply(&Step::Freeze);
    (0..10_000).for_each(|_| world.apply(&Step::Walk { budget: 50 }));
    world.apply(&Step::CompleteNewest);
    let expected = world.model.clone();
    world.apply(&Step::Restore { seed: 1, owners: 1 });
    assert_eq!(world.model, expected, "the checkpoint is complete");
    world.check();
}

/// The previous checkpoint completes while a snapshot is between its tombstones and its puts.
#[test]
fn a_key_that_was_removed_and_put_again_survives_a_late_notice() {
    use Step::{CompleteOldest, Freeze, Put, RemoveRange, Walk};
    let freeze_and_write = [RemoveRange(170, 55), Put(210, 128), Freeze, Walk { budget: 100_000 }];
    let late =
        [Freeze, Walk { budget: 21 }, CompleteOldest, Walk { budget: 100_000 }, Put(0, 0), CompleteOldest];
    check(&[&freeze_and_write[..], &late[..]].concat());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_table_is_a_map_that_restores_what_was_complete(steps in steps()) {
        check(&steps);
    }
}
