//! Measures the longest pause that snapshot work causes in a slot.
//!
//! `cargo run --release -p reflow-state --example pause [thousand keys] [value bytes]`
//!
//! Fills a table, takes a checkpoint, changes 5 % of the keys and takes another one, in steps of 1 MiB. Prints
//! the longest time of each call, and the bytes written. The times are wall-clock times, so a busy machine
//! increases them.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use reflow_state::{KeyedTable, Progress, SnapshotKind, SnapshotWriter, TableId};
use reflow_types::{CheckpointId, Key, MaxParallelism};
use std::time::{Duration, Instant};

const STEP_BYTES: usize = 1 << 20;

/// Drops the bytes, as an uploader would after the upload.
struct Discard;

impl reflow_state::SnapshotSink for Discard {
    fn write(&mut self, _: &[u8]) {}
}

fn checkpoint(table: &mut KeyedTable<u64, Vec<u8>>, id: CheckpointId) {
    let mut steps = Vec::new();
    let start = Instant::now();
    table.freeze(id, SnapshotKind::Checkpoint);
    let freeze = start.elapsed();
    let mut writer = SnapshotWriter::new(Discard);
    loop {
        let start = Instant::now();
        let progress = table.snapshot_step(STEP_BYTES, &mut writer).expect("values encode");
        steps.push(start.elapsed());
        if progress == Progress::Done {
            break;
        }
    }
    let start = Instant::now();
    table.complete(id);
    let complete = start.elapsed();
    let bytes = writer.len();
    steps.sort_unstable();
    let (median, p95, longest) =
        (steps[steps.len() / 2], steps[steps.len() * 95 / 100], steps[steps.len() - 1]);
    println!(
        "checkpoint {id}: {bytes} bytes in {} steps; freeze {freeze:?}, complete {complete:?}",
        steps.len()
    );
    println!("  a step: median {median:?}, 95 % within {p95:?}, longest {longest:?}");
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a number"));
    let keys = args.next().unwrap_or(1000) * 1000;
    let value_bytes = args.next().unwrap_or(1000) as usize;
    let mut table = KeyedTable::<u64, Vec<u8>>::new(TableId(0), "values", MaxParallelism::UPPER_BOUND);
    let mut longest = Duration::ZERO;
    for key in 0..keys {
        let start = Instant::now();
        table.upsert(key.key_hash(), &key, || vec![1; value_bytes]);
        longest = longest.max(start.elapsed());
    }
    println!("{keys} keys of {value_bytes} bytes; longest insertion, growth included: {longest:?}");
    checkpoint(&mut table, CheckpointId(1));
    for key in (0..keys).step_by(20) {
        table.upsert(key.key_hash(), &key, Vec::new)[0] += 1;
    }
    checkpoint(&mut table, CheckpointId(2));
}
