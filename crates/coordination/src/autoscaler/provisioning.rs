//! When the number of TaskManagers is changed, and when it is left to others.
//!
//! A provider knows a number and can change it: that of registered TaskManagers, or that of the replicas which a workload of
//! Kubernetes declares. Others may change it, too: an HPA, a user, a machine that dies. The desired number is then set only after
//! a while, and later each time if that is overruled again. So two that scale the same workload do not fight, whatever the other
//! one is.
//!
//! Pure: [`Provisioning`] is told which number was found and what became of a change, and says what to change.
//!
//! ```text
//! number found, desired number ──► change it │ leave it alone │ try again later
//! ```

use reflow_types::Instant;
use std::time::Duration;

/// How long a change by someone else is remembered at least, so that one who makes it every few minutes, such as a tool that
/// compares the workload with a repository, is left alone for longer, too.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);
/// The most times that a pause doubles.
const MAX_DOUBLINGS: u32 = 16;

/// How a provider's number behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What is counted, for users, such as `TaskManagers`.
    pub counted: String,
    /// The longest time between two looks, within which nobody notices what others change. Zero if a look costs nothing.
    pub look_every: Duration,
    /// How long a change may take until it is seen.
    pub patience: Duration,
    /// How long a number that someone else has set is left alone: at first, and at most.
    pub left_alone: (Duration, Duration),
    /// The time after which something that has failed is tried again: at first, and at most.
    pub retries: (Duration, Duration),
    /// Whether TaskManagers are removed one after another, because the job moves off each.
    pub removes_singly: bool,
    /// Whether a number of zero means that nothing is to be changed. So it is with an HPA.
    pub zero_is_off: bool,
}

impl Rules {
    /// Of TaskManagers that register when they have been started. It is not known whether a missing one was stopped by a user or
    /// has died.
    pub fn of_registered(removes_singly: bool) -> Self {
        Self {
            counted: "TaskManagers".to_owned(),
            look_every: Duration::ZERO,
            patience: Duration::from_secs(30),
            left_alone: (Duration::from_secs(60), Duration::from_secs(60)),
            retries: (Duration::from_secs(30), Duration::from_secs(30)),
            removes_singly,
            zero_is_off: false,
        }
    }

    /// Of declared replicas, which nobody changes by accident. `counted` says of what.
    pub fn of_replicas(counted: String) -> Self {
        Self {
            counted,
            look_every: Duration::from_secs(10),
            patience: Duration::ZERO,
            left_alone: (Duration::from_secs(60), Duration::from_secs(3600)),
            retries: (Duration::from_secs(1), Duration::from_secs(30)),
            removes_singly: false,
            zero_is_off: true,
        }
    }
}

/// The number that the job should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    pub number: u32,
    /// Whether more may be right, too: the job does not run yet, or not for long enough to tell. TaskManagers that were asked for
    /// may still be starting then.
    pub is_least: bool,
}

impl Desired {
    fn allows(self, number: u32) -> bool {
        number == self.number || (self.is_least && number > self.number)
    }
}

/// A request of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Look,
    Change,
}

impl Request {
    fn done(self) -> &'static str {
        match self {
            Self::Look => "read",
            Self::Change => "changed",
        }
    }
}

/// News for users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Why the number is not the desired one. `None` if nothing is in the way.
    pub status: Option<String>,
    /// What has happened.
    pub events: Vec<String>,
}

/// A change by someone else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Overruled {
    /// How long it counts.
    time: Duration,
    until: Instant,
    text: String,
}

/// A request that has failed, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failing {
    request: Request,
    times: u32,
    retry_at: Instant,
    text: String,
}

/// Decides when the number of TaskManagers is changed.
///
/// # Invariants
/// - The number is not changed while what someone else has set counts.
/// - After a failure nothing is tried until the retry is due.
#[derive(Clone, Debug)]
pub struct Provisioning {
    rules: Rules,
    looked_at: Option<Instant>,
    /// The number that was found last, or to which it was changed.
    settled: Option<u32>,
    /// A change that is not seen yet, and until when it may take.
    changing: Option<(u32, Instant)>,
    overruled: Option<Overruled>,
    failing: Option<Failing>,
    report: Report,
    reported: Option<String>,
}

