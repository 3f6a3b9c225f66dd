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
