//! The claim of a standby, when another one is faster.

use super::*;

/// Another standby was faster, and this one has not watched that one.
#[test]
fn a_standby_claims_the_job_only_from_the_leadership_that_it_has_watched() {
    let mut store = MemoryStore::default();
    for epoch in 1..=2 {
        claim(claimant(epoch), &mut store).unwrap();
    }
    let standby = |watched| Claimant {
        lost_race: LostRace::StandBy,
        watched: Some(LeaderEpoch(watched)),
        ..claimant(3)
    };
    for watched in [0, 1] {
        assert!(matches!(claimed(standby(watched), &mut store), Ok(Claimed::StandBy)));
    }
    assert_eq!(claim(standby(2), &mut store).unwrap().authority.epoch, LeaderEpoch(3));
}

/// Both have found no leader, and the other one was faster.
#[test]
fn a_standby_that_finds_an_epoch_in_its_search_for_jobs_stands_by() {
    let mut store = MemoryStore::default();
    let mut second =
        Claim::new(Claimant { lost_race: LostRace::StandBy, watched: Some(LeaderEpoch(0)), ..claimant(2) });
    for _ in 0..2 {
        let (question, op) = second.ask(Instant(1)).pop().expect("it lists ended jobs, and epochs");
        assert!(second.answered(Instant(1), question, store.answer(op)).unwrap().is_none());
    }
    claim(claimant(1), &mut store).unwrap();
    let (question, op) = second.ask(Instant(1)).pop().expect("it searches the last job");
    assert!(matches!(second.answered(Instant(1), question, store.answer(op)), Ok(Some(Claimed::StandBy))));
}

/// Storage answers the first one late, which holds the job meanwhile.
#[test]
fn a_standby_that_finds_decisions_of_a_later_epoch_leaves_the_job_to_it() {
    let mut store = MemoryStore::default();
    claim(claimant(1), &mut store).unwrap();
    let mut other = Some(Claimant { lost_race: LostRace::StandBy, ..claimant(3) });
    let standby = Claimant { lost_race: LostRace::StandBy, watched: Some(LeaderEpoch(1)), ..claimant(2) };
    let found = claim_while(standby, &mut store, |op, store| {
        if matches!(op, StoreOp::List { below } if *below == claimant(1).layout.job_dir(JobId(1)))
            && let Some(other) = other.take()
        {
            assert_eq!(claim(other, store).unwrap().authority.epoch, LeaderEpoch(3));
        }
    });
    assert!(matches!(found, Claimed::StandBy), "{found:?}");
    assert_eq!(claim(claimant(4), &mut store).unwrap().authority.epoch, LeaderEpoch(4));
}
