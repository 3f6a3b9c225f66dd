//! Rescaling: the graph changes while the job runs.

use super::fixtures::{fixed, live, reported, seconds};
use super::world::{Faults, World};
use crate::event::{Event, RequestId};
use crate::rescale::{Live, LiveOutcome, LivePhase, TerminatedReason};
use crate::scheduler::{JobStatus, Settings, StateName};
use reflow_protocol::failure::Fault;
use reflow_protocol::report::{ExecutorReport, SubtaskEvent, SubtaskReport};
use reflow_types::{ExecutorId, GraphVersion};
use std::time::Duration;

/// A job on one slot of executor 1 with a complete checkpoint, to which executor 2 comes with another.
fn growing() -> World {
    growing_with(Faults::default())
}

fn growing_with(faults: Faults) -> World {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    world.take_log();
    world.faults = faults;
    world.add(1);
    world
}

/// A job on the slots of executors 1 and 2, of which the second wants to leave.
fn shrinking() -> World {
    let mut world = growing();
    world.pass(seconds(1));
    world.take_log();
    world.send(Event::ExecutorDraining { executor: ExecutorId(2) });
    world
}

/// How live rescales went, oldest first.
fn outcomes(world: &World) -> Vec<(Option<LiveOutcome>, Option<TerminatedReason>)> {
    let view = world.scheduler.view();
    let live = |live: &Live| live.outcome.clone();
    let all =
        view.rescales.history().filter_map(|r| Some((live(r.live.as_ref()?), r.ended.map(|(_, why)| why))));
    let mut all: Vec<_> = all.collect();
    all.reverse();
    all
}

/// Why the last rescale restarts the job.
fn restart_reason(world: &World) -> &str {
    world.scheduler.view().rescales.history().next().unwrap().restart_reason.as_deref().unwrap()
}

fn given_up(reason: &str) -> (Option<LiveOutcome>, Option<TerminatedReason>) {
    let outcome = LiveOutcome::GivenUp { reason: reason.to_owned() };
    (Some(outcome), Some(TerminatedReason::ExceptionOccurred))
}

const COMMITTED: (Option<LiveOutcome>, Option<TerminatedReason>) =
    (Some(LiveOutcome::Committed), Some(TerminatedReason::Succeeded));

#[test]
fn a_rescale_that_restarts_nothing_does_not_wait() {
    let grown = |live_rescale| {
        let mut settings = Settings { live_rescale, ..fixed(4) };
        settings.resource_stabilization_timeout = seconds(0);
        settings.checkpoints.interval = Some(seconds(1));
        let (mut world, _) = World::running(settings, 2);
        world.pass(seconds(3));
        world.add(1);
        world.pass(seconds(5));
        world.scheduler.view().vertices().next().unwrap().parallelism
    };
    assert_eq!(grown(false), 2, "a restart waits until it is clear that no more slots come");
    assert_eq!(grown(true), 3);
}

#[test]
fn the_job_spreads_onto_new_slots_and_goes_on() {
    let mut world = growing();
    world.run();
    world.expect(&[
        "prepare 1 at [2, 2, 2] from checkpoint 1",
        "trigger 2",
        "catch up 1 to checkpoint 2",
        "trigger 3 and cut",
        "move 3 splits to 2 readers",
        "commit 1",
    ]);
    assert_eq!((world.state(), world.status()), (StateName::Executing, JobStatus::Running));
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert_eq!((world.scheduler.view().restarts, world.scheduler.view().rescaled), (0, 1));
    assert_eq!(outcomes(&world), [COMMITTED]);
}

#[test]
fn a_live_rescale_tells_its_phases_and_what_it_cost() {
    let mut world = growing();
    world.run();
    let view = world.scheduler.view();
    let rescale = view.rescales.history().next().unwrap();
    let states: Vec<_> = rescale.states.iter().map(|span| span.state).collect();
    assert_eq!(states, ["Executing"], "tools know no other");
    let live = rescale.live.as_ref().unwrap();
    let phases: Vec<_> = live.phases.iter().map(|span| span.phase).collect();
    use LivePhase::*;
    assert_eq!(phases, [Plan, Prepare, CatchUp, Cut, Commit]);
    assert!(live.phases.iter().all(|span| span.left.is_some()));
    assert_eq!((live.groups_moved, live.groups_kept), (8, 8));
    // Three new subtasks, each of which was handed over ten bytes and two records.
    assert_eq!((live.bytes_handed_over, live.records_parked), (30, 6));
    assert!(live.longest_pause > Duration::ZERO);
}

