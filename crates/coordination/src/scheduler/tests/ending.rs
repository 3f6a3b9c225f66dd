//! Bounded jobs.

use super::fixtures::{reactive, reported, seconds};
use super::world::World;
use crate::action::EndState;
use crate::scheduler::JobStatus;
use reflow_protocol::report::SubtaskEvent;

#[test]
fn a_bounded_job_commits_everything_and_finishes() {
    let (mut world, _) = World::running(reactive(), 2);
    world.end_inputs();
    world.run();
    world.expect(&["trigger 1 and finish", "end Finished"]);
    assert_eq!(world.status(), JobStatus::Finished);
}

#[test]
fn without_checkpoints_there_is_a_final_one_all_the_same() {
    let mut settings = reactive();
    settings.checkpoints.interval = None;
    let (mut world, _) = World::running(settings, 1);
    world.pass(seconds(1000));
    world.end_inputs();
    world.run();
    world.expect(&["trigger 1 and finish", "end Finished"]);
}

#[test]
fn a_failed_final_checkpoint_is_tried_again() {
    let mut settings = reactive();
    settings.checkpoints.interval = None;
    let (mut world, _) = World::running(settings, 1);
    world.faults.decline = true;
    world.end_inputs();
    world.run();
    world.expect(&["trigger 1 and finish", "abort 1"]);
    world.faults.decline = false;
    world.pass(seconds(1));
    world.expect(&["trigger 2 and finish", "end Finished"]);
}

#[test]
fn slots_that_come_at_the_end_are_left_alone() {
    let (mut world, _) = World::running(reactive(), 1);
    world.end_inputs();
    world.add(1);
    world.run();
    world.expect(&["trigger 1 and finish", "end Finished"]);
}

#[test]
fn an_executor_that_dies_after_its_subtasks_finished_is_no_failure() {
    let (mut world, first) = World::running(reactive(), 1);
    world.add(1);
    world.run();
    world.faults.never_finish = true;
    world.end_inputs();
    world.run();
    world.take_log();
    let (attempt, graph) = world.deployed.clone().unwrap();
    let (on_first, others): (Vec<_>, Vec<_>) =
        graph.subtasks().map(|(_, _, subtask)| *subtask).partition(|subtask| subtask.slot.executor == first);
    for subtask in on_first {
        world.send(reported(attempt, subtask.id, SubtaskEvent::Finished));
    }
    world.kill(first);
    for subtask in others {
        world.send(reported(attempt, subtask.id, SubtaskEvent::Finished));
    }
    assert_eq!(world.end, Some(EndState::Finished));
    assert_eq!(world.scheduler.view().restarts, 0);
}

#[test]
fn a_loss_before_everything_is_committed_is_recovered_from_the_final_checkpoint() {
    let (mut world, first) = World::running(reactive(), 1);
    world.faults.never_finish = true;
    world.end_inputs();
    world.run();
    world.kill(first);
    world.faults.never_finish = false;
    world.add(1);
    world.run();
    assert!(world.take_log().ends_with("deploy 2 at [1, 1, 1] from checkpoint 1\nend Finished"));
    assert_eq!(world.end, Some(EndState::Finished));
}
