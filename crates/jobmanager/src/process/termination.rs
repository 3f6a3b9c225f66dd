//! The end of a JobManager that was told to end: it hands its job over to a standby, suspends it, or leaves its tasks to the next
//! JobManager.

use super::{HANDS_OVER, JobManager, Led, Phase, STANDS_BY};
use crate::handle::Asked;
use reflow_config::Termination;
use reflow_coordination::event::Event;
use reflow_env::Output;
use reflow_types::Instant;
use reflow_view::{CommandError, Reply};
use std::time::Duration;

/// How long a hand-over waits for the cut of a live rescale. Orchestrators kill a process 30 s after SIGTERM by default.
const CUT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a JobManager that was told to end waits for its successor to lead, beside the time in which it would see that the
/// successor is lost.
const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(10);

/// What a JobManager does that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// It waits, at most until this moment, until a live rescale has committed its cut or was rolled back, because the next leader
    /// would restart the job. It hands the job over then, and ends if `ends`.
    WaitsForCut {
        until: Instant,
        ends: bool,
    },
    /// It waits until this moment for a standby to take the job over, and ends then.
    HandsOver(Instant),
    /// It waits as well, and then stands by, or leads on if nobody takes the job over.
    Transfers(Instant),
    /// It ends its tasks after a checkpoint.
    Suspends,
}

impl Led {
    /// Whether another JobManager may take the job over. That one would run a job on of which it does not know that it is to
    /// end.
    fn may_be_left(&self) -> bool {
        self.leaving == Leaving::No && !self.leader.scheduler.view().state.is_ending()
    }

    /// Answers the user who has asked it to hand the job over.
    pub(super) fn answer_transfer(&mut self, result: Result<Reply, CommandError>) {
        if let Some(asked) = self.transfer.take() {
            asked.answer(result);
        }
    }

    /// The exit code if another JobManager has taken the job over from this one, which has leases or was told to end.
    pub(super) fn code_of_successor(&self) -> i32 {
        match self.leaving {
            Leaving::HandsOver(_) | Leaving::WaitsForCut { ends: true, .. } => HANDS_OVER,
            Leaving::Suspends => 0,
            Leaving::No | Leaving::Transfers(_) | Leaving::WaitsForCut { ends: false, .. } => STANDS_BY,
        }
    }

    /// Until when it waits for a standby.
    pub(super) fn hand_over_until(&self) -> Option<Instant> {
        match self.leaving {
            Leaving::WaitsForCut { until, .. } | Leaving::HandsOver(until) | Leaving::Transfers(until) => {
                Some(until)
            }
            Leaving::No | Leaving::Suspends => None,
        }
    }
}

impl JobManager {
    /// Handles SIGTERM. A standby takes the job over, if there is one.
    pub(super) fn on_terminate(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Phase::Leading(led) = &mut self.phase {
            match led.leaving {
                Leaving::Transfers(until) => {
                    led.leaving = Leaving::HandsOver(until);
                    return;
                }
                Leaving::WaitsForCut { until, ends: false } => {
                    led.leaving = Leaving::WaitsForCut { until, ends: true };
                    return;
                }
                Leaving::No if led.may_be_left() && self.settings.lease_duration.is_some() => {
                    tracing::info!("told to end: handing the job over to a standby");
                    led.leaving = Leaving::WaitsForCut { until: now + CUT_TIMEOUT, ends: true };
                    return self.hand_over_after_cut(now, out);
                }
                _ => {}
            }
        }
        self.terminate(now, out);
    }

    /// Hands the job over if that waits for a cut which has ended, or for too long.
    pub(super) fn hand_over_after_cut(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Leading(led) = &mut self.phase else { return };
        let Leaving::WaitsForCut { until, ends } = led.leaving else { return };
        let is_over = led.leader.end.is_some() || led.leader.deposed.is_some();
        if is_over || (led.leader.scheduler.view().is_cutting() && now < until) {
            return;
        }
        led.leaving = Leaving::No;
        let wait = if led.may_be_left() { led.leader.release(now) } else { None };
        match wait {
            Some(wait) if ends => led.leaving = Leaving::HandsOver(now + wait),
            Some(wait) => led.leaving = Leaving::Transfers(now + wait),
            None => {
                let text = "the job is ending: it is not handed over".to_owned();
                led.answer_transfer(Err(CommandError::Conflict(text)));
                if ends {
                    return self.terminate(now, out);
                }
            }
        }
        self.on_time(now, out);
    }

