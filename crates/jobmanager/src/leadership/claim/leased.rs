//! The check of a JobManager without leases that no other one renews a lease.
//!
//! With leases, the leader that renews one leads. Without, the JobManager that is started last does. If some have leases and others
//! have not, each deposes the other: one without claims at once, and standbys take over from it because it renews nothing. So one
//! without leases leaves the job to a leader that renews a lease.

use super::{Claim, Purpose, Step};
use crate::leadership::LostRace;
use crate::lease::LeasePlace;
use reflow_coordination::standby::Tenure;
use reflow_env::StoreResult;
use reflow_types::LeaderEpoch;

impl Claim {
    /// Goes on with the newest epoch: with its lease, if that may keep this JobManager from the claim.
    pub(super) fn read_lease(&mut self, newest: LeaderEpoch) {
        if self.by.lost_race == LostRace::TakeNext && !self.by.lease_is_silent {
            let read = LeasePlace::read(&self.by.layout, newest);
            self.question(Purpose::Lease(newest), read);
        } else {
            self.read_record(newest);
        }
    }

    pub(super) fn take_lease(&mut self, newest: LeaderEpoch, answer: StoreResult) {
        let tenure = LeasePlace::lease_in(answer).ok().flatten().map(|lease| lease.tenure);
        match tenure {
            Some(Tenure::Claiming | Tenure::Kept | Tenure::Offered) => self.step = Step::Leased(newest),
            Some(Tenure::Released | Tenure::Ended) | None => self.read_record(newest),
        }
    }
}
