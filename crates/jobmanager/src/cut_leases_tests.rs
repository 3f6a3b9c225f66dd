//! A hand-over while a live rescale cuts: the next leader would restart the job, so it waits.

use super::*;
use reflow_protocol::command::RescaleCommand;

const SECOND_TM: ConnId = ConnId(ConnId::ACCEPTED + 3);
const SECOND_EXECUTOR: ConnId = ConnId(ConnId::ACCEPTED + 4);

/// A leader whose job spreads onto a second TaskManager and cuts.
fn cutting() -> World {
    let mut world = with_leases(MemoryStore::default());
    world.pass(DURATION);
    let deployment = world.running();
    world.checkpoint(&deployment);
    world.accept(SECOND_TM, &Hello::TaskManager { id: TaskManagerId(6) });
    let mut registration = registration();
    if let FromTaskManager::Register { id, .. } = &mut registration {
        *id = TaskManagerId(6);
    }
    world.send(SECOND_TM, &registration);
    let received = world.received::<ToTaskManager>(SECOND_TM);
    let Some(ToTaskManager::StartExecutor(start)) = received.last() else { panic!("{received:?}") };
    let hello = Hello::Executor { id: start.executor, job: start.job, token: start.token };
    world.accept(SECOND_EXECUTOR, &hello);
    world.send(SECOND_EXECUTOR, &executor_registration(start.executor, FINGERPRINT));
    for _ in 0..50 {
        for conn in [EXECUTOR, SECOND_EXECUTOR] {
            for message in world.received::<ToExecutor>(conn) {
                if cuts(&message) {
                    return world;
                }
                if let Some(answer) = answer(&message, &deployment, conn) {
                    world.send(conn, &answer);
                }
            }
        }
        beat(&mut world, 1);
    }
    panic!("no cut begins")
}

fn cuts(message: &ToExecutor) -> bool {
    let ToExecutor::Command(AttemptCommand { command, .. }) = message else { return false };
    let command::Command::Checkpoint { command, .. } = command else { return false };
    matches!(command, CheckpointCommand::Trigger(kind) if kind.cut.is_some())
}

/// What an executor answers before the cut: what is to be read is read, and what is to be acknowledged is acknowledged.
fn answer(message: &ToExecutor, deployment: &Deployment, conn: ConnId) -> Option<FromExecutor> {
    let prepared = |attempt, version, checkpoint| {
        FromExecutor::Report(ExecutorReport::RescalePrepared { attempt, version, checkpoint })
    };
    match message {
        ToExecutor::PrepareRescale { preparation, .. } => {
            Some(prepared(preparation.attempt, preparation.version, preparation.checkpoint))
        }
        ToExecutor::Command(AttemptCommand { attempt, command }) => match command {
            command::Command::Rescale { version, command: RescaleCommand::CatchUp { checkpoint, .. } } => {
                Some(prepared(*attempt, *version, *checkpoint))
            }
            command::Command::Checkpoint { checkpoint, command: CheckpointCommand::Trigger(_), .. }
                if conn == EXECUTOR =>
            {
                let (state, timing) = (SubtaskState::default(), SnapshotTiming::default());
                let event = SubtaskEvent::Acknowledged { checkpoint: *checkpoint, state, timing };
                let subtask = subtask(deployment);
                Some(FromExecutor::SubtaskReport(SubtaskReport { attempt: *attempt, subtask, event }))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Tenths of a second, with heartbeats of all members.
fn beat(world: &mut World, times: u32) {
    for _ in 0..times {
        world.beat();
        world.send(SECOND_TM, &FromTaskManager::Heartbeat { memory_bytes: 1 });
        world.send(SECOND_EXECUTOR, &FromExecutor::Heartbeat { memory_bytes: 1, subtasks: vec![] });
    }
}

fn has_released(world: &World) -> bool {
    let lease = world.store.names("/leases/").pop().expect("it has a lease").to_owned();
    String::from_utf8_lossy(&world.store.objects[&lease]).contains("RELEASED")
}

#[test]
fn a_leader_that_is_told_to_end_waits_for_a_cut_and_not_without_end() {
    let mut world = cutting();
    world.feed(Input::Terminate);
    beat(&mut world, 90);
    assert!(!has_released(&world) && world.exit.is_none());
    beat(&mut world, 15);
    assert!(has_released(&world) && world.exit.is_none());
}

#[test]
fn a_leader_that_is_told_to_end_twice_does_not_wait_for_a_cut() {
    let mut world = cutting();
    world.feed(Input::Terminate);
    beat(&mut world, 10);
    world.feed(Input::Terminate);
    assert_eq!(world.exit, Some((0, String::new())));

    // It was asked to hand the job over before, and not to end.
    let mut world = cutting();
    let mut answered = ask_for_transfer(&mut world);
    world.feed(Input::Terminate);
    beat(&mut world, 10);
    assert!(!has_released(&world) && world.exit.is_none() && answered.try_recv().is_err());
    world.feed(Input::Terminate);
    assert_eq!(world.exit, Some((0, String::new())));
}
