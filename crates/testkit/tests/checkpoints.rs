//! Checkpoints: aborted, retried, at the end of the input, among ended inputs, with what sources do afterwards.

use reflow_protocol::failure::Fault;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};
use reflow_types::Bounds;
use std::time::Duration;

/// Two sources, numbers in, running sums by parity out.
struct Sums {
    left: Feed<u64>,
    right: Feed<u64>,
    out: Collect<u64>,
    job: Harness<'static>,
}

fn build(env: &mut StreamEnv, left: Feed<u64>, right: Feed<u64>, out: Collect<u64>) {
    let left = env.source("left", left);
    let right = env.source("right", right);
    let _ = left.union(right).key_by(|n: &u64| *n % 2).reduce(|a, b| a + b).sink("out", out);
}

impl Sums {
    fn start(parallelism: u32) -> Self {
        let (left, right, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
        let (l, r, o) = (left.clone(), right.clone(), out.clone());
        let mut job = Harness::new(move |env| build(env, l.clone(), r.clone(), o.clone())).on_executors(2);
        job.start(parallelism);
        Self { left, right, out, job }
    }

    fn end(&mut self) {
        self.left.end();
        self.right.end();
        assert!(self.job.finish(), "{}", self.job.state());
    }

    fn committed(&self) -> Vec<u64> {
        self.out.committed(&self.job)
    }
}

#[test]
fn output_is_committed_with_its_checkpoint() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    assert!(t.committed().is_empty());
    assert!(t.job.checkpoint());
    assert_eq!(t.committed(), [1, 2]);
    t.right.push(0, [3]);
    t.end();
    assert_eq!(t.committed(), [1, 2, 4]);
}

#[test]
fn an_aborted_checkpoint_loses_nothing() {
    for parallelism in 1..=3 {
        let mut t = Sums::start(parallelism);
        t.left.push(0, [1]);
        t.job.settle();
        t.job.hold_storage();
        t.job.trigger(AfterBarrier::Continue);
        t.right.push(0, [3]);
        t.job.abort_checkpoint();
        assert!(!t.job.has_completed());
        t.job.release_storage();
        t.left.push(0, [5]);
        assert!(t.job.checkpoint(), "{}", t.job.state());
        assert_eq!(t.committed(), [1, 4, 9]);
        t.job.kill();
        t.job.start(parallelism);
        t.right.push(0, [7]);
        t.end();
        assert_eq!(t.committed(), [1, 4, 9, 16]);
    }
}

/// A sink that holds too much takes no more records, and the barrier with which it would have tried again is behind them.
#[test]
fn a_sink_that_is_full_goes_on_when_storage_is_back() {
    for parallelism in 1..=3 {
        let (left, right, out) = (Feed::new(1), Feed::new(1), Collect::new("out"));
        let (l, r, o) = (left.clone(), right.clone(), out.clone());
        let job = Harness::new(move |env| build(env, l.clone(), r.clone(), o.clone())).on_executors(2);
        let mut job = job.with_bounds(Bounds { unstored_bytes: 1, ..Bounds::default() });
        job.start(parallelism);
        let mut t = Sums { left, right, out, job };
        t.job.store_mut().fail_writes("out/");
        t.left.push(0, [1, 2]);
        assert!(!t.job.checkpoint(), "nothing could be stored");
        t.right.push(0, [3, 4]);
        t.job.settle();
        t.job.store_mut().heal();
        t.job.advance(Duration::from_secs(1));
        assert!(t.job.checkpoint(), "{}", t.job.state());
        assert_eq!((t.job.failures(), t.committed()), (&[][..], vec![1, 2, 4, 6]));
        t.end();
    }
}

