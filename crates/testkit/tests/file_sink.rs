//! The file sink in a job: parts that are open over checkpoints, failures, other parallelisms, savepoints, full disks.

use reflow::connectors::file_sink::Bounds;
use reflow::connectors::{FileSink, Lines, RollingPolicy};
use reflow_testkit::{Feed, Harness};
use std::collections::BTreeSet;
use std::time::Duration;

/// A job that writes numbers to a directory for each remainder by three.
fn job(feed: &Feed<u64>, policy: RollingPolicy) -> Harness<'static> {
    bounded_job(feed, policy, Bounds::default())
}

fn bounded_job(feed: &Feed<u64>, policy: RollingPolicy, bounds: Bounds) -> Harness<'static> {
    let source = feed.clone();
    Harness::new(move |env| {
        let sink = FileSink::new("/out", Lines)
            .bucket_by(|n: &u64| format!("by={}", n % 3))
            .rolling_policy(policy)
            .bounds(bounds);
        let _ = env.source("in", source.clone()).rebalance().sink("out", sink).uid("out");
    })
    .on_executors(2)
}

/// The visible files, with the numbers in them.
fn files(job: &Harness) -> Vec<(String, Vec<u64>)> {
    let visible = job.store().below("/out/").filter(|(name, _)| !name.contains("/.pending/"));
    let numbers = |body: &[u8]| {
        let text = std::str::from_utf8(body).expect("lines are text").to_owned();
        text.lines().map(|line| line.parse().expect("lines are numbers")).collect()
    };
    visible.map(|(name, body)| (name.to_owned(), numbers(body))).collect()
}

/// All numbers in visible files, in ascending order. Each is in the directory of its remainder.
fn written(job: &Harness) -> Vec<u64> {
    let mut all = Vec::new();
    for (name, numbers) in files(job) {
        assert!(
            numbers.iter().all(|n| name.starts_with(&format!("/out/by={}/", n % 3))),
            "{name}: {numbers:?}"
        );
        all.extend(numbers);
    }
    all.sort();
    all
}

fn hidden(job: &Harness) -> BTreeSet<String> {
    let hidden = job.store().below("/out/.pending/");
    hidden.map(|(name, _)| name.to_owned()).collect()
}

fn open_long() -> RollingPolicy {
    RollingPolicy::default().rollover_interval(Duration::from_secs(3_600)).inactivity_interval(Duration::MAX)
}

#[test]
fn few_files_come_of_many_checkpoints() {
    let feed = Feed::new(1);
    let mut job = job(&feed, RollingPolicy::default());
    job.start(2);
    for n in 0..90 {
        feed.push(0, n * 10..(n + 1) * 10);
        assert!(job.checkpoint());
        job.advance(Duration::from_secs(1));
    }
    let files_of_a_minute = files(&job).len();
    assert_eq!(files_of_a_minute, 6, "one for each subtask and bucket");
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(files(&job).len(), 12);
    assert_eq!(written(&job), (0..900).collect::<Vec<_>>());
    assert!(hidden(&job).is_empty(), "{:?}", hidden(&job));
}

/// Random runs of records, checkpoints, failures at any parallelism, savepoints, time and full disks.
#[test]
fn every_record_is_in_one_file_whatever_happens() {
    let policies = [
        RollingPolicy::on_checkpoint(),
        RollingPolicy::default(),
        open_long(),
        open_long().max_part_size(200),
    ];
    for seed in 0..24_u64 {
        let policy = policies[seed as usize % policies.len()];
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let feed = Feed::new(4);
        let bounds = match seed % 3 {
            0 => Bounds::default(),
            size => Bounds {
                upload_part_bytes: 40 * size as usize,
                buffered_bytes: 100,
                joined_pieces: 1 + size as usize,
            },
        };
        let mut job = bounded_job(&feed, policy, bounds).in_random_order(seed);
        job.start(1 + random(3) as u32);
        let mut next = 0;
        let (mut savepoints, mut full_disks, mut failed) = (0, 0, 0);
        for _ in 0..60 {
            match random(10) {
                0..=3 => {
                    let count = random(40);
                    feed.push(random(4) as usize, next..next + count);
                    next += count;
                    job.settle();
                }
                4..=5 => drop(job.checkpoint()),
                6 => {
                    job.settle();
                    job.kill();
                    job.start(1 + random(3) as u32);
                }
                7 => job.advance(Duration::from_secs(random(70))),
                8 => {
                    full_disks += 1;
                    job.store_mut().fail_writes("/out");
                    job.checkpoint();
                    if random(2) == 0 {
                        job.kill();
                        job.store_mut().heal();
                        job.start(1 + random(3) as u32);
                    }
                    job.store_mut().heal();
                    job.advance(Duration::from_secs(1));
                }
                _ => savepoints += u64::from(job.savepoint().is_some()),
            }
            if job.failures().len() > failed {
                // What was uploaded in parts cannot be stored again.
                failed = job.failures().len();
                assert!(full_disks > 0 && bounds != Bounds::default(), "seed {seed}: {}", job.state());
                job.kill();
                job.start(1 + random(3) as u32);
            }
        }
        feed.end();
        if !job.finish() && job.failures().len() > failed {
            job.kill();
            job.start(2);
        }
        assert!(job.is_finished() || job.finish(), "seed {seed}: {}", job.state());
        assert_eq!(
            written(&job),
            (0..next).collect::<Vec<_>>(),
            "seed {seed}, {policy:?}, {savepoints} savepoints"
        );
    }
}

