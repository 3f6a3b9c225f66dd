//! The check that every stateful operator must pass.

use crate::operators::called;
use crate::{Collect, Feed, Harness};
use reflow_stream::StreamEnv;
use reflow_types::Bounds;
use reflow_types::Data;
use std::fmt::Debug;
use std::rc::Rc;

/// The rescales: from how many subtasks to how many.
const RESCALES: [(u32, u32); 4] = [(1, 2), (2, 1), (2, 3), (3, 3)];

/// Runs a job over the same records without interruption, and with rescales, crashes and failovers in the middle of
/// them, and asserts that the same output is committed. Returns the output, in ascending order.
///
/// `records` are listed by split; `job` reads the feed and writes to the sink. The output may depend on the order
/// of records within a split, but not on that between splits. The clock does not move.
///
/// # Panics
/// If the outputs differ, with the case in which they do.
pub fn check_rescales<I, O>(
    records: Vec<Vec<I>>,
    job: impl Fn(&mut StreamEnv, Feed<I>, Collect<O>) + 'static,
) -> Vec<O>
where
    I: Clone + Send + 'static,
    O: Data + Clone + Ord + Debug,
{
    let job = Rc::new(job);
    let start = |parallelism: u32| {
        let (feed, out, job) = (Feed::new(records.len()), Collect::new("out"), job.clone());
        let (source, sink) = (feed.clone(), out.clone());
        let mut harness = Harness::new(move |env| job(env, source.clone(), sink.clone()));
        harness = harness.on_executors(if parallelism == 1 { 1 } else { 2 }).with_peer(&called::peer());
        (feed, out, harness)
    };
    let push = |feed: &Feed<I>, from: usize, to: usize| {
        for (number, split) in records.iter().enumerate() {
            let at = |eighth: usize| split.len() * eighth / 8;
            feed.push(number, split[at(from)..at(to)].iter().cloned());
        }
    };

    let (feed, out, mut harness) = start(1);
    harness.start(1);
    push(&feed, 0, 8);
    feed.end();
    assert!(harness.finish(), "uninterrupted: {}", harness.state());
    let expected = out.committed(&harness);

    for (from, to) in RESCALES {
        for seed in 1..=3 {
            let about = format!("from {from} to {to}, order {seed}");
            let (feed, out, harness) = start(from.max(to));
            let mut harness = harness.in_random_order(seed).with_bounds(bounds(seed));
            harness.start(from);
            push(&feed, 0, 2);
            assert!(harness.checkpoint(), "{about}: {}", harness.state());
            push(&feed, 2, 3);
            // In full flight: a checkpoint among records, then records that are read twice.
            harness.steps(7 * seed as usize);
            harness.begin_checkpoint(reflow_protocol::snapshot::AfterBarrier::Continue);
            harness.settle();
            push(&feed, 3, 4);
            harness.settle();
            // Every other time the slots survive, and keep what they have of the checkpoint.
            if seed % 2 == 0 {
                harness.kill();
                harness.start(to);
            } else {
                harness.fail_over(to);
            }
            push(&feed, 4, 6);
            harness.rescale(from);
            push(&feed, 6, 7);
            let savepoint = harness.savepoint().expect("a savepoint");
            harness.kill();
            harness.start_from_savepoint(&savepoint, to);
            push(&feed, 7, 8);
            feed.end();
            assert!(harness.finish(), "{about}: {}", harness.state());
            assert_same(&expected, &out.committed(&harness), &about);
        }
    }
    expected
}

/// Production's bounds with the first order; with the others bounds so small that every piece of work takes many
/// steps.
fn bounds(order: u64) -> Bounds {
    if order == 1 {
        return Bounds::default();
    }
    let few = order as usize - 1;
    Bounds {
        batch_records: few,
        batch_bytes: 100 * few as u64,
        first_credit: few as u64,
        most_credit: 10 * few as u64,
        credit_bytes: 100 * few as u64,
        record_bytes: Bounds::default().record_bytes,
        fired_timers: few,
        fired_panes: few,
        flat_map_records: few,
        installed_entries: few,
        parked_records: few,
        discarded_slots: few,
        swept_slots: few,
        hand_over_part_bytes: few,
        prefetch_reads: few,
        snapshot_step_bytes: few,
        block_bytes: few,
        upload_part_bytes: 100 * few,
        small_part_bytes: few,
        upload_parts: few,
        restore_reads: few,
        restore_read_bytes: 100 * few as u64,
        restore_step_bytes: few as u64,
        run_bytes: Bounds::default().run_bytes,
        tombstone_bytes: few,
        undo_chunk_bytes: 100 * few,
        undo_log_bytes: 1_000 * few as u64,
        unstored_bytes: few,
        reserved_bytes: 1_000 * few as u64,
        message_splits: few,
        deletions: few,
    }
}

/// Names a few of the records that only one of two sorted outputs has.
fn assert_same<O: Ord + Debug>(expected: &[O], committed: &[O], about: &str) {
    let only_in = |these: &[O], those: &[O]| -> Vec<String> {
        let count = |all: &[O], record: &O| all.iter().filter(|other| *other == record).count();
        let more = these.iter().filter(|record| count(these, record) > count(those, record));
        more.take(5).map(|record| format!("{record:?}")).collect()
    };
    if expected != committed {
        let (lost, surplus) = (only_in(expected, committed), only_in(committed, expected));
        panic!("{about}: lost {lost:?} …, not expected {surplus:?} …");
    }
}
