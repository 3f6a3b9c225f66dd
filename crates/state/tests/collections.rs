//! Compares maps and lists by key with models, through checkpoints, roll-backs in place, restores with other
//! ownerships, hand-overs and walks that remove entries.

mod chain;

use chain::{Link, RunChain};
use reflow_state::{
    Hashed, InstallCursor, ListTable, MapTable, Order, Origin, Progress, Restore, Run, SegmentLayout,
    SnapshotKind, SnapshotTable, SnapshotWriter, Sorted, SweepCursor, TableId, Verdict,
};
use reflow_types::{Bounds, CheckpointId, Key, KeyGroup, KeyGroupSet, MaxParallelism, splitmix64};
use std::collections::BTreeMap;

const TABLE: TableId = TableId(20);
const KEYS: u64 = 12;

/// The entries of each key: those of a map in ascending order, those of a list in theirs, with 0 for user keys.
type Model = BTreeMap<u64, Vec<(u64, u64)>>;

/// A change of the entries of a key.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add(u64, u64),
    Remove(u64),
    Clear,
}

/// A kind of table.
trait Collection: SnapshotTable {
    fn new(max: MaxParallelism) -> Self;
    fn change(&mut self, key: u64, change: Change);
    fn change_model(of_key: &mut Vec<(u64, u64)>, change: Change);
    fn sweep(&mut self, cursor: &mut SweepCursor, budget: usize) -> Progress;
    fn of_key(&self, key: u64) -> Vec<(u64, u64)>;
}

/// Whether a walk removes an entry.
fn is_dead(value: u64) -> bool {
    value.is_multiple_of(4)
}

fn judge(value: &u64) -> Verdict {
    if is_dead(*value) { Verdict::Remove } else { Verdict::Keep }
}

/// An order of user keys.
trait InOrder: Order<u64> {
    fn is_in_order<'a>(keys: impl Iterator<Item = &'a u64>) -> bool;
}

impl InOrder for Hashed {
    fn is_in_order<'a>(keys: impl Iterator<Item = &'a u64>) -> bool {
        keys.map(Key::key_hash).is_sorted()
    }
}

impl InOrder for Sorted {
    fn is_in_order<'a>(keys: impl Iterator<Item = &'a u64>) -> bool {
        keys.is_sorted()
    }
}

impl<O: InOrder> Collection for MapTable<u64, u64, u64, O> {
    fn new(max: MaxParallelism) -> Self {
        MapTable::new(TABLE, "map", max)
    }

    fn change(&mut self, key: u64, change: Change) {
        match change {
            Change::Add(user_key, value) => drop(self.insert(key.key_hash(), &key, user_key, value)),
            Change::Remove(user_key) => drop(self.remove(key.key_hash(), &key, &user_key)),
            Change::Clear => self.clear(key.key_hash(), &key),
        }
    }

    fn change_model(of_key: &mut Vec<(u64, u64)>, change: Change) {
        match change {
            Change::Add(user_key, value) => {
                of_key.retain(|(other, _)| *other != user_key);
                of_key.push((user_key, value));
                of_key.sort_unstable();
            }
            Change::Remove(user_key) => of_key.retain(|(other, _)| *other != user_key),
            Change::Clear => of_key.clear(),
        }
    }

    fn sweep(&mut self, cursor: &mut SweepCursor, budget: usize) -> Progress {
        self.sweep(cursor, budget, judge)
    }

    fn of_key(&self, key: u64) -> Vec<(u64, u64)> {
        let mut entries: Vec<_> =
            self.iter(key.key_hash(), &key).map(|(key, value)| (*key, *value)).collect();
        assert!(O::is_in_order(self.keys(key.key_hash(), &key)));
        assert_eq!(self.len_of(key.key_hash(), &key), entries.len());
        entries.sort_unstable();
        entries
    }
}

impl Collection for ListTable<u64, u64> {
    fn new(max: MaxParallelism) -> Self {
        ListTable::new(TABLE, "list", max)
    }

    fn change(&mut self, key: u64, change: Change) {
        match change {
            Change::Add(_, value) => self.push(key.key_hash(), &key, value),
            Change::Remove(_) => drop(self.pop_front(key.key_hash(), &key)),
            Change::Clear => self.clear(key.key_hash(), &key),
        }
    }

