//! Requests that change the job or the cluster, each of which becomes a [`Command`], and the status of
//! asynchronous ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use reflow_types::{JobId, VertexId};
use serde::de::DeserializeOwned;

use super::MAX_BODY_BYTES;
use super::ask::{PathParameters, query};
use super::failure::Failure;
use super::read::{json, respond};
use reflow_schema::{
    Accepted, CheckpointRequest, DisposalProgress, DisposalRequest, DrainAccepted, DrainRequest,
    OperationProgress, SavepointRequest, StopRequest, Triggered, VertexRequirements,
};
use reflow_view::{Cluster, ClusterView, Command, Reply, RequestId};

type Outcome = Result<Response, Failure>;
type Body = Result<Bytes, BytesRejection>;

/// `PATCH /jobs/:id?mode=cancel`
pub(super) async fn terminate<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    uri: Uri,
) -> Outcome {
    let job = job(&path)?;
    match query(&uri)?.get("mode").map_or("cancel", String::as_str) {
        "cancel" => {}
        "stop" => return Err(stop_was_removed()),
        other => return Err(Failure::bad_request(format!("query parameter mode: '{other}' is not cancel"))),
    }
    cancel(cluster, job).await
}

/// `GET /jobs/:id/yarn-stop`
pub(super) async fn stop<C: Cluster>(State(_): State<Arc<C>>, path: PathParameters) -> Outcome {
    job(&path)?;
    Err(stop_was_removed())
}

fn stop_was_removed() -> Failure {
    let text = "mode 'stop' was removed from Flink: use POST /jobs/:jobid/stop, with a savepoint";
    Failure::new(StatusCode::PERMANENT_REDIRECT, text)
}

/// `DELETE /cluster`
pub(super) async fn shut_down<C: Cluster>(State(cluster): State<Arc<C>>) -> Outcome {
    accept(cluster, Command::ShutDown, StatusCode::OK).await
}

/// `POST /leader/transfer`, which Flink does not have
pub(super) async fn transfer_leadership<C: Cluster>(State(cluster): State<Arc<C>>) -> Outcome {
    accept(cluster, Command::TransferLeadership, StatusCode::OK).await
}

/// `POST /applications/:id/cancel`
pub(super) async fn cancel_application<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
) -> Outcome {
    cancel(cluster, path.get("application", "applicationid")?).await
}

async fn cancel<C: Cluster>(cluster: Arc<C>, job: JobId) -> Outcome {
    if !cluster.view().cancel_enabled {
        let text = "cancelling is switched off (web.cancel.enable: false): stop the job with a savepoint, or end it \
                    with its JobManager";
        return Err(Failure::new(StatusCode::FORBIDDEN, text));
    }
    accept(cluster, Command::Cancel { job }, StatusCode::ACCEPTED).await
}

/// `PUT /jobs/:id/resource-requirements`
pub(super) async fn update_requirements<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    body: Body,
) -> Outcome {
    let job = job(&path)?;
    may_rescale(&cluster.view())?;
    let vertices: BTreeMap<VertexId, VertexRequirements> = parse_present(&bytes(body)?)?;
    let bounds = |(id, requirements): (VertexId, VertexRequirements)| {
        let bounds = requirements.bounds();
        bounds.map(|bounds| (id, bounds)).map_err(|text| Failure::bad_request(format!("vertex {id}: {text}")))
    };
    let requirements = vertices.into_iter().map(bounds).collect::<Result<_, _>>()?;
    accept(cluster, Command::UpdateRequirements { job, requirements }, StatusCode::OK).await
}

/// `POST /taskmanagers/:id/drain`, which Flink does not have
pub(super) async fn drain<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    body: Body,
) -> Outcome {
    let task_manager = path.task_manager()?;
    may_rescale(&cluster.view())?;
    let DrainRequest { force } = parse(&bytes(body)?)?;
    let request_id = match cluster.command(Command::DrainTaskManager { task_manager, force }).await? {
        Reply::Accepted => None,
        Reply::Triggered(request) => Some(request.to_string()),
        Reply::Operation(_) | Reply::Inspected(_) => return Err(Failure::unexpected_reply()),
    };
    Ok(respond(StatusCode::ACCEPTED, json(&DrainAccepted { request_id })?))
}

fn may_rescale(view: &ClusterView) -> Result<(), Failure> {
    if view.rescale_enabled {
        return Ok(());
    }
    let text = "rescaling is switched off (web.rescale.enable: false): start or stop TaskManagers, or change that option \
                and start the JobManager again";
    Err(Failure::new(StatusCode::FORBIDDEN, text))
}