/// Each job that is started from a savepoint finishes what it has; the output is there once.
#[test]
fn a_savepoint_can_be_restored_twice() {
    let feed = Feed::new(1);
    let mut job = job(&feed, open_long());
    job.start(2);
    feed.push(0, 0..10);
    assert!(job.checkpoint());
    feed.push(0, 10..20);
    let savepoint = job.savepoint().expect("it is taken");
    assert!(written(&job).is_empty());
    for parallelism in [3, 1] {
        job.kill();
        job.start_from_savepoint(&savepoint, parallelism);
        job.settle();
        assert_eq!(written(&job), (0..20).collect::<Vec<_>>(), "{parallelism}");
    }
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(written(&job), (0..20).collect::<Vec<_>>());
}

/// The job does not return to a savepoint after a failure, so a savepoint removes nothing that a checkpoint has.
#[test]
fn a_savepoint_behind_the_end_of_the_input_keeps_the_pieces_of_the_checkpoint_before() {
    let feed = Feed::new(1);
    let mut job = job(&feed, open_long());
    job.start(1);
    feed.push(0, 0..10);
    assert!(job.checkpoint());
    feed.end();
    job.settle();
    job.savepoint().expect("it is taken");
    job.settle();
    job.kill();
    job.start(2);
    assert!(job.finish(), "{}", job.state());
    assert_eq!(written(&job), (0..10).collect::<Vec<_>>());
}

/// Until a checkpoint of the new attempt is complete, the job may return to one that is newer than what it restored.
/// Traces of former writers stay in its checkpoints until their leftovers are removed.
#[test]
fn leftovers_are_removed_when_a_checkpoint_of_the_next_attempt_is_complete() {
    let feed = Feed::new(1);
    let mut job = job(&feed, open_long());
    job.start(2);
    feed.push(0, 0..10);
    assert!(job.checkpoint());
    feed.push(0, 10..20);
    let in_checkpoint = hidden(&job);
    let of_one_writer =
        in_checkpoint.last().and_then(|name| name.rsplit_once('-')).expect("pieces are there").0;
    job.store_mut().fail_writes(of_one_writer);
    assert!(!job.checkpoint());
    job.kill();
    job.store_mut().heal();
    let left = &hidden(&job) - &in_checkpoint;
    assert!(!left.is_empty());
    for parallelism in [1, 2] {
        job.start(parallelism);
        job.settle();
        job.kill();
        assert!(left.is_subset(&hidden(&job)), "{parallelism}");
    }
    job.start(2);
    assert!(job.checkpoint());
    job.settle();
    assert!(left.is_disjoint(&hidden(&job)), "{:?}", hidden(&job));
    feed.end();
    assert!(job.finish(), "{}", job.state());
    assert_eq!(written(&job), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_part_that_somebody_removes_is_named() {
    let feed = Feed::new(1);
    let mut job = job(&feed, open_long());
    job.start(1);
    feed.push(0, [3]);
    assert!(job.checkpoint());
    let [piece] = &hidden(&job).into_iter().collect::<Vec<_>>()[..] else { panic!("one piece") };
    job.store_mut().remove(piece);
    feed.end();
    assert!(!job.finish());
    let failure = format!("{:?}", job.failures());
    assert!(failure.contains(piece) && failure.contains("start the job from a savepoint"), "{failure}");
}