    fn change_model(of_key: &mut Vec<(u64, u64)>, change: Change) {
        match change {
            Change::Add(_, value) => of_key.push((0, value)),
            Change::Remove(_) if of_key.is_empty() => {}
            Change::Remove(_) => drop(of_key.remove(0)),
            Change::Clear => of_key.clear(),
        }
    }

    fn sweep(&mut self, cursor: &mut SweepCursor, budget: usize) -> Progress {
        self.sweep(cursor, budget, judge)
    }

    fn of_key(&self, key: u64) -> Vec<(u64, u64)> {
        let elements: Vec<_> = self.iter(key.key_hash(), &key).map(|value| (0, *value)).collect();
        assert_eq!(self.len_of(key.key_hash(), &key), elements.len());
        elements
    }
}

struct Owner<C> {
    groups: KeyGroupSet,
    table: C,
    writer: Option<SnapshotWriter<Vec<u8>>>,
}

/// What each owner has written for a checkpoint.
struct Checkpoint {
    id: CheckpointId,
    model: Model,
    acknowledged: Vec<(KeyGroupSet, usize, Vec<Run>)>,
}

struct World<C> {
    seed: u64,
    max: MaxParallelism,
    model: Model,
    owners: Vec<Owner<C>>,
    objects: Vec<Vec<u8>>,
    chains: BTreeMap<u16, RunChain<usize>>,
    complete: (Option<CheckpointId>, Model),
    writing: Option<Checkpoint>,
    awaiting: Option<Checkpoint>,
    next_id: CheckpointId,
}

impl<C: Collection> World<C> {
    fn new(seed: u64, groups: u32) -> Self {
        let mut world = Self {
            seed,
            max: MaxParallelism::new(groups).expect("in range"),
            model: Model::new(),
            owners: Vec::new(),
            objects: Vec::new(),
            chains: BTreeMap::new(),
            complete: (None, Model::new()),
            writing: None,
            awaiting: None,
            next_id: CheckpointId(1),
        };
        world.deploy();
        world
    }

    fn below(&mut self, bound: u64) -> u64 {
        splitmix64::next(&mut self.seed) % bound
    }

    /// Empty owners of random groups.
    fn deploy(&mut self) {
        let owners = 1 + self.below(3) as usize;
        let mut groups = vec![Vec::new(); owners];
        for group in KeyGroupSet::all(self.max).iter() {
            let owner = self.below(owners as u64) as usize;
            groups[owner].push(group);
        }
        let bounds =
            Bounds { block_bytes: 50, tombstone_bytes: 100, undo_chunk_bytes: 100, ..Bounds::default() };
        let owner = |groups: Vec<KeyGroup>| {
            let mut table = C::new(self.max);
            table.set_bounds(bounds);
            Owner { groups: groups.into_iter().collect(), table, writer: None }
        };
        self.owners = groups.into_iter().map(owner).collect();
        (self.writing, self.awaiting) = (None, None);
    }

    fn owner_of(&mut self, key: u64) -> &mut Owner<C> {
        let group = key.key_hash().group(self.max);
        self.owners.iter_mut().find(|owner| owner.groups.contains(group)).expect("each group has an owner")
    }

    fn change(&mut self) {
        let (key, user_key, value) = (self.below(KEYS), self.below(60), self.below(1_000));
        let change = match self.below(40) {
            0 => Change::Clear,
            1..=12 => Change::Remove(user_key),
            _ => Change::Add(user_key, value),
        };
        self.owner_of(key).table.change(key, change);
        let of_key = self.model.entry(key).or_default();
        C::change_model(of_key, change);
        self.model.retain(|_, of_key| !of_key.is_empty());
    }

    fn sweep(&mut self) {
        let budget = 1 + self.below(30) as usize;
        for owner in &mut self.owners {
            let mut cursor = SweepCursor::default();
            while owner.table.sweep(&mut cursor, budget) == Progress::More {}
        }
        self.model.values_mut().for_each(|of_key| of_key.retain(|(_, value)| !is_dead(*value)));
        self.model.retain(|_, of_key| !of_key.is_empty());
    }

