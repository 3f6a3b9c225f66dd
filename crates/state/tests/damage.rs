//! Tests of damaged bytes: they always give an error that names the table, never a panic.

#![expect(clippy::unwrap_used, reason = "a test")]

extern crate reflow_types as reflow;

use proptest::prelude::*;
use reflow_state::{
    KeyedTable, Origin, Progress, Restore, SnapshotKind, SnapshotWriter, StateError, TableId,
};
use reflow_types::{CheckpointId, Data, Key, KeyGroupSet, MaxParallelism};

const TABLE: TableId = TableId(1);

fn max() -> MaxParallelism {
    MaxParallelism::new(4).unwrap()
}

fn snapshot<V: Data + Clone>(value: &V, kind: SnapshotKind) -> Vec<u8> {
    let mut table = KeyedTable::<String, V>::new(TABLE, "carts", max());
    for key in 0..20u64 {
        let key = format!("key {key}");
        table.upsert(key.key_hash(), &key, || value.clone());
    }
    table.freeze(CheckpointId(1), kind);
    let mut writer = SnapshotWriter::new(Vec::new());
    assert_eq!(table.snapshot_step(usize::MAX, &mut writer), Ok(Progress::Done));
    writer.finish().0
}

fn load<V: Data>(bytes: &[u8]) -> Result<KeyedTable<String, V>, StateError> {
    let mut table = KeyedTable::new(TABLE, "carts", max());
    let owned = &KeyGroupSet::all(max());
    table.load(bytes, Restore { table: TABLE, owned, origin: Origin::Own }).map(|()| table)
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Cart {
    items: Vec<Item>,
    total: u64,
}

#[derive(Clone, Debug, PartialEq, Data)]
struct Item {
    name: String,
    count: u32,
}

fn cart() -> Cart {
    Cart { items: vec![Item { name: "pear".into(), count: 3 }], total: 12 }
}

proptest! {
    #[test]
    fn a_flipped_bit_or_a_cut_is_found(at in any::<proptest::sample::Index>(), bit in 0..8, cut in any::<bool>()) {
        for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
            let mut bytes = snapshot(&cart(), kind);
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
                match load::<Cart>(&bytes) {
                    Ok(table) => assert!(table.len() < 20, "the cut fell between two blocks"),
                    Err(error) => assert!(error.to_string().contains("table 'carts'"), "{error}"),
                }
            } else {
                bytes[at] ^= 1u8 << bit;
                let error = load::<Cart>(&bytes).err().expect("each bit is covered by the checksum");
                assert!(error.to_string().contains("table 'carts'"), "{error}");
            }
        }
    }

    #[test]
    fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 1..200)) {
        assert!(load::<Cart>(&bytes).is_err());
    }

    /// Whole blocks of other types: the checksum is right, the entries are not.
    #[test]
    fn other_types_do_not_panic(value in any::<Vec<Option<(i32, String)>>>()) {
        for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
            let _ = load::<Cart>(&snapshot(&value, kind));
        }
    }
}

#[test]
fn errors_say_where_and_what() {
    let error = |bytes: &[u8]| load::<Cart>(bytes).err().unwrap().to_string();
    let bytes = snapshot(&cart(), SnapshotKind::Checkpoint);
    assert_eq!(
        error(&bytes[..5]),
        "table 'carts': the state is truncated: 5 bytes are too few for a block's header"
    );
    let at_group_0 = "table 'carts', key group 0: the state is ";
    assert!(error(&bytes[..30]).starts_with(&format!("{at_group_0}truncated: a block of ")));
    let mut damaged = bytes.clone();
    damaged[25] ^= 4;
    assert!(error(&damaged).starts_with(&format!("{at_group_0}damaged: checksum ")));
}

#[test]
fn a_savepoint_survives_added_and_removed_fields() {
    #[derive(Clone, Debug, PartialEq, Data)]
    #[data(removed = "total")]
    struct NewCart {
        #[data(default)]
        currency: String,
        items: Vec<NewItem>,
    }
    #[derive(Clone, Debug, PartialEq, Data)]
    struct NewItem {
        count: u64,
        name: String,
    }
    let table = load::<NewCart>(&snapshot(&cart(), SnapshotKind::Savepoint)).unwrap();
    let expected =
        NewCart { currency: String::new(), items: vec![NewItem { count: 3, name: "pear".into() }] };
    assert_eq!(table.len(), 20);
    assert!(table.iter().all(|(_, cart)| *cart == expected));
}

