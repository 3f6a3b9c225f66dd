//! The next JobManager finds a running attempt.

use super::*;
use reflow_protocol::adoption::{
    AttemptReport, ReaderReport, ReportedStatus, RescaleProgress, SplitNotice, TakenCheckpoint,
};
use reflow_protocol::command::SnapshotKind;
use reflow_protocol::snapshot::{KeyedState, Run};
use reflow_types::{GraphVersion, KeyGroupSet};

/// A JobManager that is lost after its first checkpoint, what its TaskManager has started, and what runs there.
fn lost() -> (MemoryStore, StartExecutor, Deployment) {
    let mut first = started(MemoryStore::default());
    let start = first.register_task_manager();
    let deployment = first.register_executor(&start);
    let (attempt, subtask) = (deployment.attempt, subtask(&deployment));
    first.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Running });
    first.checkpoint(&deployment);
    (first.store, start, deployment)
}

/// What the executor reports: it has not heard that checkpoint 1 is complete.
fn report(deployment: &Deployment) -> AttemptReport {
    let (epoch, checkpoint) = (LeaderEpoch(1), CheckpointId(1));
    AttemptReport {
        attempt: deployment.attempt,
        graph: deployment.graph.clone(),
        version: GraphVersion(0),
        rescale: RescaleProgress::None,
        restored: None,
        completed: None,
        undecided: Some(TakenCheckpoint { epoch, checkpoint, then: AfterBarrier::Continue }),
        highest: Some(checkpoint),
        subtasks: vec![(subtask(deployment), ReportedStatus::Running)],
        readers: vec![ReaderReport {
            subtask: subtask(deployment),
            splits: 3,
            assigned: Some(vec![]),
            notified: SplitNotice::NoneFollow,
            requests: 0,
            exhausted: false,
            has_sent_events: false,
        }],
    }
}

/// The next JobManager, after TaskManager and executor have registered. Returns what each got.
fn next(
    store: MemoryStore,
    start: &StartExecutor,
    report: AttemptReport,
) -> (World, Vec<ToTaskManager>, Vec<ToExecutor>) {
    next_of(started(store), start, report)
}

fn next_of(
    mut second: World,
    start: &StartExecutor,
    report: AttemptReport,
) -> (World, Vec<ToTaskManager>, Vec<ToExecutor>) {
    // An executor may come before its TaskManager, and tries again.
    let hello = Hello::Executor { id: start.executor, job: start.job, token: start.token };
    second.accept(STRANGER, &hello);
    assert!(second.closed.contains(&STRANGER) && second.sent.is_empty());
    second.accept(TM, &Hello::TaskManager { id: TaskManagerId(5) });
    let mut registration = registration();
    if let FromTaskManager::Register { executors, .. } = &mut registration {
        executors.push(start.clone());
    }
    second.send(TM, &registration);
    let of_task_manager = second.received(TM);
    second.accept(EXECUTOR, &hello);
    let mut registration = executor_registration(start.executor, FINGERPRINT);
    if let FromExecutor::Register { followed, attempt, .. } = &mut registration {
        (*followed, *attempt) = (Some(LeaderEpoch(1)), Some(Box::new(report)));
    }
    second.send(EXECUTOR, &registration);
    let of_executor = second.received(EXECUTOR);
    (second, of_task_manager, of_executor)
}

#[test]
fn a_running_attempt_goes_on_and_hears_which_checkpoint_is_complete() {
    let (store, start, deployment) = lost();
    let (mut second, of_task_manager, of_executor) = next(store, &start, report(&deployment));
    assert!(matches!(of_task_manager[..], [ToTaskManager::Registered { .. }]), "{of_task_manager:?}");
    let [
        ToExecutor::Registered { epoch: LeaderEpoch(2), token, .. },
        ToExecutor::AdoptAttempt { attempt },
        ..,
    ] = of_executor[..]
    else {
        panic!("{of_executor:?}")
    };
    assert!(attempt == deployment.attempt && token != start.token);
    let commands: Vec<_> = checkpoint_commands(of_executor.clone()).collect();
    assert_eq!(commands, [(CheckpointId(1), CheckpointCommand::NotifyComplete)]);
    let assigns = |message: &ToExecutor| format!("{message:?}").contains("AssignSplits");
    assert!(!of_executor.iter().any(assigns), "its splits are not assigned again: {of_executor:?}");
    second.checkpoint(&deployment);
    let completed = checkpoint_commands(second.received(EXECUTOR)).collect::<Vec<_>>();
    assert!(
        completed
            .iter()
            .any(|(checkpoint, command)| checkpoint.0 > 1 && *command == CheckpointCommand::NotifyComplete),
        "the next checkpoint completes: {completed:?}"
    );
}

/// The trigger of a checkpoint among an executor's messages.
fn trigger_in(messages: Vec<ToExecutor>) -> Option<(CheckpointId, SnapshotKind)> {
    checkpoint_commands(messages).find_map(|(checkpoint, command)| match command {
        CheckpointCommand::Trigger(kind) => Some((checkpoint, kind)),
        _ => None,
    })
}

/// The subtask has written its keyed state into the object `name`.
fn acknowledge(
    world: &mut World,
    deployment: &Deployment,
    (checkpoint, kind): (CheckpointId, SnapshotKind),
    name: &str,
) {
    let object = format!("{}/{name}", kind.directory);
    world.store.objects.insert(object, vec![0; 10].into());
    let table = deployment.graph.vertices[0].table.as_ref().expect("it is keyed");
    let keyed = KeyedState {
        groups: KeyGroupSet::all(table.max_parallelism()),
        object: Some(name.into()),
        runs: vec![Run { table: 0, segment: 0, full: kind.full, offset: 0, len: 10 }],
        bytes: 10,
    };
    let state = SubtaskState { keyed: Some(keyed), ..SubtaskState::default() };
    let event = SubtaskEvent::Acknowledged { checkpoint, state, timing: SnapshotTiming::default() };
    let (attempt, subtask) = (deployment.attempt, subtask(deployment));
    world.report(SubtaskReport { attempt, subtask, event });
}

