//! Which executors are cut off, when some of them hear nothing of each other and the JobManager hears of all.
//!
//! An executor reports the peers that give no sign of life. Such a report does not say which of the two is cut off: the
//! first to report may be the one that hears nobody. So the reports of a short time are taken together, and the executor
//! with which most others have lost contact is cut off, also if it has reported first; then the next one, until all that are left hear
//! of each other. The job goes on without those.
//!
//! *Rejected:* the executor that is named first, since an executor that hears nobody names all others. Asking executors to
//! probe each other: it takes another timeout, and what counts is whether their connections carry records.

use reflow_types::{ExecutorId, Instant};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long reports are collected. Peers of a silent executor notice it within an interval of signs of life, 400 ms.
const COLLECTED: Duration = Duration::from_millis(500);

/// The reports of executors that hear nothing of others.
///
/// # Invariants
/// - A decision is due exactly while there are reports.
#[derive(Debug, Default)]
pub struct Isolation {
    silent: BTreeSet<Silence>,
    decide_at: Option<Instant>,
    /// What was decided last.
    cut_off: BTreeSet<ExecutorId>,
}

/// An executor hears nothing of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Silence {
    peer: ExecutorId,
    reporter: ExecutorId,
}

/// An executor without which the job goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    pub executor: ExecutorId,
    /// The others with which it has lost contact.
    pub from: BTreeSet<ExecutorId>,
}

impl Isolation {
    /// `reporter` hears nothing of `peer`.
    pub fn on_report(&mut self, now: Instant, reporter: ExecutorId, peer: ExecutorId) {
        if reporter != peer {
            self.silent.insert(Silence { peer, reporter });
            self.decide_at.get_or_insert(now + COLLECTED);
        }
    }

    /// An executor is lost, which explains the reports about it.
    pub fn on_lost(&mut self, executor: ExecutorId) {
        self.silent.retain(|silence| !silence.concerns(executor));
        if self.silent.is_empty() {
            self.decide_at = None;
        }
    }

    /// Whether the last decision was that this executor is cut off.
    pub fn has_cut_off(&self, executor: ExecutorId) -> bool {
        self.cut_off.contains(&executor)
    }

    /// When [`Isolation::decide`] has something to decide.
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.decide_at
    }

    /// Decides who is cut off, once the reports are collected.
    pub fn decide(&mut self, now: Instant) -> Vec<CutOff> {
        if self.decide_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.decide_at = None;
        let mut silent = std::mem::take(&mut self.silent);
        let mut cut_off = Vec::new();
        while let Some(executor) = most_isolated(&silent) {
            let from = out_of_contact(&silent, executor);
            silent.retain(|silence| !silence.concerns(executor));
            cut_off.push(CutOff { executor, from });
        }
        self.cut_off = cut_off.iter().map(|cut_off| cut_off.executor).collect();
        cut_off
    }
}

impl Silence {
    fn concerns(&self, executor: ExecutorId) -> bool {
        self.peer == executor || self.reporter == executor
    }
}

/// The executor that has lost contact with most others. Of those with equally many, the one of which most hear nothing. Of
/// two that miss only each other, neither is better: the one with the higher id, so that the decision does not depend on
/// who reports first.
fn most_isolated(silent: &BTreeSet<Silence>) -> Option<ExecutorId> {
    let executors: BTreeSet<ExecutorId> =
        silent.iter().flat_map(|silence| [silence.peer, silence.reporter]).collect();
    let reports = |id: ExecutorId| silent.iter().filter(|silence| silence.peer == id).count();
    executors.into_iter().max_by_key(|&id| (out_of_contact(silent, id).len(), reports(id), id))
}

fn out_of_contact(silent: &BTreeSet<Silence>, executor: ExecutorId) -> BTreeSet<ExecutorId> {
    let of_it = silent.iter().filter(|silence| silence.concerns(executor));
    of_it.flat_map(|silence| [silence.peer, silence.reporter]).filter(|id| *id != executor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is cut off if each of these `(reporter, peer)` is reported, in this order and in the opposite one.
    fn check(reports: &[(u128, u128)], cut_off: &[u128]) {
        let decide = |reports: &mut dyn Iterator<Item = &(u128, u128)>| {
            let mut isolation = Isolation::default();
            for (reporter, peer) in reports {
                isolation.on_report(Instant(0), ExecutorId(*reporter), ExecutorId(*peer));
            }
            isolation.decide(Instant(0) + COLLECTED)
        };
        let first = decide(&mut reports.iter());
        assert_eq!(first, decide(&mut reports.iter().rev()), "the order does not matter");
        let decided: Vec<u128> = first.iter().map(|cut_off| cut_off.executor.0).collect();
        assert_eq!(decided, cut_off, "{reports:?}");
    }

    #[test]
    fn the_executor_that_most_have_lost_is_cut_off_whoever_reports() {
        check(&[], &[]);
        // All others miss it.
        check(&[(2, 1), (3, 1), (4, 1)], &[1]);
        // It hears nobody, so nobody reports it.
        check(&[(1, 2), (1, 3), (1, 4)], &[1]);
        // Both.
        check(&[(1, 2), (1, 3), (2, 1), (3, 1)], &[1]);
    }

    #[test]
    fn of_two_that_miss_each_other_one_goes_on() {
        check(&[(1, 2), (2, 1)], &[2]);
        // Only one of them is heard.
        check(&[(2, 1)], &[1]);
        check(&[(1, 2)], &[2]);
    }

    #[test]
    fn those_that_are_left_hear_of_each_other() {
        // Two halves of a network, and two broken connections without a common end.
        check(&[(1, 3), (1, 4), (2, 3), (2, 4)], &[4, 3]);
        check(&[(1, 2), (3, 4)], &[4, 2]);
    }

    #[test]
    fn a_lost_executor_explains_the_reports_about_it() {
        let (mut isolation, [a, b, c]) = (Isolation::default(), [1, 2, 3].map(ExecutorId));
        isolation.on_report(Instant(0), a, b);
        isolation.on_report(Instant(0), c, b);
        isolation.on_lost(b);
        assert_eq!(isolation.next_wakeup(), None);
        assert_eq!(isolation.decide(Instant(0) + COLLECTED), []);

        isolation.on_report(Instant(0), a, c);
        assert_eq!(isolation.decide(Instant(0)), [], "others may report");
        let decided = isolation.decide(Instant(0) + COLLECTED);
        assert_eq!(decided, [CutOff { executor: c, from: [a].into() }]);
        assert!(isolation.has_cut_off(c) && !isolation.has_cut_off(a));
    }
}