#[track_caller]
fn refused<V: Data>(bytes: &[u8], expected: &str) {
    let error = load::<V>(bytes).err().unwrap().to_string();
    assert!(error.starts_with("table 'carts', key group 0: the state was written"), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_incompatible_savepoint_names_the_field_and_both_types() {
    #[derive(Clone, Debug, Data)]
    #[data(removed = "total")]
    struct Retyped {
        items: Vec<RetypedItem>,
    }
    #[derive(Clone, Debug, Data)]
    #[data(removed = "name")]
    struct RetypedItem {
        count: String,
    }
    #[derive(Clone, Debug, Data)]
    #[data(removed = "items", removed = "total")]
    struct Extended {
        owner: String,
    }
    let bytes = snapshot(&cart(), SnapshotKind::Savepoint);
    refused::<Retyped>(
        &bytes,
        "cannot read: value: field `items[].count`: it was written as u32 and is String now",
    );
    refused::<Extended>(&bytes, "value: `owner: String` was not written; give it a default");
    refused::<u64>(&bytes, "value: it was written as Cart and is u64 now");
}

#[test]
fn a_checkpoint_is_not_read_with_other_types() {
    refused::<u64>(&snapshot(&cart(), SnapshotKind::Checkpoint), "only a savepoint can be read");
    let bytes = snapshot(&(1u8, 2u8), SnapshotKind::Checkpoint);
    // Its bytes would do.
    refused::<[u8; 2]>(&bytes, "only a savepoint can be read");
}

#[test]
fn a_key_of_another_type_is_refused() {
    let bytes = snapshot(&1u8, SnapshotKind::Savepoint);
    let mut table = KeyedTable::<(String, u32), u8>::new(TABLE, "carts", max());
    let owned = &KeyGroupSet::all(max());
    let error = table.load(&bytes, Restore { table: TABLE, owned, origin: Origin::Own }).unwrap_err();
    assert!(error.to_string().contains("key: it was written as String and is (String, u32) now"), "{error}");
}

#[test]
fn a_value_that_cannot_be_encoded_fails_the_snapshot_only() {
    #[derive(Clone, Data)]
    struct List(Option<Box<List>>);
    let nested = || (0..1_000).fold(List(None), |list, _| List(Some(Box::new(list))));
    let mut table = KeyedTable::<u64, List>::new(TABLE, "nested", max());
    table.upsert(1u64.key_hash(), &1, nested);
    for (checkpoint, changes_first) in [(1, false), (2, true)] {
        table.freeze(CheckpointId(checkpoint), SnapshotKind::Savepoint);
        if changes_first {
            table.get_mut(1u64.key_hash(), &1).unwrap();
        }
        let mut writer = SnapshotWriter::new(Vec::new());
        let error = table.snapshot_step(1 << 20, &mut writer).unwrap_err().to_string();
        let expected = ["table 'nested', key group", "List", "cannot be encoded", "nests more than 256"];
        assert!(expected.iter().all(|text| error.contains(text)), "{error}");
        table.abort(CheckpointId(checkpoint));
    }
    assert_eq!(table.len(), 1);
}

/// A run that is too large, with a limit of a few bytes instead of 4 GiB.
#[test]
fn state_that_is_too_large_is_an_error_that_names_it() {
    let bounds = reflow_types::Bounds { run_bytes: 200, block_bytes: 50, ..Default::default() };
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        // One large entry, and several small ones.
        for (keys, value_bytes) in [(4u64, 300), (20_000, 20)] {
            let mut table = KeyedTable::<u64, Vec<u8>>::new(TABLE, "carts", max());
            table.set_bounds(bounds);
            (0..keys)
                .for_each(|key| drop(table.insert_or_replace(key.key_hash(), &key, vec![1; value_bytes])));
            for checkpoint in 1..=2 {
                table.freeze(CheckpointId(checkpoint), kind);
                let mut writer = SnapshotWriter::new(Vec::new());
                let error = table.snapshot_step(usize::MAX, &mut writer).unwrap_err();
                assert!(matches!(error, StateError::TooLarge { limit: 200, .. }), "{error}");
                assert!(error.to_string().starts_with("table 'carts', key group"), "{error}");
                // Also an entry that changes while the snapshot is being written.
                table.insert_or_replace(0u64.key_hash(), &0, vec![2; 1_000]);
                table.abort(CheckpointId(checkpoint));
            }
            (0..keys).for_each(|key| drop(table.insert_or_replace(key.key_hash(), &key, vec![])));
            (1..keys).for_each(|key| drop(table.remove(key.key_hash(), &key)));
            table.freeze(CheckpointId(3), kind);
            let mut writer = SnapshotWriter::new(Vec::new());
            assert_eq!(table.snapshot_step(usize::MAX, &mut writer), Ok(Progress::Done), "it is small again");
        }
    }
}