/// The tasks have the state, so nothing is lost if they write it again before they need it.
#[test]
fn tasks_write_all_state_at_once_if_the_next_leader_finds_that_storage_has_lost_some() {
    let keyed = |store: MemoryStore| {
        let mut keyed = graph();
        keyed.vertices[0].keyed = true;
        let options = [REACTIVE, ("execution.checkpointing.dir", "/c")];
        let mut world = of_graph(store, StartMode::default(), &options, keyed);
        world.feed(Input::Start);
        world
    };
    let mut first = keyed(MemoryStore::default());
    let start = first.register_task_manager();
    let deployment = first.register_executor(&start);
    let (attempt, subtask) = (deployment.attempt, subtask(&deployment));
    first.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Running });
    let triggered = (0..30).find_map(|_| {
        first.beat();
        trigger_in(first.received(EXECUTOR))
    });
    acknowledge(&mut first, &deployment, triggered.expect("a checkpoint is due"), "o1");
    assert_eq!(first.store.names("chk-1/_metadata").len(), 1);
    for lost in [false, true] {
        let mut store = first.store.clone();
        if lost {
            let object = store.names("/data/o1")[0].to_owned();
            store.objects.remove(&object);
        }
        let (mut second, _, of_executor) = next_of(keyed(store), &start, report(&deployment));
        let adopted = |message: &ToExecutor| matches!(message, ToExecutor::AdoptAttempt { .. });
        assert!(of_executor.iter().any(adopted), "{of_executor:?}");
        let triggered = trigger_in(of_executor);
        assert_eq!(triggered.as_ref().map(|(_, kind)| kind.full), lost.then_some(true));
        if let Some(triggered) = triggered {
            let checkpoint = triggered.0;
            acknowledge(&mut second, &deployment, triggered, "o2");
            assert_eq!(second.store.names(&format!("chk-{checkpoint}/_metadata")).len(), 1);
            let notified = |(of, command)| (of, command) == (checkpoint, CheckpointCommand::NotifyComplete);
            assert!(checkpoint_commands(second.received(EXECUTOR)).any(notified));
        }
    }
}

#[test]
fn splits_that_are_not_in_the_checkpoint_must_be_known_to_the_enumerator() {
    let (store, start, deployment) = lost();
    let mut unknown = report(&deployment);
    let split = reflow_api::source::encode_split(&7u32);
    unknown.readers[0].assigned = Some(vec![(Some(CheckpointId(1)), split)]);
    let (mut second, _, of_executor) = next(store, &start, unknown);
    let canceled = |message: &ToExecutor| matches!(message, ToExecutor::CancelAttempt { .. });
    assert!(of_executor.iter().any(canceled), "{of_executor:?}");
    second.confirm_cancellation(&deployment);
    let deployed = second.received::<ToExecutor>(EXECUTOR);
    let [ToExecutor::Deploy { deployment: next, .. }, ..] = &deployed[..] else { panic!("{deployed:?}") };
    assert_eq!((next.attempt.epoch, next.checkpoint), (LeaderEpoch(2), Some(CheckpointId(1))));
}

/// It would need all memory to keep them.
#[test]
fn a_report_of_impossible_requests_for_splits_restarts_the_job() {
    let (store, start, deployment) = lost();
    let mut nonsense = report(&deployment);
    nonsense.readers[0].requests = u64::MAX;
    let (_, _, of_executor) = next(store, &start, nonsense);
    let canceled = |message: &ToExecutor| matches!(message, ToExecutor::CancelAttempt { .. });
    assert!(of_executor.iter().any(canceled), "{of_executor:?}");
}

#[test]
fn executors_of_another_build_or_leadership_are_not_kept() {
    let (store, start, deployment) = lost();
    let mut other = start.clone();
    other.artifact.sha256 = "other".into();
    let mut second = started(store);
    second.accept(TM, &Hello::TaskManager { id: TaskManagerId(5) });
    let mut registration = registration();
    if let FromTaskManager::Register { executors, .. } = &mut registration {
        executors.push(other);
    }
    second.send(TM, &registration);
    let received = second.received::<ToTaskManager>(TM);
    let [
        ToTaskManager::Registered { .. },
        ToTaskManager::StopExecutor { executor },
        ToTaskManager::StartExecutor(_),
    ] = &received[..]
    else {
        panic!("{received:?}")
    };
    assert_eq!(*executor, start.executor);

    // It has lost its connection to this very leader, which does not know what it has missed.
    let (store, start, _) = lost();
    let mut second = started(store);
    second.accept(TM, &Hello::TaskManager { id: TaskManagerId(5) });
    let mut registration = super::registration();
    if let FromTaskManager::Register { executors, .. } = &mut registration {
        executors.push(start.clone());
    }
    second.send(TM, &registration);
    second.accept(EXECUTOR, &Hello::Executor { id: start.executor, job: start.job, token: start.token });
    let mut registration = executor_registration(start.executor, FINGERPRINT);
    if let FromExecutor::Register { followed, attempt, .. } = &mut registration {
        (*followed, *attempt) = (Some(LeaderEpoch(2)), Some(Box::new(report(&deployment))));
    }
    second.send(EXECUTOR, &registration);
    assert!(matches!(second.received::<ToExecutor>(EXECUTOR)[..], [ToExecutor::Refused { .. }]));
}
