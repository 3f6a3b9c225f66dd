//! Created and WaitingForResources.

use super::fixtures::{fixed, job, reactive, seconds};
use super::world::World;
use crate::action::EndState;
use crate::event::{Event, RequestId};
use crate::scheduler::{JobStatus, StateName};

#[test]
fn reactive_starts_with_whatever_there_is() {
    let mut world = World::new(reactive());
    assert_eq!(world.status(), JobStatus::Initializing);
    world.run();
    assert_eq!(world.state(), StateName::WaitingForResources);
    world.pass(seconds(86_400));
    world.expect(&[]);
    world.add(1);
    world.expect(&["deploy 1 at [1, 1, 1] from nothing"]);
    assert_eq!(world.status(), JobStatus::Running);
}

#[test]
fn desired_slots_are_used_at_once_sufficient_ones_once_stable() {
    let mut world = World::new(fixed(2));
    world.add(2);
    world.expect(&["deploy 1 at [2, 2, 2] from nothing"]);

    let mut world = World::new(fixed(2));
    world.add(1);
    world.pass(seconds(9));
    world.expect(&[]);
    world.pass(seconds(1));
    world.expect(&["deploy 1 at [1, 1, 1] from nothing"]);
}

#[test]
fn slots_that_come_while_it_waits_for_more_are_used() {
    let mut world = World::new(fixed(3));
    world.add(1);
    world.pass(seconds(5));
    world.add(1);
    world.expect(&[]);
    world.add(1);
    world.expect(&["deploy 1 at [3, 3, 3] from nothing"]);
}

#[test]
fn slots_that_go_again_do_not_count() {
    let mut world = World::new(fixed(2));
    let executor = world.add(1);
    world.pass(seconds(5));
    world.kill(executor);
    world.pass(seconds(60));
    world.expect(&[]);
    assert_eq!(world.state(), StateName::WaitingForResources);
}

#[test]
fn the_wait_ends_with_what_suffices_or_with_a_failure() {
    let mut settings = fixed(4);
    settings.resource_stabilization_timeout = seconds(1000);
    let mut world = World::new(settings.clone());
    world.add(3);
    world.pass(seconds(300));
    assert_eq!(world.parallelism(), [3, 3, 3]);

    let mut world = World::new(settings);
    world.require(2, 4);
    world.add(1);
    world.pass(seconds(299));
    world.expect(&[]);
    world.pass(seconds(1));
    assert!(world.take_log().contains("the job needs at least 2, and 1 came"));
    assert_eq!(world.end, Some(EndState::Failed));
}

#[test]
fn lower_requirements_start_a_job_that_waits() {
    let mut settings = fixed(4);
    settings.resource_wait_timeout = None;
    let mut world = World::new(settings);
    world.require(4, 4);
    world.add(2);
    world.pass(seconds(1000));
    world.expect(&[]);
    world.require(1, 2);
    world.expect(&["deploy 1 at [2, 2, 2] from nothing"]);
}

#[test]
fn cancel_and_suspend_end_it_and_requests_are_refused() {
    for (event, end) in [(Event::Cancel, EndState::Canceled), (Event::Suspend, EndState::Suspended)] {
        let mut world = World::new(reactive());
        world.run();
        world.send(Event::TriggerCheckpoint { request: RequestId(1) });
        world.expect(&["answer 1: refused"]);
        world.send(event);
        assert_eq!(world.end, Some(end));
        world.send(Event::Cancel);
    }
    let mut world = World::new(reactive());
    world.send(Event::Cancel);
    world.expect(&["end Canceled"]);
}

#[test]
fn a_task_manager_that_wants_to_leave_may_go() {
    let mut world = World::new(fixed(2));
    let executor = world.add(1);
    world.send(Event::ExecutorDraining { executor });
    world.run();
    world.expect(&["release e1"]);
    world.pass(seconds(100));
    assert_eq!(world.state(), StateName::WaitingForResources);
}

#[test]
fn a_job_that_cannot_run_fails_before_it_waits() {
    let mut broken = job();
    broken.vertices[1].parallelism = Some(17);
    let mut world = World::with_job(fixed(1), broken.clone(), None);
    world.run();
    world.expect(&[
        "end Failed: operator 'count' has parallelism 17, above its max parallelism 16: set a lower \
         .parallelism(…) or a higher .max_parallelism(…)",
    ]);

    let mut world = World::with_job(reactive(), broken, None);
    world.run();
    let warnings = world.scheduler.view().warnings.join("");
    assert!(warnings.contains("operator 'count' has a fixed parallelism of 17"), "{warnings}");
    assert_eq!(world.state(), StateName::WaitingForResources);
}
