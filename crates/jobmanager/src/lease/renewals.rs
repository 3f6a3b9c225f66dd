//! The renewals of a lease by the JobManager that holds it, from its claim to the end of its leadership, so that standbys wait.
//!
//! Several may be under way: a single one that hangs must not change the leader. They are numbered, and standbys take one with
//! a lower number than they have read before for no sign of life. A renewal that storage carries out late overwrites a newer
//! one all the same. That costs no more than if the newer one had failed: the next one follows at once when the old one is
//! answered, and within a third of the lease's duration in any case.
//!
//! A leader whose renewals fail leads on: whether it still may is decided by epochs ([`crate::leadership::authority`]).

use super::{LeasePlace, Written};
use crate::storage::{Storage, Tickets};
use reflow_coordination::standby::{Lease, Tenure};
use reflow_env::{Answer, Output, Ticket};
use reflow_types::{Instant, LeaderEpoch, injected_fault};
use std::time::Duration;

/// How often a lease is renewed within its duration, so that standbys see that two renewals are missing.
const RENEWALS: u32 = 3;

/// The most renewals at once: those of two durations. If all of them hang, more would as well.
const MAX_UNDER_WAY: usize = 2 * RENEWALS as usize;

/// What does not change about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) duration: Duration,
    /// What the JobManager runs.
    pub(crate) program: u64,
}

/// A lease, and when it is renewed.
pub(crate) struct Renewals {
    place: LeasePlace,
    lease: Lease,
    /// The renewals under way, by their numbers.
    requests: Storage<u64>,
    /// The highest number that storage has accepted.
    accepted: u64,
    /// Whether others were under way when the last one began. Storage may carry them out after it.
    overlaps: bool,
    /// Since when someone else holds the lease.
    taken_since: Option<Instant>,
    /// Since when no member has been connected.
    alone_since: Option<Instant>,
    /// When the next renewal is due.
    next: Instant,
    /// What became of the last one.
    last: Written,
}

impl Renewals {
    /// The lease of a leadership that is claimed, which is written at once.
    pub(crate) fn new(now: Instant, place: LeasePlace, terms: Terms, tickets: Tickets) -> Self {
        let Terms { duration, program } = terms;
        let lease = Lease { renewals: 0, duration, tenure: Tenure::Claiming, program };
        let (requests, last) = (Storage::new(tickets), Written::Renewed);
        Self {
            place,
            lease,
            requests,
            accepted: 0,
            overlaps: false,
            taken_since: None,
            alone_since: None,
            next: now,
            last,
        }
    }

