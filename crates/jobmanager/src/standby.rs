//! A standby: reads the newest leadership and its lease, until [`Watch`] says that this JobManager claims the job.
//!
//! With leases in storage, it reads the newest epoch and then its lease. With a lease in Kubernetes, it reads that alone. Before the
//! claim it asks storage as well, which may be away for the leader and for this one, and acquires the lease.
//!
//! A state machine without I/O.

use crate::layout::{Layout, epochs_in};
use crate::lease::kubernetes::{LeaseCalls, lease_answer};
use crate::lease::renewals::Terms;
use crate::lease::{LeasePlace, Leases};
use crate::storage::{Storage, Tickets};
use reflow_coordination::leader_election::{LeaseAnswer, LeaseRequest};
use reflow_coordination::standby::{Sighting, Tenure, Verdict, Watch};
use reflow_env::{Answer, CallResult, Output, Request, StoreOp, StoreReply, Ticket};
use reflow_types::{Instant, LeaderEpoch};
use std::time::Duration;

/// A step of a reading, or of the claim that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// List the epochs.
    Epochs,
    /// Read the lease of the newest one.
    Lease(LeaderEpoch),
    /// Read the lease in Kubernetes.
    Observe,
    /// See whether storage answers, before the lease is acquired because of this verdict.
    Reach(Verdict),
    /// Acquire it.
    Acquire(Verdict),
}

/// What a reading has found.
enum Reading {
    /// The newest leadership, if there is one.
    Found(Option<Sighting>),
    /// This JobManager has acquired the lease, because of this verdict.
    Acquired(Verdict),
    /// The lease is not there, which was there before. Its leader creates it again, if it lives.
    Absent,
    Failed,
}

/// A standby of the leader.
pub(crate) struct Standby {
    layout: Layout,
    leases: Leases,
    watch: Watch,
    terms: Terms,
    interval: Duration,
    requests: Storage<Step>,
    /// When the next reading begins. `None` while one is under way.
    next: Option<Instant>,
    asked_at: Instant,
    /// Whether the leader was seen to run something else.
    differed: bool,
    /// Since when the lease is not there.
    absent_since: Option<Instant>,
    /// Why it acquires the lease. Kubernetes may do that and not answer.
    acquiring: Option<Verdict>,
    /// What keeps it from reading the lease, and from acquiring it.
    problems: [Problem; 2],
}

/// An error that is logged once, until something works or another one follows.
#[derive(Default)]
struct Problem(Option<String>);

impl Problem {
    fn report(&mut self, problem: String) {
        if self.0.as_ref() != Some(&problem) {
            tracing::error!("this JobManager cannot lead the job for now: {problem}");
        }
        self.0 = Some(problem);
    }

    /// Whether there was one.
    fn is_solved(&mut self) -> bool {
        self.0.take().is_some()
    }
}

impl Standby {
    /// A standby that begins to read now.
    pub(crate) fn new(
        now: Instant,
        layout: Layout,
        (leases, interval): (Leases, Duration),
        (terms, watch): (Terms, Watch),
        tickets: Tickets,
    ) -> Self {
        Self {
            layout,
            leases,
            watch,
            terms,
            interval,
            requests: Storage::new(tickets),
            next: Some(now),
            asked_at: now,
            differed: false,
            absent_since: None,
            acquiring: None,
            problems: Default::default(),
        }
    }

