//! Leases over a storage that is slow.

use super::*;

impl World {
    pub(super) fn answer_held(&mut self) {
        for (ticket, op) in self.held.take() {
            let result = self.store.answer(op);
            self.feed(Input::Stored { ticket, result });
        }
    }
}

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

#[test]
fn a_renewal_that_hangs_does_not_change_the_leader() {
    let (mut leader, mut standby) = leader_and_standby();
    leader.held.hold("/leases/", 1);
    go_on(&mut leader, &mut standby, DURATION * 4);
    assert_eq!(leader.held.len(), 1);
    // It takes effect after newer ones.
    share(&mut standby, &mut leader);
    leader.answer_held();
    share(&mut leader, &mut standby);
    go_on(&mut leader, &mut standby, DURATION * 4);
    assert!(leads(&leader) && !leads(&standby));
}

#[test]
fn renewals_that_all_hang_are_bounded() {
    let mut leader = with_leases(MemoryStore::default());
    leader.pass(DURATION);
    leader.held.hold("/leases/", usize::MAX);
    leader.pass(DURATION * 20);
    assert_eq!(leader.held.len(), 6);
    leader.answer_held();
    let written = leader.store.names("/leases/").len();
    assert!(leads(&leader) && written == 1);
}