    /// The leadership whose lease it is.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.place.epoch()
    }

    pub(crate) fn lease(&self) -> Lease {
        self.lease
    }

    /// Offers the job to standbys if no member has been connected for the lease's duration, and keeps it if one is. `is_alone` is
    /// whether none is connected now.
    pub(crate) fn offer_if_alone(&mut self, now: Instant, is_alone: bool) {
        self.alone_since = self.alone_since.filter(|_| is_alone).or(is_alone.then_some(now));
        let is_due = self.alone_since.is_some_and(|since| now.since(since) >= self.lease.duration);
        match self.lease.tenure {
            Tenure::Kept if is_due => {
                tracing::warn!(
                    "no TaskManager reaches this JobManager: a standby that they reach takes the job over"
                );
                self.set(now, Tenure::Offered);
            }
            Tenure::Offered if !is_alone => self.set(now, Tenure::Kept),
            _ => {}
        }
    }

    /// Changes the tenure, which is written at once.
    pub(crate) fn set(&mut self, now: Instant, tenure: Tenure) {
        (self.lease.tenure, self.next) = (tenure, now);
    }

    /// Whether storage has what the last one says, and nothing that is under way can change it.
    pub(crate) fn is_settled(&self) -> bool {
        self.requests.len() == 0 && self.accepted == self.lease.renewals && !self.overlaps
    }

    /// Begins a renewal if one is due.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.next_wakeup().is_some_and(|at| at <= now) {
            self.lease.renewals += 1;
            // From the beginning of this one, however long storage takes.
            self.next = now + self.lease.duration / RENEWALS;
            self.overlaps = self.requests.len() > 0;
            out.push(self.requests.ask(self.lease.renewals, self.place.write(self.lease)));
            if self.lease.tenure == Tenure::Released && injected_fault::is_active("released_lease_kept") {
                self.lease.tenure = Tenure::Kept;
            }
        }
    }

    /// When a renewal is due.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        (self.requests.len() < MAX_UNDER_WAY).then_some(self.next)
    }

    /// Withholds a renewal that is due, because the checkpoint storage does not answer this leader. A lease in storage could not
    /// be renewed then, either, and a standby that reaches storage takes the job over.
    pub(crate) fn withhold_outside_storage(&mut self, now: Instant) -> bool {
        let withholds =
            self.place.is_outside_storage() && matches!(self.lease.tenure, Tenure::Kept | Tenure::Offered);
        if withholds && self.next <= now {
            self.next = now + self.lease.duration / RENEWALS;
            self.became(now, Written::Failed("the checkpoint storage does not answer".to_owned()));
        }
        withholds
    }

    /// Since when someone else holds the lease.
    pub(crate) fn taken_since(&self) -> Option<Instant> {
        self.taken_since
    }

    /// Takes the lease back: this JobManager still leads.
    pub(crate) fn reclaim(&mut self, now: Instant) {
        self.place.reclaim();
        self.next = now;
    }

    /// Handles the answer to a renewal. Returns any other answer.
    pub(crate) fn answered(&mut self, now: Instant, ticket: Ticket, answer: Answer) -> Option<Answer> {
        let Some(number) = self.requests.take(ticket) else { return Some(answer) };
        if number < self.accepted {
            self.next = now; // it may have been carried out after the newer one, even if it has failed
        }
        if self.lease.tenure == Tenure::Ended && self.overlaps && self.requests.len() == 0 {
            self.next = now; // one that nothing else can overwrite
        }
        let written = self.place.written(answer);
        if written == Written::Renewed {
            self.accepted = self.accepted.max(number);
        }
        self.became(now, written);
        None
    }

    /// Notes what became of a renewal, and logs it if it was otherwise before.
    fn became(&mut self, now: Instant, written: Written) {
        self.taken_since = match &written {
            Written::Taken(_) => self.taken_since.or(Some(now)),
            Written::Renewed => None,
            Written::Superseded | Written::Failed(_) => self.taken_since,
        };
        if written == Written::Superseded || written == self.last {
            return;
        }
        match &written {
            Written::Taken(holder) => {
                tracing::warn!(holder, "someone else holds the lease: looking for another leader");
            }
            Written::Failed(error) => {
                tracing::warn!(error, "the lease is not renewed: a standby may take the job over");
            }
            Written::Renewed | Written::Superseded => tracing::info!("the lease is renewed again"),
        }
        self.last = written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::lease::Leases;
    use reflow_env::{Location, StoreReply};

    /// Standbys end with the job only if they can read that it has ended.
    #[test]
    fn the_end_is_written_again_if_an_earlier_renewal_may_have_overwritten_it() {
        let layout = Layout::new(&Location("/c".into()), "default", "job");
        let place = Leases::Storage.of(&layout, LeaderEpoch(1));
        let now = Instant::from_millis(1_000);
        let terms = Terms { duration: Duration::from_secs(3), program: 7 };
        let mut renewals = Renewals::new(now, place, terms, Tickets::default());
        let mut out = Vec::new();
        let mut renew = |renewals: &mut Renewals| {
            renewals.on_time(now, &mut out);
            let Some(Output::Store { ticket, .. }) = out.pop() else { panic!("nothing was due") };
            ticket
        };
        let done = || Answer::Store(Ok(StoreReply::Done));
        let claimed = renew(&mut renewals);
        renewals.set(now, Tenure::Ended);
        let ended = renew(&mut renewals);
        assert!(renewals.answered(now, claimed, done()).is_none());
        assert!(renewals.answered(now, ended, done()).is_none());
        assert!(!renewals.is_settled(), "storage may have carried out the first one after the second");
        let again = renew(&mut renewals);
        assert!(renewals.answered(now, again, done()).is_none());
        assert!(renewals.is_settled());
    }
}
