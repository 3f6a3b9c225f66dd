//! Which path gives what. The table below is the whole API.

mod act;
mod ask;
mod failure;
mod read;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Uri};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, patch, post, put};

use crate::page;
use failure::Failure;
use read::read;
use reflow_view::Cluster;

/// The longest request body that is read, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Everything that is served: the API with and without its version, and the web interface.
pub(crate) fn router<C: Cluster>(cluster: Arc<C>) -> Router {
    Router::new()
        .merge(api())
        .nest("/v1", api())
        .merge(page::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(with_headers))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(cluster)
}

#[rustfmt::skip]
fn api<C: Cluster>() -> Router<Arc<C>> {
    Router::new()
        .route("/config", read(read::dashboard_config))
        .route("/overview", read(read::overview))
        .route("/jobmanager/config", read(read::jobmanager_config))
        .route("/jobmanager/metrics", read(read::jobmanager_metrics))
        .route("/taskmanagers", read(read::task_managers))
        .route("/taskmanagers/{taskmanager}", read(read::task_manager))
        .route("/taskmanagers/{taskmanager}/drain", post(act::drain::<C>))
        .route("/jobs", read(read::jobs))
        .route("/jobs/overview", read(read::jobs_overview))
        .route("/jobs/{job}", read(read::job).merge(patch(act::terminate::<C>)))
        .route("/jobs/{job}/plan", read(read::plan))
        .route("/jobs/{job}/config", read(read::job_config))
        .route("/jobs/{job}/status", read(read::status))
        .route("/jobs/{job}/exceptions", read(read::exceptions))
        .route("/jobs/{job}/metrics", read(read::job_metrics))
        .route("/jobs/{job}/timeline", read(read::timeline))
        .route("/jobs/{job}/resource-requirements",
            read(read::requirements).merge(put(act::update_requirements::<C>)))
        .route("/jobs/{job}/vertices/{vertex}", read(read::vertex))
        .route("/jobs/{job}/vertices/{vertex}/backpressure", read(read::backpressure))
        .route("/jobs/{job}/vertices/{vertex}/metrics", read(read::vertex_metrics))
        .route("/jobs/{job}/vertices/{vertex}/watermarks", read(read::watermarks))
        .route("/jobs/{job}/vertices/{vertex}/subtasks/metrics", read(read::subtask_metrics))
        .route("/jobs/{job}/checkpoints",
            read(read::checkpoints).merge(post(act::trigger_checkpoint::<C>)))
        .route("/jobs/{job}/checkpoints/config", read(read::checkpoint_config))
        .route("/jobs/{job}/checkpoints/details/{checkpoint}", read(read::checkpoint))
        .route("/jobs/{job}/checkpoints/details/{checkpoint}/subtasks/{vertex}", read(read::vertex_checkpoint))
        .route("/jobs/{job}/checkpoints/{trigger}", get(act::operation::<C>))
        .route("/jobs/{job}/savepoints", post(act::trigger_savepoint::<C>))
        .route("/jobs/{job}/savepoints/{trigger}", get(act::operation::<C>))
        .route("/jobs/{job}/stop", post(act::stop_with_savepoint::<C>))
        .route("/jobs/{job}/rescales/overview", read(read::rescales_overview))
        .route("/jobs/{job}/rescales/history", read(read::rescales_history))
        .route("/jobs/{job}/rescales/details/{rescale}", read(read::rescale))
        .route("/jobs/{job}/rescales/summary", read(read::rescales_summary))
        .route("/jobs/{job}/rescales/config", read(read::rescales_config))
}

async fn unknown_path(uri: Uri) -> Failure {
    Failure::not_found(format!("Unable to load requested file {}.", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Failure {
    Failure::wrong_method(&method, uri.path())
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
