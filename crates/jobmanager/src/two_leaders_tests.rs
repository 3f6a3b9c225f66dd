//! Several JobManagers of one job, driven by hand, over one store.

use super::*;

#[path = "leases_tests.rs"]
pub(super) mod leases;

const WITHOUT_CHECKPOINTS: &[(&str, &str)] =
    &[REACTIVE, ("execution.checkpointing.dir", "/c"), ("execution.checkpointing.interval", "1 h")];

/// Both leaders use one store: what one has written the other sees.
fn share(from: &mut World, to: &mut World) {
    to.store = std::mem::take(&mut from.store);
}

/// Goes on for a while: acknowledges whatever checkpoint is triggered. Returns the checkpoints that its executor was
/// told are complete: then it commits its transactions.
fn live_on(world: &mut World, deployment: &Deployment, beats: u32) -> Vec<u64> {
    let (attempt, mut completed) = (deployment.attempt, Vec::new());
    for _ in 0..beats {
        for (checkpoint, command) in checkpoint_commands(world.received(EXECUTOR)) {
            match command {
                CheckpointCommand::Trigger(_) => {
                    let (state, timing) = (SubtaskState::default(), SnapshotTiming::default());
                    let subtask = subtask(deployment);
                    let event = SubtaskEvent::Acknowledged { checkpoint, state, timing };
                    world.report(SubtaskReport { attempt, subtask, event });
                }
                CheckpointCommand::NotifyComplete => completed.push(checkpoint.0),
                _ => {}
            }
        }
        if world.exit.is_none() {
            world.beat();
        }
    }
    completed
}

/// A JobManager with a checkpoint, and its successor, which has resumed the job; the second one has the store.
fn deposed_and_successor() -> (World, Deployment, World, Deployment) {
    let mut first = started(MemoryStore::default());
    let of_first = first.running();
    let before = live_on(&mut first, &of_first, 35);
    assert!(before.contains(&1), "{before:?}");
    let mut second = world(MemoryStore::default(), StartMode::default());
    share(&mut first, &mut second);
    second.feed(Input::Start);
    let of_second = second.running();
    assert_eq!((of_first.attempt.epoch, of_second.attempt.epoch), (LeaderEpoch(1), LeaderEpoch(2)));
    (first, of_first, second, of_second)
}

#[test]
fn a_deposed_leader_completes_no_checkpoint_and_steps_down() {
    let (mut first, of_first, mut second, of_second) = deposed_and_successor();
    let resumed = of_second.checkpoint.unwrap().0;
    let (mut deposed, mut leading) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        leading.extend(live_on(&mut second, &of_second, 1));
        share(&mut second, &mut first);
        deposed.extend(live_on(&mut first, &of_first, 1));
        share(&mut first, &mut second);
    }
    deposed.retain(|checkpoint| *checkpoint > resumed);
    assert!(deposed.is_empty(), "the deposed leader has completed {deposed:?} after its successor took over");
    assert!(leading.len() > 3, "{leading:?}");
    let (code, reason) = first.exit.take().expect("it steps down");
    assert!(
        code == 1 && reason.contains("another JobManager has taken over job job (leadership 2)"),
        "{reason}"
    );
    let stopped = |message: &ToTaskManager| matches!(message, ToTaskManager::StopExecutor { .. });
    assert!(!first.received(TM).iter().any(stopped), "its successor decides what becomes of its tasks");
}

#[test]
fn a_deposed_leader_ends_no_job_and_changes_no_requirements() {
    for end in [true, false] {
        let (mut first, of_first, mut second, _) = deposed_and_successor();
        let job = first.handle.view().jobs[0].id;
        share(&mut second, &mut first);
        let before: Vec<String> = first.store.names("/").into_iter().map(str::to_owned).collect();
        let command = match end {
            true => Command::Cancel { job },
            false => Command::UpdateRequirements {
                job,
                requirements: [(VertexId(1), reflow_view::ParallelismBounds { lower: 1, upper: 2 })].into(),
            },
        };
        match first.ask(command) {
            Ok(_) => assert!(end, "requirements of a deposed leader are not accepted"),
            Err(error) => assert!(!end, "{error}"),
        }
        if end {
            first.confirm_cancellation(&of_first);
        }
        first.pass(Duration::from_secs(30));
        let (code, reason) = first.exit.take().expect("it steps down");
        assert!(code == 1 && reason.contains("another JobManager"), "{reason}");
        assert_eq!(first.store.names("/ended/"), Vec::<&str>::new());
        let gone = before.iter().filter(|name| !first.store.objects.contains_key(*name)).count();
        assert_eq!(gone, 0, "it deletes nothing");
    }
}

