//! Random bounds on the work, memory and messages of executors. A run has only a few hundred keys, so the bounds
//! of production would never be reached.

use crate::rng::Rng;
use reflow_types::Bounds;
use std::ops::RangeInclusive;

/// Draws the bounds: those of production in some runs; otherwise each of them may be so small that the little
/// state of a run exceeds it many times.
pub(super) fn random(rng: &mut Rng) -> Bounds {
    let usual = Bounds::default();
    if rng.chance(0.2) {
        return usual;
    }
    let tight = rng.within(20..=100) as f64 / 100.0;
    let mut draw = |usual: usize, few: RangeInclusive<u64>| match rng.chance(tight) {
        true if rng.chance(0.5) => rng.within(*few.start()..=few.start() + 2) as usize,
        true => rng.skewed(few) as usize,
        false => usual,
    };
    Bounds {
        batch_records: draw(usual.batch_records, 1..=30),
        batch_bytes: draw(usual.batch_bytes as usize, 1..=500) as u64,
        first_credit: draw(usual.first_credit as usize, 1..=3) as u64,
        // With less, each record would be a round trip, which takes too long for a job of half a million records.
        most_credit: draw(usual.most_credit as usize, 30..=300) as u64,
        credit_bytes: draw(usual.credit_bytes as usize, 4_000..=40_000) as u64,
        record_bytes: usual.record_bytes,
        fired_timers: draw(usual.fired_timers, 1..=30),
        fired_panes: draw(usual.fired_panes, 1..=30),
        flat_map_records: draw(usual.flat_map_records, 1..=100),
        installed_entries: draw(usual.installed_entries, 1..=30),
        parked_records: draw(usual.parked_records, 1..=200),
        discarded_slots: draw(usual.discarded_slots, 1..=50),
        hand_over_part_bytes: draw(usual.hand_over_part_bytes, 1..=2_000),
        prefetch_reads: draw(usual.prefetch_reads, 1..=4),
        snapshot_step_bytes: draw(usual.snapshot_step_bytes, 1..=2_000),
        block_bytes: draw(usual.block_bytes, 1..=2_000),
        // Each part is a request. One after the other, smaller parts of 150 kB would take longer than a checkpoint may.
        upload_part_bytes: draw(usual.upload_part_bytes, 500..=5_000),
        small_part_bytes: draw(usual.small_part_bytes, 50..=5_000),
        upload_parts: draw(usual.upload_parts, 1..=4),
        restore_reads: draw(usual.restore_reads, 1..=8),
        restore_read_bytes: draw(usual.restore_read_bytes as usize, 1..=2_000) as u64,
        restore_step_bytes: draw(usual.restore_step_bytes as usize, 1..=2_000) as u64,
        run_bytes: usual.run_bytes,
        tombstone_bytes: draw(usual.tombstone_bytes, 1..=100),
        undo_chunk_bytes: draw(usual.undo_chunk_bytes, 1..=1_000),
        // With less, no roll-back in place would be possible.
        undo_log_bytes: draw(usual.undo_log_bytes as usize, 100..=20_000) as u64,
        unstored_bytes: draw(usual.unstored_bytes, 1..=2_000),
        message_splits: draw(usual.message_splits, 1..=3),
        deletions: draw(usual.deletions, 1..=4),
        swept_slots: draw(usual.swept_slots, 1..=50),
        reserved_bytes: draw(usual.reserved_bytes as usize, 1..=30_000) as u64,
    }
}

/// The bounds that differ from production's, for the trace.
pub(super) fn describe(bounds: &Bounds) -> String {
    let fields = |bounds: &Bounds| {
        let text = format!("{bounds:?}");
        let inner = text.trim_start_matches("Bounds {").trim_end_matches('}').trim().to_owned();
        inner.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let usual = fields(&Bounds::default());
    let other: Vec<_> = fields(bounds).into_iter().filter(|field| !usual.contains(field)).collect();
    if other.is_empty() { "usual bounds".to_owned() } else { other.join(", ") }
}
