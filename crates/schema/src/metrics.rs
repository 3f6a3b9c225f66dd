//! The JSON form of metrics by name: `/jobmanager/metrics`, `/jobs/:id/metrics`, `/jobs/:id/vertices/:v/metrics`,
//! `…/subtasks/metrics` and `…/watermarks`.
//!
//! Without `?get=`, an answer lists the names of metrics; with it, the values of those that exist. Values are
//! strings, except if they are aggregated over subtasks.

use std::collections::{BTreeMap, BTreeSet};

use reflow_types::SubtaskIndex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use reflow_view::{
    CheckpointOutcome, CheckpointView, ClusterView, JobStatus, JobView, SubtaskView, VertexView,
};

/// The metrics of one scope: name → value.
pub type Metrics = BTreeMap<String, String>;

/// The name of a metric, and its value if it was requested.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Metric {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<String>,
}

/// The names of `metrics`, or the values of those in `wanted` that exist.
pub fn select(metrics: &Metrics, wanted: Option<&BTreeSet<&str>>) -> Vec<Metric> {
    let metrics = metrics.iter().map(|(id, value)| (id.as_str(), value.as_str()));
    match wanted {
        None => metrics.map(|(id, _)| Metric { id: id.to_owned(), value: None }).collect(),
        Some(wanted) => metrics
            .filter(|(id, _)| wanted.contains(id))
            .map(|(id, value)| Metric { id: id.to_owned(), value: Some(value.to_owned()) })
            .collect(),
    }
}

/// The JobManager's metrics.
pub fn of_jobmanager(view: &ClusterView) -> Metrics {
    let running = view.jobs.iter().filter(|job| !job.status.is_terminal()).count();
    let known = [
        ("numRegisteredTaskManagers", view.task_managers.len().to_string()),
        ("numRunningJobs", running.to_string()),
        ("taskSlotsAvailable", view.slots_free().to_string()),
        ("taskSlotsTotal", view.slots_total().to_string()),
    ];
    with_others(known, &view.metrics)
}

/// A job's metrics.
pub fn of_job(job: &JobView, now_ms: i64) -> Metrics {
    let spent = |status| job.spent_ms.get(&status).copied().unwrap_or(0);
    let running_since_ms =
        job.entered_at_ms.get(&JobStatus::Running).filter(|_| job.status == JobStatus::Running);
    let down_since_ms =
        job.entered_at_ms.get(&JobStatus::Restarting).filter(|_| job.status == JobStatus::Restarting);
    let since = |at_ms: Option<&i64>| at_ms.map_or(0, |at_ms| now_ms - at_ms).to_string();
    let times = [
        ("uptime", since(running_since_ms)),
        ("downtime", since(down_since_ms)),
        ("createdTime", spent(JobStatus::Created).to_string()),
        ("initializingTime", spent(JobStatus::Initializing).to_string()),
        ("runningTime", spent(JobStatus::Running).to_string()),
        ("restartingTime", spent(JobStatus::Restarting).to_string()),
        ("failingTime", spent(JobStatus::Failing).to_string()),
        ("cancellingTime", spent(JobStatus::Cancelling).to_string()),
        ("numRestarts", job.restarts.to_string()),
        ("fullRestarts", job.restarts.to_string()),
        ("numRescales", job.rescales.counts.completed.to_string()),
    ];
    let mut metrics = with_others(times, &job.metrics);
    metrics.extend(of_checkpoints(job).map(|(id, value)| (id.to_owned(), value)));
    metrics
}

fn of_checkpoints(job: &JobView) -> impl Iterator<Item = (&'static str, String)> {
    let checkpoints = job.checkpoints.as_ref();
    let last = checkpoints.and_then(|checkpoints| checkpoints.latest_completed.as_deref());
    let of_last = |figure: fn(&CheckpointView) -> i64| last.map_or(-1, figure).to_string();
    let location = last.and_then(|checkpoint| match &checkpoint.outcome {
        CheckpointOutcome::Completed { location, .. } => Some(location.clone()),
        _ => None,
    });
    let restored = checkpoints.and_then(|checkpoints| checkpoints.latest_restored.as_ref());
    let counts = checkpoints.map(|checkpoints| checkpoints.counts).unwrap_or_default();
    [
        ("totalNumberOfCheckpoints", counts.total.to_string()),
        ("numberOfInProgressCheckpoints", counts.in_progress.to_string()),
        ("numberOfCompletedCheckpoints", counts.completed.to_string()),
        ("numberOfFailedCheckpoints", counts.failed.to_string()),
        ("lastCheckpointRestoreTimestamp", restored.map_or(-1, |restored| restored.at_ms).to_string()),
        ("lastCompletedCheckpointId", of_last(|it| it.id.0.cast_signed())),
        ("lastCheckpointSize", of_last(|it| it.sum(|ack| ack.checkpointed_size).cast_signed())),
        ("lastCheckpointFullSize", of_last(|it| it.sum(|ack| ack.state_size).cast_signed())),
        ("lastCheckpointProcessedData", of_last(|it| it.sum(|ack| ack.processed_data).cast_signed())),
        ("lastCheckpointPersistedData", of_last(|it| it.sum(|ack| ack.persisted_data).cast_signed())),
        ("lastCheckpointDuration", of_last(|it| it.duration_ms().cast_signed())),
        ("lastCheckpointCompletedTimestamp", of_last(|it| it.latest_ack_ms().unwrap_or(-1))),
        ("lastCheckpointExternalPath", location.unwrap_or_else(|| "n/a".to_owned())),
    ]
    .into_iter()
}

