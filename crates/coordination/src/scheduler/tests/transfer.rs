//! The transfer of state before the cut of a live rescale: its progress, its rounds, and its cancellation.

use super::fixtures::{live, seconds};
use super::world::{Faults, World};
use crate::event::Event;
use crate::rescale::{LiveOutcome, LivePhase, TerminatedReason, Transferred};
use crate::scheduler::StateName;
use reflow_protocol::report::ExecutorReport;
use reflow_types::{CheckpointId, ExecutorId, GraphVersion};

const EXECUTORS: [ExecutorId; 2] = [ExecutorId(1), ExecutorId(2)];

/// A job that spreads onto executor 2, and whose executors answer as the test says.
fn transferring() -> World {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    world.take_log();
    world.faults = Faults { never_prepare: true, ..Faults::default() };
    world.add(1);
    world.run();
    world.expect(&["prepare 1 at [2, 2, 2] from checkpoint 1"]);
    world
}

fn report(world: &mut World, executor: ExecutorId, report: ExecutorReport) {
    world.send(Event::ExecutorReported { executor, report });
    world.run();
}

fn progress(world: &mut World, bytes: u64) {
    let (attempt, version) = (world.attempt(), GraphVersion(1));
    let progress = ExecutorReport::RescaleProgress { attempt, version, bytes };
    report(world, EXECUTORS[1], progress);
}

/// Both executors have read this checkpoint.
fn prepared(world: &mut World, checkpoint: u64) {
    let (attempt, version, checkpoint) = (world.attempt(), GraphVersion(1), CheckpointId(checkpoint));
    for executor in EXECUTORS {
        report(world, executor, ExecutorReport::RescalePrepared { attempt, version, checkpoint });
    }
}

fn transferred(world: &World) -> Transferred {
    world.scheduler.view().rescales.history().next().unwrap().live.as_ref().unwrap().transferred
}

#[test]
fn a_transfer_that_goes_on_is_shown_and_may_take_long() {
    let mut world = transferring();
    let all = transferred(&world).all;
    for second in 1..=4 {
        world.pass(seconds(50));
        progress(&mut world, second * 100);
        assert_eq!(world.phase(), Some(LivePhase::Prepare));
        assert_eq!(transferred(&world), Transferred { read: second * 100, all: all.max(second * 100) });
    }
    // What was reported before is not progress, nor is another rescale's.
    world.pass(seconds(50));
    progress(&mut world, 400);
    let (attempt, version) = (world.attempt(), GraphVersion(9));
    report(&mut world, EXECUTORS[0], ExecutorReport::RescaleProgress { attempt, version, bytes: 900 });
    assert_eq!(transferred(&world).read, 400);
    world.pass(seconds(10));
    assert_eq!(world.state(), StateName::Executing);
    assert!(world.take_log().contains("abandon 1"));
}

#[test]
fn after_a_long_transfer_the_changes_are_read_until_that_takes_no_less() {
    let mut world = transferring();
    world.pass(seconds(20));
    world.take_log();
    // Each second, a checkpoint. The rounds take 20 s, 8 s, 4 s and 3 s: the last one is not half as long as the one before.
    let mut read = 1;
    for (round, next) in [(20, Some(8)), (8, Some(4)), (4, Some(3)), (3, None)] {
        prepared(&mut world, read);
        let log = world.take_log();
        let Some(next) = next else {
            assert!(log.starts_with("trigger"), "the fresh checkpoint is due: {log}");
            read = log.trim().rsplit(' ').next().unwrap().parse().unwrap();
            break;
        };
        assert!(log.starts_with("catch up 1 to checkpoint "), "after {round} s: {log}");
        read = log.trim().rsplit(' ').next().unwrap().parse().unwrap();
        assert_eq!(world.phase(), Some(LivePhase::Prepare));
        world.pass(seconds(next));
        assert!(world.take_log().contains("trigger"), "periodic checkpoints go on");
    }
    assert_eq!(world.phase(), Some(LivePhase::CatchUp));
    prepared(&mut world, read);
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn the_old_parallelism_cancels_a_transfer_and_another_one_replaces_it() {
    let mut world = transferring();
    world.pass(seconds(5));
    world.take_log();
    world.require(1, 1);
    world.run();
    world.expect(&["abandon 1"]);
    assert_eq!(world.state(), StateName::Executing);
    let view = world.scheduler.view();
    let ended = view.rescales.history().find(|rescale| rescale.live.is_some()).unwrap();
    assert_eq!(ended.live.as_ref().unwrap().outcome, Some(LiveOutcome::Interrupted));
    assert_eq!(ended.ended.unwrap().1, TerminatedReason::ResourceRequirementsUpdated);
    world.pass(seconds(60));
    assert_eq!(world.parallelism(), [1, 1, 1], "it is not tried again");

    world.faults.never_prepare = false;
    world.require(1, 2);
    world.run();
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert_eq!(world.scheduler.view().restarts, 0);
}
