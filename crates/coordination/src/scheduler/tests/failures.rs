//! Failures, and Restarting and Failing that follow from them.

use super::fixtures::{failure, fixed, job, live, reactive, reported, seconds};
use super::recovery::committing_job;
use super::world::{Faults, World};
use crate::action::EndState;
use crate::checkpoint::fallback::AllowReplay;
use crate::event::Event;
use crate::restart::Strategy;
use crate::scheduler::{JobStatus, StateName};
use reflow_graph::JobGraph;
use reflow_protocol::failure::Fault;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent};
use reflow_types::{CheckpointId, ExecutorId, TaskManagerId};
use std::time::Duration;

#[test]
fn a_lost_executor_restarts_the_job_at_once_on_what_is_left() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.pass(seconds(1));
    world.take_log();
    world.kill(first);
    world.run();
    world.expect(&["cancel 2 on e2", "deploy 3 at [1, 1, 1] from checkpoint 2"]);
    assert_eq!(world.scheduler.view().restarts, 1);
}

#[test]
fn a_failed_subtask_restarts_the_job_after_the_delay() {
    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::User);
    world.run();
    world.expect(&["cancel 1 on e1"]);
    assert_eq!(world.status(), JobStatus::Restarting);
    world.pass(seconds(1));
    world.expect(&["deploy 2 at [1, 1, 1] from nothing"]);
    let view = world.scheduler.view();
    let entry = view.exceptions.entries().next().unwrap();
    assert_eq!((entry.root.message.as_str(), entry.root.operator.as_str()), ("it broke", "count"));
    assert!(entry.root.executor.is_some() && entry.root.subtask.is_some());
}

#[test]
fn a_broken_connection_is_the_shadow_of_a_lost_executor() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.take_log();
    world.fail_subtask(Fault::Connection);
    world.run();
    world.expect(&["cancel 2 on e1 e2"]);
    world.kill(first);
    world.run();
    world.expect(&[]);
    assert_eq!(world.status(), JobStatus::Restarting, "it had answered, so nothing was lost");

    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.take_log();
    world.fail_subtask(Fault::Connection);
    world.kill(first);
    world.run();
    world.expect(&["cancel 2 on e1 e2", "deploy 3 at [1, 1, 1] from checkpoint 1"]);
}

#[test]
fn an_unused_executor_may_die() {
    let (mut world, _) = World::running(fixed(1), 1);
    let second = world.add(1);
    world.kill(second);
    world.run();
    world.expect(&[]);
    assert_eq!(world.state(), StateName::Executing);
}

#[test]
fn a_job_that_may_not_restart_fails() {
    let mut settings = reactive();
    settings.restart = Strategy::None;
    let (mut world, _) = World::running(settings, 1);
    world.fail_subtask(Fault::User);
    assert_eq!(world.status(), JobStatus::Failing);
    world.run();
    world.expect(&[
        "cancel 1 on e1",
        "end Failed: count: it broke (no restart: restart-strategy.type is none)",
    ]);
}

#[test]
fn a_permanent_fault_fails_the_job_whatever_the_strategy() {
    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::Permanent);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
    let (mut world, _) = World::running(reactive(), 1);
    world.send(Event::JobFailed { failure: failure(Fault::Permanent) });
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
}

#[test]
fn restarts_are_counted() {
    let mut settings = reactive();
    settings.restart = Strategy::FixedDelay { attempts: 1, delay: seconds(0) };
    let (mut world, _) = World::running(settings, 1);
    world.send(Event::JobFailed { failure: failure(Fault::External) });
    world.run();
    assert_eq!(world.status(), JobStatus::Running);
    world.fail_subtask(Fault::User);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
}

