//! Leases over a storage that is slow.

use super::*;

/// What was read is decided slowly, as in a directory with many checkpoints.
#[test]
fn a_claim_that_takes_longer_than_a_lease_is_not_overtaken() {
    let (_, mut first) = leader_and_standby();
    let mut second = with_leases(std::mem::take(&mut first.store));
    first.held.hold("_metadata", usize::MAX);
    go_on(&mut first, &mut second, DURATION * 5);
    assert!(!leads(&first) && !leads(&second));
    assert_eq!(second.store.names("/epochs/").len(), 2, "one of them claims the job");
    share(&mut second, &mut first);
    first.answer_held();
    share(&mut first, &mut second);
    go_on(&mut first, &mut second, DURATION * 2);
    assert!(leads(&first) && !leads(&second));
}