    /// Whether it was told to end, and its successor takes too long to lead. Orchestrators kill a process that does not end.
    pub(super) fn waits_too_long(&self, now: Instant) -> bool {
        let patience = self.settings.lease_duration.unwrap_or_default() * 2 + SUCCESSOR_TIMEOUT;
        self.told_to_end && now.since(self.started_at) >= patience
    }

    /// No standby has taken the job over.
    pub(super) fn stop_waiting(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Leading(led) = &mut self.phase else { return };
        if matches!(led.leaving, Leaving::WaitsForCut { .. }) {
            return self.hand_over_after_cut(now, out);
        }
        tracing::info!("there is no standby");
        let ends = matches!(led.leaving, Leaving::HandsOver(_));
        led.leaving = Leaving::No;
        led.leader.keep(now);
        led.answer_transfer(Err(CommandError::Conflict(
            "no standby has taken the job over, so this JobManager leads on: start a second one with the same job and options"
                .to_owned(),
        )));
        if ends {
            // A rescale that has waited for the hand-over must not begin now.
            return self.terminate(now, out);
        }
        led.leader.handle_event(now, Event::Tick, out);
    }

    /// Hands the job over because a user requested it.
    pub(super) fn transfer(&mut self, now: Instant, asked: Asked, out: &mut Vec<Output>) {
        let Phase::Leading(led) = &mut self.phase else {
            return asked.answer(Err(CommandError::Conflict("the job has ended".to_owned())));
        };
        if !led.may_be_left() {
            let text = "the job or this JobManager is ending: it is not handed over".to_owned();
            return asked.answer(Err(CommandError::Conflict(text)));
        }
        if self.settings.lease_duration.is_none() {
            return asked.answer(Err(CommandError::Conflict(
                "this JobManager has no standby: set high-availability.type to storage or kubernetes, and start a second one".to_owned(),
            )));
        }
        tracing::info!("asked to hand the job over to a standby");
        led.leaving = Leaving::WaitsForCut { until: now + CUT_TIMEOUT, ends: false };
        led.transfer = Some(asked);
        self.hand_over_after_cut(now, out);
    }

    /// Ends without a standby.
    fn terminate(&mut self, now: Instant, out: &mut Vec<Output>) {
        match (&self.phase, self.settings.termination) {
            (Phase::Leading(led), Termination::HandOver) if led.may_be_left() => {
                tracing::info!("told to end: the tasks process on, and the next JobManager takes them over");
                self.exit(0, String::new(), out);
            }
            _ => self.suspend(now, out),
        }
    }

    fn suspend(&mut self, now: Instant, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Leading(led) if led.leaving == Leaving::No => {
                tracing::info!("told to end: suspending the job after a checkpoint");
                led.leaving = Leaving::Suspends;
                led.leader.handle_event(now, Event::Suspend, out);
            }
            Phase::Leading(_) => {
                tracing::warn!("told to end for the second time: the next start takes the job over");
                self.exit(0, String::new(), out);
            }
            Phase::Shown(..) => {
                let Phase::Shown(led, mut ending) = std::mem::replace(&mut self.phase, Phase::Ended) else {
                    return;
                };
                let (code, reason) = ending.exit();
                match ending.leave(now, out) {
                    true => self.exit(code, reason, out),
                    false => self.phase = Phase::Ending(led, ending),
                }
            }
            Phase::Ended => {}
            Phase::Opening | Phase::StandingBy(_) | Phase::Claiming(_) | Phase::Ending(..) => {
                self.exit(0, String::new(), out);
            }
        }
    }

    /// Ends because a user requested it over REST. The second request does not end a checkpoint that the first waits for.
    pub(super) fn shut_down(&mut self, now: Instant, out: &mut Vec<Output>) {
        let waits = match &self.phase {
            Phase::Leading(led) => led.leaving != Leaving::No,
            Phase::Ending(..) => true,
            _ => false,
        };
        if !waits {
            self.suspend(now, out);
        }
    }
}