#[test]
fn who_leaves_is_released_once_all_it_had_is_committed() {
    let mut world = shrinking();
    world.run();
    world.expect(&[
        "prepare 2 at [1, 1, 1] from checkpoint 4",
        "trigger 5",
        "catch up 2 to checkpoint 5",
        "trigger 6 and cut",
        "move 3 splits to 1 readers",
        "commit 2",
        "release e2",
    ]);
    assert_eq!(world.parallelism(), [1, 1, 1]);
    world.pass(seconds(10));
    assert_eq!(outcomes(&world), [COMMITTED, COMMITTED]);
}

#[test]
fn without_a_checkpoint_to_read_one_is_taken_first() {
    let (mut world, _) = World::running(live(), 1);
    world.add(1);
    world.run();
    world.expect(&[
        "trigger 1",
        "prepare 1 at [2, 2, 2] from checkpoint 1",
        "trigger 2",
        "catch up 1 to checkpoint 2",
        "trigger 3 and cut",
        "move 3 splits to 2 readers",
        "commit 1",
    ]);
}

#[test]
fn what_cannot_go_live_restarts() {
    let paused = ["trigger 1 and pause", "cancel 1 on e1", "deploy 2 at [2, 2, 2] from checkpoint 1"];
    let (mut world, _) = World::running(super::fixtures::reactive(), 1);
    world.add(1);
    world.run();
    world.expect(&paused);
    assert_eq!(
        restart_reason(&world),
        "live rescales are switched off (jobmanager.adaptive-scheduler.live-rescale.enabled)"
    );

    let mut settings = live();
    settings.checkpoints.interval = None;
    let (mut world, _) = World::running(settings, 1);
    world.add(1);
    world.run();
    world.expect(&["cancel 1 on e1", "deploy 2 at [2, 2, 2] from nothing"]);
    assert_eq!(restart_reason(&world), "the job takes no checkpoints (execution.checkpointing.interval)");

    let (mut world, executor) = World::running(live(), 1);
    world.send(Event::ExecutorDraining { executor });
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "release e1"]);
    assert_eq!(restart_reason(&world), "without the slots that leave, the job has too few");
}

#[test]
fn an_input_that_has_ended_is_no_obstacle() {
    let (mut world, _) = World::running(live(), 1);
    let (attempt, subtask) = (world.attempt(), world.first_subtask());
    world.send(reported(attempt, subtask, SubtaskEvent::Ended));
    world.add(1);
    world.run();
    // Splits move to the added reader only: the other one reads nothing any more.
    world.expect(&[
        "trigger 1",
        "prepare 1 at [2, 2, 2] from checkpoint 1",
        "trigger 2",
        "catch up 1 to checkpoint 2",
        "trigger 3 and cut",
        "move 3 splits to 1 readers",
        "commit 1",
    ]);
    assert_eq!(world.scheduler.view().restarts, 0);
}

#[test]
fn a_job_whose_inputs_all_end_while_a_rescale_is_prepared_finishes_without_it() {
    for (phase, last) in BEFORE_THE_CUT.into_iter().zip(["trigger 2 and finish", "trigger 3 and finish"]) {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        world.end_inputs();
        world.run();
        world.expect(&["abandon 1", last, "end Finished"]);
    }
}

const BEFORE_THE_CUT: [LivePhase; 2] = [LivePhase::Prepare, LivePhase::CatchUp];

#[test]
fn before_the_cut_a_lost_new_executor_costs_nothing() {
    for phase in BEFORE_THE_CUT {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        world.kill(ExecutorId(2));
        world.expect(&["abandon 1"]);
        world.pass(seconds(2));
        assert_eq!(world.parallelism(), [1, 1, 1]);
        assert_eq!(world.scheduler.view().restarts, 0);
        let lost = format!("task executor {} was lost", ExecutorId(2));
        assert_eq!(outcomes(&world), [given_up(&lost)], "{phase:?}");
    }
}

#[test]
fn a_lost_old_executor_is_a_failure_in_every_phase() {
    for phase in [LivePhase::Prepare, LivePhase::CatchUp, LivePhase::Cut] {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        world.kill(ExecutorId(1));
        assert_eq!(world.state(), StateName::Restarting, "{phase:?}");
        assert!(world.take_log().starts_with("cancel 1 on e2"), "what is prepared is cancelled, too");
        world.pass(seconds(1));
        assert_eq!(world.parallelism(), [1, 1, 1]);
        assert_eq!(outcomes(&world)[0].0, Some(LiveOutcome::Interrupted), "{phase:?}");
    }
}

