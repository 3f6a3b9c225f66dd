//! What a leader does with its lease: it keeps it, releases it to a standby, or ends it with the job.

use super::{Leader, look};
use crate::lease::renewals::Renewals;
use reflow_coordination::standby::Tenure;
use reflow_env::{Answer, Output, Ticket};
use reflow_types::Instant;
use std::time::Duration;

/// How often a leader that has released its lease looks for its successor.
const LOOK_INTERVAL_OF_A_RELEASED: Duration = Duration::from_millis(100);

impl Leader {
    /// Gives the job up to a standby, if there is one. Until that has taken over, this leader leads on, and looks for it often.
    /// Returns how long that may take; `None` without leases.
    pub(crate) fn release(&mut self, now: Instant) -> Option<Duration> {
        let lease = self.lease.as_mut()?;
        self.scheduler.set_hands_over(true);
        lease.set(now, Tenure::Released);
        self.look.hurry(now);
        Some(lease.lease().duration)
    }

    /// No standby has taken over.
    pub(crate) fn keep(&mut self, now: Instant) {
        self.scheduler.set_hands_over(false);
        self.set_tenure(now, Tenure::Kept);
    }

    /// The job has failed or is suspended, so that standbys end.
    pub(crate) fn end_lease(&mut self, now: Instant) {
        self.set_tenure(now, Tenure::Ended);
    }

    /// Whether standbys can read that the job has ended.
    pub(crate) fn has_ended_lease(&self) -> bool {
        self.lease.as_ref().is_none_or(Renewals::is_settled)
    }

    fn set_tenure(&mut self, now: Instant, tenure: Tenure) {
        if let Some(lease) = &mut self.lease {
            lease.set(now, tenure);
        }
    }

    /// When the lease is renewed next.
    pub(crate) fn lease_due(&self) -> Option<Instant> {
        self.lease.as_ref().and_then(Renewals::next_wakeup)
    }

    /// The time between two checks for a later leadership.
    pub(super) fn look_interval(&self) -> Duration {
        match &self.lease {
            Some(lease) if lease.lease().tenure == Tenure::Released => LOOK_INTERVAL_OF_A_RELEASED,
            _ => look::INTERVAL,
        }
    }

    /// Renews the lease if that is due.
    pub(crate) fn renew_lease(&mut self, now: Instant, out: &mut Vec<Output>) {
        let storage_answers = self.storage_answers(now);
        if let Some(lease) = &mut self.lease {
            // Members leave a job that ends.
            lease.offer_if_alone(now, self.members.is_alone() && self.end.is_none());
            if storage_answers || !lease.withhold_outside_storage(now) {
                lease.on_time(now, out);
            }
        }
    }

    /// There was no later leadership when a look began: a lease that someone else had taken before is taken back.
    pub(super) fn leads_as_of(&mut self, now: Instant, looked_at: Instant) {
        let Some((lease, taken_since)) =
            self.lease.as_mut().and_then(|lease| lease.taken_since().map(|since| (lease, since)))
        else {
            return;
        };
        if taken_since <= looked_at {
            lease.reclaim(now);
        } else {
            self.look.hurry(now);
        }
    }

    /// Handles the answer to a renewal. Returns any other answer.
    pub(crate) fn lease_answered(&mut self, now: Instant, ticket: Ticket, answer: Answer) -> Option<Answer> {
        let Some(lease) = &mut self.lease else { return Some(answer) };
        let other = lease.answered(now, ticket, answer);
        if other.is_none() && lease.taken_since().is_some() {
            self.look.hurry(now);
        }
        other
    }
}