/// The metrics of a vertex's subtasks, each with the subtask's index before its name.
pub fn of_vertex(vertex: &VertexView) -> Metrics {
    let prefixed = |subtask: &SubtaskView| {
        let index = subtask.index;
        of_subtask(subtask).into_iter().map(move |(id, value)| (format!("{index}.{id}"), value.to_string()))
    };
    vertex.subtasks.iter().flat_map(prefixed).collect()
}

/// `GET /jobs/:id/vertices/:v/watermarks`
pub fn watermarks(vertex: &VertexView) -> Metrics {
    let watermark = |subtask: &SubtaskView| {
        let watermark_ms = subtask.input_watermark_ms?;
        Some((format!("{}.currentInputWatermark", subtask.index), watermark_ms.to_string()))
    };
    vertex.subtasks.iter().filter_map(watermark).collect()
}

/// A subtask's metrics.
fn of_subtask(subtask: &SubtaskView) -> BTreeMap<String, f64> {
    let io = &subtask.io;
    let known = [
        ("numBytesIn", io.bytes_in as f64),
        ("numBytesOut", io.bytes_out as f64),
        ("numRecordsIn", io.records_in as f64),
        ("numRecordsOut", io.records_out as f64),
        ("numBytesInPerSecond", io.bytes_in_per_second),
        ("numBytesOutPerSecond", io.bytes_out_per_second),
        ("numRecordsInPerSecond", io.records_in_per_second),
        ("numRecordsOutPerSecond", io.records_out_per_second),
        ("busyTimeMsPerSecond", io.busy * 1000.0),
        ("backPressuredTimeMsPerSecond", io.backpressured * 1000.0),
        ("idleTimeMsPerSecond", io.idle * 1000.0),
        ("accumulateBusyTimeMs", io.busy_ms as f64),
        ("accumulateBackPressuredTimeMs", io.backpressured_ms as f64),
        ("accumulateIdleTimeMs", io.idle_ms as f64),
    ];
    let watermark = subtask.input_watermark_ms.map(|ms| ("currentInputWatermark", ms as f64));
    let known = known.into_iter().chain(watermark).map(|(id, value)| (id.to_owned(), value));
    known.chain(subtask.metrics.iter().map(|(id, &value)| (id.clone(), value))).collect()
}

fn with_others(
    known: impl IntoIterator<Item = (&'static str, String)>,
    others: &BTreeMap<String, f64>,
) -> Metrics {
    let others = others.iter().map(|(id, value)| (id.clone(), value.to_string()));
    others.chain(known.into_iter().map(|(id, value)| (id.to_owned(), value))).collect()
}

/// A metric aggregated over subtasks.
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

/// `GET /jobs/:id/vertices/:v/subtasks/metrics`: names, or the requested metrics aggregated over the subtasks in
/// `includes`.
pub fn over_subtasks(
    vertex: &VertexView,
    wanted: Option<&BTreeSet<&str>>,
    includes: impl Fn(SubtaskIndex) -> bool,
    aggregations: Aggregations,
) -> Vec<Aggregate> {
    let mut by_name: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for subtask in vertex.subtasks.iter().filter(|subtask| includes(subtask.index)) {
        for (id, value) in of_subtask(subtask) {
            by_name.entry(id).or_default().push(value);
        }
    }
    match wanted {
        None => by_name.into_keys().map(Aggregate::name_only).collect(),
        Some(wanted) => by_name
            .into_iter()
            .filter(|(id, _)| wanted.contains(id.as_str()))
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
