//! Tests of the bytes that checkpoints write for changed entries, and that a restore reads for live entries.
#![expect(clippy::unwrap_used, reason = "a test")]

mod chain;

use chain::RunChain;
use reflow_state::{
    KeyedTable, Progress, Restore, Run, RunKind, SegmentLayout, SnapshotKind, SnapshotWriter, TableId,
};
use reflow_types::{CheckpointId, Key, KeyGroup, KeyGroupSet, MaxParallelism, splitmix64};
use std::collections::BTreeMap;

const TABLE: TableId = TableId(0);

struct Job {
    max: MaxParallelism,
    table: KeyedTable<u64, Vec<u8>>,
    chains: BTreeMap<u16, RunChain<Vec<u8>>>,
    checkpoint: CheckpointId,
}

impl Job {
    fn new(max: u32, keys: u64, value_bytes: usize) -> Self {
        let max = MaxParallelism::new(max).unwrap();
        let table = KeyedTable::new(TABLE, "values", max);
        let mut job = Self { max, table, chains: BTreeMap::new(), checkpoint: CheckpointId(0) };
        (0..keys).for_each(|key| job.put(key, 0, value_bytes));
        job
    }

    fn put(&mut self, key: u64, fill: u8, value_bytes: usize) {
        *self.table.upsert(key.key_hash(), &key, Vec::new) = vec![fill; value_bytes];
    }

    /// Takes a checkpoint; returns its bytes and its runs.
    fn checkpoint(&mut self) -> (u64, Vec<Run>) {
        self.checkpoint = self.checkpoint.next();
        self.table.freeze(self.checkpoint, SnapshotKind::Checkpoint);
        let mut writer = SnapshotWriter::new(Vec::new());
        while self.table.snapshot_step(64 << 10, &mut writer).unwrap() == Progress::More {}
        self.table.complete(self.checkpoint);
        let bytes = writer.len();
        let (object, runs) = writer.finish();
        let layout = SegmentLayout::new(self.max);
        for run in &runs {
            let (first, last) = layout.groups(run.segment);
            let of_segment: KeyGroupSet = (first.0..=last.0).map(KeyGroup).collect();
            let bytes = object[run.offset as usize..][..run.len as usize].to_vec();
            self.chains.entry(run.segment).or_default().push(bytes, *run, &of_segment, &of_segment);
        }
        (bytes, runs)
    }

    fn restore_bytes(&self) -> u64 {
        self.chains.values().flat_map(RunChain::links).map(|link| link.run.len).sum()
    }

    fn restored(&self) -> KeyedTable<u64, Vec<u8>> {
        let mut table = KeyedTable::new(TABLE, "values", self.max);
        let owned = &KeyGroupSet::all(self.max);
        for link in self.chains.values().flat_map(RunChain::links) {
            table
                .load(&link.object, Restore { table: TABLE, owned, origin: reflow_state::Origin::Own })
                .unwrap();
        }
        table
    }
}

/// 5 % of the entries change before each of 100 checkpoints, with a restore in the middle.
fn check_ratios(max: u32, keys: u64, value_bytes: usize) {
    let mut job = Job::new(max, keys, value_bytes);
    let (first, runs) = job.checkpoint();
    assert!(runs.iter().all(|run| run.kind == RunKind::Full), "nothing to build on");
    let live = first as f64;
    let changed = live / 20.0;
    let (mut written, mut most_read) = (0.0, 0f64);
    let mut random = 1u64;
    for round in 1..=100u8 {
        for _ in 0..keys / 20 {
            job.put(splitmix64::next(&mut random) % keys, round, value_bytes);
        }
        let (bytes, _) = job.checkpoint();
        if round == 1 {
            assert!(bytes as f64 <= 1.2 * changed, "increment {bytes}, changed {changed}");
        }
        written += bytes as f64;
        most_read = most_read.max(job.restore_bytes() as f64 / live);
        if round == 50 {
            job.table = job.restored();
        }
    }
    println!(
        "max parallelism {max}, {keys} keys of {value_bytes} B: written/changed {:.2}, read/live {most_read:.2}",
        written / (100.0 * changed)
    );
    assert!(written / (100.0 * changed) <= 2.5, "written/changed {}", written / (100.0 * changed));
    assert!(most_read <= 2.2, "read/live {most_read}");
    let restored = job.restored();
    restored.check_invariants();
    assert_eq!(restored.len(), job.table.len());
    assert!(restored.iter().all(|(key, value)| job.table.get(key.key_hash(), key) == Some(value)));
}

