//! A JobManager without leases beside one that has them.

use super::*;

fn without_leases(store: MemoryStore) -> World {
    started(store)
}

#[test]
fn a_job_manager_without_leases_does_not_depose_a_leader_that_has_one() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    let mut other = without_leases(leader.store.clone());
    go_on(&mut leader, &mut other, DURATION * 2);
    assert!(leads(&leader));
    assert_eq!(other.store.names("/epochs/").len(), 1, "it does not claim the job");
    let (code, reason) = other.exit.expect("it is refused");
    assert!(code == 1 && reason.contains("Set high-availability.type: storage here as well"), "{reason}");
}

#[test]
fn a_job_manager_without_leases_takes_over_from_a_leader_that_is_gone() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    let mut next = without_leases(leader.store.clone());
    next.pass(DURATION * 8 / 10);
    assert!(!leads(&next) && next.exit.is_none(), "the leader may live");
    // It is no standby, and does not say so.
    assert_eq!(next.handle.view().readiness, Readiness::Starting);
    let refused = next.ask(Command::TransferLeadership);
    let starts = |text: &String| text.contains("is starting");
    assert!(matches!(&refused, Err(CommandError::Unavailable(text)) if starts(text)), "{refused:?}");
    next.pass(DURATION);
    assert!(leads(&next));
}

/// As after a change of the configuration: one that was shut down has ended its lease.
#[test]
fn a_job_manager_without_leases_resumes_at_once_what_was_shut_down() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    assert_eq!(leader.ask(Command::ShutDown), Ok(Reply::Accepted));
    leader.pass(DURATION * 4);
    let mut next = without_leases(leader.store);
    next.pass(DURATION / 6);
    assert!(leads(&next));
    let causes: Vec<_> = next.handle.view().leadership.changes.iter().map(|change| change.cause).collect();
    assert_eq!(causes, [LeaderChangeCause::Started; 2], "nobody has handed it over");
}
