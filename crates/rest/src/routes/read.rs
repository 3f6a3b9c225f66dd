//! Read requests. Each is answered from one view, without waiting.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde::Serialize;

use super::ask::{Ask, PathParameters};
use super::failure::Failure;
use reflow_schema::{
    ApplicationDetails, ApplicationExceptions, ApplicationsOverview, AttemptAccumulators, Backpressure,
    Checkpoint, CheckpointConfig, Checkpoints, ClusterOverview, DEFAULT_MAX_EXCEPTIONS, DashboardConfig,
    DataSets, Environment, Exceptions, ExecutionResult, FlameGraph, JobAccumulators, JobConfig, JobDetails,
    JobPlan, JobStatusInfo, Jobs, JobsOverview, Leader, Plan, Rescale, RescalesConfig, RescalesOverview,
    RescalesSummary, Subtask, SubtaskTimes, SubtasksAccumulators, TaskManagerDetails, TaskManagers, Timeline,
    VertexAccumulators, VertexCheckpoint, VertexDetails, VertexTaskManagers, metrics, metrics::Metrics,
};
use reflow_types::{JobId, TaskManagerId};
use reflow_view::{Cluster, SubtaskView};

/// JSON, or an error answer.
pub(super) type Answer = Result<Vec<u8>, Failure>;

/// A `GET` that is answered from the snapshot by `answer`.
pub(super) fn read<C: Cluster>(answer: fn(&Ask<'_>) -> Answer) -> MethodRouter<Arc<C>> {
    get(
        async move |State(cluster): State<Arc<C>>,
                    path: PathParameters,
                    uri: Uri|
                    -> Result<Response, Failure> {
            let view = cluster.view();
            let body = answer(&Ask::new(&view, &path, &uri)?)?;
            Ok(respond(StatusCode::OK, body))
        },
    )
}

/// A response of JSON.
pub(super) fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=UTF-8")], body).into_response()
}

/// `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value).map_err(|error| {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer cannot be written as JSON: {error}"),
        )
    })
}

pub(super) fn dashboard_config(ask: &Ask<'_>) -> Answer {
    json(&DashboardConfig::of(ask.view))
}

pub(super) fn overview(ask: &Ask<'_>) -> Answer {
    json(&ClusterOverview::of(ask.view))
}

pub(super) fn leader(ask: &Ask<'_>) -> Answer {
    json(&Leader::of(ask.view))
}

pub(super) fn jobmanager_config(ask: &Ask<'_>) -> Answer {
    json(&reflow_schema::jobmanager_config(ask.view))
}

pub(super) fn jobmanager_metrics(ask: &Ask<'_>) -> Answer {
    json(&metrics::select(metrics::of_jobmanager(ask.view), ask.wanted_metrics().as_ref()))
}

pub(super) fn task_managers(ask: &Ask<'_>) -> Answer {
    json(&TaskManagers::of(ask.view))
}

pub(super) fn task_manager(ask: &Ask<'_>) -> Answer {
    json(&TaskManagerDetails::of(ask.task_manager()?))
}

pub(super) fn jobs(ask: &Ask<'_>) -> Answer {
    json(&Jobs::of(ask.view))
}

pub(super) fn jobs_overview(ask: &Ask<'_>) -> Answer {
    json(&JobsOverview::of(ask.view))
}

pub(super) fn job(ask: &Ask<'_>) -> Answer {
    json(&JobDetails::of(ask.job()?, ask.view.now_ms))
}

pub(super) fn plan(ask: &Ask<'_>) -> Answer {
    json(&JobPlan { plan: Plan::of(ask.job()?) })
}

pub(super) fn job_config(ask: &Ask<'_>) -> Answer {
    json(&JobConfig::of(ask.job()?))
}

pub(super) fn status(ask: &Ask<'_>) -> Answer {
    json(&JobStatusInfo { status: ask.job()?.status })
}

pub(super) fn exceptions(ask: &Ask<'_>) -> Answer {
    json(&Exceptions::of(ask.job()?, ask.max_exceptions(DEFAULT_MAX_EXCEPTIONS)?))
}

pub(super) fn job_metrics(ask: &Ask<'_>) -> Answer {
    json(&metrics::select(metrics::of_job(ask.job()?, ask.view.now_ms), ask.wanted_metrics().as_ref()))
}