#[test]
fn after_the_cut_a_lost_new_executor_is_a_failure() {
    let mut world = growing();
    world.run_to(LivePhase::Cut);
    world.take_log();
    world.kill(ExecutorId(2));
    world.run();
    world.expect(&["cancel 1 on e1", "deploy 2 at [1, 1, 1] from checkpoint 2"]);
    assert_eq!(world.scheduler.view().restarts, 1);
}

#[test]
fn an_executor_that_leaves_and_has_finished_may_be_lost() {
    let mut world = shrinking();
    world.run_to(LivePhase::Commit);
    let finishes = |event: &Event| {
        matches!(event, Event::SubtaskReported(SubtaskReport { event: SubtaskEvent::Finished, .. }))
    };
    while !world.events.iter().any(finishes) {
        let event = world.events.pop_front().unwrap();
        world.send(event);
    }
    for _ in 0..2 {
        let event = world.events.pop_front().unwrap();
        assert!(finishes(&event));
        world.send(event);
    }
    // One subtask is left there; then it is lost.
    world.take_log();
    world.events.clear();
    world.kill(ExecutorId(2));
    assert_eq!(world.state(), StateName::Restarting, "it had something to commit");
}

#[test]
fn a_subtask_that_fails_is_a_failure_in_every_phase() {
    for phase in [LivePhase::Prepare, LivePhase::CatchUp, LivePhase::Cut] {
        let mut world = growing();
        world.run_to(phase);
        world.fail_subtask(Fault::User);
        assert_eq!(world.state(), StateName::Restarting, "{phase:?}");
        world.pass(seconds(3));
        assert_eq!(world.parallelism(), [2, 2, 2], "{phase:?}");
    }
}

#[test]
fn a_refusal_is_tried_again_three_times_and_then_done_with_a_restart() {
    let mut world = growing_with(Faults { refuse: true, ..Faults::default() });
    world.run();
    world.expect(&["prepare 1 at [2, 2, 2] from checkpoint 1", "abandon 1"]);
    world.pass(Duration::from_millis(999));
    assert!(!world.take_log().contains("prepare"));
    world.pass(Duration::from_millis(1));
    assert!(world.take_log().contains("prepare 2"));
    world.pass(seconds(2));
    assert!(world.take_log().contains("prepare 3"));
    world.pass(seconds(4));
    let log = world.take_log();
    assert!(log.contains("and pause\ncancel 1 on e1\ndeploy 2 at [2, 2, 2]"), "{log}");
    let refused = given_up(&format!("task executor {} refused: no memory", ExecutorId(1)));
    assert_eq!(outcomes(&world), [refused.clone(), refused.clone(), refused]);
    let expected = format!(
        "live, it was given up 3 times, the last time because task executor {} refused: no memory",
        ExecutorId(1)
    );
    assert_eq!(restart_reason(&world), expected);
}

