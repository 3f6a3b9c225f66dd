//! Tests of key-group migration while both owners continue: nothing is lost, duplicated or written twice, whether
//! or not the checkpoint of the cut completes.

use reflow_state::{
    InstallCursor, KeyedTable, Origin, Progress, Restore, Run, RunKind, SnapshotKind, SnapshotTable,
    SnapshotWriter, TableId, TimerTable,
};
use reflow_types::{CheckpointId, Key, KeyGroup, KeyGroupSet, MaxParallelism, splitmix64};
use std::collections::BTreeMap;

type Table = KeyedTable<u64, u64>;
type Model = BTreeMap<u64, u64>;

/// Pseudo-random numbers from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        splitmix64::next(&mut self.0) % bound
    }
}

fn table(max: MaxParallelism) -> Table {
    KeyedTable::new(TableId(0), "values", max)
}

fn group(key: u64, max: MaxParallelism) -> KeyGroup {
    key.key_hash().group(max)
}

/// Changes an owner's keys at random.
fn change(table: &mut Table, model: &mut Model, owned: &KeyGroupSet, numbers: &mut Numbers, times: u64) {
    let max = table.layout().max_parallelism();
    for _ in 0..times {
        let key = numbers.below(400);
        if !owned.contains(group(key, max)) {
            continue;
        }
        if numbers.below(3) == 0 {
            assert_eq!(table.remove(key.key_hash(), &key), model.remove(&key));
        } else {
            let value = numbers.below(1 << 30);
            *table.upsert(key.key_hash(), &key, || 0) = value;
            model.insert(key, value);
        }
    }
}

/// The snapshot of one owner for one checkpoint.
#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

fn write(table: &mut dyn SnapshotTable, checkpoint: u64, kind: SnapshotKind) -> Written {
    table.freeze(CheckpointId(checkpoint), kind);
    let mut writer = SnapshotWriter::new(Vec::new());
    while table.snapshot_step(64, &mut writer) == Ok(Progress::More) {}
    let (bytes, runs) = writer.finish();
    Written { bytes, runs }
}

/// Prefetches a checkpoint into a new owner, run by run.
fn arrive(new_owner: &mut dyn SnapshotTable, written: &Written, restore: Restore<'_>) {
    for run in &written.runs {
        if run.kind == RunKind::Full {
            new_owner.forget_arrivals(run.segment, restore.owned);
        }
        let bytes = &written.bytes[run.offset as usize..(run.offset + run.len) as usize];
        new_owner.arrive(bytes, restore).expect("whole blocks");
    }
}

fn load(written: &[&Written], owned: &KeyGroupSet, max: MaxParallelism) -> Model {
    let mut table = table(max);
    for written in written {
        arrive(&mut table, written, Restore { table: TableId(0), owned, origin: Origin::Own });
    }
    let mut cursor = InstallCursor::default();
    while table.install(owned, &mut cursor, 1_000, None) == Progress::More {}
    table.iter().map(|(key, value)| (*key, *value)).collect()
}

fn content(table: &Table) -> Model {
    table.check_invariants();
    table.iter().map(|(key, value)| (*key, *value)).collect()
}

/// Part of a model.
fn within(model: &Model, groups: &KeyGroupSet, max: MaxParallelism) -> Model {
    let mine = |(key, _): &(&u64, &u64)| groups.contains(group(**key, max));
    model.iter().filter(mine).map(|(key, value)| (*key, *value)).collect()
}