/// `POST /jobs/:id/checkpoints`
pub(super) async fn trigger_checkpoint<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    body: Body,
) -> Outcome {
    let job = job(&path)?;
    let CheckpointRequest { trigger_id, .. } = parse(&bytes(body)?)?;
    trigger(cluster, Command::TriggerCheckpoint { job, request: request(trigger_id)? }, StatusCode::ACCEPTED)
        .await
}

/// `POST /jobs/:id/savepoints`
pub(super) async fn trigger_savepoint<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    body: Body,
) -> Outcome {
    let job = job(&path)?;
    let SavepointRequest { target_directory, cancel_job, format_type, trigger_id } = parse(&bytes(body)?)?;
    let command = Command::TriggerSavepoint {
        job,
        request: request(trigger_id)?,
        target_directory,
        cancel_job: cancel_job.unwrap_or(false),
        format: format_type.unwrap_or_default(),
    };
    trigger(cluster, command, StatusCode::ACCEPTED).await
}

/// `POST /jobs/:id/stop`
pub(super) async fn stop_with_savepoint<C: Cluster>(
    State(cluster): State<Arc<C>>,
    path: PathParameters,
    body: Body,
) -> Outcome {
    let job = job(&path)?;
    let StopRequest { target_directory, drain, format_type, trigger_id } = parse(&bytes(body)?)?;
    let command = Command::StopWithSavepoint {
        job,
        request: request(trigger_id)?,
        target_directory,
        drain: drain.unwrap_or(false),
        format: format_type.unwrap_or_default(),
    };
    trigger(cluster, command, StatusCode::ACCEPTED).await
}

/// `GET /jobs/:id/savepoints/:trigger`, `GET /jobs/:id/checkpoints/:trigger`
pub(super) async fn operation<C: Cluster>(State(cluster): State<Arc<C>>, path: PathParameters) -> Outcome {
    let job = job(&path)?;
    let request: RequestId = path.get("trigger", "triggerid")?;
    match cluster.command(Command::QueryOperation { job, request }).await? {
        Reply::Operation(status) => Ok(respond(StatusCode::OK, json(&OperationProgress::of(&status))?)),
        Reply::Accepted | Reply::Triggered(_) | Reply::Inspected(_) => Err(Failure::unexpected_reply()),
    }
}

/// `POST /savepoint-disposal`. Flink answers with 200 here, not with 202.
pub(super) async fn dispose_of_savepoint<C: Cluster>(State(cluster): State<Arc<C>>, body: Body) -> Outcome {
    let DisposalRequest { savepoint_path } = parse(&bytes(body)?)?;
    let omitted = || Failure::bad_request("Field savepoint-path must not be omitted or be null.");
    let directory = savepoint_path.ok_or_else(omitted)?;
    trigger(cluster, Command::DisposeSavepoint { directory }, StatusCode::OK).await
}

/// `GET /savepoint-disposal/:trigger`
pub(super) async fn disposal<C: Cluster>(State(cluster): State<Arc<C>>, path: PathParameters) -> Outcome {
    let request: RequestId = path.get("trigger", "triggerid")?;
    match cluster.command(Command::QueryDisposal { request }).await? {
        Reply::Operation(status) => Ok(respond(StatusCode::OK, json(&DisposalProgress::of(&status))?)),
        Reply::Accepted | Reply::Triggered(_) | Reply::Inspected(_) => Err(Failure::unexpected_reply()),
    }
}

async fn accept<C: Cluster>(cluster: Arc<C>, command: Command, status: StatusCode) -> Outcome {
    match cluster.command(command).await? {
        Reply::Accepted => Ok(respond(status, json(&Accepted {})?)),
        Reply::Triggered(_) | Reply::Operation(_) | Reply::Inspected(_) => Err(Failure::unexpected_reply()),
    }
}

async fn trigger<C: Cluster>(cluster: Arc<C>, command: Command, status: StatusCode) -> Outcome {
    match cluster.command(command).await? {
        Reply::Triggered(request_id) => Ok(respond(status, json(&Triggered::of(request_id))?)),
        Reply::Accepted | Reply::Operation(_) | Reply::Inspected(_) => Err(Failure::unexpected_reply()),
    }
}

fn job(path: &PathParameters) -> Result<JobId, Failure> {
    path.get("job", "jobid")
}

fn request(trigger_id: Option<String>) -> Result<Option<RequestId>, Failure> {
    let parse =
        |text: String| text.parse().map_err(|error| Failure::bad_request(format!("triggerId: {error}")));
    trigger_id.map(parse).transpose()
}

fn bytes(body: Body) -> Result<Bytes, Failure> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is longer than {MAX_BODY_BYTES} bytes"),
        ),
        status => Failure::new(status, rejection.body_text()),
    })
}

/// Parses a JSON body. An empty body counts as `{}`.
fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Failure> {
    if body.is_empty() { Ok(T::default()) } else { parse_present(body) }
}

fn parse_present<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format!("the request body is not what it should be: {error}")))
}