#[test]
fn a_refusal_that_was_said_before_the_cut_was_heard_of_fails_the_attempt() {
    let mut world = growing();
    world.run_to(LivePhase::Cut);
    let attempt = world.attempt();
    let (version, executor) = (GraphVersion(1), ExecutorId(1));
    let reason = "the connection to executor e2, made for the rescale, is gone".to_owned();
    let report = ExecutorReport::RescaleRefused { attempt, version, reason };
    world.send(Event::ExecutorReported { executor, report });
    assert_eq!(world.state(), StateName::Restarting);
    world.pass(seconds(3));
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn preparing_does_not_take_for_ever() {
    let mut world = growing_with(Faults { never_prepare: true, ..Faults::default() });
    world.pass(seconds(59));
    assert_eq!(world.state(), StateName::Rescaling);
    world.pass(seconds(1));
    assert_eq!(outcomes(&world), [given_up("it took too long to prepare: no state was read for 60s")]);
    assert_eq!(world.state(), StateName::Executing);
}

#[test]
fn a_fresh_checkpoint_that_fails_gives_the_rescale_up() {
    let mut world = growing();
    world.faults.decline = true;
    world.run();
    world.expect(&["prepare 1 at [2, 2, 2] from checkpoint 1", "trigger 2", "abort 2", "abandon 1"]);
    world.faults.decline = false;
    world.pass(seconds(2));
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert_eq!(outcomes(&world)[1], COMMITTED);
}

#[test]
fn a_cut_that_does_not_take_effect_fails_the_attempt() {
    let mut world = growing();
    world.run_to(LivePhase::CatchUp);
    world.faults.never_cut = true;
    world.pass(seconds(59));
    assert_eq!(world.state(), StateName::Rescaling);
    world.pass(seconds(2));
    assert_eq!(world.scheduler.view().restarts, 1);
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn a_cut_whose_checkpoint_fails_takes_effect_and_is_published_by_the_next() {
    let mut world = growing();
    world.run_to(LivePhase::CatchUp);
    // The fresh one is acknowledged, the cut is not.
    while world.phase() != Some(LivePhase::Cut) {
        let acknowledges = |event: &Event| {
            let Event::SubtaskReported(report) = event else { return false };
            matches!(report.event, SubtaskEvent::Acknowledged { .. })
        };
        world.faults.decline = !world.events.iter().any(acknowledges);
        let event = world.events.pop_front().unwrap();
        world.send(event);
    }
    world.take_log();
    world.faults.decline = false;
    world.run();
    world.expect(&["move 3 splits to 2 readers", "abort 3", "trigger 4", "commit 1"]);
    assert_eq!(outcomes(&world), [COMMITTED]);
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn a_change_before_the_cut_is_planned_anew() {
    for phase in BEFORE_THE_CUT {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        world.add(1);
        assert!(world.take_log().starts_with("abandon 1\nprepare 2 at [3, 3, 3]"), "{phase:?}");
        world.run();
        assert_eq!(world.parallelism(), [3, 3, 3]);
        assert_eq!(outcomes(&world), [COMMITTED], "one record, no give-up");
    }
}

#[test]
fn a_change_after_the_cut_waits_for_the_commit() {
    let mut world = growing();
    world.run_to(LivePhase::Cut);
    world.take_log();
    world.add(1);
    world.expect(&[]);
    world.run();
    assert_eq!(world.parallelism(), [3, 3, 3]);
    assert_eq!(outcomes(&world), [COMMITTED, COMMITTED]);
}

#[test]
fn a_change_that_makes_the_rescale_pointless_ends_it() {
    let mut world = growing();
    world.run_to(LivePhase::Prepare);
    world.take_log();
    world.send(Event::ExecutorDraining { executor: ExecutorId(2) });
    world.expect(&["abandon 1", "release e2"]);
    world.run();
    assert_eq!(world.state(), StateName::Executing);
    let pointless = TerminatedReason::NoResourcesOrParallelismsChange;
    assert_eq!(outcomes(&world), [(Some(LiveOutcome::Interrupted), Some(pointless))]);
}

#[test]
fn a_user_may_cancel_in_every_phase() {
    for phase in [LivePhase::Prepare, LivePhase::CatchUp, LivePhase::Cut, LivePhase::Commit] {
        let mut world = if phase == LivePhase::Commit { shrinking() } else { growing() };
        world.run_to(phase);
        world.send(Event::Cancel);
        world.run();
        assert_eq!(world.status(), JobStatus::Canceled, "{phase:?}");
    }
}

#[test]
fn a_suspension_does_not_wait_for_executors_that_prepare_but_for_a_cut() {
    for phase in [LivePhase::Prepare, LivePhase::CatchUp, LivePhase::Cut, LivePhase::Commit] {
        let mut world = if phase == LivePhase::Commit { shrinking() } else { growing() };
        world.run_to(phase);
        world.send(Event::Suspend);
        let cut = phase == LivePhase::Cut;
        assert_eq!(world.state() == StateName::Rescaling, cut, "{phase:?}");
        world.run();
        assert_eq!(world.status(), JobStatus::Suspended, "{phase:?}");
    }
}

#[test]
fn a_stop_makes_an_end_of_a_rescale_that_has_not_cut() {
    for phase in BEFORE_THE_CUT {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        world.stop(false);
        assert!(world.take_log().starts_with("abandon 1"), "{phase:?}");
        assert_eq!(world.state(), StateName::StopWithSavepoint);
        world.run();
        assert_eq!(world.status(), JobStatus::Finished);
        world.expect_answers();
    }
    for phase in [LivePhase::Cut, LivePhase::Commit] {
        let mut world = shrinking();
        world.run_to(phase);
        world.take_log();
        world.stop(false);
        assert_eq!(world.state(), StateName::Rescaling);
        world.run();
        assert_eq!(world.status(), JobStatus::Finished, "{phase:?}");
        assert!(world.take_log().contains("commit 2"));
        world.expect_answers();
    }
}

#[test]
fn savepoints_go_on_while_executors_prepare_and_wait_for_a_cut() {
    let savepoint = |world: &mut World| {
        let (request, directory) = (RequestId(1), "mem:/savepoints".into());
        world.send(Event::TriggerSavepoint { request, directory, cancel_job: false });
    };
    let mut world = growing();
    world.run_to(LivePhase::Prepare);
    world.take_log();
    savepoint(&mut world);
    world.run();
    let log = world.take_log();
    assert!(log.starts_with("trigger 2\nanswer 1: done\ntrigger 3\ncatch up 1 to checkpoint 3"), "{log}");
    for phase in [LivePhase::CatchUp, LivePhase::Cut] {
        let mut world = growing();
        world.run_to(phase);
        world.take_log();
        savepoint(&mut world);
        world.expect(&[]);
        world.run();
        assert_eq!(outcomes(&world), [COMMITTED]);
        world.expect_answers();
    }
}

#[test]
fn periodic_checkpoints_wait_from_the_fresh_one_to_the_new_graph() {
    let mut world = growing_with(Faults { never_prepare: true, ..Faults::default() });
    world.run();
    world.take_log();
    world.pass(seconds(2));
    world.expect(&["trigger 2", "trigger 3"]);
    let mut world = growing();
    world.run_to(LivePhase::CatchUp);
    world.faults.never_prepare = true;
    world.run();
    world.take_log();
    world.pass(seconds(30));
    world.expect(&[]);
    world.pass(seconds(31));
    let log = world.take_log();
    assert!(log.starts_with("abandon 1"), "{log}");
}

#[test]
fn a_task_manager_that_flaps_does_not_restart_the_job() {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    for _ in 0..5 {
        // It comes, and dies while the rescale is prepared; a whole hour of calm follows.
        let flaps = world.add(1);
        world.run_to(LivePhase::Prepare);
        world.kill(flaps);
        world.pass(seconds(3_600));
        assert_eq!(world.parallelism(), [1, 1, 1]);
    }
    world.take_log();
    // Another one comes, and stays: the job spreads onto it live.
    world.add(1);
    world.pass(seconds(1));
    let log = world.take_log();
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert!(!log.contains("cancel"), "the job is restarted to use a healthy TaskManager:\n{log}");
}

#[test]
fn refusals_of_executors_that_are_gone_do_not_count() {
    let (mut world, _) = World::running(live(), 1);
    world.pass(seconds(1));
    for _ in 0..3 {
        // The survivor notices first, since its connection breaks.
        world.faults.refuse = true;
        let flaps = world.add(1);
        world.run();
        assert_eq!(world.state(), StateName::Executing);
        world.kill(flaps);
        world.pass(seconds(60));
    }
    world.faults.refuse = false;
    world.take_log();
    world.add(1);
    world.pass(seconds(1));
    let log = world.take_log();
    assert_eq!(world.parallelism(), [2, 2, 2]);
    assert!(!log.contains("cancel"), "{log}");
}

#[test]
fn one_of_two_new_executors_that_is_lost_holds_nothing_up() {
    let mut world = growing();
    let flaps = world.add(1);
    world.run_to(LivePhase::Prepare);
    world.kill(flaps);
    world.run();
    assert_eq!(world.parallelism(), [2, 2, 2], "the other one is used at once");
    assert_eq!(world.scheduler.view().restarts, 0);
}

#[test]
fn checkpoints_that_fail_do_not_make_a_live_rescale_a_restart() {
    let mut settings = live();
    settings.checkpoints.tolerable_failures = u32::MAX;
    let (mut world, _) = World::running(settings, 1);
    world.pass(seconds(1));
    world.take_log();
    world.faults.decline = true;
    world.add(1);
    world.pass(seconds(300));
    assert!(!world.take_log().contains("cancel"), "a restart needs a checkpoint, too");
    world.faults.decline = false;
    world.pass(seconds(70));
    assert_eq!((world.parallelism(), world.scheduler.view().restarts), (vec![2, 2, 2], 0));
}

/// A leader hands its job over before or after that.
#[test]
fn a_lost_leader_costs_a_restart_from_the_cut_to_the_commit() {
    let mut world = growing();
    world.run_to(LivePhase::CatchUp);
    assert!(!world.scheduler.view().is_cutting());
    world.run_to(LivePhase::Cut);
    assert!(world.scheduler.view().is_cutting());
    world.run_to(LivePhase::Commit);
    assert!(world.scheduler.view().is_cutting());
    world.pass(seconds(10));
    assert!(!world.scheduler.view().is_cutting());
}
