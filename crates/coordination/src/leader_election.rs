//! Leadership by a `Lease` object of Kubernetes: what JobManagers write into it.
//!
//! The object has the fields of client-go's leader election, with the same meaning, so that `kubectl` and other tools show the
//! leader as they show those of Kubernetes itself. A JobManager acquires the lease before it claims the job, and renews it
//! while it leads. As with leases in storage, this decides only *when* a JobManager claims the job: epochs decide who leads
//! ([`standby`](crate::standby)). So a leader whose lease was taken looks for a later epoch, and takes its lease back if
//! there is none.
//!
//! Pure: the object goes in, the object to be written comes out. The API server refuses the write if the object has changed
//! meanwhile.

use crate::standby::{Lease, Sighting, Tenure};
use reflow_types::{LeaderEpoch, Timestamp};
use std::time::Duration;

/// The duration of a lease that was given up, as client-go writes it.
const DURATION_OF_A_RELEASED: Duration = Duration::from_secs(1);

/// What is to be done with the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Read it. The answer is [`LeaseAnswer::Observed`].
    Observe,
    /// Take it, if it is as it was last observed. The answer is [`LeaseAnswer::Acquired`] or [`LeaseAnswer::Changed`].
    Acquire {
        /// What this JobManager runs ([`Lease::program`]).
        program: u64,
    },
    /// Renew it or give it up. The answer is [`LeaseAnswer::Held`] or [`LeaseAnswer::HeldByAnother`].
    Hold(Hold),
}

/// How a leader holds its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The epoch of the leadership.
    pub epoch: LeaderEpoch,
    pub tenure: Tenure,
    /// What the leader runs ([`Lease::program`]).
    pub program: u64,
    /// What to do if someone else holds it.
    pub if_taken: IfTaken,
}

/// What a leader does if someone else holds its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfTaken {
    /// It leaves it to them.
    Yield,
    /// It takes it back.
    Reclaim,
}

/// The answer to a [`LeaseRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The lease. `None` if there is none.
    Observed(Option<LeaseRecord>),
    Acquired,
    /// It was not acquired, because someone else has changed it.
    Changed,
    Held,
    /// Someone else holds it.
    HeldByAnother(LeaseRecord),
    /// A later [`LeaseRequest::Hold`] of this process has begun, and this one must not undo it.
    Superseded,
}

/// The content of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it. Empty if nobody does.
    pub holder: String,
    /// How long it may not be renewed before someone else takes it. Whole seconds.
    pub duration: Duration,
    pub acquired_at: Timestamp,
    pub renewed_at: Timestamp,
    /// How often JobManagers have written it. Standbys take this for a sign of life, and no times: the clocks of two machines
    /// are never compared.
    pub renewals: u64,
    /// How often the holder has changed.
    pub transitions: u32,
    /// The epoch of the last JobManager that has led with this lease.
    pub epoch: Option<LeaderEpoch>,
    /// What the last holder has made of it. Someone else may have released it without saying so.
    pub tenure: Tenure,
    /// What the last holder runs ([`Lease::program`]).
    pub program: u64,
}

/// Someone who wants to hold the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// A name that no other process has.
    pub identity: String,
    /// Whole seconds.
    pub duration: Duration,
}

impl LeaseRecord {
    /// Whether this process has acquired the lease and does not lead yet.
    pub fn is_claimed_by(&self, identity: &str) -> bool {
        self.holder == identity && self.tenure == Tenure::Claiming
    }

    /// What a standby makes of the lease.
    pub fn sighting(&self) -> Sighting {
        let tenure = match self.tenure {
            Tenure::Claiming | Tenure::Kept | Tenure::Offered if self.holder.is_empty() => Tenure::Released,
            Tenure::Released | Tenure::Ended if !self.holder.is_empty() => Tenure::Kept,
            tenure => tenure,
        };
        let Self { renewals, duration, program, .. } = *self;
        let lease = Lease { renewals, duration, tenure, program };
        Sighting { epoch: self.epoch.unwrap_or(LeaderEpoch(0)), lease: Some(lease) }
    }
}

impl Candidate {
    /// The lease when this candidate takes it.
    pub fn acquire(&self, now: Timestamp, found: Option<&LeaseRecord>, program: u64) -> LeaseRecord {
        let transitions = match found {
            None => 0,
            Some(found) if found.holder == self.identity => found.transitions,
            Some(found) => found.transitions.saturating_add(1),
        };
        LeaseRecord {
            holder: self.identity.clone(),
            duration: self.duration,
            acquired_at: now,
            renewed_at: now,
            // One that its leader creates again must not count from the beginning, or it would be no sign of life.
            renewals: match found {
                Some(found) if found.renewals > 0 => found.renewals.saturating_add(1),
                _ => now.cast_unsigned(),
            },
            transitions,
            epoch: found.and_then(|found| found.epoch),
            tenure: Tenure::Claiming,
            program,
        }
    }