#[test]
fn a_checkpoint_whose_objects_have_vanished_is_not_complete() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    assert!(t.job.checkpoint());
    let objects: Vec<String> = t.job.store().below("/checkpoints/data").map(|(o, _)| o.into()).collect();
    assert!(!objects.is_empty());
    objects.iter().for_each(|object| t.job.store_mut().remove(object));
    t.left.push(0, [3]);
    assert!(!t.job.checkpoint(), "it builds on objects that are gone");
    assert_eq!((t.job.failures(), t.job.failed_checkpoints().len()), (&[][..], 1));
    // The next one is complete in itself, also where nothing has changed.
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.committed(), [1, 2, 4]);
    t.left.push(0, [6]);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    t.job.kill();
    t.job.start(3);
    t.right.push(0, [5, 4]);
    t.end();
    assert_eq!(t.committed(), [1, 2, 4, 8, 9, 12]);
}

#[test]
fn a_checkpoint_that_cannot_be_written_fails_alone() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    t.job.store_mut().fail_writes("/checkpoints/data");
    assert!(!t.job.checkpoint());
    assert_eq!(t.job.failures(), []);
    t.job.store_mut().heal();
    t.left.push(0, [3]);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    t.job.kill();
    t.job.start(3);
    t.left.push(0, [4]);
    t.end();
    assert_eq!(t.committed(), [1, 2, 4, 6]);
}

#[test]
fn a_full_disk_under_a_sink_fails_checkpoints_and_nothing_else() {
    for parallelism in 1..=3 {
        let mut t = Sums::start(parallelism);
        t.left.push(0, [1, 2]);
        assert!(t.job.checkpoint(), "{}", t.job.state());
        t.job.store_mut().fail_writes("out/prepared");
        for n in [3, 5] {
            t.right.push(0, [n]);
            assert!(!t.job.checkpoint());
            let (_, reason) = t.job.failed_checkpoints().last().unwrap();
            assert!(reason.contains("cannot store the output of 'sink-1'"), "{reason}");
        }
        assert_eq!(t.job.failures(), []);
        t.job.store_mut().heal();
        t.left.push(0, [4]);
        assert!(t.job.checkpoint(), "{}", t.job.state());
        assert_eq!(t.committed(), [1, 2, 4, 6, 9], "what was written before the failures, too");
        t.job.kill();
        t.job.start(parallelism);
        t.left.push(0, [7]);
        t.end();
        assert_eq!(t.committed(), [1, 2, 4, 6, 9, 16]);
    }
}

#[test]
fn commits_wait_for_storage_that_is_away() {
    for parallelism in 1..=3 {
        let mut t = Sums::start(parallelism);
        t.left.push(0, [1, 2]);
        t.job.store_mut().fail_writes("out/committed");
        for n in [3, 5] {
            assert!(t.job.checkpoint(), "what is committed is stored already: {}", t.job.state());
            t.job.advance(Duration::from_secs(400));
            t.right.push(0, [n]);
        }
        assert!(t.job.checkpoint(), "{}", t.job.state());
        assert_eq!((t.job.failures(), t.committed()), (&[][..], vec![]));
        t.job.kill();
        t.job.start(parallelism);
        t.job.advance(Duration::from_secs(600));
        assert_eq!((t.job.failures(), t.committed()), (&[][..], vec![]));
        t.job.store_mut().heal();
        t.job.advance(Duration::from_secs(10));
        assert_eq!(t.committed(), [1, 2, 4, 9]);
        t.end();
        assert_eq!(t.committed(), [1, 2, 4, 9]);
    }
}

#[test]
fn readers_are_told_what_complete_checkpoints_contain() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2, 3]);
    t.job.settle();
    assert_eq!(t.left.completed(), [0], "nothing is complete yet");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.left.completed(), [3]);
    t.left.push(0, [4]);
    t.job.store_mut().fail_writes("");
    assert!(!t.job.checkpoint());
    t.job.store_mut().heal();
    assert_eq!(t.left.completed(), [3], "the checkpoint has failed");
    t.job.savepoint().expect("storage is back");
    assert_eq!(t.left.completed(), [3], "a user may delete a savepoint");
    t.job.kill();
    t.job.start(1);
    t.left.push(0, [5]);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!((t.left.completed(), t.right.completed()), (vec![5], vec![0]));
}

