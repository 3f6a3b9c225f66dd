//! Output that may be committed again.

use bytes::Bytes;
use reflow_sim::redone::Files;
use reflow_sim::workload::sink;
use reflow_sim::world::Storage;
use reflow_types::CheckpointId;

#[test]
fn lines_of_damaged_checkpoints_may_come_once_more() {
    let mut storage = Storage::default();
    let mut files = Files::default();
    for (name, body, checkpoint) in [("a", "1 1\n", 1), ("b", "1 2\n", 2), ("c", "1 3\n", 3)] {
        storage.put(&format!("{}{name}", sink::COMMITTED), Bytes::from_static(body.as_bytes()));
        files.written(name);
        files.belong(CheckpointId(checkpoint), &[name]);
    }
    assert_eq!(files.out_of_order(&storage), None);
    files.begins(Some(CheckpointId(2)), &storage);
    assert_eq!(["1 1", "1 2", "1 3"].map(|line| files.redone(line)), [0, 0, 1]);
}

/// The file sink may write a file behind a barrier whose checkpoint is not complete.
#[test]
fn a_file_belongs_to_the_checkpoint_with_its_transaction() {
    let mut storage = Storage::default();
    let mut files = Files::default();
    for (name, body) in [("part-1", "1 1\n"), ("part-12", "1 2\n")] {
        storage.put(&format!("{}{name}", sink::COMMITTED), Bytes::from_static(body.as_bytes()));
        files.written(name);
    }
    files.belong(CheckpointId(1), &["\u{1}part-12\u{2}"]);
    files.belong(CheckpointId(2), &["part-1, part-12"]);
    files.begins(Some(CheckpointId(1)), &storage);
    assert_eq!(["1 1", "1 2"].map(|line| files.redone(line)), [1, 0]);
}

#[test]
fn an_earlier_count_after_a_later_one_is_seen() {
    let mut storage = Storage::default();
    let mut files = Files::default();
    for (name, body, checkpoint) in [("a", "1 1\n2 1\n1 3\n", 1), ("b", "1 2\n", 2)] {
        storage.put(&format!("{}{name}", sink::COMMITTED), Bytes::from_static(body.as_bytes()));
        files.written(name);
        files.belong(CheckpointId(checkpoint), &[name]);
    }
    assert!(files.out_of_order(&storage).is_some_and(|text| text.starts_with("key 1: ")));
}
