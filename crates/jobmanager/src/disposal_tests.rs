//! Savepoints that users have deleted.

use super::*;
use crate::test_manifest::checkpoint_of;
use reflow_coordination::manifest::{self, Decision, Manifest};
use reflow_protocol::snapshot::StateFormat;
use reflow_view::{OperationStatus, RequestId};

const SAVEPOINT: &str = "/s/savepoint-1-2";
/// A symbolic link to it.
const LINK: &str = "/s/latest";

/// The manifest of another job, which names these objects.
fn manifest(format: StateFormat, objects: &[&str]) -> Bytes {
    let mut manifest = Manifest { job: JobId(9), format, ..checkpoint_of(objects) };
    if objects.is_empty() {
        manifest.vertices.clear();
    }
    manifest::encode(&Decision::Complete(Box::new(manifest)))
}

/// A store with a savepoint, beside whose objects somebody keeps notes.
fn store() -> MemoryStore {
    let mut store = MemoryStore::default();
    let names = ["a", "b", "notes"].map(|name| (format!("{SAVEPOINT}/{name}"), Bytes::from("x")));
    store.objects.extend(names);
    store.objects.insert("/c/elsewhere".into(), Bytes::from("x"));
    let manifest = manifest(StateFormat::Savepoint, &["a", "b", "../../c/elsewhere", "/c/elsewhere"]);
    store.objects.insert(format!("{SAVEPOINT}/_metadata"), manifest);
    store
}

fn dispose(world: &mut World, directory: &str) -> RequestId {
    match world.ask(Command::DisposeSavepoint { directory: directory.to_owned() }) {
        Ok(reflow_view::Reply::Triggered(request)) => request,
        other => panic!("{other:?}"),
    }
}

fn status(world: &mut World, request: RequestId) -> OperationStatus {
    match world.ask(Command::QueryDisposal { request }) {
        Ok(reflow_view::Reply::Operation(status)) => status,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_refused(world: &mut World, directory: &str, expected: &str) {
    let request = dispose(world, directory);
    let OperationStatus::Failed { cause } = status(world, request) else { panic!("{directory} is deleted") };
    assert!(cause.contains(expected), "{directory}: {cause}");
}

#[test]
fn a_savepoint_is_deleted_with_its_objects_and_nothing_else() {
    for directory in [SAVEPOINT.to_owned(), format!("{SAVEPOINT}/"), format!("{SAVEPOINT}/_metadata")] {
        let mut world = started(store());
        let request = dispose(&mut world, &directory);
        assert_eq!(status(&mut world, request), OperationStatus::SavepointDisposed, "{directory}");
        assert_eq!(world.store.names("/s/"), [format!("{SAVEPOINT}/notes")]);
        assert!(world.store.objects.contains_key("/c/elsewhere"));
        check_refused(&mut world, &directory, "does not exist");
    }
}

#[test]
fn no_object_goes_before_the_manifest() {
    let mut world = started(store());
    world.held.hold("Delete", 1);
    let request = dispose(&mut world, SAVEPOINT);
    assert_eq!(status(&mut world, request), OperationStatus::InProgress);
    let (ticket, op) = world.held.take().remove(0);
    let at = reflow_env::Location(format!("{SAVEPOINT}/_metadata"));
    assert_eq!(op, reflow_env::StoreOp::Delete { at: at.clone() });
    let result = Err(reflow_env::StoreError::Failed { at, reason: "read-only".into() });
    world.feed(Input::Stored { ticket, result });
    let OperationStatus::Failed { cause } = status(&mut world, request) else { panic!("it is not deleted") };
    assert!(cause.contains("read-only"), "{cause}");
    assert_eq!(world.store.names("/s/").len(), 4, "all of it is there");
}

#[test]
fn what_is_no_savepoint_stays() {
    let mut store = store();
    store.objects.insert("/c/chk-7/_metadata".into(), manifest(StateFormat::Checkpoint, &[]));
    store.objects.insert("/c/torn/_metadata".into(), Bytes::from("x"));
    let before = store.names("/c/").len();
    let mut world = started(store);
    check_refused(&mut world, "/c/chk-7", "not of a savepoint");
    check_refused(&mut world, "/c/torn", "cannot be read");
    check_refused(&mut world, "/c/none", "does not exist");
    assert!(world.store.names("/c/").len() >= before);
    for directory in ["", "/", "s/here", "file://", "/s/..", "/s/."] {
        let refused = world.ask(Command::DisposeSavepoint { directory: directory.to_owned() });
        assert!(matches!(refused, Err(CommandError::Invalid(_))), "{directory}: {refused:?}");
    }
    let unknown = world.ask(Command::QueryDisposal { request: RequestId(9) });
    assert!(matches!(unknown, Err(CommandError::UnknownRequest(..))));
}

/// Until its first checkpoint is complete, a failure would bring the job back to the savepoint.
#[test]
fn a_savepoint_that_the_job_started_from_is_needed_until_it_has_a_checkpoint() {
    let from =
        [REACTIVE, ("execution.checkpointing.dir", "/c"), ("execution.state-recovery.path", SAVEPOINT)];
    let mut store = store();
    for directory in [SAVEPOINT, LINK] {
        store.objects.insert(format!("{directory}/_metadata"), manifest(StateFormat::Savepoint, &[]));
    }
    let mut world = configured(store, StartMode::default(), &from);
    world.feed(Input::Start);
    let deployment = world.running();
    check_refused(&mut world, SAVEPOINT, "needs this savepoint");
    check_refused(&mut world, LINK, "needs this savepoint");
    world.checkpoint(&deployment);
    let request = dispose(&mut world, SAVEPOINT);
    assert_eq!(status(&mut world, request), OperationStatus::SavepointDisposed);
}

/// Its successor may have started from the savepoint.
#[test]
fn a_deposed_leader_deletes_no_savepoint() {
    let mut first = started(store());
    let second = started(first.store.clone());
    first.store = second.store;
    let request = first.ask(Command::DisposeSavepoint { directory: SAVEPOINT.to_owned() });
    assert!(matches!(request, Ok(reflow_view::Reply::Triggered(_))));
    assert_eq!(first.store.names("/s/").len(), 4, "all of it is there");
    assert!(first.exit.is_some(), "it steps down");
}
