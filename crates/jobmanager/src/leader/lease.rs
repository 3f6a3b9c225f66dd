//! The lease of a leader, which it renews as long as it leads the job, so that standbys wait.
//!
//! A leader whose renewals fail leads on: whether it still may is decided by epochs ([`crate::leadership::authority`]).

use super::{Leader, Purpose, look};
use crate::leadership::LeaseRecord;
use crate::record;
use reflow_coordination::standby::{Lease, Tenure};
use reflow_env::{Location, Output, PutMode, StoreOp, StoreResult};
use reflow_types::Instant;
use std::time::Duration;

/// How often a lease is renewed within its duration, so that standbys see that two renewals are missing.
const RENEWALS: u32 = 3;

/// How often a leader that has released its lease looks for its successor.
const LOOK_INTERVAL_OF_A_RELEASED: Duration = Duration::from_millis(100);

/// The lease, and when it is renewed.
#[derive(Debug)]
pub(crate) struct LeaseRenewal {
    at: Location,
    lease: Lease,
    /// When the next renewal begins. `None` while one is under way.
    next: Option<Instant>,
    begun_at: Instant,
    /// Whether it has changed while a renewal was under way, so that the next one begins at once.
    has_changed: bool,
}

impl LeaseRenewal {
    /// A lease that is written at once.
    pub(crate) fn new(now: Instant, at: Location, duration: Duration) -> Self {
        let lease = Lease { renewals: 0, duration, tenure: Tenure::Kept };
        Self { at, lease, next: Some(now), begun_at: now, has_changed: false }
    }

    fn set(&mut self, now: Instant, tenure: Tenure) {
        self.lease.tenure = tenure;
        match &mut self.next {
            Some(next) => *next = now,
            None => self.has_changed = true,
        }
    }

    /// The storage request of the next renewal, if that is due.
    fn begin_if_due(&mut self, now: Instant) -> Option<StoreOp> {
        self.next.is_some_and(|at| at <= now).then(|| {
            (self.next, self.begun_at) = (None, now);
            self.lease.renewals += 1;
            let body = record::encode(&LeaseRecord::from(self.lease));
            StoreOp::Put { at: self.at.clone(), body, mode: PutMode::Overwrite }
        })
    }

    /// A renewal was answered. The next one begins so long after the beginning of this one, however long storage took.
    fn answered(&mut self, now: Instant) {
        let due = self.begun_at + self.lease.duration / RENEWALS;
        self.next = Some(if std::mem::take(&mut self.has_changed) { now } else { now.max(due) });
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        self.next
    }
}

impl Leader {
    /// Gives the job up to a standby, if there is one. Until that has taken over, this leader leads on, and looks for it often.
    /// Returns how long that may take; `None` without leases.
    pub(crate) fn release(&mut self, now: Instant) -> Option<Duration> {
        let lease = self.lease.as_mut()?;
        lease.set(now, Tenure::Released);
        self.look.hurry(now);
        Some(lease.lease.duration)
    }

    /// No standby has taken over.
    pub(crate) fn keep(&mut self, now: Instant) {
        if let Some(lease) = &mut self.lease {
            lease.set(now, Tenure::Kept);
        }
    }

    /// The job has failed or is suspended, so that standbys end.
    pub(crate) fn end_lease(&mut self, now: Instant) {
        if let Some(lease) = &mut self.lease {
            lease.set(now, Tenure::Ended);
        }
    }

    /// When the lease is renewed next.
    pub(crate) fn lease_due(&self) -> Option<Instant> {
        self.lease.as_ref().and_then(LeaseRenewal::next_wakeup)
    }

    /// The time between two checks for a later leadership.
    pub(super) fn look_interval(&self) -> Duration {
        match &self.lease {
            Some(lease) if lease.lease.tenure == Tenure::Released => LOOK_INTERVAL_OF_A_RELEASED,
            _ => look::INTERVAL,
        }
    }

    /// Renews the lease if that is due.
    pub(crate) fn renew_lease(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(op) = self.lease.as_mut().and_then(|lease| lease.begin_if_due(now)) {
            out.push(self.requests.ask(Purpose::Lease, op));
        }
    }

    /// Handles the answer to a renewal.
    pub(super) fn lease_renewed(&mut self, now: Instant, answer: &StoreResult) {
        if let Some(lease) = &mut self.lease {
            lease.answered(now);
        }
        if let Err(error) = answer {
            tracing::warn!(%error, "the lease is not renewed: a standby may take the job over");
        }
    }
}
