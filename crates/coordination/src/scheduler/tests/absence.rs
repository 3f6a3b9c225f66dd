//! Checkpoints of the regions that run while others restart.

use super::fixtures::{fixed, reactive, reported, seconds, three_pipelines, two_pipelines};
use super::world::{Faults, World};
use crate::checkpoint::{self, stats::Status};
use crate::event::{Event, RequestId};
use crate::scheduler::{JobStatus, Settings, StateName};
use reflow_graph::JobGraph;
use reflow_protocol::failure::Fault;
use reflow_protocol::report::SubtaskEvent;
use reflow_types::ExecutorId;

/// Pipelines with parallelism 1, each on an executor of its own. They need all of these slots and wait for them.
fn running(job: JobGraph) -> World {
    running_with(job, reactive().checkpoints.retained)
}

fn running_with(job: JobGraph, retained: usize) -> World {
    let mut settings = fixed(1);
    settings.resource_wait_timeout = Some(seconds(300));
    settings.checkpoints = checkpoint::Settings { retained, ..reactive().checkpoints };
    let pipelines = (job.vertices.len() - 1) / 2;
    let mut world = World::with_job(settings, job, None);
    for _ in 0..pipelines {
        world.add(1);
    }
    world.pass(seconds(20));
    assert_eq!(world.status(), JobStatus::Running);
    world.take_log();
    world
}

/// The executor of a vertex.
fn executor_of(world: &World, vertex: usize) -> ExecutorId {
    let (_, graph) = world.deployed.as_ref().expect("the test has deployed");
    graph.vertices[vertex].subtasks[0].slot.executor
}

fn completed(world: &World) -> u64 {
    world.scheduler.view().checkpoints.counts.completed
}

/// The lines of the log that begin like this.
fn lines(log: &str, begin: &str) -> Vec<String> {
    log.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
}

#[test]
fn while_a_region_waits_for_slots_the_others_complete_checkpoints() {
    let mut world = running(two_pipelines());
    let (before, lost) = (completed(&world), executor_of(&world, 3));
    world.kill(lost);
    world.pass(seconds(100));
    let log = world.take_log();
    let triggers = lines(&log, "trigger");
    assert!(triggers.len() >= 99 && triggers.iter().all(|line| line.ends_with("without 1")), "{log}");
    assert!(completed(&world) >= before + 99, "{log}");
    let view = world.scheduler.view();
    let last = view.checkpoints.history.iter().find(|entry| matches!(entry.status, Status::Completed { .. }));
    let of = last.expect("many are complete").vertices.iter().map(|vertex| vertex.subtasks.len());
    assert_eq!(of.collect::<Vec<_>>(), [1, 1, 1, 0, 0]);

    world.add(1);
    world.pass(seconds(3));
    let log = world.take_log();
    let deployed = lines(&log, "deploy regions 1");
    let [deployed] = &deployed[..] else { panic!("{log}") };
    let base = world.tasks.check_taken_over(deployed);
    assert!((18..23).contains(&base), "its state is of the last checkpoint before it failed: {deployed}");
    let last = lines(&log, "trigger");
    assert!(last.last().is_some_and(|line| !line.contains("without")), "all take part again: {log}");
}

#[test]
fn a_region_is_deployed_while_a_checkpoint_without_it_is_under_way() {
    let mut world = running(two_pipelines());
    let lost = executor_of(&world, 3);
    world.kill(lost);
    world.faults = Faults { never_acknowledge: true, ..Faults::default() };
    world.pass(seconds(5));
    assert_eq!(lines(&world.take_log(), "trigger").len(), 1);
    world.add(1);
    world.run();
    let log = world.take_log();
    assert!(log.starts_with("deploy regions 1") && !log.contains("abort"), "{log}");
}

