//! Executing: rescales.

use super::fixtures::{fixed, reactive, seconds};
use super::world::{Faults, World};
use crate::action::EndState;
use crate::event::Event;
use crate::rescale::{TerminatedReason, TriggerCause};
use crate::scheduler::StateName;

/// The causes and outcomes of all rescales, oldest first.
fn history(world: &World) -> Vec<(TriggerCause, Option<TerminatedReason>)> {
    let view = world.scheduler.view();
    let mut all: Vec<_> =
        view.rescales.history().map(|rescale| (rescale.cause, rescale.ended.map(|(_, why)| why))).collect();
    all.reverse();
    all
}

#[test]
fn reactive_spreads_onto_new_slots_at_once_after_a_paused_checkpoint() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "deploy 2 at [2, 2, 2] from checkpoint 1"]);
    assert_eq!(world.state(), StateName::Executing);
    use TerminatedReason::Succeeded;
    let expected = [
        (TriggerCause::InitialSchedule, Some(Succeeded)),
        (TriggerCause::NewResourceAvailable, Some(Succeeded)),
    ];
    assert_eq!(history(&world), expected);
    assert_eq!((world.scheduler.view().restarts, world.scheduler.view().rescaled), (0, 1));
}

#[test]
fn a_rescale_tells_its_states_and_what_it_changed() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(2);
    world.run();
    let view = world.scheduler.view();
    let rescale = view.rescales.history().next().unwrap();
    let states: Vec<_> = rescale.states.iter().map(|span| span.state).collect();
    assert_eq!(states, ["Executing", "Restarting", "CreatingExecutionGraph", "Executing"]);
    assert!(rescale.states.iter().all(|span| span.left.is_some()));
    let count = &rescale.vertices[1];
    assert_eq!((count.before, count.after, count.sufficient, count.desired), (Some(1), Some(3), 1, 16));
    assert_eq!((rescale.slots[0].before, rescale.slots[0].after), (Some(1), Some(3)));
}

#[test]
fn several_changes_in_quick_succession_are_one_rescale() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(1);
    world.add(1);
    world.add(2);
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "deploy 2 at [5, 5, 5] from checkpoint 1"]);
}

#[test]
fn slots_that_come_while_an_attempt_starts_wait_for_it_to_run() {
    let mut world = World::new(reactive());
    world.add(1);
    world.add(1);
    world.expect(&["deploy 1 at [1, 1, 1] from nothing"]);
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "deploy 2 at [2, 2, 2] from checkpoint 1"]);
}

#[test]
fn nothing_happens_where_the_parallelism_would_stay() {
    let (mut world, _) = World::running(reactive(), 16);
    let executor = world.add(4);
    world.run();
    world.kill(executor);
    world.run();
    world.expect(&[]);
}

#[test]
fn a_leaving_task_manager_goes_once_the_job_has_moved() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.take_log();
    world.send(Event::ExecutorDraining { executor: first });
    world.run();
    world.expect(&[
        "trigger 2 and pause",
        "cancel 2 on e1 e2",
        "release e1",
        "deploy 3 at [1, 1, 1] from checkpoint 2",
    ]);
    assert_eq!(world.scheduler.view().restarts, 0);
}

#[test]
fn the_last_task_manager_leaves_and_the_job_waits_for_another() {
    let (mut world, executor) = World::running(reactive(), 1);
    world.send(Event::ExecutorDraining { executor });
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "release e1"]);
    assert_eq!(world.state(), StateName::WaitingForResources);
    world.pass(seconds(1000));
    world.add(2);
    world.expect(&["deploy 2 at [2, 2, 2] from checkpoint 1"]);
}

#[test]
fn leaving_does_not_wait_for_timeouts() {
    let (mut world, first) = World::running(fixed(2), 2);
    world.add(2);
    world.run();
    world.send(Event::ExecutorDraining { executor: first });
    world.run();
    world.expect(&[
        "trigger 1 and pause",
        "cancel 1 on e1",
        "deploy 2 at [2, 2, 2] from checkpoint 1",
        "release e1",
    ]);
}

#[test]
fn an_unused_task_manager_leaves_at_once() {
    let (mut world, _) = World::running(fixed(2), 2);
    let second = world.add(1);
    world.send(Event::ExecutorDraining { executor: second });
    world.run();
    world.expect(&["release e2"]);
}

