//! Restarts of regions while the others run on.

use super::fixtures::{fixed, live, reactive, seconds, two_pipelines};
use super::world::{Faults, World};
use crate::restart::{Failover, Strategy};
use crate::scheduler::{JobStatus, Settings, StateName, SubtaskStatus};
use reflow_protocol::failure::Fault;
use reflow_types::ExecutorId;

/// Two pipelines, each on executors of its own: the first on e1 and e2, the second on e3 and e4.
fn running(settings: Settings) -> World {
    let mut world = World::with_job(settings, two_pipelines(), None);
    for _ in 0..4 {
        world.add(1);
    }
    world.pass(seconds(20));
    assert_eq!(world.status(), JobStatus::Running);
    assert_eq!(world.parallelism(), [2; 5]);
    world.take_log();
    world
}

/// The executor of the first subtask of a vertex.
fn executor_of(world: &World, vertex: usize) -> ExecutorId {
    let (_, graph) = world.deployed.as_ref().expect("the test has deployed");
    graph.vertices[vertex].subtasks[0].slot.executor
}

/// The log without checkpoints.
fn without_checkpoints(world: &mut World) -> String {
    let log = world.take_log();
    let others = log.lines().filter(|line| !line.starts_with("trigger") && !line.starts_with("abort"));
    others.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_failed_subtask_restarts_its_region_and_the_others_run_on() {
    let mut world = running(reactive());
    let (before, former) = (world.attempt(), world.deployed.as_ref().unwrap().1.vertices[3..].to_vec());
    let restarts = world.scheduler.view().restarts;
    world.fail_subtask_of(3, Fault::User);
    world.run();
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("cancel regions 1 on e"), "{log}");
    assert_eq!(world.state(), StateName::Executing);
    assert_eq!(world.status(), JobStatus::Running);
    world.pass(seconds(1));
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("deploy regions 1 at [2, 2, 2, 2, 2] from checkpoint"), "{log}");
    let view = world.scheduler.view();
    assert_eq!((view.restarts, view.attempt.unwrap().attempt()), (restarts + 1, before));
    assert!(view.attempt.unwrap().subtasks().values().all(|s| s.status == SubtaskStatus::Running));
    assert_ne!(world.deployed.as_ref().unwrap().1.vertices[3..], former, "its subtasks are new");
}

#[test]
fn a_checkpoint_that_is_under_way_is_abandoned_and_the_next_one_has_all_regions() {
    let mut world = running(reactive());
    world.faults = Faults { never_acknowledge: true, ..Faults::default() };
    world.pass(seconds(2));
    let log = world.take_log();
    assert!(log.starts_with("trigger"), "{log}");
    world.faults = Faults::default();
    world.fail_subtask_of(0, Fault::User);
    let log = world.take_log();
    assert!(log.starts_with("abort") && log.contains("cancel regions 0 on e"), "{log}");
    world.pass(seconds(3));
    let log = world.take_log();
    let (_, behind) = log.split_once("deploy regions 0").unwrap();
    assert!(behind.contains("trigger") && !behind.contains("without"), "{log}");
    assert_eq!(world.scheduler.view().checkpoints.counts.failed, 1, "and it counts as one only");
}

#[test]
fn a_lost_executor_takes_only_its_region_with_it() {
    for settings in [reactive(), live()] {
        let mut world = running(settings);
        let (before, lost) = (world.attempt(), executor_of(&world, 4));
        world.kill(lost);
        world.run();
        let log = without_checkpoints(&mut world);
        assert!(log.contains("deploy regions 1 at [2, 2, 2, 1, 1] from checkpoint"), "{log}");
        assert_eq!(world.attempt(), before);
        world.add(1);
        world.pass(seconds(5));
        assert_eq!(world.parallelism(), [2; 5], "{}", world.take_log());
    }
}

