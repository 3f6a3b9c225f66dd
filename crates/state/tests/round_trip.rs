//! A snapshot refuses state that could not be restored from it.

#![expect(clippy::unwrap_used, reason = "a test")]

use reflow_state::{KeyedTable, Progress, SnapshotKind, SnapshotWriter, StateError, StateValue, TableId};
use reflow_types::{CheckpointId, Key, KeyWriter, MaxParallelism};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::time::Duration;

fn table<K: Key, V: StateValue>(key: K, value: V) -> KeyedTable<K, V> {
    let mut table = KeyedTable::new(TableId(1), "carts", MaxParallelism::new(4).unwrap());
    table.upsert(key.key_hash(), &key, || value);
    table
}

fn snapshot<K: Key, V: StateValue>(
    table: &mut KeyedTable<K, V>,
    checkpoint: u64,
    kind: SnapshotKind,
) -> Result<Progress, StateError> {
    table.freeze(CheckpointId(checkpoint), kind);
    table.snapshot_step(usize::MAX, &mut SnapshotWriter::new(Vec::new()))
}

#[track_caller]
fn passes<V: StateValue>(value: V) {
    let mut table = table(1u64, value);
    for (checkpoint, kind) in [(1, SnapshotKind::Checkpoint), (2, SnapshotKind::Savepoint)] {
        assert_eq!(
            snapshot(&mut table, checkpoint, kind),
            Ok(Progress::Done),
            "{}",
            std::any::type_name::<V>()
        );
    }
}

#[track_caller]
fn refused<K: Key, V: StateValue>(key: K, value: V, texts: &[&str]) {
    let error = snapshot(&mut table(key, value), 1, SnapshotKind::Checkpoint).unwrap_err();
    assert!(matches!(error, StateError::NotRestorable { .. }), "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Dot,
    Circle(u32),
    Line(i8, i8),
    Box { width: u16, name: Option<String> },
}

#[test]
fn plain_state_passes_in_both_codecs() {
    passes((1u8, -1i16, 2u32, i64::MIN, u64::MAX, i128::MIN, u128::MAX));
    passes(('ß', true, String::new(), "text".to_owned(), [0u8; 32], ()));
    passes((f64::NAN, f32::NAN, -0.0f64, f32::INFINITY, Some(1u8), None::<u8>, PhantomData::<u8>));
    passes(vec![Shape::Dot, Shape::Circle(1), Shape::Line(1, -1), Shape::Box { width: 1, name: None }]);
    passes((Duration::MAX, Ok::<u8, String>(1), Box::new(vec![Some("a".to_owned())])));
    passes(());
    let words = || (0..100u32).map(|n| format!("word {n}"));
    for _ in 0..10 {
        passes((words().collect::<HashSet<_>>(), words().zip(0..100u8).collect::<HashMap<_, _>>()));
        passes(words().map(|word| (word, words().collect())).collect::<HashMap<_, HashSet<String>>>());
        passes((0..50u32).map(|n| n * 7 % 31).collect::<BinaryHeap<_>>());
    }
    passes((words().collect::<BTreeSet<_>>(), words().zip(0..).collect::<BTreeMap<_, u64>>()));
    passes((words().collect::<VecDeque<_>>(), HashMap::from([((1u8, 'a'), f64::NAN)])));
}

fn doubled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    u64::deserialize(deserializer).map(|n| 2 * n)
}

#[derive(Serialize, Deserialize)]
struct Cart {
    lines: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(deserialize_with = "doubled")]
    price: u64,
}

#[derive(Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    count: u8,
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    A { x: u8 },
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
}

#[test]
fn state_that_could_not_be_restored_is_refused_at_the_first_checkpoint() {
    let cart = |price| Cart { lines: vec![Line { price }] };
    refused(
        1u64,
        cart(3),
        &["table 'carts'", "round_trip::Cart", "`lines[].price` was 3 and is 6", "in the source or in a map"],
    );
    refused(1u64, Skips { name: None, count: 1 }, &["round_trip::Skips", "field `name` is left out here"]);
    refused(1u64, Flat { id: 1, rest: BTreeMap::new() }, &["round_trip::Flat", "it cannot be encoded"]);
    refused(1u64, Tagged::A { x: 1 }, &["round_trip::Tagged", "cannot be read back"]);
    refused(1u64, vec![Untagged::Number(1)], &["round_trip::Untagged", "field `[]` cannot be read back"]);
    // Self-describing, and so without a difference between these.
    refused(1u64, Some(None::<u8>), &["from a savepoint", "was Some(nothing) and is nothing"]);
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Forgetful {
    id: u64,
    #[serde(skip)]
    shard: u64,
}

impl Key for Forgetful {
    fn encode(&self, out: &mut KeyWriter) {
        (self.id, self.shard).encode(out);
    }
}

#[test]
fn a_key_that_is_another_one_afterwards_is_refused() {
    refused(
        Forgetful { id: 1, shard: 2 },
        0u8,
        &["a key of type round_trip::Forgetful", "it is another key"],
    );
    assert_eq!(
        snapshot(&mut table(Forgetful { id: 1, shard: 0 }, 0u8), 1, SnapshotKind::Checkpoint),
        Ok(Progress::Done)
    );
}

/// What comes later may be of another kind, and what changes before the walk comes by is encoded elsewhere.
#[test]
fn later_entries_are_tried_too() {
    let mut table = table(0u64, Skips { name: Some("n".into()), count: 1 });
    for key in 1..1_000u64 {
        table.upsert(key.key_hash(), &key, || Skips { name: Some("n".into()), count: 1 });
    }
    assert_eq!(snapshot(&mut table, 1, SnapshotKind::Checkpoint), Ok(Progress::Done));
    table.complete(CheckpointId(1));
    table.get_mut(7u64.key_hash(), &7).unwrap().name = None;
    let error = snapshot(&mut table, 2, SnapshotKind::Checkpoint).unwrap_err();
    assert!(error.to_string().contains("field `name` is left out here"), "{error}");
    table.abort(CheckpointId(2));

    table.freeze(CheckpointId(3), SnapshotKind::Checkpoint);
    table.get_mut(7u64.key_hash(), &7).unwrap().count = 2;
    let error = table.snapshot_step(usize::MAX, &mut SnapshotWriter::new(Vec::new())).unwrap_err();
    assert!(error.to_string().contains("field `name` is left out here"), "{error}");
}
