//! Metrics that users' functions count and measure, as values.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A metric of one subtask of an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UserMetric {
    /// The operator's name, the groups that the function has made, and the metric's name, separated by dots:
    /// `Parse_orders.broken`.
    pub id: String,
    /// Its value.
    pub value: MetricValue,
}

/// An operator's name as the first part of the names of its metrics: without characters that separate names in ids and
/// queries.
///
/// ```
/// assert_eq!(reflow_types::metric::operator_scope("Source: orders"), "Source__orders");
/// ```
#[must_use]
pub fn operator_scope(name: &str) -> String {
    name.replace([' ', ':', ';', ',', '.', '"', '\'', '/', '?', '&', '#'], "_")
}

/// The value of a metric. Its kind is one of Flink's four, or one of its accumulators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetricValue {
    /// What has been accumulated since the function was opened. A counter is an accumulator.
    Accumulated(Accumulated),
    /// The value that was set last.
    Gauge(f64),
    /// The number of events since the function was opened. Users see its rate.
    Meter(u64),
    /// The distribution of the latest values.
    Histogram(Distribution),
}

/// What functions have accumulated, of which the values of all subtasks and attempts make one.
///
/// ```
/// use reflow_types::metric::Accumulated;
///
/// let mut dearest = Accumulated::Maximum(3.5);
/// dearest.merge(Accumulated::Maximum(7.0));
/// assert_eq!(dearest.to_string(), "7.0");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Accumulated {
    /// A number of events.
    Count(u64),
    /// The sum of values.
    Sum(f64),
    /// The lowest of values; infinite if there were none.
    Minimum(f64),
    /// The highest of values; negative infinite if there were none.
    Maximum(f64),
    /// The mean of values, 0 if there were none.
    Average {
        /// Their sum.
        sum: f64,
        /// Their number.
        count: u64,
    },
}

impl Accumulated {
    /// Adds what another function has accumulated. If it has accumulated in another way, which one name cannot mean at
    /// once, it counts alone.
    pub fn merge(&mut self, other: Self) {
        *self = match (*self, other) {
            (Self::Count(a), Self::Count(b)) => Self::Count(a.saturating_add(b)),
            (Self::Sum(a), Self::Sum(b)) => Self::Sum(a + b),
            (Self::Minimum(a), Self::Minimum(b)) => Self::Minimum(a.min(b)),
            (Self::Maximum(a), Self::Maximum(b)) => Self::Maximum(a.max(b)),
            (Self::Average { sum, count }, Self::Average { sum: more, count: others }) => {
                Self::Average { sum: sum + more, count: count.saturating_add(others) }
            }
            (_, other) => other,
        };
    }

    /// Its value as a metric.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Sum(value) | Self::Minimum(value) | Self::Maximum(value) => value,
            Self::Average { count: 0, .. } => 0.0,
            Self::Average { sum, count } => sum / count as f64,
        }
    }

    /// The name of Flink's accumulator of this kind.
    #[must_use]
    pub fn flink_name(self) -> &'static str {
        match self {
            Self::Count(_) => "LongCounter",
            Self::Sum(_) => "DoubleCounter",
            Self::Minimum(_) => "DoubleMinimum",
            Self::Maximum(_) => "DoubleMaximum",
            Self::Average { .. } => "AverageAccumulator",
        }
    }
}

impl fmt::Display for Accumulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            // As Java writes them.
            other => match other.number() {
                f64::INFINITY => f.write_str("Infinity"),
                f64::NEG_INFINITY => f.write_str("-Infinity"),
                number => write!(f, "{number:?}"),
            },
        }
    }
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

    /// The value below which half of the latest values lie.
    pub fn median(&self) -> f64 {
        self.percentiles[0]
    }

    /// The value below which 99 % of the latest values lie.
    pub fn p99(&self) -> f64 {
        self.percentiles[4]
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
    fn accumulators_of_subtasks_make_one() {
        let merged = |first: Accumulated, second| {
            let mut merged = first;
            merged.merge(second);
            merged.to_string()
        };
        assert_eq!(merged(Accumulated::Count(3), Accumulated::Count(4)), "7");
        assert_eq!(merged(Accumulated::Sum(0.5), Accumulated::Sum(-2.0)), "-1.5");
        assert_eq!(merged(Accumulated::Minimum(f64::INFINITY), Accumulated::Minimum(4.0)), "4.0");
        assert_eq!(merged(Accumulated::Maximum(9.0), Accumulated::Maximum(f64::NEG_INFINITY)), "9.0");
        let mean = |sum, count| Accumulated::Average { sum, count };
        assert_eq!(merged(mean(9.0, 3), mean(1.0, 1)), "2.5");
        assert_eq!(merged(mean(0.0, 0), mean(0.0, 0)), "0.0");
        assert_eq!(Accumulated::Maximum(f64::NEG_INFINITY).to_string(), "-Infinity", "there were no values");
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut values: Vec<f64> = (1..=1000).rev().map(f64::from).collect();
        let whole = Distribution::of(5000, &mut values);
        assert_eq!((whole.count, whole.min, whole.max, whole.mean), (5000, 1.0, 1000.0, 500.5));
        assert_eq!(whole.percentiles, [500.0, 750.0, 950.0, 980.0, 990.0, 999.0]);
        assert_eq!((whole.median(), whole.p99()), (500.0, 990.0));
        assert!((whole.stddev - 288.67).abs() < 0.01, "{}", whole.stddev);
        let one = Distribution::of(1, &mut [7.0]);
        assert_eq!((one.stddev, one.percentiles), (0.0, [7.0; 6]));
        assert_eq!(Distribution::of(0, &mut []), Distribution::default());
    }
}
