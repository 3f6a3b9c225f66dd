//! The metrics that the functions of a subtask count and measure.

use reflow_types::Instant;
use reflow_types::metric::{MetricValue, UserMetric};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The time over which the rates of meters are computed. Flink's default is a minute.
const WINDOW: Duration = Duration::from_secs(60);
/// The most samples of the meters of a subtask.
const MAX_SAMPLES: usize = 64;

/// Counts by metric.
pub(super) type Counts = BTreeMap<String, u64>;

/// The users' metrics of a subtask.
#[derive(Default)]
pub(super) struct UserMetrics {
    latest: Vec<UserMetric>,
    /// The counts of meters, oldest first.
    meters: VecDeque<(Instant, Counts)>,
    /// The counts of former attempts, and of subtasks that were removed.
    carried: Counts,
}

impl UserMetrics {
    pub(super) fn add(&mut self, now: Instant, metrics: Vec<UserMetric>) {
        let count = |metric: &UserMetric| match metric.value {
            MetricValue::Meter(count) => Some((metric.id.clone(), count)),
            _ => None,
        };
        let meters: Counts = metrics.iter().filter_map(count).collect();
        if !meters.is_empty() {
            self.meters.push_back((now, meters));
        }
        // The first sample is the newest one outside the window.
        let outside = |at: &Instant| now.since(*at) >= WINDOW;
        while self.meters.len() > MAX_SAMPLES || self.meters.get(1).is_some_and(|(at, _)| outside(at)) {
            self.meters.pop_front();
        }
        self.latest = metrics;
    }

    /// Adds the counts of a former subtask.
    pub(super) fn carry(&mut self, counts: Counts) {
        for (id, count) in counts {
            *self.carried.entry(id).or_default() += count;
        }
    }

    /// What its successor continues to count from.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.carried.clone();
        for UserMetric { id, value } in &self.latest {
            if let MetricValue::Counter(count) = value {
                *counts.entry(id.clone()).or_default() += count;
            }
        }
        counts
    }

    /// The values by the names that users see.
    pub(super) fn shown(&self) -> BTreeMap<String, f64> {
        let mut shown: BTreeMap<String, f64> =
            self.counts().into_iter().map(|(id, count)| (id, count as f64)).collect();
        for UserMetric { id, value } in &self.latest {
            match value {
                MetricValue::Counter(_) => {}
                MetricValue::Gauge(value) => drop(shown.insert(id.clone(), *value)),
                MetricValue::Meter(_) => drop(shown.insert(id.clone(), self.rate(id))),
                MetricValue::Histogram(values) => {
                    let named = values.figures().map(|(name, figure)| (format!("{id}_{name}"), figure));
                    shown.extend(named);
                }
            }
        }
        shown
    }

    /// The events per second of a meter.
    fn rate(&self, meter: &str) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.meters.front(), self.meters.back()) else {
            return 0.0;
        };
        let seconds = to.since(*from).as_secs_f64();
        let of = |counts: &Counts| counts.get(meter).copied().unwrap_or_default();
        if seconds == 0.0 { 0.0 } else { of(last).saturating_sub(of(first)) as f64 / seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::metric::Distribution;

    fn metric(id: &str, value: MetricValue) -> UserMetric {
        UserMetric { id: id.to_owned(), value }
    }

    #[test]
    fn metrics_have_the_names_of_flink() {
        let mut metrics = UserMetrics::default();
        for second in 0..10 {
            let values = vec![
                metric("Parse.broken", MetricValue::Counter(second)),
                metric("Parse.lag", MetricValue::Gauge(0.5)),
                metric("Parse.calls", MetricValue::Meter(second * 3)),
                metric("Parse.size", MetricValue::Histogram(Distribution::of(2, &mut [1.0, 2.0]))),
            ];
            metrics.add(Instant::from_millis(second * 1_000), values);
        }
        metrics.carry(Counts::from([("Parse.broken".to_owned(), 100)]));
        let shown = metrics.shown();
        assert_eq!((shown["Parse.broken"], shown["Parse.lag"], shown["Parse.calls"]), (109.0, 0.5, 3.0));
        assert_eq!((shown["Parse.size_count"], shown["Parse.size_median"]), (2.0, 1.0));
        assert_eq!(shown.len(), 3 + 11);
        assert_eq!(metrics.counts(), Counts::from([("Parse.broken".to_owned(), 109)]));
    }
}
