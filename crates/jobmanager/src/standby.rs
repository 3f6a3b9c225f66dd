//! A standby: reads the newest leadership and its lease in storage, until [`Watch`] says that this JobManager claims the job.
//!
//! A state machine without I/O.

use crate::layout::{Layout, epochs_in};
use crate::lease::LeasePlace;
use crate::storage::{Storage, Tickets};
use reflow_coordination::standby::{Sighting, Tenure, Verdict, Watch};
use reflow_env::{Output, StoreOp, StoreReply, StoreResult, Ticket};
use reflow_types::{Instant, LeaderEpoch};
use std::time::Duration;

/// How often the leadership is read within the lease's duration.
const READINGS: u32 = 12;

/// A step of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// List the epochs.
    Epochs,
    /// Read the lease of the newest one.
    Lease(LeaderEpoch),
}

/// A standby of the leader.
pub(crate) struct Standby {
    layout: Layout,
    watch: Watch,
    interval: Duration,
    requests: Storage<Step>,
    /// When the next reading begins. `None` while one is under way.
    next: Option<Instant>,
    asked_at: Instant,
    /// Whether the leader was seen to run something else.
    differed: bool,
}

impl Standby {
    /// A standby that begins to read now.
    pub(crate) fn new(
        now: Instant,
        layout: Layout,
        (duration, watch): (Duration, Watch),
        tickets: Tickets,
    ) -> Self {
        Self {
            layout,
            watch,
            interval: duration / READINGS,
            requests: Storage::new(tickets),
            next: Some(now),
            asked_at: now,
            differed: false,
        }
    }

    /// Begins a reading if it is due.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.next.is_some_and(|at| at <= now) {
            (self.next, self.asked_at) = (None, now);
            let op = StoreOp::List { below: self.layout.epochs() };
            out.push(self.requests.ask(Step::Epochs, op));
        }
    }

    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.next
    }

    /// Whether another JobManager has led meanwhile.
    pub(crate) fn has_seen_leader(&self) -> bool {
        self.watch.has_seen_leader()
    }

    /// The newest leadership.
    pub(crate) fn newest(&self) -> Option<LeaderEpoch> {
        self.watch.newest().map(|seen| seen.epoch)
    }

    /// Whether the newest leadership is led, and not only claimed.
    pub(crate) fn is_led(&self) -> bool {
        self.watch.is_led()
    }

    /// Whether the leader runs something else than this JobManager.
    pub(crate) fn differs(&self) -> bool {
        self.watch.differs()
    }

    /// The same, if it was not so at the last call.
    pub(crate) fn begins_to_differ(&mut self) -> bool {
        let differs = self.differs();
        differs && !std::mem::replace(&mut self.differed, differs)
    }

    /// The newest leadership, if it has a lease that its leader has neither released nor ended.
    pub(crate) fn renewed(&self) -> Option<LeaderEpoch> {
        let seen = self.watch.newest()?;
        let lease = seen.lease?;
        matches!(lease.tenure, Tenure::Claiming | Tenure::Kept | Tenure::Offered).then_some(seen.epoch)
    }

    /// A TaskManager or an executor has asked this JobManager.
    pub(crate) fn member_asks(&mut self, now: Instant) {
        self.watch.member_asks(now);
    }

    /// This process was paused, and perhaps the leader with it: the time begins anew.
    pub(crate) fn after_pause(&mut self) {
        self.watch.read_failed();
    }

    /// Handles an answer from storage.
    pub(crate) fn stored(
        &mut self,
        now: Instant,
        ticket: Ticket,
        result: StoreResult,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let read = match (self.requests.take(ticket), result) {
            (None, _) => return Verdict::Wait,
            (Some(Step::Epochs), Ok(StoreReply::Objects(listed))) => match epochs_in(&listed).last() {
                Some(&newest) => {
                    let place = LeasePlace::new(&self.layout, newest);
                    out.push(self.requests.ask(Step::Lease(newest), place.read()));
                    return Verdict::Wait;
                }
                None => Some(None),
            },
            // One that is damaged counts as none: the next reading differs, and the time begins anew.
            (Some(Step::Lease(epoch)), answer) => {
                LeasePlace::lease_in(answer).ok().map(|lease| Some(Sighting { epoch, lease }))
            }
            _ => None,
        };
        self.next = Some(now + self.interval);
        if now.since(self.asked_at) > self.interval * READINGS {
            // Storage is slow, and the leader's renewals wait for it as well.
            self.watch.read_failed();
        }
        match read {
            Some(sighting) => self.watch.read(self.asked_at, now, sighting),
            None => {
                self.watch.read_failed();
                Verdict::Wait
            }
        }
    }
}

#[cfg(test)]
#[path = "standby_tests.rs"]
mod tests;