impl Provisioning {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            looked_at: None,
            settled: None,
            changing: None,
            overruled: None,
            failing: None,
            report: Report::default(),
            reported: None,
        }
    }

    /// Whether the provider is to look at the number now.
    pub fn is_due(&self, now: Instant, desired: Desired) -> bool {
        if self.failing.as_ref().is_some_and(|failing| now < failing.retry_at) {
            return false;
        }
        let changes = self.settled.is_none_or(|settled| !desired.allows(settled) && !self.is_off(settled));
        let waits = self.overruled.as_ref().is_some_and(|overruled| now < overruled.until);
        (changes && !waits) || self.looked_at.is_none_or(|at| at + self.rules.look_every <= now)
    }

    /// The provider has found this number. Returns the one to which it should be changed.
    pub fn found(&mut self, now: Instant, number: u32, desired: Desired) -> Option<u32> {
        self.looked_at = Some(now);
        match self.changing.take() {
            Some((to, until)) if number != to && now < until => {
                self.changing = Some((to, until));
                return None;
            }
            Some(_) => {}
            None => self.compare(now, number, desired),
        }
        self.settled = Some(number);
        let change = self.change(now, number, desired);
        match self.failing.as_ref().map(|failing| failing.request) {
            Some(Request::Look) => self.works(),
            // Nothing is to be changed any more. Whether it could be is not known.
            Some(Request::Change) if change.is_none() => self.failing = None,
            Some(Request::Change) | None => {}
        }
        self.update_status(now);
        change
    }

    /// Notices that someone else has changed the number.
    fn compare(&mut self, now: Instant, number: u32, desired: Desired) {
        let Some(settled) = self.settled.filter(|settled| *settled != number) else { return };
        // Someone who sets what is desired agrees. Zero begins a pause that someone has asked for, and another number ends it.
        if desired.allows(number) || self.is_off(number) || self.is_off(settled) {
            return;
        }
        let (first, most) = self.rules.left_alone;
        let (time, again) = match &self.overruled {
            Some(former) if now < former.until => (former.time, false),
            Some(former) if now < former.until + former.time.max(REMEMBERED) => {
                ((former.time * 2).min(most), first < most)
            }
            _ => (first, false),
        };
        let advice = if again { "; it keeps being changed: let only one scale it" } else { "" };
        let text = format!(
            "{number} {} instead of {settled}, which the autoscaler has not asked for: left alone for {} s{advice}",
            self.rules.counted,
            time.as_secs()
        );
        self.report.events.push(text.clone());
        self.overruled = Some(Overruled { time, until: now + time, text });
    }

    fn is_off(&self, number: u32) -> bool {
        self.rules.zero_is_off && number == 0
    }

    fn change(&self, now: Instant, number: u32, desired: Desired) -> Option<u32> {
        let waits = self.overruled.as_ref().is_some_and(|overruled| now < overruled.until);
        if waits || desired.allows(number) || self.is_off(number) {
            return None;
        }
        let removes_one = desired.number < number && self.rules.removes_singly;
        Some(if removes_one { number - 1 } else { desired.number })
    }

    /// The number was changed, or is about to change.
    pub fn changed(&mut self, now: Instant, to: u32) {
        self.settled = Some(to);
        self.changing = (!self.rules.patience.is_zero()).then(|| (to, now + self.rules.patience));
        self.works();
        self.update_status(now);
    }

    /// A request has failed. If it was a change, it may have been carried out all the same, or in part.
    pub fn failed(&mut self, now: Instant, request: Request, error: &str) {
        let text = format!("the number of {} cannot be {}: {error}", self.rules.counted, request.done());
        let times = self.failing.as_ref().map_or(0, |failing| failing.times);
        if self.failing.as_ref().is_none_or(|failing| failing.text != text) {
            self.report.events.push(text.clone());
        }
        let (first, most) = self.rules.retries;
        let retry_at = now + first.saturating_mul(1 << times.min(MAX_DOUBLINGS)).min(most);
        self.failing = Some(Failing { request, times: times + 1, retry_at, text });
        if request == Request::Change {
            self.settled = None;
        }
        self.update_status(now);
    }

    fn works(&mut self) {
        if let Some(Failing { request, .. }) = self.failing.take() {
            let text = format!("the number of {} can be {} again", self.rules.counted, request.done());
            self.report.events.push(text);
        }
    }

    fn update_status(&mut self, now: Instant) {
        let overruled = self.overruled.as_ref().filter(|overruled| now < overruled.until);
        self.report.status = if let Some(failing) = &self.failing {
            Some(failing.text.clone())
        } else if self.settled.is_some_and(|settled| self.is_off(settled)) {
            Some(format!("0 {}: nothing is changed until someone sets another number", self.rules.counted))
        } else {
            overruled.map(|overruled| overruled.text.clone())
        };
    }

    /// What there is to tell users since the last call.
    pub fn take_report(&mut self) -> Option<Report> {
        if self.report.events.is_empty() && self.report.status == self.reported {
            return None;
        }
        self.reported.clone_from(&self.report.status);
        Some(Report { status: self.report.status.clone(), events: std::mem::take(&mut self.report.events) })
    }
}

#[cfg(test)]
#[path = "provisioning_tests.rs"]
mod tests;