#[test]
fn a_region_that_fails_again_before_it_runs_does_not_abort_a_checkpoint_of_the_others() {
    let mut world = running(two_pipelines());
    world.fail_subtask_of(3, Fault::User);
    world.faults = Faults { never_run: true, never_acknowledge: true, ..Faults::default() };
    world.pass(seconds(2));
    let log = world.take_log();
    assert!(log.contains("deploy regions 1") && log.contains("without 1"), "{log}");
    world.fail_subtask_of(3, Fault::User);
    world.run();
    let log = world.take_log();
    assert!(log.contains("cancel regions 1") && !log.contains("abort"), "{log}");
}

#[test]
fn regions_come_back_one_after_the_other_and_take_part_from_then_on() {
    let mut world = running(three_pipelines());
    let (second, third) = (executor_of(&world, 3), executor_of(&world, 5));
    world.kill(third);
    world.pass(seconds(3));
    // A checkpoint of the other two is under way, and cannot be complete without the second one either.
    world.faults = Faults { never_acknowledge: true, ..Faults::default() };
    world.pass(seconds(2));
    world.take_log();
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.kill(second);
    world.pass(seconds(3));
    let log = world.take_log();
    assert!(log.starts_with("abort") && log.contains("without 1 2"), "{log}");
    assert!(!log.contains("deploy"), "both restart together: {log}");
    world.faults = Faults::default();
    world.add(1);
    world.add(1);
    world.pass(seconds(2));
    let log = world.take_log();
    assert!(log.contains("deploy regions 1 2"), "{log}");
    let last = lines(&log, "trigger");
    assert!(last.last().is_some_and(|line| !line.contains("without")), "{log}");

    // The third one runs again, and the second one restarts.
    world.fail_subtask_of(5, Fault::User);
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.pass(seconds(1));
    assert!(world.take_log().contains("deploy regions 2"));
    world.fail_subtask_of(3, Fault::User);
    world.run();
    let (attempt, graph) = world.deployed.clone().unwrap();
    for (_, _, subtask) in graph.subtasks().filter(|(vertex, ..)| vertex.0 >= 5) {
        world.send(reported(attempt, subtask.id, SubtaskEvent::Running));
    }
    world.pass(seconds(2));
    let log = world.take_log();
    assert!(log.contains("without 1\n"), "the third one runs again: {log}");
}

#[test]
fn what_users_request_waits_for_all_regions() {
    let mut world = running(two_pipelines());
    let lost = executor_of(&world, 3);
    world.kill(lost);
    world.pass(seconds(2));
    world.send(Event::TriggerSavepoint {
        request: RequestId(1),
        directory: "mem:/s".into(),
        cancel_job: false,
    });
    world.send(Event::TriggerCheckpoint { request: RequestId(2) });
    world.pass(seconds(20));
    assert!(!world.take_log().contains("answer"));
    world.add(1);
    world.pass(seconds(3));
    let log = world.take_log();
    assert!(log.contains("answer 1: done") && log.contains("answer 2: done"), "{log}");
}

#[test]
fn failed_checkpoints_of_the_others_count() {
    let mut settings = Settings { ..reactive() };
    settings.checkpoints.tolerable_failures = 3;
    settings.resource_wait_timeout = Some(seconds(300));
    settings.mode = fixed(1).mode;
    let mut world = World::with_job(settings, two_pipelines(), None);
    for _ in 0..2 {
        world.add(1);
    }
    world.pass(seconds(20));
    let lost = executor_of(&world, 3);
    world.kill(lost);
    world.pass(seconds(2));
    world.faults = Faults { decline: true, ..Faults::default() };
    world.pass(seconds(10));
    let log = world.take_log();
    assert!(log.contains("cancel 1 on e"), "{log}");
    assert_ne!(world.state(), StateName::Executing);
}

#[test]
fn a_job_that_restarts_as_a_whole_begins_with_parts_of_two_checkpoints() {
    let mut world = running(two_pipelines());
    let (first, second) = (executor_of(&world, 0), executor_of(&world, 3));
    world.kill(second);
    world.pass(seconds(10));
    world.kill(first);
    world.run();
    world.add(1);
    world.add(1);
    world.pass(seconds(20));
    let log = world.take_log();
    let deployed = lines(&log, "deploy 2");
    let [deployed] = &deployed[..] else { panic!("{log}") };
    let base = world.tasks.check_taken_over(deployed);
    assert!((18..23).contains(&base), "{deployed}");
    assert!(completed(&world) > 30);
}