#[test]
fn what_ended_attempts_say_changes_nothing() {
    let (mut world, _) = World::running(reactive(), 1);
    let (attempt, subtask) = (world.attempt(), world.first_subtask());
    world.fail_subtask(Fault::User);
    world.pass(seconds(2));
    world.take_log();
    for event in [
        reported(attempt, subtask, SubtaskEvent::Failed(failure(Fault::Permanent))),
        reported(attempt, subtask, SubtaskEvent::Ended),
        reported(attempt, subtask, SubtaskEvent::Finished),
        Event::ExecutorReported {
            executor: reflow_types::ExecutorId(1),
            report: ExecutorReport::AttemptCanceled { attempt },
        },
    ] {
        world.send(event);
        world.run();
    }
    assert_eq!(world.status(), JobStatus::Running);
    assert_eq!(world.scheduler.view().restarts, 1);
}

#[test]
fn failures_during_a_restart_are_kept_beside_the_first() {
    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::User);
    world.fail_subtask(Fault::Permanent);
    world.pass(seconds(1));
    assert_eq!(world.status(), JobStatus::Running);
    let view = world.scheduler.view();
    let entries: Vec<_> = view.exceptions.entries().map(|entry| entry.concurrent.len()).collect();
    assert_eq!(entries, [1]);
}

#[test]
fn an_executor_that_does_not_answer_costs_its_process() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.take_log();
    world.faults.ignore_cancel = true;
    world.fail_subtask(Fault::User);
    world.pass(seconds(179));
    world.expect(&["cancel 2 on e1 e2"]);
    world.pass(seconds(1));
    world.expect(&["kill e1", "kill e2"]);
    assert_eq!(world.state(), StateName::WaitingForResources);
    world.faults.ignore_cancel = false;
    world.add(1);
    assert!(world.take_log().starts_with("deploy 3"));
}

#[test]
fn a_restart_does_not_wait_for_executors_that_die_meanwhile() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.take_log();
    world.faults.ignore_cancel = true;
    world.fail_subtask(Fault::User);
    let second = reflow_types::ExecutorId(2);
    world.kill(first);
    world.kill(second);
    world.add(1);
    world.pass(seconds(1));
    world.expect(&["cancel 2 on e1 e2", "deploy 3 at [1, 1, 1] from checkpoint 1"]);
}

#[test]
fn without_enough_slots_a_restart_waits_for_them() {
    let mut settings = fixed(2);
    settings.resource_stabilization_timeout = seconds(0);
    let (mut world, first) = World::running(settings, 1);
    assert_eq!(world.parallelism(), [1, 1, 1]);
    world.kill(first);
    world.run();
    assert_eq!(world.state(), StateName::WaitingForResources);
    world.add(2);
    world.run();
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn cancel_and_suspend_reach_a_restart() {
    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::User);
    world.send(Event::Cancel);
    assert_eq!(world.status(), JobStatus::Cancelling);
    world.run();
    assert_eq!(world.end, Some(EndState::Canceled));

    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::User);
    world.send(Event::Suspend);
    world.run();
    assert_eq!(world.end, Some(EndState::Suspended));
}

#[test]
fn cancel_reaches_a_job_that_fails() {
    let (mut world, _) = World::running(reactive(), 1);
    world.fail_subtask(Fault::Permanent);
    world.send(Event::Cancel);
    world.run();
    assert_eq!(world.end, Some(EndState::Canceled));
}

/// A job whose first attempt has completed checkpoints 1 and 2, and whose second restores the latter.
fn restoring(job: JobGraph, allow_replay: AllowReplay) -> World {
    let mut settings = reactive();
    settings.allow_replay = allow_replay;
    let mut world = World::with_job(settings, job, None);
    world.add(1);
    world.pass(seconds(2));
    world.faults.never_run = true;
    world.fail_subtask(Fault::User);
    world.pass(seconds(1));
    assert!(world.take_log().ends_with("deploy 2 at [1, 1, 1] from checkpoint 2"));
    world
}

