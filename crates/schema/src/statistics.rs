//! The JSON form of statistics: `min`, `max`, `avg` and percentiles, in Flink's two variants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::summary::{Percentiles, Summary, percentile};

/// A summary with high percentiles. Without values, these are the string `"NaN"`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Statistics {
    pub min: u64,
    pub max: u64,
    pub avg: u64,
    pub p50: Figure,
    pub p90: Figure,
    pub p95: Figure,
    pub p99: Figure,
    pub p999: Figure,
}

impl From<Summary> for Statistics {
    fn from(summary: Summary) -> Self {
        let figure = |pick: fn(Percentiles) -> f64| {
            summary.percentiles.map(pick).map_or(Figure::NotANumber(NotANumber::NaN), Figure::Number)
        };
        Self {
            min: summary.min,
            max: summary.max,
            avg: summary.avg,
            p50: figure(|p| p.p50),
            p90: figure(|p| p.p90),
            p95: figure(|p| p.p95),
            p99: figure(|p| p.p99),
            p999: figure(|p| p.p999),
        }
    }
}

impl Statistics {
    /// The statistics of a value that is always 0.
    pub fn zero() -> Self {
        Summary { percentiles: Some(Percentiles::default()), ..Summary::default() }.into()
    }

    /// The statistics of `values`.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        Summary::of(values).into()
    }
}

/// A number, or `"NaN"`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Figure {
    Number(f64),
    NotANumber(NotANumber),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub enum NotANumber {
    NaN,
}

/// A summary with quartiles, in whole numbers, of a metric over the subtasks of a vertex.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Spread {
    pub min: i64,
    pub max: i64,
    pub avg: i64,
    pub sum: i64,
    pub median: i64,
    pub p25: i64,
    pub p75: i64,
    pub p95: i64,
}

impl Spread {
    /// The spread of `values`; all 0 if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let sum: f64 = sorted.iter().sum();
        let at = |p| if sorted.is_empty() { 0 } else { percentile(&sorted, p) as i64 };
        Self {
            min: sorted.first().map_or(0, |&value| value as i64),
            max: sorted.last().map_or(0, |&value| value as i64),
            avg: if sorted.is_empty() { 0 } else { (sum / sorted.len() as f64) as i64 },
            sum: sum as i64,
            median: at(50.0),
            p25: at(25.0),
            p75: at(75.0),
            p95: at(95.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn percentiles_of_nothing_are_not_a_number() {
        let nothing = serde_json::to_value(Statistics::of([])).unwrap();
        assert_eq!(
            nothing,
            json!({"min": 0, "max": 0, "avg": 0,
                "p50": "NaN", "p90": "NaN", "p95": "NaN", "p99": "NaN", "p999": "NaN"})
        );
        assert_eq!(serde_json::to_value(Statistics::zero()).unwrap()["p50"], json!(0.0));
    }

    #[test]
    fn a_spread_as_flink_recorded_it() {
        let spread = serde_json::to_value(Spread::of([32_316.0, 28_723.0])).unwrap();
        assert_eq!(
            spread,
            json!({"p25": 28723, "min": 28723, "avg": 30519, "median": 30519, "max": 32316, "sum": 61039,
                "p95": 32316, "p75": 32316})
        );
    }
}
