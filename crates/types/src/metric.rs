//! Metrics that users' functions count and measure, as values.

use serde::{Deserialize, Serialize};

/// A metric of one subtask of an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserMetric {
    /// The operator's name, the groups that the function has made, and the metric's name, separated by dots:
    /// `Parse_orders.broken`.
    pub id: String,
    /// Its value.
    pub value: MetricValue,
}

/// The value of a metric. Its kind is one of Flink's four.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetricValue {
    /// What has been counted since the function was opened.
    Counter(u64),
    /// The value that was set last.
    Gauge(f64),
    /// The number of events since the function was opened. Users see its rate.
    Meter(u64),
    /// The distribution of the latest values.
    Histogram(Distribution),
}

/// The distribution of the latest values of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The number of all values since the function was opened.
    pub count: u64,
    /// The lowest of the latest values.
    pub min: f64,
    /// The highest of them.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub stddev: f64,
    /// The values below which 50, 75, 95, 98, 99 and 99.9 % of the latest values lie.
    pub percentiles: [f64; 6],
}

impl Distribution {
    /// The shares of [`Distribution::percentiles`], and the endings by which Flink names them.
    pub const PERCENTILES: [(f64, &str); 6] =
        [(0.5, "median"), (0.75, "p75"), (0.95, "p95"), (0.98, "p98"), (0.99, "p99"), (0.999, "p999")];

    /// The distribution of the `latest` of `count` values. Sorts them.
    pub fn of(count: u64, latest: &mut [f64]) -> Self {
        if latest.is_empty() {
            return Self::default();
        }
        latest.sort_unstable_by(f64::total_cmp);
        let number = latest.len() as f64;
        let mean = latest.iter().sum::<f64>() / number;
        let variance = latest.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / number;
        // The nearest rank: the smallest value that is not below this share of all.
        let at = |(share, _): (f64, &str)| latest[((share * number).ceil() as usize).max(1) - 1];
        Self {
            count,
            min: latest[0],
            max: latest[latest.len() - 1],
            mean,
            stddev: variance.sqrt(),
            percentiles: Self::PERCENTILES.map(at),
        }
    }

    /// The figures, each with the ending by which Flink names it.
    pub fn figures(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let percentiles = Self::PERCENTILES.map(|(_, name)| name).into_iter().zip(self.percentiles);
        let others = [
            ("count", self.count as f64),
            ("min", self.min),
            ("max", self.max),
            ("mean", self.mean),
            ("stddev", self.stddev),
        ];
        others.into_iter().chain(percentiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        let whole = Distribution::of(5000, &mut values);
        assert_eq!((whole.count, whole.min, whole.max, whole.mean), (5000, 1.0, 1000.0, 500.5));
        assert_eq!(whole.percentiles, [500.0, 750.0, 950.0, 980.0, 990.0, 999.0]);
        assert!((whole.stddev - 288.67).abs() < 0.01, "{}", whole.stddev);
        let one = Distribution::of(1, &mut [7.0]);
        assert_eq!((one.stddev, one.percentiles), (0.0, [7.0; 6]));
        assert_eq!(Distribution::of(0, &mut []), Distribution::default());
    }
}