#[test]
fn a_failed_checkpoint_is_tried_again_and_then_done_without() {
    let (mut world, _) = World::running(reactive(), 1);
    world.pass(seconds(1));
    world.expect(&["trigger 1"]);
    world.faults.decline = true;
    world.add(1);
    world.run();
    world.expect(&["trigger 2 and pause", "abort 2"]);
    world.faults.decline = false;
    world.pass(seconds(1));
    assert!(
        world.take_log().ends_with("deploy 2 at [2, 2, 2] from checkpoint 4"),
        "a periodic one is between"
    );

    // The barrier does not arrive in time, and storage works.
    let (mut world, _) = World::running(reactive(), 1);
    world.pass(seconds(1));
    world.faults.never_acknowledge = true;
    world.add(1);
    world.pass(seconds(600));
    let log = world.take_log();
    let tried = ["trigger 2 and pause", "abort 2", "trigger 3", "abort 3", "trigger 4 and pause", "abort 4"];
    assert!(log.contains(&tried.join("\n")), "{log}");
    assert!(log.contains("cancel 1 on e1\ndeploy 2 at [2, 2, 2] from checkpoint 1"), "{log}");
}

#[test]
fn a_rescale_waits_while_storage_is_away() {
    // Storage refuses what subtasks write, refuses manifests, or does not answer at all.
    type Away = fn(&mut Faults);
    let ways: [Away; 3] = [
        |faults| (faults.decline, faults.disk_full) = (true, true),
        |faults| faults.disk_full = true,
        |faults| (faults.never_acknowledge, faults.disk_full) = (true, true),
    ];
    for away in ways {
        let mut settings = reactive();
        settings.checkpoints.tolerable_failures = u32::MAX;
        let (mut world, _) = World::running(settings, 1);
        world.pass(seconds(1));
        away(&mut world.faults);
        world.add(1);
        world.pass(seconds(3600));
        let log = world.take_log();
        assert!(!log.contains("cancel") && !log.contains("deploy"), "the job was restarted:\n{log}");
        world.faults = Faults::default();
        world.pass(seconds(130));
        let log = world.take_log();
        assert!(log.contains("deploy 2 at [2, 2, 2] from checkpoint"), "the rescale was forgotten:\n{log}");
        assert!(!log.contains("from checkpoint 1\n"), "{log}");
    }
}

#[test]
fn without_checkpoints_a_rescale_starts_from_nothing() {
    let mut settings = reactive();
    settings.checkpoints.interval = None;
    let (mut world, _) = World::running(settings, 1);
    world.add(1);
    world.run();
    world.expect(&["cancel 1 on e1", "deploy 2 at [2, 2, 2] from nothing"]);

    let mut settings = reactive();
    settings.checkpoints.interval = None;
    settings.max_trigger_delay = Some(seconds(86_400));
    let (mut world, _) = World::running(settings, 1);
    world.add(1);
    world.pass(seconds(3600));
    world.expect(&[]);
}

#[test]
fn with_passive_checkpoints_a_rescale_waits_for_the_next_one() {
    let mut settings = reactive();
    settings.active_checkpoint = false;
    settings.checkpoints.interval = Some(seconds(100));
    let (mut world, _) = World::running(settings, 1);
    world.add(1);
    world.pass(seconds(99));
    world.expect(&[]);
    world.pass(seconds(1));
    world.expect(&[
        "trigger 1",
        "trigger 2 and pause",
        "cancel 1 on e1",
        "deploy 2 at [2, 2, 2] from checkpoint 2",
    ]);
}

#[test]
fn requirements_are_followed_after_cooldown_and_stabilization() {
    let (mut world, _) = World::running(fixed(2), 4);
    assert_eq!(world.parallelism(), [2, 2, 2]);
    world.require(1, 3);
    world.pass(seconds(29));
    world.expect(&[]);
    world.pass(seconds(1));
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "deploy 2 at [3, 3, 3] from checkpoint 1"]);
    world.pass(seconds(100));
    world.require(1, 1);
    world.run();
    world.expect(&["trigger 2 and pause", "cancel 2 on e1", "deploy 3 at [1, 1, 1] from checkpoint 2"]);
    world.pass(seconds(100));
    world.require(1, 9);
    world.run();
    world.expect(&[]);
    world.pass(seconds(60));
    world.expect(&["trigger 3 and pause", "cancel 3 on e1", "deploy 4 at [4, 4, 4] from checkpoint 3"]);
}

