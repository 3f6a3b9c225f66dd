//! How a JobManager comes to lead: it stands by until no other one leads, and claims the job.

use super::{JobManager, Phase};
use crate::error::JobManagerError;
use crate::leadership::claim::{Claim, Claimed, Question};
use crate::leadership::{ClaimReason, Claimant, LostRace};
use crate::lease::Leases;
use crate::lease::renewals::{Renewals, Terms};
use crate::schedule;
use crate::settings::StartMode;
use crate::standby::Standby;
use crate::storage::{Storage, Tickets};
use reflow_config::options;
use reflow_coordination::standby::{Tenure, Verdict, Watch};
use reflow_env::{Answer, Location, Output, Ticket};
use reflow_types::{Instant, JobId, LeaderEpoch};
use reflow_view::LeaderChangeCause;
use std::time::Duration;

/// A claim under way.
pub(super) struct Claiming {
    claim: Claim,
    requests: Storage<Question>,
    /// The lease of the claimed leadership, from the moment at which its epoch exists: what follows may take longer than a
    /// lease lasts, and another standby would claim the job meanwhile. A lease in Kubernetes is renewed from its acquisition on.
    lease: Option<Renewals>,
    /// The leadership that a lease in Kubernetes named when it was acquired.
    acquired: Option<LeaderEpoch>,
}

impl Claiming {
    fn new(claim: Claim, acquired: Option<LeaderEpoch>, tickets: Tickets) -> Self {
        Self { claim, requests: Storage::new(tickets), lease: None, acquired }
    }

    /// Begins the lease of the leadership that is claimed, and drops that of another one.
    fn follow_lease(&mut self, begin: impl FnOnce(LeaderEpoch) -> Renewals) {
        let epoch = self.claim.held().or(self.acquired);
        if self.lease.as_ref().map(Renewals::epoch) != epoch {
            self.lease = epoch.map(begin);
        }
    }

    /// Whether someone else has taken a lease that was acquired, before there was an epoch.
    fn has_lost_lease(&self) -> bool {
        let taken = self.lease.as_ref().and_then(Renewals::taken_since);
        self.claim.held().is_none() && taken.is_some()
    }

    pub(super) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        let requests = &mut self.requests;
        out.extend(self.claim.ask(now).into_iter().map(|(question, op)| requests.ask(question, op)));
        if let Some(lease) = &mut self.lease {
            lease.on_time(now, out);
        }
    }

    pub(super) fn next_wakeup(&self) -> Option<Instant> {
        let lease = self.lease.as_ref().and_then(Renewals::next_wakeup);
        self.claim.next_wakeup().into_iter().chain(lease).min()
    }
}

impl JobManager {
    pub(super) fn listens(&mut self, now: Instant, address: &str, out: &mut Vec<Output>) {
        tracing::info!(address, root = %self.layout.root(), "listening for TaskManagers");
        match self.settings.lease_duration {
            None => self.claim(now, (LeaderChangeCause::Started, None), None, out),
            Some(duration) => self.stand_by(now, duration, out),
        }
    }

    /// Waits until no other JobManager leads.
    fn stand_by(&mut self, now: Instant, duration: Duration, out: &mut Vec<Output>) {
        let watch = Watch::new(duration, self.program, self.has_stood_by);
        let leases = (self.leases.clone(), self.settings.lease_reading_interval);
        let terms = Terms { duration, program: self.program };
        let standby = Standby::new(now, self.layout.clone(), leases, (terms, watch), self.tickets.clone());
        self.phase = Phase::StandingBy(Box::new(standby));
        self.on_time(now, out);
    }

    /// Handles what a standby has found.
    fn decide_claim(&mut self, now: Instant, verdict: Verdict, out: &mut Vec<Output>) {
        let Phase::StandingBy(standby) = &self.phase else { return };
        let newest = standby.newest().unwrap_or_default();
        let why = match verdict {
            Verdict::Wait => return,
            Verdict::NoLeader => (LeaderChangeCause::Started, None),
            Verdict::Released if standby.has_ended() => {
                tracing::info!("the last leader has shut the job down, or the job has failed: resuming it");
                (LeaderChangeCause::Started, None)
            }
            Verdict::Released => {
                tracing::info!("the leader has handed the job over: taking it over");
                (LeaderChangeCause::HandedOver, None)
            }
            Verdict::Ended => {
                tracing::info!(
                    "the job has ended, which this JobManager has stood by for: the next start resumes it"
                );
                return self.exit(0, String::new(), out);
            }
            Verdict::Silent(silence) => {
                tracing::info!(?silence, "no JobManager renews its lease: taking the job over");
                (LeaderChangeCause::LeaseExpired, Some(silence))
            }
        };
        let watched = if verdict == Verdict::NoLeader { LeaderEpoch(0) } else { newest };
        let acquired = match self.leases {
            Leases::Storage => None,
            Leases::Kubernetes(_) => Some(watched),
        };
        // If it has acquired the lease, no other standby claims, and the lease need not name the newest leadership.
        self.watched = self.settings.lease_duration.filter(|_| acquired.is_none()).map(|_| watched);
        self.claim(now, why, acquired, out);
    }