fn check(seed: u64, groups: u32, complete: bool, heir_has_state: bool) {
    let max = MaxParallelism::new(groups).expect("in range");
    let numbers = &mut Numbers(seed);
    let all = KeyGroupSet::all(max);
    let edge = numbers.below(u64::from(groups) + 1) as u16;
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for group in all.iter() {
        if (group.0 < edge) ^ (numbers.below(10) == 0) { gone.push(group) } else { kept.push(group) }
    }
    let (gone, kept) = (KeyGroupSet::from_iter(gone), KeyGroupSet::from_iter(kept));
    let (mut old, mut model) = (table(max), Model::new());
    let new_owners = if heir_has_state { kept.clone() } else { KeyGroupSet::default() };
    let owned = if heir_has_state { gone.clone() } else { all };

    // Two checkpoints, then changes, a part of which is in a third checkpoint, the last before the cut.
    change(&mut old, &mut model, &owned, numbers, 300);
    let first = write(&mut old, 1, SnapshotKind::Checkpoint);
    old.complete(CheckpointId(1));
    change(&mut old, &mut model, &owned, numbers, 50);
    let second = write(&mut old, 2, SnapshotKind::Checkpoint);
    old.complete(CheckpointId(2));

    let (mut new_owner, mut new_owners_model) = (table(max), Model::new());
    change(&mut new_owner, &mut new_owners_model, &new_owners, numbers, 200);
    let new_owners_first = write(&mut new_owner, 2, SnapshotKind::Checkpoint);
    new_owner.complete(CheckpointId(2));
    let read = Restore { table: TableId(0), owned: &gone, origin: Origin::Own };
    arrive(&mut new_owner, &first, read);
    arrive(&mut new_owner, &second, read);
    change(&mut old, &mut model, &owned, numbers, 40);
    change(&mut new_owner, &mut new_owners_model, &new_owners, numbers, 40);

    // The cut.
    let cut = write(&mut old, 3, SnapshotKind::Cut);
    let heirs_cut = if heir_has_state {
        write(&mut new_owner, 3, SnapshotKind::Cut)
    } else {
        new_owner.begin_at(CheckpointId(3));
        Written::default()
    };
    change(&mut new_owner, &mut new_owners_model, &new_owners, numbers, 20);
    arrive(&mut new_owner, &cut, Restore { origin: Origin::HandedOver, ..read });
    assert_eq!(content(&new_owner), new_owners_model, "what arrives is not found before it is taken in");
    let mut cursor = InstallCursor::default();
    while new_owner.install(&gone, &mut cursor, 7, None) == Progress::More {
        new_owner.check_invariants();
    }
    old.release(&gone);
    while old.discard(5) {}
    new_owners_model.extend(within(&model, &gone, max));
    model = within(&model, &kept, max);
    assert_eq!(content(&new_owner), new_owners_model);
    assert_eq!(content(&old), if heir_has_state { Model::new() } else { model.clone() });

    // Afterwards each owner writes its own groups and no others.
    for owner in [&mut old, &mut new_owner] {
        if complete { owner.complete(CheckpointId(3)) } else { owner.abort(CheckpointId(3)) }
    }
    let everything: KeyGroupSet = new_owners.iter().chain(gone.iter()).collect();
    change(&mut new_owner, &mut new_owners_model, &everything, numbers, 30);
    let expected = new_owners_model.clone();
    let after = write(&mut new_owner, 4, SnapshotKind::Checkpoint);
    new_owner.complete(CheckpointId(4));
    let of_old = if complete { vec![&first, &second, &cut, &after] } else { vec![&first, &second, &after] };
    let mut found = load(&of_old, &gone, max);
    let of_heir =
        if complete { vec![&new_owners_first, &heirs_cut, &after] } else { vec![&new_owners_first, &after] };
    found.extend(load(&of_heir, &new_owners, max));
    assert_eq!(found, expected, "seed {seed}, {groups} groups, cut complete: {complete}");
}

#[test]
fn groups_change_their_owner_without_loss() {
    for seed in 0..40 {
        for groups in [1, 7, 128, 700, 32_768] {
            for (complete, heir_has_state) in [(true, false), (false, false), (true, true), (false, true)] {
                check(seed, groups, complete, heir_has_state);
            }
        }
    }
}

/// Several owners hand over to one new owner at the same time, in alternating steps.
fn check_several(seed: u64, groups: u32, owners: usize, complete: bool) {
    let max = MaxParallelism::new(groups).expect("in range");
    let numbers = &mut Numbers(seed);
    let mut owned = vec![Vec::new(); owners];
    KeyGroupSet::all(max).iter().for_each(|group| owned[numbers.below(owners as u64) as usize].push(group));
    let owned: Vec<KeyGroupSet> = owned.into_iter().map(KeyGroupSet::from_iter).collect();
    let (mut new, mut model) = (table(max), Model::new());
    let (mut firsts, mut cuts) = (Vec::new(), Vec::new());
    for (owner, owned) in owned.iter().enumerate() {
        let (mut old, mut of_old) = (table(max), Model::new());
        change(&mut old, &mut of_old, owned, numbers, 300);
        let first = write(&mut old, 1, SnapshotKind::Checkpoint);
        old.complete(CheckpointId(1));
        change(&mut old, &mut of_old, owned, numbers, 40);
        // One of them hands over only tombstones.
        if owner == 0 {
            for key in std::mem::take(&mut of_old).keys() {
                old.remove(key.key_hash(), key);
            }
        }
        arrive(&mut new, &first, Restore { table: TableId(0), owned, origin: Origin::Own });
        cuts.push(write(&mut old, 2, SnapshotKind::Cut));
        firsts.push(first);
        model.extend(of_old);
    }
    new.begin_at(CheckpointId(2));
    let mut cursors: Vec<_> = (0..owners).map(|_| InstallCursor::default()).collect();
    let mut runs: Vec<_> = cuts.iter().map(|cut| cut.runs.iter()).collect();
    let mut left: Vec<usize> = (0..owners).collect();
    while !left.is_empty() {
        let at = numbers.below(left.len() as u64) as usize;
        let owner = left[at];
        let restore = Restore { table: TableId(0), owned: &owned[owner], origin: Origin::HandedOver };
        if let Some(run) = runs[owner].next() {
            let bytes = &cuts[owner].bytes[run.offset as usize..(run.offset + run.len) as usize];
            new.arrive(bytes, restore).expect("whole blocks");
        } else if new.install(restore.owned, &mut cursors[owner], 2, None) == Progress::Done {
            left.swap_remove(at);
        }
    }
    assert_eq!(content(&new), model, "seed {seed}");
    if complete {
        new.complete(CheckpointId(2))
    } else {
        new.abort(CheckpointId(2))
    }
    change(&mut new, &mut model, &KeyGroupSet::all(max), numbers, 30);
    let after = write(&mut new, 3, SnapshotKind::Checkpoint);
    let mut found = Model::new();
    for owner in 0..owners {
        let chain = [&firsts[owner], &cuts[owner], &after];
        let chain = chain.into_iter().enumerate().filter(|(at, _)| complete || *at != 1);
        found.extend(load(&chain.map(|(_, written)| written).collect::<Vec<_>>(), &owned[owner], max));
    }
    assert_eq!(found, model, "seed {seed}, {groups} groups, {owners} owners, cut complete: {complete}");
}

