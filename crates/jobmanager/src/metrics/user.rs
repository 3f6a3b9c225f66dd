//! The metrics that the functions of a subtask count and measure.

use reflow_types::Instant;
use reflow_types::metric::{Accumulated, MetricValue, UserMetric};
use reflow_view::Figure;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The time over which the rates of meters are computed. Flink's default is a minute.
const WINDOW: Duration = Duration::from_secs(60);
/// The most samples of the meters of a subtask.
const MAX_SAMPLES: usize = 64;

/// What functions have accumulated, by metric.
pub(super) type Accumulators = BTreeMap<String, Accumulated>;

/// The users' metrics of a subtask.
#[derive(Default)]
pub(super) struct UserMetrics {
    latest: Vec<UserMetric>,
    /// The counts of meters, oldest first.
    meters: VecDeque<(Instant, BTreeMap<String, u64>)>,
    /// What former attempts have accumulated, and subtasks that were removed.
    carried: Accumulators,
}

impl UserMetrics {
    pub(super) fn add(&mut self, now: Instant, metrics: Vec<UserMetric>) {
        let count = |metric: &UserMetric| match metric.value {
            MetricValue::Meter(count) => Some((metric.id.clone(), count)),
            _ => None,
        };
        let meters: BTreeMap<_, _> = metrics.iter().filter_map(count).collect();
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

    /// Adds what a former subtask has accumulated.
    pub(super) fn carry(&mut self, former: Accumulators) {
        former.into_iter().for_each(|(id, value)| merge(&mut self.carried, id, value));
    }

    /// What its successor continues from.
    pub(super) fn accumulated(&self) -> Accumulators {
        let mut accumulated = self.carried.clone();
        for UserMetric { id, value } in &self.latest {
            if let MetricValue::Accumulated(value) = value {
                merge(&mut accumulated, id.clone(), *value);
            }
        }
        accumulated
    }

    /// The values by the names that users see.
    pub(super) fn shown(&self) -> BTreeMap<String, Figure> {
        let accumulated = self.accumulated().into_iter().map(|(id, value)| (id, value.number()));
        // The lowest and the highest of no values is no number.
        let accumulated = accumulated.filter(|(_, value)| value.is_finite());
        let mut shown: BTreeMap<_, _> = accumulated.map(|(id, value)| (id, Figure::Number(value))).collect();
        for UserMetric { id, value } in &self.latest {
            let figure = match value {
                MetricValue::Accumulated(_) => continue,
                MetricValue::Gauge(value) => Figure::Number(*value),
                MetricValue::Meter(_) => Figure::Number(self.rate(id)),
                MetricValue::Histogram(values) => Figure::Distribution(*values),
            };
            shown.insert(id.clone(), figure);
        }
        shown
    }

    /// The events per second of a meter.
    fn rate(&self, meter: &str) -> f64 {
        let (Some((from, first)), Some((to, last))) = (self.meters.front(), self.meters.back()) else {
            return 0.0;
        };
        let seconds = to.since(*from).as_secs_f64();
        let of = |counts: &BTreeMap<String, u64>| counts.get(meter).copied().unwrap_or_default();
        if seconds == 0.0 { 0.0 } else { of(last).saturating_sub(of(first)) as f64 / seconds }
    }
}

fn merge(all: &mut Accumulators, id: String, value: Accumulated) {
    all.entry(id).and_modify(|all| all.merge(value)).or_insert(value);
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
                metric("Parse.broken", MetricValue::Accumulated(Accumulated::Count(second))),
                metric("Parse.dearest", MetricValue::Accumulated(Accumulated::Maximum(second as f64))),
                metric("Parse.lag", MetricValue::Gauge(0.5)),
                metric("Parse.calls", MetricValue::Meter(second * 3)),
                metric("Parse.size", MetricValue::Histogram(Distribution::of(2, &mut [1.0, 2.0]))),
            ];
            metrics.add(Instant::from_millis(second * 1_000), values);
        }
        let accumulators = |count, highest| {
            let of = |name: &str, value| (format!("Parse.{name}"), value);
            Accumulators::from([
                of("broken", Accumulated::Count(count)),
                of("dearest", Accumulated::Maximum(highest)),
            ])
        };
        metrics.carry(accumulators(100, 4.0));
        let shown = metrics.shown();
        let numbers = ["broken", "lag", "calls", "dearest"].map(|name| shown[&format!("Parse.{name}")]);
        assert_eq!(numbers, [109.0, 0.5, 3.0, 9.0].map(Figure::Number));
        let sizes = Distribution::of(2, &mut [1.0, 2.0]);
        assert_eq!((shown["Parse.size"], shown.len()), (Figure::Distribution(sizes), 5));
        assert_eq!(metrics.accumulated(), accumulators(109, 9.0));
    }
}