#[test]
fn a_damaged_checkpoint_is_passed_over_where_no_sink_commits() {
    let mut world = restoring(job(), AllowReplay::No);
    for (attempt, fault) in [(3, Fault::External), (4, Fault::Engine)] {
        world.fail_subtask(fault);
        world.pass(seconds(1));
        let deployed = format!("deploy {attempt} at [1, 1, 1] from checkpoint 2");
        assert!(world.take_log().ends_with(&deployed), "{fault:?} is no damage");
    }
    world.fail_subtask(Fault::Damage);
    world.run();
    assert!(world.take_log().ends_with("deploy 5 at [1, 1, 1] from checkpoint 1"), "the object is damaged");
    let warnings = &world.scheduler.view().warnings;
    let both = |warning: &String| warning.contains("checkpoint 2") && warning.contains("checkpoint 1");
    assert!(warnings.iter().any(both), "{warnings:?}");
    world.fail_subtask(Fault::Damage);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed), "none is left, and the job does not begin anew by itself");
}

#[test]
fn a_job_whose_sink_commits_asks_before_it_writes_output_again() {
    let mut world = restoring(committing_job(), AllowReplay::No);
    world.fail_subtask(Fault::Damage);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
    let view = world.scheduler.view();
    let (_, question) = view.end.expect("it has failed");
    let root = &view.exceptions.entries().next().expect("the damage").root;
    assert_eq!(Some(&root.message[..]), question);
    for needed in ["checkpoint 2", "checkpoint 1 (", "1 checkpoint,", "--allow-replay"] {
        assert!(root.message.contains(needed), "{needed}: {}", root.message);
    }
    assert_eq!(view.latest.map(|latest| latest.checkpoint), Some(CheckpointId(2)), "it is still the latest");
}

#[test]
fn an_answer_holds_until_the_job_runs() {
    let mut world = restoring(committing_job(), AllowReplay::Always);
    world.fail_subtask(Fault::Damage);
    world.run();
    assert!(world.take_log().ends_with("deploy 3 at [1, 1, 1] from checkpoint 1"));

    let mut world = restoring(committing_job(), AllowReplay::AtStart);
    world.fail_subtask(Fault::Damage);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed), "the job has run since: this is another damage");
}

#[test]
fn damage_takes_no_restart() {
    let mut settings = reactive();
    settings.restart = Strategy::FixedDelay { attempts: 1, delay: seconds(0) };
    let mut world = World::with_job(settings, job(), None);
    world.add(1);
    world.pass(seconds(2));
    world.faults.never_run = true;
    world.fail_subtask(Fault::User);
    world.run();
    world.fail_subtask(Fault::Damage);
    world.run();
    assert!(world.take_log().ends_with("from checkpoint 1"), "there is no restart left, and none is needed");
}

/// The damage comes while the attempt is being cancelled for something else: the next attempt meets it again.
#[test]
fn damage_beside_another_failure_is_not_taken_for_answered() {
    let mut world = restoring(committing_job(), AllowReplay::No);
    world.fail_subtask(Fault::External);
    world.fail_subtask(Fault::Damage);
    world.pass(seconds(2));
    assert!(world.take_log().ends_with("from checkpoint 2"));
    world.fail_subtask(Fault::Damage);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
}

/// One of two TaskManagers has too little memory: what the job puts there dies within seconds.
#[test]
fn a_task_manager_with_too_little_memory_does_not_keep_the_job_from_running() {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    let mut small = world.add(1);
    world.pass(seconds(1));
    let mut deaths = 0;
    for _ in 0..3_600 {
        if world.parallelism() == [2, 2, 2] {
            small = world.exhaust(small);
            deaths += 1;
        }
        world.pass(seconds(1));
    }
    assert!(
        (5..=12).contains(&deaths),
        "{deaths} restarts in an hour: tried ever less often, and not given up"
    );
    assert_eq!((world.status(), world.parallelism()), (JobStatus::Running, vec![1, 1, 1]));
    let warned = world.scheduler.view().warnings.iter().any(|warning| warning.contains("run out of memory"));
    assert!(warned, "an operator learns of it");
    world.send(Event::ExecutorDraining { executor: small });
    assert!(
        world.take_log().ends_with(&format!("release e{}", small.0)),
        "while its slots wait it may leave"
    );
}

