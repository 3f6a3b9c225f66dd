//! Checkpoints that are damaged, and sinks that have committed what would come again.

use super::*;
use reflow_types::CheckpointId;

/// Starts a job whose sink commits with checkpoints.
fn start(store: MemoryStore, start: StartMode, allow_replay: &str) -> World {
    let mut graph = JobGraph { name: "job".to_owned(), ..graph() };
    graph.vertices[0].operators[0].commits = true;
    let options = [
        REACTIVE,
        ("execution.checkpointing.dir", "/c"),
        ("execution.state-recovery.allow-replay", allow_replay),
    ];
    let mut world = of_graph(store, start, &options, graph);
    world.feed(Input::Start);
    world.pass(Duration::from_secs(3));
    world
}

/// What is left after two checkpoints, with the names of their manifests, in ascending order.
fn after_two_checkpoints() -> (MemoryStore, Vec<String>) {
    let mut first = start(MemoryStore::default(), StartMode::default(), "false");
    let deployment = first.running();
    for _ in 0..2 {
        first.checkpoint(&deployment);
    }
    let manifests = first.store.names("/_metadata").into_iter().map(str::to_owned).collect();
    (first.store, manifests)
}

/// The newest manifest is damaged or deleted, and a sink has committed what would come again.
#[test]
fn a_start_that_would_write_output_again_fails_with_the_question_until_it_is_answered() {
    let damage: [fn(&mut MemoryStore, &str); 2] = [
        |store, newest| {
            let torn = store.objects[newest].slice(..20);
            store.objects.insert(newest.to_owned(), torn);
        },
        |store, newest| {
            store.objects.remove(newest);
        },
    ];
    for damage in damage {
        let (mut store, manifests) = after_two_checkpoints();
        let newest = manifests.last().unwrap();
        damage(&mut store, newest);
        for _ in 0..2 {
            let asks = start(store.clone(), StartMode::default(), "false");
            let view = asks.handle.view();
            let job = &view.jobs[0];
            assert_eq!(format!("{:?}", job.status), "Failed");
            assert!(job.exceptions[0].message.contains("--allow-replay"), "{:?}", job.exceptions);
            let (code, reason) = asks.exit.expect("nothing is left to do");
            assert_eq!(code, 1);
            assert!(reason.contains(newest) && reason.contains("chk-1"), "{reason}");
            store = asks.store;
        }
        let allowed = StartMode { allow_replay: true, ..StartMode::default() };
        for (mode, option) in [(allowed, "false"), (StartMode::default(), "true")] {
            let mut answered = start(store.clone(), mode, option);
            let task_manager = answered.register_task_manager();
            let deployment = answered.register_executor(&task_manager);
            assert_eq!(deployment.checkpoint, Some(CheckpointId(1)));
        }
    }
}

#[test]
fn a_job_whose_checkpoints_were_all_deleted_is_not_begun_anew() {
    let (store, manifests) = after_two_checkpoints();
    let directory = manifests[0].split("/chk-").next().unwrap();
    let mut left = store.clone();
    left.objects.retain(|name, _| !name.starts_with(directory));
    let mut without_epochs = left.clone();
    without_epochs.objects.retain(|name, _| !name.contains("/epochs/"));
    for left in [&left, &without_epochs] {
        let refused = start(left.clone(), StartMode::default(), "true");
        let (code, reason) = refused.exit.expect("nothing is left to do");
        assert_eq!(code, 1);
        assert!(reason.contains(manifests.last().unwrap()) && reason.contains("--fresh"), "{reason}");
    }
    let fresh = start(left, StartMode { fresh: true, ..StartMode::default() }, "false");
    assert_eq!(fresh.exit, None);
}

#[test]
fn a_job_that_went_on_without_a_deleted_checkpoint_does_not_ask_again() {
    let (mut store, manifests) = after_two_checkpoints();
    store.objects.remove(manifests.last().unwrap());
    let allowed = StartMode { allow_replay: true, ..StartMode::default() };
    for mode in [allowed, StartMode::default()] {
        let mut world = start(store, mode, "false");
        let task_manager = world.register_task_manager();
        let deployment = world.register_executor(&task_manager);
        assert_eq!(deployment.checkpoint, Some(CheckpointId(1)));
        store = world.store;
    }
}
