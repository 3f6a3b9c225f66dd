//! StopWithSavepoint, Canceling, and savepoints that do not stop.

use super::fixtures::{job, reactive, seconds};
use super::world::World;
use crate::action::EndState;
use crate::checkpoint::{Recovered, recover};
use crate::event::{Event, RequestId};
use crate::manifest::Decision;
use crate::scheduler::{JobStatus, StateName};
use reflow_protocol::failure::Fault;
use reflow_types::CheckpointId;

fn savepoint(cancel_job: bool) -> Event {
    Event::TriggerSavepoint { request: RequestId(5), directory: "mem:/savepoints".into(), cancel_job }
}

#[test]
fn a_stop_takes_a_savepoint_and_finishes() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(false);
    assert_eq!((world.state(), world.status()), (StateName::StopWithSavepoint, JobStatus::Running));
    world.run();
    world.expect(&["trigger 1 and finish", "answer 9: done", "end Finished"]);
}

#[test]
fn a_stop_with_drain_runs_to_the_natural_end() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(true);
    world.run();
    world.expect(&["trigger 1 and drain", "trigger 2 and finish", "answer 9: done", "end Finished"]);
}

#[test]
fn a_stop_whose_savepoint_fails_comes_to_nothing() {
    let (mut world, _) = World::running(reactive(), 1);
    world.faults.decline = true;
    world.stop(false);
    world.run();
    world.expect(&["trigger 1 and finish", "abort 1", "answer 9: refused"]);
    assert_eq!(world.state(), StateName::Executing);
    world.faults.decline = false;
    world.stop(false);
    world.run();
    assert_eq!(world.end, Some(EndState::Finished), "the second stop succeeds");
}

#[test]
fn checkpoints_go_on_after_a_failed_stop() {
    let (mut world, _) = World::running(reactive(), 1);
    world.faults.decline = true;
    world.stop(false);
    world.run();
    world.faults.decline = false;
    world.take_log();
    world.pass(seconds(2));
    assert!(world.take_log().starts_with("trigger 2"));
}

#[test]
fn slots_that_come_during_a_failed_stop_are_used_after_it() {
    let (mut world, _) = World::running(reactive(), 1);
    world.faults.never_acknowledge = true;
    world.stop(false);
    world.add(1);
    world.run();
    world.faults.never_acknowledge = false;
    world.pass(seconds(60));
    assert_eq!(world.parallelism(), [2, 2, 2]);
}

#[test]
fn a_failure_during_a_stop_restarts_the_job() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(false);
    world.fail_subtask(Fault::User);
    world.pass(seconds(1));
    world.expect(&[
        "trigger 1 and finish",
        "answer 9: refused",
        "cancel 1 on e1",
        "deploy 2 at [1, 1, 1] from nothing",
    ]);
}

#[test]
fn a_stop_that_is_decided_is_finished_after_a_failure() {
    for (drain, rest) in [(false, None), (true, Some("trigger 2 and finish"))] {
        let (mut world, executor) = World::running(reactive(), 1);
        world.faults.never_finish = true;
        world.stop(drain);
        world.run();
        world.add(1);
        world.faults.never_finish = false;
        world.kill(executor);
        world.run();
        let stop = if drain { "trigger 1 and drain" } else { "trigger 1 and finish" };
        let before = [stop, "deploy 2 at [1, 1, 1] from checkpoint 1"];
        let expected = before.into_iter().chain(rest).chain(["answer 9: done", "end Finished"]);
        world.expect(&expected.collect::<Vec<_>>());
    }
}

/// The JobManager is lost before the job's end is recorded.
#[test]
fn a_stop_that_is_decided_is_finished_by_the_next_job_manager() {
    let stop = |drain| Event::StopWithSavepoint { request: RequestId(5), directory: "mem:/s".into(), drain };
    let finish: &[&str] = &["end Finished"];
    let cases = [
        (stop(false), finish),
        (stop(true), &["trigger 2 and finish", "end Finished"]),
        (savepoint(true), &["end Canceled"]),
    ];
    for (event, expected) in cases {
        let (mut world, _) = World::running(reactive(), 1);
        world.faults.never_finish = true;
        world.send(event);
        world.run();
        let manifest = world.scheduler.view().latest.unwrap().manifest.clone();
        let decided = Ok(Decision::Complete(Box::new(manifest.clone())));
        let recovered = recover("mem:/job", [(CheckpointId(1), decided)]);
        let mut world = World::with_job(reactive(), job(), Some(recovered));
        world.add(2);
        world.run();
        let deployed = ["deploy 1 at [2, 2, 2] from checkpoint 1"];
        world.expect(&deployed.into_iter().chain(expected.iter().copied()).collect::<Vec<_>>());
        // A user who starts another job from the savepoint wants it to run.
        let restored = Recovered::from_savepoint("mem:/s/savepoint", manifest);
        let mut world = World::with_job(reactive(), job(), Some(restored));
        world.add(1);
        world.run();
        assert_eq!(world.state(), StateName::Executing);
    }
}

