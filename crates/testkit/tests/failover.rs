//! Slots that survive a failure elsewhere keep what they have of the last checkpoint.

use reflow_protocol::snapshot::AfterBarrier;
use reflow_stream::StreamEnv;
use reflow_testkit::{Collect, Feed, Harness};

const KEYS: u64 = 1_000;

/// Running sums of numbers by their rest.
struct Sums {
    feed: Feed<u64>,
    out: Collect<(u64, u64)>,
    job: Harness<'static>,
}

impl Sums {
    fn start(parallelism: u32) -> Self {
        Self::start_on(1, parallelism)
    }

    fn start_on(executors: usize, parallelism: u32) -> Self {
        let (feed, out) = (Feed::new(1), Collect::new("out"));
        let (source, sink) = (feed.clone(), out.clone());
        let job = move |env: &mut StreamEnv| {
            let numbers = env.source("numbers", source.clone()).map(|n: u64| (n % KEYS, n));
            let sums = numbers.key_by(|pair: &(u64, u64)| pair.0).reduce(|a, b| (a.0, a.1 + b.1));
            let _ = sums.sink("out", sink.clone());
        };
        let mut job = Harness::new(job).on_executors(executors);
        job.start(parallelism);
        Self { feed, out, job }
    }

    fn push(&mut self, numbers: std::ops::Range<u64>) {
        self.feed.push(0, numbers);
        self.job.settle();
    }

    /// What the failover has read of the checkpoint.
    fn fail_over(&mut self, parallelism: u32) -> u64 {
        let before = self.job.store().bytes_read();
        self.job.fail_over(parallelism);
        assert!(self.job.failures().is_empty(), "{}", self.job.state());
        self.job.store().bytes_read() - before
    }

    /// Everything is committed once, whatever happened before.
    fn end(mut self, count: u64) {
        self.feed.end();
        assert!(self.job.finish(), "{}", self.job.state());
        self.expect(count);
    }

    fn expect(&self, count: u64) {
        let mut sums = vec![0; KEYS as usize];
        let sum_up_to = |n: u64| {
            let sum = &mut sums[(n % KEYS) as usize];
            *sum += n;
            (n % KEYS, *sum)
        };
        let mut expected: Vec<(u64, u64)> = (0..count).map(sum_up_to).collect();
        expected.sort_unstable();
        assert_eq!(self.out.committed(&self.job), expected);
    }
}

#[test]
fn who_survives_reads_nothing() {
    let mut sums = Sums::start(2);
    sums.push(0..1_500);
    assert!(sums.job.checkpoint());
    // Changes, new keys, and a checkpoint that does not complete.
    sums.push(1_500..2_700);
    sums.job.begin_checkpoint(AfterBarrier::Continue);
    sums.job.steps(20);
    assert_eq!(sums.fail_over(2), 0);
    sums.push(2_700..3_000);
    assert_eq!(sums.fail_over(2), 0, "a failure after a failure, before the next checkpoint");
    assert!(sums.job.checkpoint());
    sums.push(3_000..3_500);
    assert_eq!(sums.fail_over(2), 0);
    sums.end(3_500);
}

#[test]
fn what_is_lost_is_read_and_nothing_else() {
    let all = {
        let mut sums = Sums::start(2);
        sums.push(0..1_500);
        assert!(sums.job.checkpoint());
        sums.job.kill();
        sums.job.start(1);
        sums.job.store().bytes_read()
    };
    let mut sums = Sums::start(2);
    sums.push(0..1_500);
    assert!(sums.job.checkpoint());
    sums.push(1_500..2_000);
    let read = sums.fail_over(1);
    assert!((all * 4 / 10..all * 6 / 10).contains(&read), "{read} of {all}");
    // What it has read is its own from here on, and what another slot takes over is not.
    assert_eq!(sums.fail_over(1), 0);
    let read = sums.fail_over(2);
    assert!((all * 4 / 10..all * 6 / 10).contains(&read), "{read} of {all}");
    sums.end(2_000);
}

#[test]
fn without_a_checkpoint_everything_begins_anew() {
    let mut sums = Sums::start(1);
    sums.push(0..500);
    assert_eq!(sums.fail_over(1), 0);
    sums.end(500);
}

/// An attempt that is restored from the checkpoint with which the job ends only has to finish.
#[test]
fn an_attempt_after_the_last_checkpoint_commits_and_reads_nothing() {
    for then in [AfterBarrier::Finish, AfterBarrier::Drain] {
        let mut sums = Sums::start(2);
        sums.push(0..1_000);
        assert!(sums.job.checkpoint());
        sums.push(1_000..1_500);
        sums.job.begin_checkpoint(then);
        while !sums.job.has_completed() || sums.job.latest().is_none_or(|latest| latest.ending.is_none()) {
            sums.job.steps(1);
        }
        sums.job.kill();
        sums.feed.push(0, 1_500..2_000);
        sums.job.start(1);
        match then {
            AfterBarrier::Drain => assert!(sums.job.finish(), "{}", sums.job.state()),
            _ => assert!(sums.job.is_finished(), "{}", sums.job.state()),
        }
        sums.expect(1_500);
    }
}

/// A receiver finishes with the last checkpoint as well. It may do so, and be gone, before its senders hear from it, so
/// none may wait for room in its channel.
#[test]
fn an_attempt_after_the_last_checkpoint_finishes_without_a_network() {
    let mut sums = Sums::start_on(2, 2);
    sums.push(0..1_000);
    sums.job.begin_checkpoint(AfterBarrier::Finish);
    while sums.job.latest().is_none_or(|latest| latest.ending.is_none()) {
        sums.job.steps(1);
    }
    sums.job.kill();
    sums.job.hold_network();
    sums.job.start(2);
    assert!(sums.job.is_finished(), "{}", sums.job.state());
    sums.expect(1_000);
}

#[test]
fn a_savepoint_is_read_in_full() {
    let mut sums = Sums::start(1);
    sums.push(0..1_200);
    let savepoint = sums.job.savepoint();
    sums.job.kill();
    sums.job.start_from_savepoint(&savepoint.unwrap_or_default(), 1);
    assert!(sums.fail_over(1) > 0, "what was written in another codec is no checkpoint to go back to");
    assert!(sums.job.checkpoint());
    assert_eq!(sums.fail_over(1), 0);
    sums.end(1_200);
}