#[test]
fn several_owners_hand_over_to_one_at_the_same_time() {
    for seed in 0..30 {
        for groups in [7, 128, 700] {
            for (owners, complete) in [(2, true), (2, false), (3, true), (3, false), (5, false)] {
                check_several(seed, groups, owners, complete);
            }
        }
    }
}

#[test]
fn what_a_complete_cut_holds_is_not_written_again() {
    let max = MaxParallelism::new(128).expect("in range");
    let all = KeyGroupSet::all(max);
    let (mut old, mut new_owner) = (table(max), table(max));
    let mut model = Model::new();
    change(&mut old, &mut model, &all, &mut Numbers(5), 500);
    let cut = write(&mut old, 1, SnapshotKind::Cut);
    new_owner.begin_at(CheckpointId(1));
    arrive(&mut new_owner, &cut, Restore { table: TableId(0), owned: &all, origin: Origin::HandedOver });
    let mut cursor = InstallCursor::default();
    while new_owner.install(&all, &mut cursor, 1_000, None) == Progress::More {}
    new_owner.complete(CheckpointId(1));
    assert_eq!(write(&mut new_owner, 2, SnapshotKind::Checkpoint).bytes, Vec::<u8>::new());
    new_owner.abort(CheckpointId(2));
    assert_eq!(content(&new_owner), model);
}

#[test]
fn what_was_read_and_is_not_to_come_leaves_nothing() {
    let max = MaxParallelism::new(128).expect("in range");
    let all = KeyGroupSet::all(max);
    let (mut old, mut new_owner) = (table(max), table(max));
    change(&mut old, &mut Model::new(), &all, &mut Numbers(6), 500);
    let written = write(&mut old, 1, SnapshotKind::Checkpoint);
    arrive(&mut new_owner, &written, Restore { table: TableId(0), owned: &all, origin: Origin::Own });
    new_owner.abandon_arrivals();
    while new_owner.discard(10) {}
    assert_eq!(new_owner.install(&all, &mut InstallCursor::default(), 1_000, None), Progress::Done);
    assert_eq!(content(&new_owner), Model::new());
}

#[test]
fn timers_go_with_their_groups_and_fire_once() {
    let max = MaxParallelism::new(128).expect("in range");
    let gone: KeyGroupSet = (0..64).map(KeyGroup).collect();
    let timers = || TimerTable::<u64>::new(TableId(0), "timers", max);
    let (mut old, mut new_owner) = (timers(), timers());
    for key in 0..200u64 {
        old.register(key.key_hash(), &key, (key % 10) as i64, 0);
    }
    let first = write(&mut old, 1, SnapshotKind::Checkpoint);
    old.complete(CheckpointId(1));
    let restore = Restore { table: TableId(0), owned: &gone, origin: Origin::Own };
    arrive(&mut new_owner, &first, restore);
    let mut fired: Vec<u64> = std::iter::from_fn(|| old.pop_due(2)).map(|timer| timer.key).collect();
    assert_eq!(new_owner.pop_due(9), None, "a timer fires with its owner");
    let cut = write(&mut old, 2, SnapshotKind::Cut);
    new_owner.begin_at(CheckpointId(2));
    arrive(&mut new_owner, &cut, Restore { origin: Origin::HandedOver, ..restore });
    let mut cursor = InstallCursor::default();
    while new_owner.install(&gone, &mut cursor, 3) == Progress::More {}
    SnapshotTable::release(&mut old, &gone);
    new_owner.check_invariants();
    for owner in [&mut old, &mut new_owner] {
        fired.extend(std::iter::from_fn(|| owner.pop_due(9)).map(|timer| timer.key));
    }
    fired.sort_unstable();
    assert_eq!(fired, (0..200).collect::<Vec<_>>());
}