    /// Begins a reading if it is due.
    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.next.is_some_and(|at| at <= now) {
            (self.next, self.asked_at) = (None, now);
            let (step, request) = match &self.leases {
                Leases::Storage => (Step::Epochs, StoreOp::List { below: self.layout.epochs() }.into()),
                Leases::Kubernetes(calls) => (Step::Observe, self.call(calls, LeaseRequest::Observe)),
            };
            out.push(self.requests.ask(step, request));
        }
    }

    /// An answer that takes longer than a lease lasts would tell nothing.
    fn call(&self, calls: &LeaseCalls, request: LeaseRequest) -> Request {
        calls.request(request, self.terms.duration)
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

    /// Whether the newest leadership has ended, because the job has failed or was shut down.
    pub(crate) fn has_ended(&self) -> bool {
        let lease = self.watch.newest().and_then(|seen| seen.lease);
        lease.is_some_and(|lease| lease.tenure == Tenure::Ended)
    }

    /// A TaskManager or an executor has asked this JobManager.
    pub(crate) fn member_asks(&mut self, now: Instant) {
        self.watch.member_asks(now);
    }

    /// This process was paused, and perhaps the leader with it: the time begins anew.
    pub(crate) fn after_pause(&mut self) {
        self.begin_anew();
    }

    /// The leader could not give a sign of life, for all that this JobManager knows.
    fn begin_anew(&mut self) {
        self.watch.read_failed();
        self.absent_since = None;
    }

    /// Handles an answer.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: Answer,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let Some(step) = self.requests.take(ticket) else { return Verdict::Wait };
        let reading = match (step, answer) {
            (Step::Epochs, Answer::Store(Ok(StoreReply::Objects(listed)))) => match epochs_in(&listed).last()
            {
                Some(&newest) => {
                    let read = LeasePlace::read(&self.layout, newest);
                    out.push(self.requests.ask(Step::Lease(newest), read));
                    return Verdict::Wait;
                }
                None => Reading::Found(None),
            },
            // One that is damaged counts as none: the next reading differs, and the time begins anew.
            (Step::Lease(epoch), Answer::Store(answer)) => match LeasePlace::lease_in(answer) {
                Ok(lease) => Reading::Found(Some(Sighting { epoch, lease })),
                Err(_) => Reading::Failed,
            },
            (Step::Observe, Answer::External(result)) => self.observed(result),
            (Step::Reach(verdict), Answer::Store(Ok(_))) => {
                if let Leases::Kubernetes(calls) = &self.leases {
                    let request = LeaseRequest::Acquire { program: self.terms.program };
                    self.acquiring = Some(verdict);
                    out.push(self.requests.ask(Step::Acquire(verdict), self.call(calls, request)));
                }
                return Verdict::Wait;
            }
            (Step::Reach(_), Answer::Store(Err(error))) => {
                self.problems[1].report(error.to_string());
                Reading::Failed
            }
            (Step::Acquire(verdict), Answer::External(result)) => {
                self.next = Some(now + self.interval);
                return if self.has_acquired(result) { verdict } else { Verdict::Wait };
            }
            _ => Reading::Failed,
        };
        self.next = Some(now + self.interval);
        if now.since(self.asked_at) > self.terms.duration {
            // Storage is slow, and the leader's renewals wait for it as well.
            self.begin_anew();
        }
        let verdict = match reading {
            Reading::Found(sighting) => self.watch.read(self.asked_at, now, sighting),
            Reading::Acquired(verdict) => return verdict,
            Reading::Absent => Verdict::Wait,
            Reading::Failed => {
                self.begin_anew();
                Verdict::Wait
            }
        };
        match (&self.leases, verdict) {
            (Leases::Kubernetes(_), Verdict::NoLeader | Verdict::Released | Verdict::Silent(_)) => {
                let list = StoreOp::List { below: self.layout.epochs() };
                out.push(self.requests.ask(Step::Reach(verdict), list));
                self.next = None;
                Verdict::Wait
            }
            _ => verdict,
        }
    }

    /// What a reading of the lease in Kubernetes has found.
    fn observed(&mut self, result: CallResult) -> Reading {
        let found = match lease_answer(result) {
            Ok(LeaseAnswer::Observed(found)) => found,
            Ok(_) => return Reading::Failed,
            Err(error) => {
                self.problems[0].report(error.to_string());
                return Reading::Failed;
            }
        };
        if self.problems[0].is_solved() {
            tracing::info!("the lease can be read again");
        }
        let acquiring = self.acquiring.take();
        if let (Some(verdict), Some(lease), Leases::Kubernetes(calls)) = (acquiring, &found, &self.leases)
            && lease.is_claimed_by(calls.identity())
        {
            return Reading::Acquired(verdict); // the answer to that was lost
        }
        if found.is_some() || !self.has_seen_leader() {
            self.absent_since = None;
            return Reading::Found(found.map(|lease| lease.sighting()));
        }
        // One that is created again may count its renewals from a lower number.
        self.watch.read_failed();
        let since = *self.absent_since.get_or_insert(self.asked_at);
        if self.asked_at.since(since) < self.terms.duration { Reading::Absent } else { Reading::Found(None) }
    }

    fn has_acquired(&mut self, result: CallResult) -> bool {
        match lease_answer(result) {
            Ok(answer) => answer == LeaseAnswer::Acquired,
            Err(error) => {
                self.problems[1].report(error.to_string());
                false
            }
        }
    }
}

#[cfg(test)]
#[path = "standby_tests.rs"]
mod tests;
