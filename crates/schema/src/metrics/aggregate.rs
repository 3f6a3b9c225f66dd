//! Metrics of several subtasks, jobs or TaskManagers as one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Metrics, each};

/// A metric aggregated over subtasks, jobs or TaskManagers.
#[derive(Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Aggregate {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub avg: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub sum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub skew: Option<f64>,
}

/// The aggregates that a client requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregations {
    pub min: bool,
    pub max: bool,
    pub avg: bool,
    pub sum: bool,
    pub skew: bool,
}

/// The names of the metrics of several scopes, or those in `wanted` aggregated. Values that are no numbers have no
/// aggregate.
pub fn aggregate(
    scopes: impl Iterator<Item = Metrics>,
    wanted: Option<&BTreeSet<&str>>,
    aggregations: Aggregations,
) -> Vec<Aggregate> {
    let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (id, value) in scopes.flatten().flat_map(|(id, value)| each(id, value)) {
        by_name.entry(id).or_default().extend(value.number());
    }
    match wanted {
        None => by_name.into_keys().map(Aggregate::name_only).collect(),
        Some(wanted) => by_name
            .into_iter()
            .filter(|(id, values)| wanted.contains(id.as_str()) && !values.is_empty())
            .map(|(id, values)| Aggregate::of(id, &values, aggregations))
            .collect(),
    }
}

impl Aggregate {
    fn name_only(id: String) -> Self {
        Self { id, min: None, max: None, avg: None, sum: None, skew: None }
    }

    fn of(id: String, values: &[f64], wanted: Aggregations) -> Self {
        let sum: f64 = values.iter().sum();
        let avg = sum / values.len() as f64;
        Self {
            id,
            min: wanted.min.then(|| values.iter().copied().fold(f64::INFINITY, f64::min)),
            max: wanted.max.then(|| values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            avg: wanted.avg.then_some(avg),
            sum: wanted.sum.then_some(sum),
            skew: wanted.skew.then(|| skew(values, avg)),
        }
    }
}

/// The mean distance from the mean, as a percentage of the mean, 0 to 100.
fn skew(values: &[f64], avg: f64) -> f64 {
    if avg == 0.0 {
        return 0.0;
    }
    let distance: f64 = values.iter().map(|value| (value - avg).abs()).sum();
    (distance / values.len() as f64 / avg * 100.0).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_as_flink_recorded_it() {
        let check = |values: &[f64], expected: f64| {
            let avg = values.iter().sum::<f64>() / values.len() as f64;
            assert!((skew(values, avg) - expected).abs() < 1e-9, "{values:?}");
        };
        check(&[0.0, 0.0], 0.0);
        check(&[28_723.0, 32_316.0], 5.886_400_498_042_235);
        check(&[0.0, 104.0], 100.0);
        check(&[896.0, 1000.0], 5.485_232_067_510_549);
    }
}