#[test]
fn damage_of_an_absent_regions_state_is_damage_of_the_latest_checkpoint() {
    let mut world = running(two_pipelines());
    world.fail_subtask_of(3, Fault::User);
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.pass(seconds(5));
    world.faults = Faults::default();
    let log = world.take_log();
    assert!(lines(&log, "trigger").len() > 2 && log.contains("deploy regions 1"), "{log}");
    world.fail_subtask_of(3, Fault::Damage);
    world.run();
    let log = world.take_log();
    assert!(log.contains("cancel 1 on") || log.contains("end Failed"), "{log}");
}

/// The second region is being deployed for the last time of several, and checkpoints without it are complete. Returns the
/// last one in which it took part.
fn away(retained: usize) -> (World, u64) {
    let mut world = running_with(two_pipelines(), retained);
    let last = world.scheduler.view().latest.expect("many are complete").checkpoint.0;
    world.fail_subtask_of(3, Fault::User);
    world.faults = Faults { never_run: true, ..Faults::default() };
    world.pass(seconds(5));
    world.faults = Faults::default();
    world.take_log();
    (world, last)
}

#[test]
fn checkpoints_with_the_same_state_of_a_region_are_damaged_together() {
    let (mut world, last) = away(10);
    let newest = world.scheduler.view().latest.expect("one is complete").checkpoint.0;
    assert!(newest > last + 2);
    world.fail_subtask_of(3, Fault::Damage);
    world.run();
    let log = world.take_log();
    let deployed = lines(&log, "deploy");
    assert!(
        matches!(&deployed[..], [one] if one.ends_with(&format!("from checkpoint {}", last - 1))),
        "{log}"
    );
    let view = world.scheduler.view();
    let warning = view.warnings.last().expect("the job has gone back");
    for damaged in last..=newest {
        assert!(warning.contains(&format!("checkpoint {damaged} cannot be read")), "{warning}");
    }
    let root = &view.exceptions.entries().next().expect("the damage").root;
    assert_eq!(&root.message, warning);
    assert_eq!(view.checkpoints.rejected.len() as u64, newest - last + 1);
}

#[test]
fn a_job_fails_if_all_checkpoints_have_the_same_damaged_state_of_a_region() {
    let (mut world, last) = away(3);
    let newest = world.scheduler.view().latest.expect("one is complete").checkpoint.0;
    assert!(newest > last + 2);
    world.fail_subtask_of(3, Fault::Damage);
    world.run();
    let log = world.take_log();
    let text = format!(
        "checkpoints that there are, {}, {} and {newest}, have the same state of 'source 2'",
        newest - 2,
        newest - 1
    );
    assert!(log.contains("end Failed") && log.contains(&text), "{log}");
}

/// It is as damaged, because it has the region's state from the damaged one.
#[test]
fn a_job_goes_back_when_the_outcome_of_the_checkpoint_under_way_is_known() {
    let (mut world, last) = away(10);
    while !matches!(world.events.front(), Some(Event::ManifestStored { .. })) {
        match world.events.pop_front() {
            Some(event) => world.send(event),
            None => {
                world.now = world.now.max(world.scheduler.next_wakeup().expect("a checkpoint is due"));
                world.send(Event::Tick);
            }
        }
    }
    let pending = world.scheduler.view().latest.expect("one is complete").checkpoint.0 + 1;
    world.take_log();
    world.fail_subtask_of(3, Fault::Damage);
    assert_eq!(world.state(), StateName::Restarting);
    world.run();
    let log = world.take_log();
    let deployed = lines(&log, "deploy");
    assert!(
        matches!(&deployed[..], [one] if one.ends_with(&format!("from checkpoint {}", last - 1))),
        "{log}"
    );
    let warning = world.scheduler.view().warnings.last().expect("the job has gone back").clone();
    assert!(warning.contains(&format!("checkpoint {pending} cannot be read")), "{warning}");
}