    fn claim(
        &mut self,
        now: Instant,
        (cause, silence): (LeaderChangeCause, Option<Duration>),
        acquired: Option<LeaderEpoch>,
        out: &mut Vec<Output>,
    ) {
        out.extend(std::mem::take(&mut self.newcomers).into_iter().map(|conn| Output::Close { conn }));
        let spec = self.spec.as_mut().expect("the job is there until it is taken over");
        if self.has_stood_by {
            // It goes on with the job that it has waited for. What its own start asks for is of no more concern.
            spec.start = StartMode::default();
        }
        let start_from = self.settings.start_from.as_deref();
        let directory =
            start_from.map(|at| at.trim_end_matches("_metadata").trim_end_matches('/').to_owned());
        let claim = Claim::new(Claimant {
            layout: self.layout.clone(),
            new_job: JobId(self.ids.next()),
            fresh: spec.start.fresh,
            allow_other_build: spec.start.allow_other_build,
            graph: spec.graph.clone(),
            unclaimed_state: schedule::unclaimed_state(&self.config),
            committing_sinks: spec.graph.committing_sinks().map(str::to_owned).collect(),
            allow_replay: schedule::allow_replay(&self.config, spec.start),
            build: spec.artifact.sha256.clone(),
            start_from: directory.map(Location),
            started_at: self.started_at.as_millis(),
            clock: self.clock.clone(),
            lost_race: match self.settings.lease_duration {
                None => LostRace::TakeNext,
                Some(_) => LostRace::StandBy,
            },
            watched: self.watched.take(),
            lease_is_silent: cause == LeaderChangeCause::LeaseExpired,
            has_stood_by: self.has_stood_by,
            reason: ClaimReason { cause, silence, at: now.as_millis() },
        });
        self.phase = Phase::Claiming(Box::new(Claiming::new(claim, acquired, self.tickets.clone())));
        self.follow_lease(now);
        self.on_time(now, out);
    }

    /// Renews the lease of what a claim holds.
    fn follow_lease(&mut self, now: Instant) {
        let Phase::Claiming(claiming) = &mut self.phase else { return };
        let Some(duration) = self.settings.lease_duration else { return };
        let (leases, layout, tickets) = (&self.leases, &self.layout, &self.tickets);
        let terms = Terms { duration, program: self.program };
        claiming.follow_lease(|epoch| Renewals::new(now, leases.of(layout, epoch), terms, tickets.clone()));
    }

    /// Handles an answer to a standby.
    pub(super) fn on_standby_answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        let Phase::StandingBy(standby) = &mut self.phase else { return };
        let verdict = standby.answered(now, ticket, answer, out);
        if self.settings.lease_duration.is_none() && standby.has_seen_leader() {
            let (name, epoch) = (self.spec.as_ref().map(|spec| spec.graph.name.clone()), standby.renewed());
            return match epoch {
                Some(epoch) => {
                    let name = name.unwrap_or_default();
                    self.fail(&JobManagerError::LeaderHasLease { name, epoch }, out);
                }
                None => self.claim(now, (LeaderChangeCause::Started, None), None, out),
            };
        }
        if standby.has_seen_leader() && !std::mem::replace(&mut self.has_stood_by, true) {
            tracing::info!("another JobManager leads the job: standing by");
        }
        // One without leases is no standby: it only looks whether the leader lives.
        if self.settings.lease_duration.is_some() && standby.begins_to_differ() {
            tracing::warn!(
                "this standby has another executable or other arguments than the JobManager that leads: it takes over only if no \
                 other standby does, and the job then restarts from its last checkpoint. Start it with those of the leader"
            );
        }
        if self.told_to_end && standby.is_led() {
            return self.exit(0, "another JobManager has taken the job over".to_owned(), out);
        }
        self.decide_claim(now, verdict, out);
    }

    /// Another JobManager was faster.
    fn lost_race(&mut self, now: Instant, out: &mut Vec<Output>) {
        tracing::info!("another JobManager leads the job: standing by");
        self.has_stood_by = true;
        let duration = self.settings.lease_duration.expect("only with leases one stands by");
        self.stand_by(now, duration, out);
    }

    /// Handles an answer to a claim.
    pub(super) fn on_claim_answered(
        &mut self,
        now: Instant,
        ticket: Ticket,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        let Phase::Claiming(claiming) = &mut self.phase else { return };
        let answer = match &mut claiming.lease {
            Some(lease) => lease.answered(now, ticket, answer),
            None => Some(answer),
        };
        if claiming.has_lost_lease() {
            self.lost_race(now, out);
            return;
        }
        let Some(Answer::Store(result)) = answer else { return };
        let Some(question) = claiming.requests.take(ticket) else { return };
        let progress = claiming.claim.answered(now, question, result);
        self.follow_lease(now);
        match progress {
            Ok(None) => self.on_time(now, out),
            Ok(Some(Claimed::Leadership(leadership))) => {
                let Phase::Claiming(claiming) = &mut self.phase else { return };
                let mut lease = claiming.lease.take();
                if let Some(lease) = &mut lease {
                    lease.set(now, Tenure::Kept);
                }
                self.lead(now, (*leadership, lease), out);
            }
            Ok(Some(Claimed::Ended(job, state))) => {
                tracing::info!(%job, state, "the job has ended meanwhile: the next start begins a new one");
                self.exit(0, String::new(), out);
            }
            Ok(Some(Claimed::StandBy)) => self.lost_race(now, out),
            Ok(Some(Claimed::Leased(epoch))) => {
                tracing::info!(%epoch, "the last leader had a lease, and this JobManager has none: looking whether it is renewed");
                self.stand_by(now, options::LEASE_DURATION.get(&self.config), out);
            }
            Err(error) => self.fail(&error.into(), out),
        }
    }
}