#[test]
fn a_permanent_failure_during_a_stop_fails_the_job() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(false);
    world.fail_subtask(Fault::Permanent);
    world.run();
    assert_eq!(world.end, Some(EndState::Failed));
}

#[test]
fn cancel_wins_over_a_stop() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(false);
    world.send(Event::Cancel);
    world.run();
    assert_eq!(world.end, Some(EndState::Canceled));
}

#[test]
fn a_second_stop_is_refused() {
    let (mut world, _) = World::running(reactive(), 1);
    world.stop(false);
    world.send(savepoint(false));
    assert!(world.take_log().ends_with("answer 5: refused"));
}

#[test]
fn cancel_with_a_savepoint() {
    let (mut world, _) = World::running(reactive(), 1);
    world.send(savepoint(true));
    world.run();
    world.expect(&["trigger 1 and finish", "answer 5: done", "end Canceled"]);
}

#[test]
fn a_savepoint_does_not_disturb_the_job() {
    let (mut world, _) = World::running(reactive(), 1);
    world.send(savepoint(false));
    world.run();
    world.expect(&["trigger 1", "answer 5: done"]);
    world.send(Event::TriggerCheckpoint { request: RequestId(6) });
    world.run();
    world.expect(&["trigger 2", "answer 6: done"]);
}

#[test]
fn a_stop_during_a_rescale_waits_for_it() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(1);
    world.stop(false);
    world.run();
    world.expect(&[
        "trigger 1 and pause",
        "cancel 1 on e1",
        "deploy 2 at [2, 2, 2] from checkpoint 1",
        "trigger 2 and finish",
        "answer 9: done",
        "end Finished",
    ]);
}

#[test]
fn a_suspended_job_takes_a_checkpoint_first() {
    let (mut world, _) = World::running(reactive(), 1);
    world.send(Event::Suspend);
    world.run();
    world.expect(&["trigger 1 and finish", "end Suspended"]);
}

#[test]
fn a_suspension_does_not_depend_on_the_checkpoint() {
    let (mut world, _) = World::running(reactive(), 1);
    world.faults.decline = true;
    world.send(Event::Suspend);
    world.run();
    world.expect(&["trigger 1 and finish", "abort 1", "cancel 1 on e1", "end Suspended"]);

    let (mut world, executor) = World::running(reactive(), 1);
    world.send(Event::Suspend);
    world.kill(executor);
    world.run();
    world.expect(&["trigger 1 and finish", "end Suspended"]);
}

#[test]
fn a_suspension_uses_the_checkpoint_of_a_rescale() {
    let (mut world, _) = World::running(reactive(), 1);
    world.add(1);
    world.send(Event::Suspend);
    world.run();
    world.expect(&["trigger 1 and pause", "cancel 1 on e1", "end Suspended"]);
}

#[test]
fn a_job_whose_subtasks_start_is_suspended_without_a_checkpoint() {
    let mut world = World::new(reactive());
    world.add(1);
    world.send(Event::Suspend);
    world.run();
    world.expect(&["deploy 1 at [1, 1, 1] from nothing", "cancel 1 on e1", "end Suspended"]);
}

#[test]
fn a_canceled_job_waits_for_its_executors_up_to_the_timeout() {
    let (mut world, _) = World::running(reactive(), 1);
    world.faults.ignore_cancel = true;
    world.send(Event::Cancel);
    world.pass(seconds(179));
    world.expect(&["cancel 1 on e1"]);
    assert_eq!(world.status(), JobStatus::Cancelling);
    world.pass(seconds(1));
    world.expect(&["kill e1", "end Canceled"]);
}
