//! Checkpoints that are damaged, and sinks that have committed what would come again.

use super::*;
use reflow_types::CheckpointId;

/// The newest manifest is damaged, and a sink has committed what would come again.
#[test]
fn a_start_that_would_write_output_again_fails_with_the_question_until_it_is_answered() {
    let start = |store, start, allow: &str| {
        let mut graph = JobGraph { name: "job".to_owned(), ..graph() };
        graph.vertices[0].operators[0].commits = true;
        let options = [
            REACTIVE,
            ("execution.checkpointing.dir", "/c"),
            ("execution.state-recovery.allow-replay", allow),
        ];
        let mut world = of_graph(store, start, &options, graph);
        world.feed(Input::Start);
        world.pass(Duration::from_secs(3));
        world
    };
    let mut first = start(MemoryStore::default(), StartMode::default(), "false");
    let deployment = first.running();
    for _ in 0..2 {
        first.checkpoint(&deployment);
    }
    let mut store = first.store;
    let newest = store.names("/_metadata").pop().unwrap().to_owned();
    let torn = store.objects[&newest].slice(..20);
    store.objects.insert(newest.clone(), torn);
    for _ in 0..2 {
        let asks = start(store.clone(), StartMode::default(), "false");
        let view = asks.handle.view();
        let job = &view.jobs[0];
        assert_eq!(format!("{:?}", job.status), "Failed");
        assert!(job.exceptions[0].message.contains("--allow-replay"), "{:?}", job.exceptions);
        let (code, reason) = asks.exit.expect("nothing is left to do");
        assert_eq!(code, 1);
        assert!(reason.contains(&newest) && reason.contains("chk-1"), "{reason}");
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
