//! The table of routes, which is the whole API; a test compares it with the OpenAPI document.

mod act;
mod ask;
mod failure;
mod inspect;
mod range;
mod read;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use crate::guard::{Access, guard};
use crate::{page, probes};
use ask::Ask;
pub(crate) use failure::Failure;
use read::{Answer, read};
use reflow_schema::metrics::prometheus::{Format, exposition};
use reflow_view::Cluster;

/// The longest request body that is read, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// All routes: the API with and without its version, and the web interface.
pub(crate) fn router<C: Cluster>(cluster: Arc<C>, access: Access) -> Router {
    let probes = probes::routes(&cluster);
    Router::new()
        .merge(api().router)
        .nest("/v1", api().router)
        .route("/metrics", get(prometheus::<C>))
        .merge(page::routes())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(access), guard))
        .layer(map_response(with_headers))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(cluster)
        .merge(probes)
}

/// The routes, and their paths and methods, which a test compares with the OpenAPI document.
struct Api<C> {
    router: Router<Arc<C>>,
    routes: Vec<(Method, &'static str)>,
}

impl<C: Cluster> Api<C> {
    fn get(self, path: &'static str, answer: fn(&Ask<'_>) -> Answer) -> Self {
        self.on(Method::GET, path, read(answer))
    }

    fn on(mut self, method: Method, path: &'static str, handler: MethodRouter<Arc<C>>) -> Self {
        self.routes.push((method, path));
        Self { router: self.router.route(path, handler), ..self }
    }
}

#[rustfmt::skip]
fn api<C: Cluster>() -> Api<C> {
    Api { router: Router::new(), routes: Vec::new() }
        .on(Method::GET, "/openapi.json", get(document))
        .get("/config", read::dashboard_config)
        .get("/overview", read::overview)
        .on(Method::DELETE, "/cluster", delete(act::shut_down::<C>))
        .get("/leader", read::leader)
        .on(Method::POST, "/leader/transfer", post(act::transfer_leadership::<C>))
        .get("/jobmanager/config", read::jobmanager_config)
        .get("/jobmanager/metrics", read::jobmanager_metrics)
        .get("/applications/overview", read::applications_overview)
        .get("/applications/{application}", read::application)
        .get("/applications/{application}/exceptions", read::application_exceptions)
        .get("/applications/{application}/jobmanager/config", read::application_config)
        .on(Method::POST, "/applications/{application}/cancel", post(act::cancel_application::<C>))
        .get("/jobmanager/environment", read::environment)
        .on(Method::GET, "/jobmanager/log", get(inspect::log::<C>))
        .on(Method::GET, "/jobmanager/stdout", get(inspect::stdout::<C>))
        .on(Method::GET, "/jobmanager/logs", get(inspect::list::<C>))
        .on(Method::GET, "/jobmanager/logs/{filename}", get(inspect::named::<C>))
        .on(Method::GET, "/jobmanager/thread-dump", get(inspect::threads::<C>))
        .get("/datasets", read::datasets)
        .get("/taskmanagers/metrics", read::task_managers_metrics)
        .get("/taskmanagers/{taskmanager}/metrics", read::task_manager_metrics)
        .get("/taskmanagers", read::task_managers)
        .get("/taskmanagers/{taskmanager}", read::task_manager)
        .on(Method::GET, "/taskmanagers/{taskmanager}/log", get(inspect::log::<C>))
        .on(Method::GET, "/taskmanagers/{taskmanager}/stdout", get(inspect::stdout::<C>))
        .on(Method::GET, "/taskmanagers/{taskmanager}/logs", get(inspect::list::<C>))
        .on(Method::GET, "/taskmanagers/{taskmanager}/logs/{filename}", get(inspect::named::<C>))
        .on(Method::GET, "/taskmanagers/{taskmanager}/thread-dump", get(inspect::threads::<C>))
        .on(Method::POST, "/taskmanagers/{taskmanager}/drain", post(act::drain::<C>))
        .get("/jobs", read::jobs)
        .get("/jobs/overview", read::jobs_overview)
        .get("/jobs/metrics", read::jobs_metrics)
        .get("/jobs/{job}", read::job)
        .on(Method::PATCH, "/jobs/{job}", patch(act::terminate::<C>))
        .get("/jobs/{job}/plan", read::plan)
        .get("/jobs/{job}/config", read::job_config)
        .get("/jobs/{job}/status", read::status)
        .get("/jobs/{job}/jobmanager/config", read::job_jobmanager_config)
        .get("/jobs/{job}/jobmanager/environment", read::job_environment)
        .get("/jobs/{job}/execution-result", read::execution_result)
        .on(Method::GET, "/jobs/{job}/yarn-cancel", get(act::terminate::<C>))
        .on(Method::GET, "/jobs/{job}/yarn-stop", get(act::stop::<C>))
        .get("/jobs/{job}/exceptions", read::exceptions)
        .get("/jobs/{job}/metrics", read::job_metrics)
        .get("/jobs/{job}/accumulators", read::job_accumulators)
        .get("/jobs/{job}/timeline", read::timeline)
        .get("/jobs/{job}/autoscaler", read::autoscaler)
        .get("/jobs/{job}/resource-requirements", read::requirements)
        .on(Method::PUT, "/jobs/{job}/resource-requirements", put(act::update_requirements::<C>))
        .get("/jobs/{job}/vertices/{vertex}", read::vertex)
        .get("/jobs/{job}/vertices/{vertex}/backpressure", read::backpressure)
        .get("/jobs/{job}/vertices/{vertex}/accumulators", read::vertex_accumulators)
        .get("/jobs/{job}/vertices/{vertex}/taskmanagers", read::vertex_task_managers)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/accumulators", read::subtasks_accumulators)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/attempts/{attempt}/accumulators", read::attempt_accumulators)
        .get("/jobs/{job}/vertices/{vertex}/metrics", read::vertex_metrics)
        .get("/jobs/{job}/vertices/{vertex}/watermarks", read::watermarks)
        .get("/jobs/{job}/vertices/{vertex}/jm-operator-metrics", read::coordinator_metrics)
        .get("/jobs/{job}/vertices/{vertex}/flamegraph", read::flame_graph)
        .get("/jobs/{job}/vertices/{vertex}/subtasktimes", read::subtask_times)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/metrics", read::subtasks_metrics)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}", read::subtask)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/attempts/{attempt}", read::subtask_attempt)
        .get("/jobs/{job}/vertices/{vertex}/subtasks/{subtask}/metrics", read::subtask_metrics)
        .get("/jobs/{job}/checkpoints", read::checkpoints)
        .on(Method::POST, "/jobs/{job}/checkpoints", post(act::trigger_checkpoint::<C>))
        .get("/jobs/{job}/checkpoints/config", read::checkpoint_config)
        .get("/jobs/{job}/checkpoints/details/{checkpoint}", read::checkpoint)
        .get("/jobs/{job}/checkpoints/details/{checkpoint}/subtasks/{vertex}", read::vertex_checkpoint)
        .on(Method::GET, "/jobs/{job}/checkpoints/{trigger}", get(act::operation::<C>))
        .on(Method::POST, "/jobs/{job}/savepoints", post(act::trigger_savepoint::<C>))
        .on(Method::GET, "/jobs/{job}/savepoints/{trigger}", get(act::operation::<C>))
        .on(Method::POST, "/jobs/{job}/stop", post(act::stop_with_savepoint::<C>))
        .on(Method::POST, "/savepoint-disposal", post(act::dispose_of_savepoint::<C>))
        .on(Method::GET, "/savepoint-disposal/{trigger}", get(act::disposal::<C>))
        .get("/jobs/{job}/rescales/overview", read::rescales_overview)
        .get("/jobs/{job}/rescales/history", read::rescales_history)
        .get("/jobs/{job}/rescales/details/{rescale}", read::rescale)
        .get("/jobs/{job}/rescales/summary", read::rescales_summary)
        .get("/jobs/{job}/rescales/config", read::rescales_config)
}