    /// The lease as a leader wants it. `None` if someone else holds it and is left to hold it.
    pub fn hold(&self, now: Timestamp, found: Option<&LeaseRecord>, hold: Hold) -> Option<LeaseRecord> {
        let is_taken = found.is_some_and(|found| !found.holder.is_empty() && found.holder != self.identity);
        if is_taken && hold.if_taken == IfTaken::Yield {
            return None;
        }
        let mut lease = self.acquire(now, found, hold.program);
        (lease.epoch, lease.tenure) = (Some(hold.epoch), hold.tenure);
        match (hold.tenure, found) {
            (Tenure::Claiming | Tenure::Kept | Tenure::Offered, Some(found))
                if found.holder == self.identity =>
            {
                lease.acquired_at = found.acquired_at;
            }
            (Tenure::Claiming | Tenure::Kept | Tenure::Offered, _) => {}
            (Tenure::Released | Tenure::Ended, _) => {
                lease.transitions = found.map_or(0, |found| found.transitions);
                lease.holder.clear();
                lease.duration = DURATION_OF_A_RELEASED;
            }
        }
        Some(lease)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(identity: &str) -> Candidate {
        Candidate { identity: identity.to_owned(), duration: Duration::from_secs(3) }
    }

    fn hold(tenure: Tenure, if_taken: IfTaken) -> Hold {
        Hold { epoch: LeaderEpoch(7), tenure, program: 7, if_taken }
    }

    /// The life of a lease, each line what has happened and the lease afterwards.
    #[test]
    fn a_lease_goes_from_one_to_the_next() {
        let (a, b) = (candidate("a"), candidate("b"));
        let shown = |lease: &LeaseRecord| {
            format!(
                "{:?} {} s, acquired {}, renewed {}, {} transitions, epoch {:?}, {:?}",
                lease.holder,
                lease.duration.as_secs(),
                lease.acquired_at,
                lease.renewed_at,
                lease.transitions,
                lease.epoch.map(|epoch| epoch.0),
                lease.sighting().lease.unwrap().tenure,
            )
        };
        let first = a.acquire(10, None, 7);
        assert_eq!(shown(&first), r#""a" 3 s, acquired 10, renewed 10, 0 transitions, epoch None, Claiming"#);
        let renewed = a.hold(11, Some(&first), hold(Tenure::Kept, IfTaken::Yield)).unwrap();
        assert_eq!(
            shown(&renewed),
            r#""a" 3 s, acquired 10, renewed 11, 0 transitions, epoch Some(7), Kept"#
        );
        let released = a.hold(12, Some(&renewed), hold(Tenure::Released, IfTaken::Yield)).unwrap();
        assert_eq!(
            shown(&released),
            r#""" 1 s, acquired 12, renewed 12, 0 transitions, epoch Some(7), Released"#
        );
        let second = b.acquire(13, Some(&released), 7);
        assert_eq!(
            shown(&second),
            r#""b" 3 s, acquired 13, renewed 13, 1 transitions, epoch Some(7), Claiming"#
        );
        let ended = b.hold(14, Some(&second), hold(Tenure::Ended, IfTaken::Yield)).unwrap();
        assert_eq!(shown(&ended), r#""" 1 s, acquired 14, renewed 14, 1 transitions, epoch Some(7), Ended"#);
        let next = a.acquire(15, Some(&ended), 7);
        assert_eq!(
            shown(&next),
            r#""a" 3 s, acquired 15, renewed 15, 2 transitions, epoch Some(7), Claiming"#
        );
    }

    #[test]
    fn a_lease_that_someone_else_holds_is_left_to_them_first() {
        let (leader, thief) = (candidate("leader"), candidate("thief"));
        let held = leader.acquire(1, None, 7);
        let stolen = thief.acquire(2, Some(&held), 7);
        for tenure in [Tenure::Kept, Tenure::Released, Tenure::Ended] {
            assert_eq!(leader.hold(3, Some(&stolen), hold(tenure, IfTaken::Yield)), None);
        }
        let back = leader.hold(4, Some(&stolen), hold(Tenure::Kept, IfTaken::Reclaim)).unwrap();
        assert_eq!((back.holder.as_str(), back.transitions, back.acquired_at), ("leader", 2, 4));
        // A lease that was deleted, or that this leader has released itself.
        assert!(leader.hold(5, None, hold(Tenure::Kept, IfTaken::Yield)).is_some());
        let released = leader.hold(6, Some(&back), hold(Tenure::Released, IfTaken::Yield)).unwrap();
        let kept = leader.hold(7, Some(&released), hold(Tenure::Kept, IfTaken::Yield)).unwrap();
        assert_eq!((kept.holder.as_str(), kept.transitions, kept.acquired_at), ("leader", 3, 7));
    }

    /// Also by a leader whose clock is behind.
    #[test]
    fn each_renewal_is_a_sign_of_life() {
        let renewals = |lease: &LeaseRecord| lease.sighting().lease.unwrap().renewals;
        let lease = candidate("a").acquire(100, None, 7);
        let renewed = candidate("a").hold(100, Some(&lease), hold(Tenure::Kept, IfTaken::Yield)).unwrap();
        let acquired = candidate("b").acquire(3, Some(&renewed), 7);
        assert_eq!([&lease, &renewed, &acquired].map(renewals), [100, 101, 102]);
    }
}