    fn freeze(&mut self, kind: SnapshotKind) {
        let id = self.next_id;
        self.next_id = id.next();
        for owner in &mut self.owners {
            owner.table.freeze(id, kind);
            owner.writer = Some(SnapshotWriter::new(Vec::new()));
        }
        self.writing = Some(Checkpoint { id, model: self.model.clone(), acknowledged: Vec::new() });
    }

    fn walk(&mut self, budget: usize) {
        let Some(writing) = &mut self.writing else { return };
        for owner in &mut self.owners {
            let Some(mut writer) = owner.writer.take() else { continue };
            match owner.table.snapshot_step(budget, &mut writer).expect("it can be encoded") {
                Progress::More => owner.writer = Some(writer),
                Progress::Done => {
                    let (object, runs) = writer.finish();
                    self.objects.push(object);
                    writing.acknowledged.push((owner.groups.clone(), self.objects.len() - 1, runs));
                }
            }
        }
        if writing.acknowledged.len() == self.owners.len() {
            self.awaiting = self.writing.take();
        }
    }

    fn complete(&mut self) {
        let Some(checkpoint) = self.awaiting.take() else { return };
        let layout = SegmentLayout::new(self.max);
        self.owners.iter_mut().for_each(|owner| owner.table.complete(checkpoint.id));
        for (groups, object, runs) in &checkpoint.acknowledged {
            for run in runs {
                let (first, last) = layout.groups(run.segment);
                let of_segment = (first.0..=last.0).map(KeyGroup).collect();
                self.chains.entry(run.segment).or_default().push(*object, *run, groups, &of_segment);
            }
        }
        self.complete = (Some(checkpoint.id), checkpoint.model);
    }

    fn abort(&mut self) {
        for checkpoint in [self.writing.take(), self.awaiting.take()].into_iter().flatten() {
            self.owners.iter_mut().for_each(|owner| owner.table.abort(checkpoint.id));
        }
        self.owners.iter_mut().for_each(|owner| owner.writer = None);
    }