#[test]
fn a_commit_that_fails_for_too_long_fails_the_attempt_and_is_tried_by_the_next() {
    let mut t = Sums::start(2);
    t.left.push(0, [2]);
    t.job.store_mut().fail_writes("out/committed");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    t.job.advance(Duration::from_secs(800));
    assert_eq!(t.job.failures(), []);
    t.job.advance(Duration::from_secs(200));
    let [failure] = t.job.failures() else { panic!("{:?}", t.job.failures()) };
    let expected = "cannot commit transaction \"000006-000001\", tried for 90";
    assert!(failure.message.starts_with(expected), "{}", failure.message);
    assert!(failure.message.ends_with("out/committed/000006-000001: no space left"), "{}", failure.message);
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::External, "Sink: out (uid sink-1)"));
    t.job.kill();
    t.job.store_mut().heal();
    t.job.start(2);
    t.job.advance(Duration::from_secs(1));
    assert_eq!(t.committed(), [2]);
}

#[test]
fn what_cannot_be_stored_is_not_piled_up_without_bound() {
    let (feed, out) = (Feed::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let _ = env.source("in", source.clone()).map(|n: u8| vec![n; 8 << 20]).sink("out", sink.clone());
    });
    job.start(1);
    job.store_mut().fail_writes("out/prepared");
    feed.push(0, 0..10);
    assert!(!job.checkpoint());
    out.written();
    feed.push(0, 10..15);
    job.settle();
    assert_eq!(out.written().len(), 0, "80 MiB wait already");
    job.store_mut().heal();
    assert!(job.checkpoint(), "{}", job.state());
    feed.end();
    assert!(job.finish(), "{}", job.state());
    let firsts: Vec<u8> = out.committed(&job).iter().map(|record| record[0]).collect();
    assert_eq!(firsts, (0..15).collect::<Vec<u8>>());
}

#[test]
fn what_a_sink_has_given_away_and_lost_is_written_anew() {
    let (feed, out) = (Feed::new(1), Collect::new("out").giving_away());
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let _ = env.source("in", source.clone()).sink("out", sink.clone());
    });
    job.start(1);
    feed.push(0, [1, 2]);
    assert!(job.checkpoint(), "{}", job.state());
    job.store_mut().fail_writes("out/prepared");
    feed.push(0, [3]);
    assert!(!job.checkpoint());
    let [failure] = job.failures() else { panic!("{}", job.state()) };
    assert_eq!((failure.fault, failure.operator.as_str()), (Fault::External, "Sink: out (uid sink-1)"));
    assert!(failure.message.contains("write it again from that checkpoint"), "{}", failure.message);
    job.store_mut().heal();
    job.kill();
    job.start(1);
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(out.committed(&job), [1, 2, 3]);
}

#[test]
fn what_an_attempt_without_a_checkpoint_has_left_is_cleaned_up_too() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    t.job.kill();
    t.job.start(3);
    t.job.settle();
    assert_eq!(t.out.clean_ups(), 0, "no checkpoint of this attempt is complete");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.out.clean_ups(), 1, "by one subtask of three, without a trace");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.out.clean_ups(), 1, "once is enough");
    t.job.rescale(1);
    t.job.rescale(2);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.out.clean_ups(), 3, "each attempt with a complete checkpoint");
}

#[test]
fn a_checkpoint_waits_until_its_sinks_have_prepared_it() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    t.out.hold_back();
    t.job.begin_checkpoint(AfterBarrier::Continue);
    t.job.settle();
    assert!(!t.job.has_completed());
    t.out.release();
    t.job.settle();
    assert!(t.job.has_completed(), "{}", t.job.state());
    assert_eq!((t.committed(), t.out.confirmed()), (vec![1, 2], 2));
    // After a failure the commits may be repeated, and are confirmed again.
    t.job.kill();
    t.job.start(1);
    t.job.settle();
    assert_eq!((t.committed(), t.out.confirmed()), (vec![1, 2], 4));
}