#[test]
fn a_region_waits_for_the_slots_that_it_needs_while_the_others_run_on() {
    let mut settings = fixed(2);
    settings.resource_wait_timeout = Some(seconds(300));
    let mut world = running(settings);
    world.require(2, 2);
    let (first, second) = (executor_of(&world, 3), {
        let (_, graph) = world.deployed.as_ref().unwrap();
        graph.vertices[3].subtasks[1].slot.executor
    });
    world.kill(first);
    world.kill(second);
    world.pass(seconds(100));
    let log = without_checkpoints(&mut world);
    assert!(!log.contains("deploy"), "{log}");
    assert_eq!(world.status(), JobStatus::Running);
    world.add(2);
    world.pass(seconds(1));
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("deploy regions 1 at [2, 2, 2, 2, 2]"), "{log}");

    world.kill(ExecutorId(5));
    world.pass(seconds(301));
    assert!(without_checkpoints(&mut world).contains("cancel 1 on e"), "it has waited too long");
    assert_eq!(world.state(), StateName::WaitingForResources);
}

#[test]
fn a_region_gets_slots_of_others_if_there_are_no_more() {
    let mut world = running(reactive());
    let (first, second) = (executor_of(&world, 3), {
        let (_, graph) = world.deployed.as_ref().unwrap();
        graph.vertices[3].subtasks[1].slot.executor
    });
    world.kill(first);
    world.kill(second);
    world.run();
    assert_eq!(world.parallelism(), [1; 5], "{}", world.take_log());
    assert_eq!(world.status(), JobStatus::Running);
}

#[test]
fn regions_that_fail_one_after_the_other_restart_the_job() {
    let mut world = running(reactive());
    world.fail_subtask_of(0, Fault::User);
    world.fail_subtask_of(3, Fault::User);
    world.run();
    let log = without_checkpoints(&mut world);
    assert!(log.contains(" on e1 e2 e3 e4"), "{log}");
    world.pass(seconds(2));
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("deploy") && !log.contains("regions"), "{log}");
}

#[test]
fn a_region_that_fails_again_before_it_runs_waits_for_the_delay() {
    let mut world = running(reactive());
    let before = world.attempt();
    world.fail_subtask_of(0, Fault::User);
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.pass(seconds(1));
    assert!(without_checkpoints(&mut world).contains("deploy regions 0"));
    // Its process is lost: had it run, it would restart at once.
    let lost = executor_of(&world, 0);
    world.kill(lost);
    world.faults = Faults::default();
    world.run();
    assert!(!without_checkpoints(&mut world).contains("deploy"));
    world.pass(seconds(1));
    let log = without_checkpoints(&mut world);
    assert!(log.contains("deploy regions 0"), "{log}");
    assert_eq!(world.attempt(), before);
}

#[test]
fn an_executor_that_does_not_end_a_region_restarts_the_job() {
    let mut world = running(reactive());
    world.faults = Faults { ignore_cancel: true, ..Faults::default() };
    world.fail_subtask_of(0, Fault::User);
    world.pass(seconds(180));
    let log = without_checkpoints(&mut world);
    assert!(log.contains(" on e1 e2 e3 e4"), "{log}");
    world.pass(seconds(181));
    assert!(without_checkpoints(&mut world).contains("kill e1"));
}

#[test]
fn a_job_that_may_not_restart_fails_with_its_region() {
    let mut settings = reactive();
    settings.restart = Strategy::None;
    let mut world = running(settings);
    world.fail_subtask_of(3, Fault::User);
    world.run();
    assert_eq!(world.status(), JobStatus::Failed);
}

#[test]
fn with_the_strategy_full_a_failure_restarts_the_job() {
    let mut world = running(Settings { failover: Failover::Full, ..reactive() });
    world.fail_subtask_of(3, Fault::User);
    world.run();
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("cancel") && !log.contains("regions"), "{log}");
}

#[test]
fn damaged_state_of_a_region_takes_the_whole_job_back() {
    let mut world = running(reactive());
    world.fail_subtask_of(0, Fault::User);
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.pass(seconds(1));
    world.faults = Faults::default();
    world.take_log();
    world.fail_subtask_of(0, Fault::Damage);
    world.run();
    let log = without_checkpoints(&mut world);
    assert!(log.starts_with("cancel") && log.contains("deploy") && !log.contains("regions"), "{log}");
}