pub(super) fn job_accumulators(ask: &Ask<'_>) -> Answer {
    json(&JobAccumulators::of(ask.job()?))
}

pub(super) fn timeline(ask: &Ask<'_>) -> Answer {
    json(&Timeline::of(&ask.job()?.timeline, ask.view.now_ms, ask.since_ms()?))
}

pub(super) fn autoscaler(ask: &Ask<'_>) -> Answer {
    json(&reflow_schema::Autoscaler::of(ask.job()?))
}

pub(super) fn requirements(ask: &Ask<'_>) -> Answer {
    json(&reflow_schema::requirements(ask.job()?))
}

pub(super) fn vertex(ask: &Ask<'_>) -> Answer {
    json(&VertexDetails::of(ask.vertex()?, ask.view.now_ms))
}

pub(super) fn backpressure(ask: &Ask<'_>) -> Answer {
    json(&Backpressure::of(ask.vertex()?, ask.view.now_ms))
}

pub(super) fn vertex_accumulators(ask: &Ask<'_>) -> Answer {
    json(&VertexAccumulators::of(ask.vertex()?))
}

pub(super) fn subtasks_accumulators(ask: &Ask<'_>) -> Answer {
    json(&SubtasksAccumulators::of(ask.vertex()?, ask.view.now_ms))
}

pub(super) fn vertex_task_managers(ask: &Ask<'_>) -> Answer {
    json(&VertexTaskManagers::of(ask.vertex()?, ask.view.now_ms))
}

pub(super) fn vertex_metrics(ask: &Ask<'_>) -> Answer {
    json(&metrics::select(metrics::of_vertex(ask.vertex()?), ask.wanted_metrics().as_ref()))
}

pub(super) fn watermarks(ask: &Ask<'_>) -> Answer {
    let watermarks = metrics::watermarks(ask.vertex()?);
    let names: Vec<String> = watermarks.keys().cloned().collect();
    json(&metrics::select(watermarks, Some(&names.iter().map(String::as_str).collect())))
}

pub(super) fn subtasks_metrics(ask: &Ask<'_>) -> Answer {
    let ranges = ask.subtask_ranges()?;
    let includes = |index| match &ranges {
        Some(ranges) => ranges.iter().any(|&[first, last]| first <= index && index <= last),
        None => true,
    };
    let subtasks = ask.vertex()?.subtasks.iter().filter(|subtask| includes(subtask.index));
    aggregated(ask, subtasks.map(metrics::of_subtask))
}

pub(super) fn subtask_metrics(ask: &Ask<'_>) -> Answer {
    json(&metrics::select(metrics::of_subtask(ask.subtask()?), ask.wanted_metrics().as_ref()))
}

/// The metrics of coordinators in the JobManager. There are none.
pub(super) fn coordinator_metrics(ask: &Ask<'_>) -> Answer {
    ask.vertex()?;
    json(&Vec::<metrics::Metric>::new())
}

pub(super) fn jobs_metrics(ask: &Ask<'_>) -> Answer {
    let wanted = ask.ids::<JobId>("jobs", "jobid")?;
    let jobs = ask.view.jobs.iter().filter(|job| wanted.as_ref().is_none_or(|ids| ids.contains(&job.id)));
    aggregated(ask, jobs.map(|job| metrics::of_job(job, ask.view.now_ms)))
}

pub(super) fn task_managers_metrics(ask: &Ask<'_>) -> Answer {
    let wanted = ask.ids::<TaskManagerId>("taskmanagers", "taskmanagerid")?;
    let includes = |id| wanted.as_ref().is_none_or(|ids| ids.contains(&id));
    let task_managers = ask.view.task_managers.iter().filter(|task_manager| includes(task_manager.id));
    aggregated(ask, task_managers.map(metrics::of_task_manager))
}

pub(super) fn task_manager_metrics(ask: &Ask<'_>) -> Answer {
    json(&metrics::select(metrics::of_task_manager(ask.task_manager()?), ask.wanted_metrics().as_ref()))
}

fn aggregated(ask: &Ask<'_>, scopes: impl Iterator<Item = Metrics>) -> Answer {
    json(&metrics::aggregate(scopes, ask.wanted_metrics().as_ref(), ask.aggregations()?))
}

pub(super) fn subtask(ask: &Ask<'_>) -> Answer {
    json(&Subtask::of(ask.subtask()?, ask.view.now_ms))
}

