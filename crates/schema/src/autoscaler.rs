//! The JSON form of the autoscaler: `GET /jobs/:id/autoscaler`, which Flink does not have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::JobView;

/// `GET /jobs/:id/autoscaler`
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Autoscaler {
    pub enabled: bool,
    pub scaling_enabled: bool,
    #[schema(required)]
    pub desired_task_managers: Option<u32>,
    pub parallelism: BTreeMap<String, u32>,
    pub utilization: f64,
    pub lag_records: u64,
    pub lag_seconds: f64,
    pub arriving_per_second: f64,
    pub status: String,
    pub decisions: Vec<ScalingDecision>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ScalingDecision {
    pub t: i64,
    pub from: u32,
    pub to: u32,
    pub reason: String,
}

impl Autoscaler {
    pub fn of(job: &JobView) -> Self {
        let Some(view) = &job.autoscaler else { return Self::default() };
        let decisions = view.decisions.iter().map(|decision| ScalingDecision {
            t: decision.at_ms,
            from: decision.from,
            to: decision.to,
            reason: decision.reason.clone(),
        });
        Self {
            enabled: true,
            scaling_enabled: view.scaling,
            desired_task_managers: view.desired_task_managers,
            parallelism: view
                .parallelism
                .iter()
                .map(|(vertex, desired)| (vertex.to_string(), *desired))
                .collect(),
            utilization: view.utilization,
            lag_records: view.lag_records,
            lag_seconds: view.lag_seconds,
            arriving_per_second: view.arriving_per_second,
            status: match &view.provisioning.status {
                Some(in_the_way) => format!("{}; {in_the_way}", view.status),
                None => view.status.clone(),
            },
            decisions: decisions.collect(),
        }
    }
}
