//! Executors that are lost.

use super::*;

#[test]
fn a_lost_executor_is_replaced_and_stale_messages_change_nothing() {
    let mut world = started(MemoryStore::default());
    let deployment = world.running();
    world.received::<ToTaskManager>(TM);
    world.feed(Input::Closed { conn: EXECUTOR, reason: "reset".into() });
    assert_eq!(world.received::<ToTaskManager>(TM), [], "its TaskManager is about to say how it ended");
    world.pass(Duration::from_secs(1));
    let received = world.received::<ToTaskManager>(TM);
    let [ToTaskManager::StopExecutor { .. }, ToTaskManager::StartExecutor(start)] = &received[..] else {
        panic!("{received:?}")
    };
    world.closed.clear();
    let again = world.register_executor(start);
    assert!(again.attempt.number > deployment.attempt.number);
    let (attempt, subtask) = (deployment.attempt, subtask(&deployment));
    world.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Finished });
    assert_eq!((world.exit, world.closed), (None, vec![]));
}

#[test]
fn an_executor_that_hangs_is_replaced_at_once() {
    let mut world = started(MemoryStore::default());
    let deployment = world.running();
    let executor = deployment.graph.vertices[0].subtasks[0].slot.executor;
    world.received::<ToTaskManager>(TM);
    world.feed(Input::Silent { conn: EXECUTOR });
    let received = world.received::<ToTaskManager>(TM);
    let [ToTaskManager::StopExecutor { executor: stopped }, ToTaskManager::StartExecutor(_)] = received[..]
    else {
        panic!("{received:?}")
    };
    assert_eq!(stopped, executor);
    world.pass(Duration::from_millis(300));
    let roots =
        world.handle.view().jobs[0].exceptions.iter().map(|root| root.message.clone()).collect::<Vec<_>>();
    let silent = "no sign of life within heartbeat.silence-timeout";
    assert_eq!(roots, [format!("task executor {executor} is lost: {silent}")]);
}

#[test]
fn a_pause_of_the_job_manager_is_not_its_members_silence() {
    let mut world = started(MemoryStore::default());
    world.running();
    world.now = world.now + Duration::from_secs(600);
    world.feed(Input::Wakeup);
    assert_eq!(world.closed, [], "heartbeats may wait to be read");
    world.beat();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.closed, [TM, EXECUTOR], "none came for a minute");
}

#[test]
fn the_root_of_a_failure_is_the_process_that_ended() {
    let mut world = started(MemoryStore::default());
    let deployment = world.running();
    let executor = deployment.graph.vertices[0].subtasks[0].slot.executor;
    world.received::<ToTaskManager>(TM);
    world.feed(Input::Closed { conn: EXECUTOR, reason: "reset".into() });
    world.send(TM, &FromTaskManager::ExecutorExited { executor, reason: "killed by signal 9".into() });
    let received = world.received::<ToTaskManager>(TM);
    assert!(
        matches!(received[..], [ToTaskManager::StartExecutor(_)]),
        "nothing is left to stop: {received:?}"
    );
    world.pass(Duration::from_millis(300));
    let exceptions = &world.handle.view().jobs[0].exceptions;
    let roots: Vec<&str> = exceptions.iter().map(|exception| exception.message.as_str()).collect();
    assert_eq!(roots, [format!("task executor {executor} is lost: killed by signal 9")]);
}
