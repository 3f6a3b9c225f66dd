//! Compares the keyed table with a plain hashbrown map on workload W1: a count per key, 1,000,000 keys, in
//! batches.
//!
//! `cargo run --release -p reflow-state --example w1 [max parallelism] [million events] [keys]`
//!
//! Prints nanoseconds per event for both, measured alternately, and their ratio. Hashing is measured separately,
//! because in a job the sender does it.
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use reflow_state::{KeyedTable, PREFETCH_DISTANCE, TableId};
use reflow_types::{Key, KeyHash, MaxParallelism, splitmix64};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 1024;

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u32>().expect("a number"));
    let max = MaxParallelism::new(args.next().unwrap_or(32768)).expect("in range");
    let batches = u64::from(args.next().unwrap_or(20)) * 1_000_000 / BATCH as u64;

    let keys_in_all = u64::from(args.next().unwrap_or(1_000_000));
    let mut table = KeyedTable::<u64, u64>::new(TableId(0), "counts", max);
    let mut map = hashbrown::HashMap::<u64, u64, foldhash::fast::RandomState>::default();
    let (mut in_table, mut in_map, mut in_hash) = (0, 0, 0);
    for batch in 0..batches {
        if batch == batches / 4 {
            // By now all keys are in the tables; measure from here.
            (in_table, in_map, in_hash) = (0, 0, 0);
        }
        let at = |i: usize| splitmix64::nth(0, batch * BATCH as u64 + i as u64) % keys_in_all;
        let keys: [u64; BATCH] = std::array::from_fn(at);
        let start = Instant::now();
        let hashes: [KeyHash; BATCH] = std::array::from_fn(|i| keys[i].key_hash());
        in_hash += start.elapsed().as_nanos();

        let start = Instant::now();
        for key in keys {
            *map.entry(key).or_insert(0) += 1;
        }
        in_map += start.elapsed().as_nanos();

        let start = Instant::now();
        for (i, (key, &hash)) in keys.iter().zip(&hashes).enumerate() {
            if let Some(&ahead) = hashes.get(i + PREFETCH_DISTANCE) {
                table.prefetch(ahead);
            }
            *table.upsert(hash, key, || 0) += 1;
        }
        in_table += start.elapsed().as_nanos();
    }
    assert_eq!(table.iter().map(|(_, count)| count).sum::<u64>(), batches * BATCH as u64);
    assert_eq!(map.values().sum::<u64>(), batches * BATCH as u64);
    let measured = (batches - batches / 4) * BATCH as u64;
    let per_event = |nanos: u128| nanos as f64 / measured as f64;
    println!(
        "max parallelism {max}: table {:.1} ns, hashbrown {:.1} ns, ratio {:.2}; hashing {:.1} ns; {} MB",
        per_event(in_table),
        per_event(in_map),
        in_table as f64 / in_map as f64,
        per_event(in_hash),
        table.memory_bytes() >> 20
    );
}