    /// Passes each run that contains state of `groups` to `load`.
    fn runs_of(&self, groups: &KeyGroupSet, mut load: impl FnMut(&[u8], Restore<'_>)) {
        for Link { object, run, groups: needed } in self.chains.values().flat_map(RunChain::links) {
            let owned = &groups.intersection(needed);
            let bytes = &self.objects[*object][run.offset as usize..][..run.len as usize];
            load(bytes, Restore { table: TABLE, owned, origin: Origin::Own });
        }
    }

    fn load(&self, table: &mut C, groups: &KeyGroupSet) {
        self.runs_of(groups, |bytes, restore| table.load(bytes, restore).expect("whole blocks"));
        table.remember(self.complete.0);
    }

    fn restore(&mut self) {
        self.deploy();
        let mut owners = std::mem::take(&mut self.owners);
        owners.iter_mut().for_each(|owner| self.load(&mut owner.table, &owner.groups));
        self.owners = owners;
        self.model.clone_from(&self.complete.1);
    }

    /// A failure elsewhere: the tables of the next attempt continue with those of this one, if they can.
    fn roll_back(&mut self) {
        let Some(id) = self.complete.0 else { return };
        let mut owners = std::mem::take(&mut self.owners);
        for owner in &mut owners {
            let former = owner.table.take();
            owner.writer = None;
            if owner.table.go_on_with(former, id) {
                let elsewhere = KeyGroupSet::all(self.max);
                let elsewhere = elsewhere.iter().filter(|group| !owner.groups.contains(*group)).collect();
                owner.table.release(&elsewhere);
                owner.table.remember(Some(id));
            } else {
                owner.table.reset();
                self.load(&mut owner.table, &owner.groups);
            }
        }
        self.owners = owners;
        self.model.clone_from(&self.complete.1);
        (self.writing, self.awaiting) = (None, None);
    }

    /// The first owner hands some of its groups over to the last one.
    fn hand_over(&mut self) {
        self.abort();
        if self.owners.len() < 2 {
            return;
        }
        // The catch-up checkpoint.
        self.freeze(SnapshotKind::Checkpoint);
        while self.writing.is_some() {
            self.walk(60);
        }
        self.complete();
        (0..20).for_each(|_| self.change());
        let groups = self.owners[0].groups.clone();
        let (gone, kept): (Vec<_>, Vec<_>) = groups.iter().partition(|_| self.below(3) > 0);
        let (gone, kept) = (KeyGroupSet::from_iter(gone), KeyGroupSet::from_iter(kept));
        let mut new_owner = self.owners.pop().expect("there are two");
        self.runs_of(&gone, |bytes, restore| new_owner.table.arrive(bytes, restore).expect("whole blocks"));
        self.owners.push(new_owner);
        self.freeze(SnapshotKind::Cut);
        while self.writing.is_some() {
            self.walk(60);
        }
        // Owners finish in any order.
        let acknowledged = &self.awaiting.as_ref().expect("it is written").acknowledged;
        let of_old_owner = acknowledged.iter().find(|(owned, ..)| *owned == groups);
        let (_, object, runs) = of_old_owner.expect("it is written");
        let (object, runs) = (self.objects[*object].clone(), runs.clone());
        let budget = 1 + self.below(20) as usize;
        let new_owner = self.owners.last_mut().expect("there are two");
        for run in runs {
            let bytes = &object[run.offset as usize..][..run.len as usize];
            let restore = Restore { table: TABLE, owned: &gone, origin: Origin::HandedOver };
            new_owner.table.arrive(bytes, restore).expect("whole blocks");
        }
        let mut cursor = InstallCursor::default();
        while new_owner.table.install(&gone, &mut cursor, budget) == Progress::More {
            new_owner.table.check_invariants();
        }
        new_owner.groups = new_owner.groups.iter().chain(gone.iter()).collect();
        self.owners[0].table.release(&gone);
        while self.owners[0].table.discard(3) {}
        self.owners[0].groups = kept;
        self.check();
        if self.below(2) == 0 {
            self.complete();
        } else {
            self.abort();
        }
    }

    fn check(&self) {
        let mut found = Model::new();
        for owner in &self.owners {
            owner.table.check_invariants();
            for key in 0..KEYS {
                let of_key = owner.table.of_key(key);
                if !of_key.is_empty() {
                    assert_eq!(found.insert(key, of_key), None, "two owners have key {key}");
                }
            }
        }
        assert_eq!(found, self.model);
    }
}

fn check<C: Collection>(seed: u64, groups: u32) {
    let mut world = World::<C>::new(seed, groups);
    for _ in 0..60 {
        let step = world.below(30);
        match step {
            0 => world.sweep(),
            1..=5 if world.writing.is_none() && world.awaiting.is_none() => {
                world.freeze(SnapshotKind::Checkpoint)
            }
            1..=9 => {
                let budget = 1 + world.below(300) as usize;
                world.walk(budget);
            }
            10..=13 => world.complete(),
            14 => world.abort(),
            15 => world.roll_back(),
            16 => world.restore(),
            17 => world.hand_over(),
            _ => (0..10).for_each(|_| world.change()),
        }
        world.check();
    }
}

#[test]
fn maps_by_key_are_maps() {
    (0..120).for_each(|seed| check::<MapTable<u64, u64, u64>>(seed, [1, 7, 128, 700][seed as usize % 4]));
}

#[test]
fn sorted_maps_by_key_are_maps() {
    let check = check::<MapTable<u64, u64, u64, Sorted>>;
    (0..120).for_each(|seed| check(seed, [1, 7, 128, 700][seed as usize % 4]));
}

#[test]
fn lists_by_key_are_lists() {
    (0..120).for_each(|seed| check::<ListTable<u64, u64>>(seed, [1, 7, 128, 700][seed as usize % 4]));
}

/// The walk looks at a bounded number of slots, and resumes where it was.
#[test]
fn a_walk_sees_each_entry_in_bounded_steps() {
    let mut table = MapTable::<u64, u64, u64>::new(TABLE, "map", MaxParallelism::DEFAULT);
    for n in 0..3_000u64 {
        table.insert((n % 7).key_hash(), &(n % 7), n, n);
    }
    let (mut cursor, mut steps) = (SweepCursor::default(), 0);
    while table.sweep(&mut cursor, 10, judge) == Progress::More {
        table.check_invariants();
        steps += 1;
    }
    assert!(steps > 3_000 / 10, "{steps} steps");
    assert_eq!(table.table.len(), 3_000 - 750);
}
