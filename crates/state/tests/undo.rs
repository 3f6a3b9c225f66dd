//! Tests of roll-back in place: where the undo log allows it, and where it does not.
#![expect(clippy::unwrap_used, reason = "a test")]

use reflow_state::{KeyedTable, Progress, SnapshotKind, SnapshotTable, SnapshotWriter, TableId, TimerTable};
use reflow_types::{CheckpointId, Key, MaxParallelism};

type Table = KeyedTable<u64, Vec<u8>>;

fn table(id: u16) -> Table {
    let mut table = Table::new(TableId(id), "values", MaxParallelism::DEFAULT);
    table.remember(None);
    table
}

fn put(table: &mut Table, key: u64, value: &[u8]) {
    table.insert_or_replace(key.key_hash(), &key, value.to_vec());
}

fn value(table: &Table, key: u64) -> Option<&[u8]> {
    table.get(key.key_hash(), &key).map(Vec::as_slice)
}

fn snapshot(table: &mut dyn SnapshotTable, id: u64) {
    table.freeze(CheckpointId(id), SnapshotKind::Checkpoint);
    let mut writer = SnapshotWriter::new(Vec::new());
    while table.snapshot_step(1 << 20, &mut writer).unwrap() == Progress::More {}
}

fn checkpoint(table: &mut dyn SnapshotTable, id: u64) {
    snapshot(table, id);
    table.complete(CheckpointId(id));
}

#[test]
fn a_checkpoint_that_the_table_has_not_heard_of_is_gone_back_to_if_it_wrote_it() {
    let mut table = table(0);
    put(&mut table, 1, b"one");
    checkpoint(&mut table, 1);
    put(&mut table, 1, b"two");
    snapshot(&mut table, 2);
    put(&mut table, 1, b"three");
    assert!(table.roll_back(CheckpointId(2)));
    assert_eq!(value(&table, 1), Some(&b"two"[..]));
    table.check_invariants();
}

#[test]
fn there_is_no_way_back_to_an_older_checkpoint_or_a_strange_one() {
    for id in [1, 3] {
        let mut table = table(0);
        put(&mut table, 1, b"one");
        checkpoint(&mut table, 1);
        put(&mut table, 1, b"two");
        checkpoint(&mut table, 2);
        assert!(!table.roll_back(CheckpointId(id)), "{id}");
    }
}

#[test]
fn a_table_that_does_not_remember_cannot_go_back() {
    let mut table = Table::new(TableId(0), "values", MaxParallelism::DEFAULT);
    put(&mut table, 1, b"one");
    checkpoint(&mut table, 1);
    assert!(!table.roll_back(CheckpointId(1)));
}

#[test]
fn past_its_bound_the_log_ends_until_a_checkpoint_has_ended_its_epoch() {
    let mut table = table(0);
    let (large, keys) = (vec![7; 64 << 10], 200);
    (0..keys).for_each(|key| put(&mut table, key, &large));
    checkpoint(&mut table, 1);
    (0..keys).for_each(|key| put(&mut table, key, b"changed"));
    assert!(table.memory_bytes() < 8 << 20, "the log is bounded");
    checkpoint(&mut table, 2);
    put(&mut table, 0, b"again");
    assert!(table.roll_back(CheckpointId(2)), "a checkpoint later there is a way back");
    assert_eq!(value(&table, 0), Some(&b"changed"[..]));

    (0..keys).for_each(|key| put(&mut table, key, &large));
    table.remember(None);
    checkpoint(&mut table, 3);
    (0..keys).for_each(|key| put(&mut table, key, b"changed"));
    assert!(!table.roll_back(CheckpointId(3)), "more has changed than is remembered");
}

#[test]
fn another_table_is_not_gone_on_with() {
    let mut former = table(0);
    checkpoint(&mut former, 1);
    assert!(!SnapshotTable::go_on_with(&mut table(1), SnapshotTable::take(&mut former), CheckpointId(1)));
    let mut timers = TimerTable::<u64>::new(TableId(0), "timers", MaxParallelism::DEFAULT);
    assert!(!timers.go_on_with(SnapshotTable::take(&mut former), CheckpointId(1)));
}

#[test]
fn timers_that_fired_or_were_deleted_are_due_again_and_those_that_came_are_not() {
    let make = || TimerTable::<u64>::new(TableId(0), "timers", MaxParallelism::DEFAULT);
    let mut timers = make();
    timers.remember(None);
    for key in 0..20u64 {
        timers.register(key.key_hash(), &key, 100 + key as i64 / 5, 0);
    }
    checkpoint(&mut timers, 1);
    let fired = timers.pop_due(100).unwrap();
    timers.delete(9u64.key_hash(), &9, 101, 0);
    timers.register(50u64.key_hash(), &50, 100, 0);
    assert!(fired.key < 5);

    let mut next = make();
    assert!(next.go_on_with(SnapshotTable::take(&mut timers), CheckpointId(1)));
    next.check_invariants();
    let mut keys: Vec<u64> = std::iter::from_fn(|| next.pop_due(i64::MAX)).map(|timer| timer.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, (0..20).collect::<Vec<_>>());
}
