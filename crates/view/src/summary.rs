//! Summaries of values: minimum, maximum, average and percentiles, computed as Flink does.
//!
//! Percentiles interpolate between neighbours: the p-th percentile of n sorted values is at position p · (n + 1)
//! / 100, counted from 1. This is the "legacy" estimate of Apache Commons Math, which Flink uses; R calls it type
//! 6.

use std::collections::VecDeque;

/// The number of recent values that percentiles consider. Minimum, maximum and average consider all values.
const WINDOW: usize = 10_000;

/// The summary of a set of values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    /// The smallest value; 0 if there are none.
    pub min: u64,
    /// The largest value; 0 if there are none.
    pub max: u64,
    /// The average, rounded down; 0 if there are no values.
    pub avg: u64,
    /// The percentiles; `None` if there are no values.
    pub percentiles: Option<Percentiles>,
}

impl Summary {
    /// The summary of `values`.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut samples = Samples::default();
        values.into_iter().for_each(|value| samples.add(value));
        samples.summarize()
    }
}

/// Percentiles of a set of values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(missing_docs, reason = "the names say it: p999 is the 99.9th percentile")]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
}

/// Collects values for a [`Summary`], in bounded memory.
#[derive(Debug, Clone, Default)]
pub struct Samples {
    recent: VecDeque<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Samples {
    /// Adds a value.
    pub fn add(&mut self, value: u64) {
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(value);
        self.min = if self.count == 0 { value } else { self.min.min(value) };
        self.max = self.max.max(value);
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// The summary so far.
    pub fn summarize(&self) -> Summary {
        if self.count == 0 {
            return Summary::default();
        }
        let mut sorted: Vec<f64> = self.recent.iter().map(|&value| value as f64).collect();
        sorted.sort_by(f64::total_cmp);
        let avg = u64::try_from(self.sum / u128::from(self.count)).expect("a mean is at most the maximum");
        let percentiles = Percentiles {
            p50: percentile(&sorted, 50.0),
            p90: percentile(&sorted, 90.0),
            p95: percentile(&sorted, 95.0),
            p99: percentile(&sorted, 99.0),
            p999: percentile(&sorted, 99.9),
        };
        Summary { min: self.min, max: self.max, avg, percentiles: Some(percentiles) }
    }
}

/// The `p`-th percentile (0 to 100) of ascending values. There must be at least one.
pub fn percentile(sorted: &[f64], p: f64) -> f64 {
    let position = p * (sorted.len() as f64 + 1.0) / 100.0;
    if position < 1.0 {
        return sorted[0];
    }
    let below = position as usize;
    if below >= sorted.len() {
        return sorted[sorted.len() - 1];
    }
    let (lower, upper) = (sorted[below - 1], sorted[below]);
    lower + position.fract() * (upper - lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_values_have_no_percentiles() {
        assert_eq!(Summary::of([]), Summary { min: 0, max: 0, avg: 0, percentiles: None });
    }

    #[test]
    fn two_values_as_flink_recorded_them() {
        let summary = Summary::of([11_763, 137]);
        assert_eq!((summary.min, summary.max, summary.avg), (137, 11_763, 5950));
        let all = |p50, rest| Percentiles { p50, p90: rest, p95: rest, p99: rest, p999: rest };
        assert_eq!(summary.percentiles, Some(all(5950.0, 11_763.0)));
    }

    #[test]
    fn percentiles_interpolate_between_neighbours() {
        let sorted: Vec<f64> = (1..=9).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 50.0), 5.0);
        assert_eq!(percentile(&sorted, 25.0), 2.5);
        assert_eq!(percentile(&sorted, 5.0), 1.0);
        assert_eq!(percentile(&sorted, 95.0), 9.0);
        assert_eq!(percentile(&[7.0], 50.0), 7.0);
    }

    #[test]
    fn the_window_forgets_but_the_extremes_stay() {
        let mut samples = Samples::default();
        samples.add(1_000_000);
        (0..WINDOW).for_each(|_| samples.add(5));
        let summary = samples.summarize();
        assert_eq!((summary.min, summary.max), (5, 1_000_000));
        assert_eq!(summary.percentiles.map(|p| p.p999), Some(5.0));
        assert_eq!(samples.recent.len(), WINDOW);
    }
}
