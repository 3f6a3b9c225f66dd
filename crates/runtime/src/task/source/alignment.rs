//! The alignment of a reader's event time with that of others: when it waits, and what it reports.
//!
//! The JobManager knows the lowest watermark of the group from the readers' reports, and answers each reader that knows
//! another one. Nothing is known at the start, so a reader waits for the first answer as soon as it has read something. It
//! reports regularly also while it waits, so a message that is lost costs time only.

use reflow_api::Alignment;
use reflow_protocol::report::EventTimeReport;
use reflow_types::{Instant, MAX_WATERMARK, MIN_WATERMARK, Timestamp};
use std::time::Duration;

/// The time between two reports.
const INTERVAL: Duration = Duration::from_millis(200);
/// The time between two reports of a reader that has begun to wait. It bounds how many there are if each answer lets it read
/// for a moment only.
const LEAST_INTERVAL: Duration = Duration::from_millis(20);

/// The alignment of a reader.
pub(super) struct Aligned {
    group: &'static str,
    max_drift_ms: i64,
    /// The lowest watermark of the group, as it was told last.
    lowest: Timestamp,
    /// Set while it waits: the lowest watermark of the group with which it reads on.
    waits_for: Option<Timestamp>,
    /// When it has reported last.
    reported: Option<Instant>,
    /// Whether it has not reported yet that it waits.
    is_urgent: bool,
}

impl Aligned {
    pub(super) fn new(alignment: Alignment) -> Self {
        let Alignment { group, max_drift } = alignment;
        let max_drift_ms = i64::try_from(max_drift.as_millis()).unwrap_or(i64::MAX);
        let lowest = MIN_WATERMARK;
        Self { group, max_drift_ms, lowest, waits_for: None, reported: None, is_urgent: false }
    }

    /// The lowest watermark of the group.
    pub(super) fn set_lowest(&mut self, lowest: Timestamp) {
        self.lowest = lowest;
        self.waits_for.take_if(|waits_for| *waits_for <= lowest);
    }

    /// Splits whose watermark is above this one are not read.
    pub(super) fn limit(&self) -> Timestamp {
        self.lowest.saturating_add(self.max_drift_ms)
    }

    /// Whether a reader with this watermark reads nothing. One that holds nobody back reads on: it may be idle, and must find
    /// out when it has records again.
    pub(super) fn is_ahead(&self, watermark: Timestamp) -> bool {
        watermark != MAX_WATERMARK && watermark > self.limit()
    }

    /// The report that is due.
    pub(super) fn report(&mut self, now: Instant, watermark: Timestamp) -> Option<EventTimeReport> {
        let is_ahead = self.is_ahead(watermark);
        self.is_urgent |= is_ahead && self.waits_for.is_none();
        self.waits_for = is_ahead.then(|| watermark.saturating_sub(self.max_drift_ms));
        if now < self.report_at() {
            return None;
        }
        (self.reported, self.is_urgent) = (Some(now), false);
        let Self { group, lowest, waits_for, .. } = *self;
        Some(EventTimeReport { group: group.to_owned(), watermark, lowest, waits_for })
    }

    /// When it reports next.
    pub(super) fn report_at(&self) -> Instant {
        let interval = if self.is_urgent { LEAST_INTERVAL } else { INTERVAL };
        self.reported.map_or(Instant::default(), |reported| reported + interval)
    }

    /// By how much a watermark is ahead of the group's lowest one.
    pub(super) fn drift_ms(&self, watermark: Timestamp) -> Option<i64> {
        let is_known = watermark != MAX_WATERMARK && self.lowest != MIN_WATERMARK;
        is_known.then(|| watermark.saturating_sub(self.lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_reports_regularly_and_sooner_when_it_begins_to_wait() {
        let at = Instant::from_millis;
        let mut aligned = Aligned::new(Alignment { group: "g", max_drift: Duration::from_millis(100) });
        let report = |lowest, watermark, waits_for| EventTimeReport {
            group: "g".to_owned(),
            watermark,
            lowest,
            waits_for,
        };
        let first = report(MIN_WATERMARK, MIN_WATERMARK, None);
        assert_eq!(aligned.report(at(0), MIN_WATERMARK), Some(first));
        assert!(aligned.is_ahead(5_000), "nothing is known of the others");
        assert_eq!(aligned.report(at(10), 5_000), None);
        assert_eq!(aligned.report_at(), at(20));
        let waiting = report(MIN_WATERMARK, 5_000, Some(4_900));
        assert_eq!(aligned.report(at(20), 5_000), Some(waiting.clone()));

        // The answer is lost.
        assert_eq!(aligned.report(at(219), 5_000), None);
        assert_eq!(aligned.report(at(220), 5_000), Some(waiting));
        aligned.set_lowest(4_000);
        assert!(aligned.is_ahead(5_000));
        assert_eq!(aligned.report(at(240), 5_000), None, "it waits as before");
        aligned.set_lowest(4_900);
        assert!(!aligned.is_ahead(5_000));
        assert_eq!(aligned.drift_ms(5_000), Some(100));
        assert_eq!(aligned.report(at(240), 5_001), Some(report(4_900, 5_001, Some(4_901))), "it waits again");
        assert!(!aligned.is_ahead(MAX_WATERMARK), "an idle one reads");
    }
}
