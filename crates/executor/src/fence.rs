//! Rejects messages about earlier attempts.
//!
//! Attempts only grow, first by the epoch of their leader. A command for an earlier attempt is late or comes from
//! a deposed leader. Carried out, it would end the tasks of a later attempt.

use reflow_protocol::deployment::Attempt;

/// The latest attempt that was deployed here.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fence {
    latest: Option<Attempt>,
}

impl Fence {
    /// Whether this attempt may be deployed, that is, whether it is later than all others.
    pub(super) fn admit(&mut self, attempt: Attempt) -> bool {
        let admitted = self.latest < Some(attempt);
        self.latest = self.latest.max(Some(attempt));
        admitted
    }

    /// Whether a later attempt was deployed.
    pub(super) fn has_passed(&self, attempt: Attempt) -> bool {
        self.latest > Some(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::{AttemptNumber, LeaderEpoch};

    #[test]
    fn attempts_of_an_earlier_leader_are_refused() {
        let attempt = |epoch, number| Attempt { epoch: LeaderEpoch(epoch), number: AttemptNumber(number) };
        let mut fence = Fence::default();
        assert!(fence.admit(attempt(1, 7)));
        assert!(!fence.has_passed(attempt(1, 7)) && fence.has_passed(attempt(1, 6)));
        assert!(fence.admit(attempt(2, 1)), "the successor's first");
        assert!(fence.has_passed(attempt(1, 7)) && !fence.has_passed(attempt(2, 1)));
        assert!(!fence.admit(attempt(1, 8)), "the deposed leader wakes up");
        assert!(!fence.admit(attempt(2, 1)), "nothing is deployed twice");
        assert!(fence.admit(attempt(2, 2)));
    }
}
