//! Objects that have gone from storage, and manifests that no deployment could send.

use super::*;
use bytes::Bytes;
use reflow_protocol::snapshot::{OperatorState, Redistribution};

/// It is not known whether a directory that was lost comes back with its content, so the next checkpoint builds
/// on nothing.
#[test]
fn after_objects_have_gone_the_next_checkpoint_writes_everything() {
    let mut f = Fixture::new(settings());
    let trigger = |f: &mut Fixture| {
        let effects = f.coordinator.request(f.now, Request::of(Purpose::User));
        let full = triggered(&effects).map(|kind| kind.full);
        f.show(effects);
        full.expect("it is triggered")
    };
    assert!(!trigger(&mut f));
    f.complete(1);
    for gone in [2, 3] {
        assert_eq!(trigger(&mut f), gone == 3);
        f.acknowledge_all(gone);
        assert!(f.stored(gone, StoreOutcome::ObjectGone("o1 is gone".into())).starts_with("abandon"));
        assert!(f.abandoned(gone, Won).ends_with(&format!("failed {gone}: o1 is gone")));
    }
    assert!(trigger(&mut f));
    // It finds nothing to write.
    f.acknowledge(4, READER);
    let keyed = KeyedState { groups: KeyGroupSet::all(max()), object: None, runs: vec![], bytes: 0 };
    f.acknowledge_with(4, COUNTER, Some(keyed));
    assert!(f.stored(4, Won).contains("completed 4"));
    let latest = &f.coordinator.latest().expect("it is complete").manifest;
    assert_eq!(latest.objects().len(), 0, "runs of former checkpoints are named");
    assert!(!trigger(&mut f));
}

#[test]
fn a_job_goes_on_until_what_storage_has_lost_is_written_again() {
    let mut f = Fixture::new(Settings { interval: Some(Duration::from_millis(100)), ..settings() });
    f.at(100).tick();
    f.complete(1);
    f.at(200).tick();
    f.acknowledge_all(2);
    f.stored(2, StoreOutcome::ObjectGone("o1 is gone".into()));
    assert_eq!(f.abandoned(2, Won), "abort 2\nfailed 2: o1 is gone", "no failure is tolerated");
    f.at(300).tick();
    assert!(!f.decline(3).contains("too many"));
    f.at(400).tick();
    f.complete(4);
    f.at(500).tick();
    assert!(f.decline(5).contains("too many"));
}

#[test]
fn what_no_deployment_could_send_fails_the_checkpoint() {
    let mut f = Fixture::new(Settings { max_operator_bytes: 2_000, ..settings() });
    for (n, bytes) in [(1, 1_000), (2, 3_000)] {
        f.request(Purpose::User, n);
        let state = OperatorState {
            operator: "read".into(),
            name: "splits".into(),
            redistribution: Redistribution::Split,
            items: vec![Bytes::from(vec![0; bytes])],
        };
        f.acknowledge_state(
            n as u64,
            READER,
            SubtaskState { operator: vec![state], ..SubtaskState::default() },
        );
        let text = f.acknowledge(n as u64, COUNTER);
        assert_eq!(text.starts_with("store"), n == 1, "{text}");
        f.stored(n as u64, Won);
    }
    let stats::Status::Failed { reason, .. } =
        &f.coordinator.stats().history.front().expect("two are there").status
    else {
        panic!("it is complete")
    };
    assert!(
        reason.contains("above the limit of 2000; 'read' has 3000 of them in operator state"),
        "{reason}"
    );
}

/// A new leader finds that objects of the newest checkpoint are gone while the tasks run.
#[test]
fn an_adopted_attempt_writes_what_storage_has_lost() {
    let data = format!("{DIR}/data/o1");
    let (short, elsewhere) = ((data.clone(), 9), format!("{DIR}/data/o9"));
    let found = [(data, 10), (elsewhere.clone(), 0)];
    for (found, lost) in [(&found[..], false), (&found[1..], true), (&[short][..], true)] {
        let mut recovered = found_complete();
        recovered.take_objects(DIR, found.iter().cloned().collect());
        assert_eq!(recovered.lost.is_some(), lost, "{:?}", recovered.lost);
        assert_eq!(recovered.objects.contains(&elsewhere), found.len() > 1 || found[0].0 == elsewhere);
        let mut f = Fixture::adopted(recovered);
        let effects = f.coordinator.set_running(f.now);
        let full = triggered(&effects).map(|kind| kind.full);
        assert_eq!(full, lost.then_some(true));
        f.show(effects);
        if lost {
            assert!(f.complete(3).starts_with("tell 3\ncompleted 3"));
            assert_eq!(f.request(Purpose::User, 1), "trigger 4 into /data");
        }
    }
}

/// What a leader finds after checkpoint 1.
fn found_complete() -> Recovered {
    found([(1, decided(1, 1, &[]))])
}