#[test]
fn requirements_that_change_nothing_are_ignored_and_recorded() {
    let (mut world, _) = World::running(fixed(2), 2);
    world.pass(seconds(100));
    world.require(2, 2);
    world.run();
    world.require(5, 9);
    world.run();
    world.expect(&[]);
    assert_eq!(world.state(), StateName::Executing);
    let ignored = (TriggerCause::UpdateRequirement, Some(TerminatedReason::NoResourcesOrParallelismsChange));
    assert_eq!(history(&world)[1..], [ignored, ignored]);
}

#[test]
fn newer_requirements_replace_a_rescale_under_way() {
    let (mut world, _) = World::running(fixed(2), 2);
    world.require(1, 4);
    world.add(1);
    world.require(1, 3);
    world.pass(seconds(100));
    let reasons: Vec<_> = history(&world).into_iter().map(|(_, reason)| reason).collect();
    let (replaced, succeeded) = (TerminatedReason::ResourceRequirementsUpdated, TerminatedReason::Succeeded);
    assert_eq!(reasons, [succeeded, replaced, succeeded].map(Some));
    assert_eq!(world.parallelism(), [3, 3, 3]);
}

#[test]
fn new_slots_that_go_before_they_were_used_are_ignored() {
    let mut settings = fixed(3);
    settings.restart_waits.cooldown = seconds(0);
    settings.resource_stabilization_timeout = seconds(0);
    let (mut world, _) = World::running(settings, 1);
    let second = world.add(1);
    world.pass(seconds(30));
    world.kill(second);
    world.pass(seconds(120_000));
    assert_eq!(world.parallelism(), [1, 1, 1]);
    let last = *history(&world).last().unwrap();
    let ignored = TerminatedReason::NoResourcesOrParallelismsChange;
    assert_eq!(last, (TriggerCause::NewResourceAvailable, Some(ignored)));
}

#[test]
fn what_ends_the_job_ends_the_rescale() {
    let mut settings = fixed(3);
    settings.resource_stabilization_timeout = seconds(0);
    let (mut world, _) = World::running(settings, 1);
    world.pass(seconds(100));
    world.add(1);
    world.send(Event::Cancel);
    world.run();
    assert_eq!(world.end, Some(EndState::Canceled));
    assert_eq!(history(&world)[1].1, Some(TerminatedReason::JobCanceled));
}

#[test]
fn a_failure_replaces_a_rescale_that_waits_and_merges_with_a_restart() {
    let mut settings = fixed(3);
    settings.resource_stabilization_timeout = seconds(0);
    let (mut world, first) = World::running(settings, 1);
    world.pass(seconds(100));
    world.add(1);
    world.kill(first);
    world.add(1);
    world.pass(seconds(10));
    let (restarted, succeeded) = (TerminatedReason::JobFailoverRestarting, TerminatedReason::Succeeded);
    assert_eq!(
        history(&world)[1..3],
        [
            (TriggerCause::NewResourceAvailable, Some(restarted)),
            (TriggerCause::RecoverableFailover, Some(succeeded)),
        ]
    );
}

#[test]
fn an_executor_that_dies_in_mid_rescale_is_recovered_from_what_is_complete() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.expect(&["trigger 1 and pause"]);
    world.kill(first);
    world.run();
    world.expect(&["deploy 2 at [1, 1, 1] from nothing"]);
}

#[test]
fn moves_of_key_groups_are_few() {
    let (mut world, _) = World::running(reactive(), 3);
    let before = world.deployed.clone().unwrap().1;
    world.add(1);
    world.run();
    let after = world.deployed.clone().unwrap().1;
    let (old, new) = (before.vertices[1].table.clone().unwrap(), after.vertices[1].table.clone().unwrap());
    let slot = |graph: &reflow_graph::ExecutionGraph, index: reflow_types::SubtaskIndex| {
        graph.vertices[1].subtasks[index.0 as usize].slot
    };
    let groups = (0..16).map(reflow_types::KeyGroup);
    let moved = groups.filter(|g| slot(&before, old.owner(*g)) != slot(&after, new.owner(*g))).count();
    assert_eq!(moved, 4, "16 groups from 3 to 4 subtasks");
}
