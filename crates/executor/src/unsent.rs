//! Reports of subtasks while the executor registers with a JobManager.
//!
//! The report of the attempt goes with the registration, and the JobManager takes other messages only after it has answered.
//! What happens between the two is sent after the answer.

use reflow_protocol::report::{SubtaskEvent, SubtaskReport};

const MAX_REPORTS: usize = 4096;
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Reports that wait for the answer, oldest first.
#[derive(Default)]
pub(super) struct Unsent {
    reports: Vec<SubtaskReport>,
    /// The bytes of messages to enumerators. All other reports are small.
    event_bytes: usize,
}

impl Unsent {
    pub(super) fn add(&mut self, report: SubtaskReport) {
        if self.is_too_much() {
            return;
        }
        if let SubtaskEvent::SourceEvent(event) = &report.event {
            self.event_bytes += event.len();
        }
        self.reports.push(report);
    }

    /// Whether reports may be missing. The executor then has to register again.
    pub(super) fn is_too_much(&self) -> bool {
        self.reports.len() >= MAX_REPORTS || self.event_bytes > MAX_EVENT_BYTES
    }

    pub(super) fn take(&mut self) -> Vec<SubtaskReport> {
        std::mem::take(self).reports
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reflow_protocol::deployment::Attempt;
    use reflow_types::{AttemptNumber, LeaderEpoch, SubtaskId};

    fn report(event: SubtaskEvent) -> SubtaskReport {
        let attempt = Attempt { epoch: LeaderEpoch(1), number: AttemptNumber(1) };
        SubtaskReport { attempt, subtask: SubtaskId(1), event }
    }

    #[test]
    fn reports_are_kept_in_order_up_to_a_bound_that_is_known() {
        let mut unsent = Unsent::default();
        unsent.add(report(SubtaskEvent::SplitRequested));
        unsent.add(report(SubtaskEvent::Exhausted));
        assert!(!unsent.is_too_much());
        let events: Vec<_> = unsent.take().into_iter().map(|report| report.event).collect();
        assert_eq!(events, [SubtaskEvent::SplitRequested, SubtaskEvent::Exhausted]);
        for _ in 0..=MAX_REPORTS {
            unsent.add(report(SubtaskEvent::SplitRequested));
        }
        assert!(unsent.is_too_much());
        assert_eq!(unsent.take().len(), MAX_REPORTS);
        let large = Bytes::from(vec![0; MAX_EVENT_BYTES + 1]);
        unsent.add(report(SubtaskEvent::SourceEvent(large)));
        assert!(unsent.is_too_much());
        assert!(unsent.take().len() == 1 && !unsent.is_too_much());
    }
}
