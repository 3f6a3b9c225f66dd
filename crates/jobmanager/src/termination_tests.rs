//! What a JobManager does when it is told to end, and whether it is ready to work.

use super::*;

#[test]
fn told_to_end_it_suspends_the_job_after_a_checkpoint() {
    let over_rest: fn(&mut World) = |world| (0..2).for_each(|_| drop(world.ask(Command::ShutDown)));
    for tell_to_end in [over_rest, |world| world.feed(Input::Terminate)] {
        let mut world = started(MemoryStore::default());
        let deployment = world.running();
        tell_to_end(&mut world);
        assert_eq!(world.checkpoint(&deployment), AfterBarrier::Finish);
        let (attempt, subtask) = (deployment.attempt, subtask(&deployment));
        world.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Finished });
        assert!(world.exit == Some((0, String::new())) && world.store.names("/ended/").is_empty());
        assert!(started(world.store.clone()).running().checkpoint.is_some());
    }
}

#[test]
fn told_to_end_it_hands_its_tasks_over_if_the_options_say_so() {
    let options =
        [REACTIVE, ("jobmanager.termination", "hand-over"), ("jobmanager.adoption.timeout", "1 min")];
    let begun = || {
        let mut world = configured(MemoryStore::default(), StartMode::default(), &options);
        world.feed(Input::Start);
        world
    };
    let mut world = begun();
    world.running();
    world.feed(Input::Terminate);
    assert_eq!(world.exit, Some((0, String::new())), "at once, without a checkpoint");
    let mut world = begun();
    world.running();
    drop(world.ask(Command::ShutDown));
    assert_eq!(world.exit, None, "a user who shuts it down suspends the job");

    let mut world = begun();
    world.running();
    world.pass(Duration::from_secs(1));
    let job = world.handle.view().jobs[0].id;
    world.ask(Command::Cancel { job }).unwrap();
    world.feed(Input::Terminate);
    assert_eq!(world.exit, None, "the next one would not know that the job was cancelled");
}

#[test]
fn it_is_ready_while_it_leads_and_storage_answers() {
    let world = world(MemoryStore::default(), StartMode::default());
    assert_eq!(world.handle.view().readiness, Readiness::Starting);
    let mut world = started(MemoryStore::default());
    world.running();
    world.pass(Duration::from_secs(30));
    assert_eq!(world.handle.view().readiness, Readiness::Leading);
    world.store.broken = Some("gone");
    world.pass(Duration::from_secs(21));
    assert_eq!(world.handle.view().readiness, Readiness::StorageSilent);
    world.store.broken = None;
    world.pass(Duration::from_secs(10));
    assert_eq!(world.handle.view().readiness, Readiness::Leading);
}
