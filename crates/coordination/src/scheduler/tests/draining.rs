//! TaskManagers that want to leave, and requirements that cap what slots give.

use super::fixtures::{fixed, live, reactive, seconds};
use super::world::{Faults, World};
use crate::event::Event;
use crate::scheduler::{Settings, StateName};
use reflow_types::{ExecutorId, TaskManagerId};

/// The job runs on two executors with a slot each; the second wants to leave.
fn draining(settings: Settings, faults: Faults) -> (World, ExecutorId) {
    let (mut world, _) = World::running(settings, 1);
    let second = world.add(1);
    world.pass(seconds(10));
    assert_eq!(world.parallelism(), [2, 2, 2]);
    world.take_log();
    world.faults = faults;
    world.send(Event::ExecutorDraining { executor: second });
    (world, second)
}

#[test]
fn a_drain_that_cannot_go_live_in_time_goes_through_a_restart() {
    let settings = Settings { drain_timeout: seconds(30), ..live() };
    let (mut world, second) = draining(settings, Faults { never_prepare: true, ..Faults::default() });
    world.pass(seconds(29));
    assert_eq!((world.state(), world.parallelism()), (StateName::Rescaling, vec![2, 2, 2]));
    assert!(!world.take_log().contains("cancel"), "until then the job runs");
    world.pass(seconds(5));
    let log = world.take_log();
    let expected = ["abandon 2", "and pause", "cancel 1", "deploy 2 at [1, 1, 1]"];
    let at = expected.map(|part| log.find(part).unwrap_or_else(|| panic!("no '{part}' in\n{log}")));
    assert!(at.is_sorted(), "{log}");
    assert!(!world.scheduler.view().executors.contains_key(&second), "it was released");
}

#[test]
fn a_drain_that_is_given_up_again_and_again_goes_through_a_restart_in_time() {
    let settings = Settings { drain_timeout: seconds(2), ..live() };
    let (mut world, _) = draining(settings, Faults { refuse: true, ..Faults::default() });
    world.pass(seconds(3));
    assert_eq!(world.parallelism(), [1, 1, 1]);
}

#[test]
fn a_drain_that_goes_live_is_not_touched_by_its_timeout() {
    let (mut world, second) = draining(live(), Faults::default());
    world.pass(seconds(400));
    assert_eq!((world.attempt().number.0, world.parallelism()), (1, vec![1, 1, 1]));
    assert!(!world.scheduler.view().executors.contains_key(&second));
}

#[test]
fn what_can_be_spared_follows_from_the_slots_that_stay() {
    let of = |executor: ExecutorId| TaskManagerId(executor.0 + 1000);
    let (mut world, first) = World::running(reactive(), 1);
    assert!(!world.scheduler.can_spare(of(first)), "the only slot");
    assert!(world.scheduler.can_spare(TaskManagerId(1)), "it has none of the job's slots");
    let second = world.add(1);
    assert!(world.scheduler.can_spare(of(first)));
    world.send(Event::ExecutorDraining { executor: second });
    assert!(!world.scheduler.can_spare(of(first)), "the other leaves already");
    world.kill(first);
    assert!(world.scheduler.can_spare(of(second)), "nothing to lose");
}

#[test]
fn requirements_cap_the_slots_in_reactive_mode() {
    for settings in [reactive(), live()] {
        let (mut world, _) = World::running(settings, 3);
        assert_eq!(world.parallelism(), [3, 3, 3]);
        world.require(1, 2);
        world.pass(seconds(10));
        assert_eq!(world.parallelism(), [2, 2, 2]);
        world.add(1);
        world.pass(seconds(10));
        assert_eq!(world.parallelism(), [2, 2, 2], "more slots change nothing");
        world.require(1, 16);
        world.pass(seconds(10));
        assert_eq!(world.parallelism(), [4, 4, 4]);
    }
}

#[test]
fn limits_of_the_autoscaler_stay_within_the_users_bounds_and_end_with_them() {
    for settings in [reactive(), live()] {
        let (mut world, _) = World::running(settings, 3);
        let reaches = |world: &mut World, expected: u32| {
            world.pass(seconds(10));
            assert_eq!(world.parallelism(), [expected; 3]);
        };
        world.limit(2);
        reaches(&mut world, 2);
        world.limit(16);
        reaches(&mut world, 3);
        world.require(1, 2);
        world.limit(3);
        reaches(&mut world, 2);
        world.limit(1);
        reaches(&mut world, 1);
        world.require(1, 3);
        reaches(&mut world, 3);
    }
}

#[test]
fn the_autoscaler_may_go_beyond_the_parallelism_that_the_job_was_given() {
    let (mut world, _) = World::running(fixed(2), 3);
    assert_eq!(world.parallelism(), [2, 2, 2]);
    world.limit(3);
    world.pass(seconds(300));
    assert_eq!(world.parallelism(), [3, 3, 3]);
}