pub(super) fn subtask_attempt(ask: &Ask<'_>) -> Answer {
    json(&Subtask::of(current_attempt(ask)?, ask.view.now_ms))
}

pub(super) fn attempt_accumulators(ask: &Ask<'_>) -> Answer {
    json(&AttemptAccumulators::of(ask.job()?, ask.vertex()?, current_attempt(ask)?))
}

/// Only the current attempt is known.
fn current_attempt<'a>(ask: &Ask<'a>) -> Result<&'a SubtaskView, Failure> {
    let (subtask, attempt) = (ask.subtask()?, ask.attempt()?);
    if attempt != subtask.attempt {
        let text = format!(
            "attempt {} of subtask {} is unknown: its current attempt is {}",
            attempt.0, subtask.index, subtask.attempt.0
        );
        return Err(Failure::not_found(text));
    }
    Ok(subtask)
}

/// Whether there are flame graphs: there are none, for which Flink has an answer.
pub(super) fn flame_graph(ask: &Ask<'_>) -> Answer {
    ask.vertex()?;
    ask.check_flame_graph()?;
    json(&FlameGraph::disabled())
}

pub(super) fn subtask_times(ask: &Ask<'_>) -> Answer {
    json(&SubtaskTimes::of(ask.vertex()?, ask.view.now_ms))
}

/// The configuration of the JobManager, which has one job.
pub(super) fn job_jobmanager_config(ask: &Ask<'_>) -> Answer {
    ask.job()?;
    jobmanager_config(ask)
}

pub(super) fn applications_overview(ask: &Ask<'_>) -> Answer {
    json(&ApplicationsOverview::of(ask.view))
}

pub(super) fn application(ask: &Ask<'_>) -> Answer {
    json(&ApplicationDetails::of(ask.application()?, ask.view.now_ms))
}

pub(super) fn application_exceptions(ask: &Ask<'_>) -> Answer {
    json(&ApplicationExceptions::of(ask.application()?))
}

pub(super) fn application_config(ask: &Ask<'_>) -> Answer {
    ask.application()?;
    jobmanager_config(ask)
}

pub(super) fn environment(ask: &Ask<'_>) -> Answer {
    let executable = std::env::current_exe().ok().map(|path| path.display().to_string());
    json(&Environment::of(ask.view, executable))
}

pub(super) fn job_environment(ask: &Ask<'_>) -> Answer {
    ask.job()?;
    environment(ask)
}

pub(super) fn execution_result(ask: &Ask<'_>) -> Answer {
    json(&ExecutionResult::of(ask.job()?))
}

pub(super) fn datasets(_: &Ask<'_>) -> Answer {
    json(&DataSets::default())
}

pub(super) fn checkpoints(ask: &Ask<'_>) -> Answer {
    json(&Checkpoints::of(ask.checkpoints()?))
}

pub(super) fn checkpoint_config(ask: &Ask<'_>) -> Answer {
    json(&CheckpointConfig::of(&ask.checkpoints()?.config))
}

pub(super) fn checkpoint(ask: &Ask<'_>) -> Answer {
    json(&Checkpoint::in_detail(ask.checkpoint()?))
}

pub(super) fn vertex_checkpoint(ask: &Ask<'_>) -> Answer {
    let (checkpoint, id) = (ask.checkpoint()?, ask.vertex_id()?);
    let absent = || Failure::not_found(format!("vertex {id} has no part in checkpoint {}", checkpoint.id));
    json(&VertexCheckpoint::of(checkpoint, checkpoint.vertex(id).ok_or_else(absent)?))
}

pub(super) fn rescales_overview(ask: &Ask<'_>) -> Answer {
    json(&RescalesOverview::of(&ask.job()?.rescales))
}

pub(super) fn rescales_history(ask: &Ask<'_>) -> Answer {
    json(&reflow_schema::rescales_history(&ask.job()?.rescales))
}

pub(super) fn rescale(ask: &Ask<'_>) -> Answer {
    json(&Rescale::in_detail(ask.rescale()?))
}

pub(super) fn rescales_summary(ask: &Ask<'_>) -> Answer {
    json(&RescalesSummary::of(&ask.job()?.rescales))
}

pub(super) fn rescales_config(ask: &Ask<'_>) -> Answer {
    json(&RescalesConfig::from(ask.job()?.rescales.config))
}