#[test]
fn rewriting_keeps_its_ratios_with_large_values() {
    check_ratios(32768, 20_000, 1000);
    check_ratios(128, 20_000, 1000);
}

#[test]
fn rewriting_keeps_its_ratios_with_small_values() {
    check_ratios(32768, 200_000, 8);
}

#[test]
fn a_table_that_drains_stops_costing_anything() {
    let mut job = Job::new(4096, 5_000, 100);
    job.checkpoint();
    for key in 0..5_000u64 {
        job.table.remove(key.key_hash(), &key);
        if key % 500 == 0 {
            job.checkpoint();
        }
    }
    job.checkpoint();
    assert_eq!(job.restore_bytes(), 0, "no run is needed to restore nothing");
    let (bytes, runs) = job.checkpoint();
    assert_eq!((bytes, runs.len()), (0, 0));
}

#[test]
fn an_unchanged_table_writes_nothing() {
    let mut job = Job::new(4096, 5_000, 100);
    job.checkpoint();
    assert_eq!(job.checkpoint(), (0, Vec::new()));
    job.table = job.restored();
    assert_eq!(job.checkpoint(), (0, Vec::new()));
}

#[test]
fn steps_are_bounded() {
    let mut job = Job::new(128, 40, 1 << 20);
    job.table.freeze(CheckpointId(1), SnapshotKind::Checkpoint);
    let mut writer = SnapshotWriter::new(Vec::new());
    loop {
        let before = writer.len();
        let progress = job.table.snapshot_step(1 << 20, &mut writer).unwrap();
        assert!(writer.len() - before < (3 << 20), "a step wrote {} bytes", writer.len() - before);
        if progress == Progress::Done {
            break;
        }
    }
}

/// Keys that are inserted and removed while no checkpoint completes do not take memory without limit, and the
/// checkpoint that completes in the end lacks the removed keys.
#[test]
fn removed_keys_do_not_pile_up_while_checkpoints_fail() {
    const LIVE: u64 = 20_000;
    let mut job = Job::new(128, LIVE, 8);
    job.checkpoint();
    let before = job.table.memory_bytes();
    let mut kept = 0;
    for round in 0..100 {
        let keys = LIVE + round * 10_000..LIVE + (round + 1) * 10_000;
        keys.clone().for_each(|key| job.put(key, 1, 8));
        job.checkpoint = job.checkpoint.next();
        job.table.freeze(job.checkpoint, SnapshotKind::Checkpoint);
        // Some checkpoints fail while they are written, others afterwards.
        let mut writer = SnapshotWriter::new(Vec::new());
        while job.table.snapshot_step(64 << 10, &mut writer).unwrap() == Progress::More && round % 2 == 0 {}
        keys.chain([round]).for_each(|key| drop(job.table.remove(key.key_hash(), &key)));
        job.table.abort(job.checkpoint);
        kept = kept.max(job.table.memory_bytes());
    }
    assert!(kept < before + (8 << 20), "{kept} bytes, {before} with the same live keys before");
    job.checkpoint();
    let restored = job.restored();
    let keys: std::collections::BTreeSet<u64> = restored.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, (100..LIVE).collect());
    // From here on, increments build on that checkpoint.
    (100..200u64).for_each(|key| drop(job.table.remove(key.key_hash(), &key)));
    let (_, runs) = job.checkpoint();
    assert!(runs.iter().any(|run| run.kind == RunKind::Increment));
    assert_eq!(job.restored().len(), (LIVE - 200) as usize);
}