#[test]
fn what_an_ended_attempt_has_left_is_cleaned_up_once_and_by_its_own_job() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    let savepoint = t.job.savepoint().expect("a savepoint");
    t.job.kill();
    assert_eq!(t.out.cleaned(), Vec::<String>::new(), "at first nobody has been there before");
    t.job.start(3);
    t.job.settle();
    assert_eq!(t.out.cleaned(), Vec::<String>::new(), "the job may return to a checkpoint that has it");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    let mut cleaned = t.out.cleaned();
    cleaned.sort();
    let [first, second] = &cleaned[..] else { panic!("two subtasks were there: {cleaned:?}") };
    assert!(first.ends_with(": 1") && second.ends_with(": 1"), "{cleaned:?}");
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.out.cleaned(), Vec::<String>::new(), "once is enough");
    t.job.kill();
    t.job.start_from_savepoint(&savepoint, 1);
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert_eq!(t.out.cleaned(), Vec::<String>::new(), "a savepoint's job may still run somewhere");
}

#[test]
fn sources_that_paused_for_an_aborted_checkpoint_go_on() {
    let mut t = Sums::start(2);
    t.job.hold_storage();
    t.left.push(0, [1]);
    t.job.settle();
    t.job.trigger(AfterBarrier::Pause);
    t.left.push(0, [3]);
    t.job.settle();
    assert_eq!(t.out.written().len(), 1);
    t.job.abort_checkpoint();
    t.job.settle();
    assert_eq!(t.out.written().len(), 1);
    t.job.release_storage();
    t.end();
    assert_eq!(t.committed(), [1, 4]);
}

#[test]
fn an_input_that_has_ended_holds_no_barrier_up() {
    for parallelism in 1..=3 {
        let mut t = Sums::start(parallelism);
        t.left.push(0, [1]);
        t.left.end();
        t.right.push(0, [2]);
        assert!(t.job.checkpoint(), "{}", t.job.state());
        t.right.push(0, [4]);
        t.job.kill();
        t.job.start(4 - parallelism);
        t.right.push(0, [6]);
        assert!(t.job.checkpoint(), "{}", t.job.state());
        t.end();
        assert_eq!(t.committed(), [1, 2, 6, 12]);
    }
}

#[test]
fn checkpoints_go_on_after_the_end_of_all_input() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.left.end();
    t.right.end();
    assert!(t.job.checkpoint(), "{}", t.job.state());
    assert!(!t.job.is_finished());
    assert_eq!(t.committed(), [1, 2]);
    t.job.kill();
    t.job.start(3);
    t.job.settle();
    assert!(t.job.is_ended());
    t.end();
    assert_eq!(t.committed(), [1, 2]);
}

#[test]
fn the_last_checkpoint_may_fail_and_be_tried_again() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.left.end();
    t.right.end();
    t.job.settle();
    t.job.hold_storage();
    t.job.trigger(AfterBarrier::Finish);
    t.job.abort_checkpoint();
    t.job.release_storage();
    t.job.settle();
    assert!(!t.job.is_finished());
    t.end();
    assert_eq!(t.committed(), [1, 2]);
}

#[test]
fn a_suspended_job_has_committed_and_goes_on() {
    let mut t = Sums::start(2);
    t.left.push(0, [1, 2]);
    t.job.settle();
    t.job.suspend();
    assert!(t.job.is_finished(), "{}", t.job.state());
    assert_eq!(t.committed(), [1, 2]);
    t.job.kill();
    t.job.start(3);
    t.left.push(0, [3]);
    t.end();
    assert_eq!(t.committed(), [1, 2, 4]);
}