#[test]
fn slots_that_wait_are_used_when_the_job_cannot_run_without_them() {
    let (mut world, mut only) = World::running(live(), 1);
    for _ in 0..5 {
        only = world.exhaust(only);
        world.pass(seconds(60));
        assert_eq!(world.status(), JobStatus::Running);
    }
    // Another one comes: the job need not wait for the small one any more.
    world.add(1);
    world.pass(seconds(10));
    world.exhaust(only);
    world.pass(seconds(10));
    assert_eq!((world.status(), world.parallelism()), (JobStatus::Running, vec![1, 1, 1]));
}

#[test]
fn a_job_runs_on_while_storage_is_full() {
    let (mut world, _) = World::running(reactive(), 1);
    world.pass(seconds(3));
    world.take_log();
    // No subtask can write its part, and no name can be created.
    for decline in [true, false] {
        (world.faults.decline, world.faults.disk_full) = (decline, true);
        world.pass(seconds(40));
        let log = world.take_log();
        let restarts = log.lines().filter(|line| line.starts_with("deploy")).count();
        assert_eq!(restarts, 0, "on a full disk the job was restarted {restarts} times:\n{log}");
    }
    world.faults = Faults::default();
    world.pass(seconds(20));
    assert!(world.take_log().contains("trigger"), "checkpoints go on when storage is back");
}

/// Reports that an executor hears nothing of others.
fn silent(world: &mut World, reporter: ExecutorId, peers: &[ExecutorId]) {
    for &peer in peers {
        let report = ExecutorReport::PeerSilent { peer };
        world.send(Event::ExecutorReported { executor: reporter, report });
    }
}

#[test]
fn of_executors_that_do_not_hear_each_other_the_job_goes_on_with_most() {
    let (mut world, first) = World::running(reactive(), 1);
    let (second, third) = (world.add(1), world.add(1));
    world.run();
    assert_eq!(world.parallelism(), [3, 3, 3]);
    world.pass(seconds(1));
    world.take_log();
    // The second one hears nobody, and is the first to report.
    silent(&mut world, second, &[first, third]);
    world.fail_subtask(Fault::Connection);
    silent(&mut world, first, &[second]);
    world.run();
    world.expect(&["cancel 2 on e1 e2 e3"]);
    world.pass(Duration::from_millis(499));
    world.expect(&[]);
    world.pass(Duration::from_millis(1));
    let log = world.take_log();
    let [killed, deployed] = log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert_eq!(killed, "kill e2");
    assert!(deployed.starts_with("deploy 3 at [2, 2, 2] from checkpoint"), "{deployed}");
    let warned = world.scheduler.view().warnings.join("\n");
    assert!(warned.contains("is cut off from 2 others"), "{warned}");

    // The next executor on that machine is tried later, and only if the job does not need it.
    let task_manager = TaskManagerId(second.0 + 1000);
    let next = ExecutorId(1000 + second.0);
    world.executors.insert(next, 1);
    world.send(Event::ExecutorAdded { executor: next, task_manager, slots: 1 });
    world.pass(seconds(29));
    assert_eq!(world.parallelism(), [2, 2, 2]);
    world.pass(seconds(2));
    assert_eq!(world.parallelism(), [3, 3, 3]);
}

#[test]
fn a_process_that_has_ended_explains_who_was_missed() {
    let (mut world, first) = World::running(reactive(), 1);
    let (second, third) = (world.add(1), world.add(1));
    world.run();
    world.pass(seconds(1));
    world.take_log();
    silent(&mut world, third, &[first]);
    silent(&mut world, second, &[first]);
    world.kill(first);
    world.run();
    world.pass(seconds(5));
    let log = world.take_log();
    assert!(!log.contains("kill"), "{log}");
    assert_eq!(world.parallelism(), [2, 2, 2]);
}