/// An executor that is notified of a complete checkpoint commits its transactions, so no leader may resume from
/// an earlier one.
#[test]
fn what_a_stop_has_committed_is_not_done_again() {
    let mut first = started(MemoryStore::default());
    let deployment = first.running();
    first.checkpoint(&deployment);
    first.pass(Duration::from_millis(300));
    let job = first.handle.view().jobs[0].id;
    let stop = Command::StopWithSavepoint {
        job,
        request: Some(reflow_view::RequestId(8)),
        target_directory: Some("/s".to_owned()),
        drain: false,
        format: reflow_view::SavepointFormat::Canonical,
    };
    first.ask(stop).unwrap();
    let completed = live_on(&mut first, &deployment, 3);
    let last = *completed.last().expect("the savepoint is complete, and the executor was told");
    assert_eq!(first.store.names("/s/").len(), 1);
    // The JobManager gets SIGKILL before it hears that the subtasks have finished; another one is started.
    let mut second = started(first.store.clone());
    let resumed = second.running();
    assert_eq!(resumed.checkpoint.map(|checkpoint| checkpoint.0), Some(last));
    // It ends the job: what is left is to commit.
    assert_eq!(resumed.then, AfterBarrier::Finish);
    let (attempt, subtask) = (resumed.attempt, subtask(&resumed));
    second.report(SubtaskReport { attempt, subtask, event: SubtaskEvent::Finished });
    second.pass(Duration::from_millis(300));
    assert_eq!(second.store.names("/ended/").len(), 1);
    second.pass(Duration::from_secs(20));
    assert_eq!(second.exit.expect("the job has ended").0, 0);
}

#[test]
fn fresh_begins_another_job() {
    let mut first = started(MemoryStore::default());
    let deployment = first.running();
    first.checkpoint(&deployment);
    let mut second = world(first.store.clone(), StartMode { fresh: true, ..StartMode::default() });
    second.feed(Input::Start);
    assert_eq!(second.running().checkpoint, None);
}

/// How long a leader that decides nothing continues once there is another one.
const NOTICED_WITHIN: Duration = Duration::from_secs(6);

#[test]
fn a_deposed_leader_that_decides_nothing_steps_down() {
    for has_tasks in [false, true] {
        let mut first = configured(MemoryStore::default(), StartMode::default(), WITHOUT_CHECKPOINTS);
        first.feed(Input::Start);
        if has_tasks {
            first.running();
        }
        first.pass(Duration::from_secs(1));
        let mut second = configured(MemoryStore::default(), StartMode::default(), WITHOUT_CHECKPOINTS);
        share(&mut first, &mut second);
        second.feed(Input::Start);
        share(&mut second, &mut first);
        first.pass(NOTICED_WITHIN);
        let (code, reason) = first.exit.take().expect("it steps down");
        assert!(code == 1 && reason.contains("another JobManager"), "{reason}");
        share(&mut first, &mut second);
        second.pass(NOTICED_WITHIN);
        assert_eq!(second.exit, None, "the successor leads on");
    }
}

/// A rule of the bucket deletes all that it has written, and another JobManager takes the number of its epoch.
#[test]
fn a_leader_whose_number_another_one_has_taken_steps_down() {
    let mut first = configured(MemoryStore::default(), StartMode::default(), WITHOUT_CHECKPOINTS);
    first.feed(Input::Start);
    first.running();
    first.pass(Duration::from_secs(1));
    first.store.objects.retain(|name, _| !name.contains("/epochs/") && !name.ends_with("/_metadata"));
    // The store's size seeds what a JobManager draws.
    let mut other = MemoryStore::default();
    other.objects.insert("/x".into(), Bytes::new());
    let mut second = configured(other, StartMode::default(), WITHOUT_CHECKPOINTS);
    share(&mut first, &mut second);
    second.feed(Input::Start);
    assert_eq!(second.running().attempt.epoch, LeaderEpoch(1));
    share(&mut second, &mut first);
    first.pass(NOTICED_WITHIN);
    let (code, reason) = first.exit.take().expect("it steps down");
    assert!(code == 1 && reason.contains("another JobManager"), "{reason}");
    share(&mut first, &mut second);
    second.pass(2 * NOTICED_WITHIN);
    assert_eq!(second.exit, None);
}

/// TaskManagers that register read it.
#[test]
fn a_leader_without_task_managers_writes_its_epoch_again() {
    let mut world = started(MemoryStore::default());
    let epochs = |world: &World| -> Vec<String> {
        world.store.names("/epochs/").into_iter().map(str::to_owned).collect()
    };
    let before = epochs(&world);
    assert_eq!(before.len(), 1, "{before:?}");
    let record = world.store.objects.remove(&before[0]);
    world.pass(NOTICED_WITHIN);
    assert_eq!((epochs(&world), world.store.objects.get(&before[0]).cloned()), (before, record));
    assert_eq!(world.exit, None);
}

#[test]
fn storage_that_is_away_deposes_nobody() {
    let mut world = started(MemoryStore::default());
    world.store.broken = Some("away");
    world.pass(3 * NOTICED_WITHIN);
    assert_eq!(world.exit, None);
    world.store.broken = None;
    world.running();
}

/// Otherwise the checkpoint is taken for abandoned, and its objects are deleted while its manifest stands.
#[test]
fn a_manifest_whose_reads_are_damaged_is_read_again() {
    let store = MemoryStore {
        lost_answer: Some("chk-1/_metadata"),
        damaged_reads: Some(("chk-1/_metadata", 3)),
        ..MemoryStore::default()
    };
    let mut world = started(store);
    let deployment = world.running();
    let completed = live_on(&mut world, &deployment, 35);
    assert_eq!((world.store.lost_answer, world.store.damaged_reads), (None, None), "both have struck");
    assert_eq!(completed.first(), Some(&1));
}