#[test]
fn a_drain_ends_the_input_once_its_savepoint_is_complete() {
    let mut t = Sums::start(2);
    t.left.push(0, [1]);
    t.job.settle();
    t.job.hold_storage();
    t.job.trigger(AfterBarrier::Drain);
    t.job.abort_checkpoint();
    t.job.release_storage();
    t.left.push(0, [3]);
    t.job.settle();
    assert!(!t.job.is_ended());

    t.job.trigger(AfterBarrier::Drain);
    assert!(t.job.has_completed(), "{}", t.job.state());
    t.left.push(0, [5]);
    assert!(t.job.finish(), "{}", t.job.state());
    assert_eq!(t.committed(), [1, 4]);
}

/// Recovery goes back to a checkpoint before the savepoint: what was committed with the savepoint would come twice.
#[test]
fn a_savepoint_of_a_job_that_goes_on_commits_nothing() {
    let mut t = Sums::start(2);
    t.left.push(0, [1]);
    t.job.settle();
    assert!(t.job.savepoint().is_some(), "{}", t.job.state());
    t.job.settle();
    assert!(t.committed().is_empty());
    assert!(t.job.checkpoint(), "{}", t.job.state());
    t.job.settle();
    assert_eq!(t.committed(), [1]);
}

/// Increments, rewritten segments, rescales between them: each restore must see the last value of every key.
#[test]
fn long_chains_of_increments_restore() {
    let (feed, out) = (Feed::<(u64, u64)>::new(1), Collect::new("out"));
    let (source, sink) = (feed.clone(), out.clone());
    let mut job = Harness::new(move |env| {
        let keyed = env.source("in", source.clone()).key_by(|r: &(u64, u64)| r.0);
        let _ = keyed.reduce(|a, b| (a.0, a.1 + b.1)).sink("out", sink.clone());
    })
    .on_executors(2)
    .in_random_order(5);
    job.start(2);
    let mut sums = vec![0; 300];
    for round in 0..40u64 {
        for n in 0..(if round % 10 == 0 { 300 } else { 12 }) {
            let key = (round * 7 + n) % 300;
            sums[key as usize] += round + 1;
            feed.push(0, [(key, round + 1)]);
        }
        assert!(job.checkpoint(), "{}", job.state());
        match round % 8 {
            3 => job.rescale([3, 1, 2][(round / 8 % 3) as usize]),
            5 => {
                feed.push(0, [(0, 0)]);
                job.settle();
                job.kill();
                job.start(2);
            }
            _ => {}
        }
    }
    out.written();
    feed.push(0, (0..300).map(|key| (key, 0)));
    job.settle();
    let mut last = out.written();
    last.sort();
    last.dedup();
    assert_eq!(last.iter().map(|((_, sum), _)| *sum).collect::<Vec<u64>>(), sums);
}

/// A source that has not sent the barrier when the checkpoint is aborted never sends it.
#[test]
fn a_checkpoint_that_is_given_up_blocks_no_input() {
    let (left, right, out) = (Feed::<u64>::new(1), Feed::<u64>::new(1), Collect::<u64>::new("out"));
    let (l, r, o) = (left.clone(), right.clone(), out.clone());
    let mut job = Harness::new(move |env: &mut StreamEnv| {
        let left = env.source("left", l.clone());
        // Each record becomes many, which do not all fit into the channel at once.
        let right = env.source("right", r.clone()).flat_map(|n: u64| vec![n; 20_000]);
        let _ = left.union(right).key_by(|n: &u64| *n).reduce(|a, _| a).sink("out", o.clone());
    })
    .on_executors(1);
    job.start(1);
    out.block(); // backpressure
    right.push(0, [7]);
    job.settle();
    // The left source sends its barrier at once, the right one has half a record in its hands.
    job.begin_checkpoint(AfterBarrier::Continue);
    job.settle();
    job.abort_checkpoint();
    assert!(!job.has_completed());
    out.unblock();
    job.settle();
    left.push(0, [1]);
    job.settle();
    let written: Vec<u64> = out.written().into_iter().map(|(n, _)| n).collect();
    assert_eq!(written.iter().filter(|n| **n == 7).count(), 20_000, "the right input flows");
    assert!(written.contains(&1), "the left input does, too");
    assert!(job.checkpoint(), "and the next checkpoint is taken");
}