/// The committed OpenAPI document.
async fn document() -> Response {
    read::respond(StatusCode::OK, include_bytes!("../openapi.json").to_vec())
}

/// All metrics, for Prometheus.
async fn prometheus<C: Cluster>(State(cluster): State<Arc<C>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let format = Format::accepted(&accepted.collect::<Vec<_>>().join(","));
    ([(CONTENT_TYPE, format.content_type())], exposition(&cluster.view(), format)).into_response()
}

async fn unknown_path(uri: Uri) -> Failure {
    Failure::not_found(format!("Unable to load requested file {}.", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Failure {
    Failure::wrong_method(&method, uri.path())
}

async fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_types::inspection::{Inquiry, Inspection};
    use reflow_view::{ClusterProcess, ClusterView, Command, CommandError, Reply};
    use std::collections::BTreeSet;

    /// A cluster that is never asked.
    struct NoCluster;

    impl Cluster for NoCluster {
        fn view(&self) -> Arc<ClusterView> {
            Arc::default()
        }

        async fn inspect(&self, _: ClusterProcess, _: Inquiry) -> Result<Inspection, CommandError> {
            Err(CommandError::Unavailable("there is no cluster".to_owned()))
        }

        async fn command(&self, _: Command) -> Result<Reply, CommandError> {
            Err(CommandError::Unavailable("there is no cluster".to_owned()))
        }
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let served = api::<NoCluster>().routes.into_iter();
        let served: BTreeSet<String> = served.map(|(method, path)| format!("{method} {path}")).collect();
        let document = serde_json::to_value(reflow_schema::openapi::document()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let documented: BTreeSet<String> = paths
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)))
            .map(|(method, path)| format!("{} {path}", method.to_uppercase()))
            .collect();
        assert_eq!(served.difference(&documented).collect::<Vec<_>>(), [""; 0], "not in the document");
        assert_eq!(documented.difference(&served).collect::<Vec<_>>(), [""; 0], "not served");
    }
}
