//! The HTTP/1.1 server, at an endpoint that the caller has bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

use crate::artifact::Artifact;
use crate::connections::{Bounded, Limits};
use crate::external_metrics;
use crate::guard::{Access, Client};
use crate::routes::router;
use crate::stream::Endpoint;
use reflow_view::Cluster;

/// How long answers in progress may take when the server ends, because a client that never finishes its request
/// must not keep the JobManager alive.
const GRACE: Duration = Duration::from_secs(1);

/// The reason for which serving has ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener has failed.
    #[error("the REST server failed: {0}")]
    Io(#[from] io::Error),
}

/// Serves the REST API, the web interface of `cluster` and the job's executable at `endpoint` until `shutdown` is
/// ready. Answers in progress then have one second to finish.
pub async fn serve<C: Cluster>(
    endpoint: impl Into<Endpoint>,
    cluster: Arc<C>,
    artifact: &Artifact,
    access: Access,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let endpoint = endpoint.into();
    if let Ok(url) = endpoint.url() {
        tracing::info!("REST API and web interface on {url}");
    }
    run(endpoint, router(cluster, access).merge(artifact.route()), limits, shutdown).await
}

/// Serves the job's executable alone, in the same way.
pub async fn serve_artifact(
    endpoint: impl Into<Endpoint>,
    artifact: &Artifact,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let endpoint = endpoint.into();
    if let Ok(url) = endpoint.url() {
        tracing::info!("the job's executable for TaskManagers on {url}");
    }
    run(endpoint, artifact.route(), limits, shutdown).await
}

/// Serves the metrics of `cluster` to the HPA of Kubernetes, as external metrics of `namespace` or, without it, of all
/// namespaces.
pub async fn serve_external_metrics<C: Cluster>(
    endpoint: Endpoint,
    cluster: Arc<C>,
    namespace: Option<String>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Ok(url) = endpoint.url() {
        tracing::info!("external metrics for Kubernetes on {url}");
    }
    run(endpoint, external_metrics::routes(cluster, namespace), limits, shutdown).await
}

async fn run(
    endpoint: Endpoint,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let (begin_end, end_begun) = oneshot::channel();
    let ending = async move {
        shutdown.await;
        // The receiver is gone if serving has failed already.
        let _ = begin_end.send(());
    };
    let overdue = async {
        drop(end_begun.await);
        tokio::time::sleep(GRACE).await;
    };
    let service = router.into_make_service_with_connect_info::<Client>();
    tokio::select! {
        ended = axum::serve(Bounded::new(endpoint, limits), service).with_graceful_shutdown(ending) => Ok(ended?),
        () = overdue => Ok(()),
    }
}
