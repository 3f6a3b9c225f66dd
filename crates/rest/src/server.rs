//! Serving: one HTTP/1.1 server on a listener that the caller has bound.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::connections::{Bounded, Limits};
use crate::routes::router;
use reflow_view::Cluster;

/// How long answers under way may take once the server is to end: a client that never finishes its request
/// must not keep the JobManager alive.
const GRACE: Duration = Duration::from_secs(1);

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener broke.
    #[error("the REST server failed: {0}")]
    Io(#[from] io::Error),
}

/// Serves the REST API and the web interface of `cluster` on `listener` until `shutdown` is ready; answers under
/// way then have a second to be finished.
pub async fn serve<C: Cluster>(
    listener: TcpListener,
    cluster: Arc<C>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("REST API and web interface on http://{address}");
    }
    let (begin_end, end_begun) = oneshot::channel();
    let ending = async move {
        shutdown.await;
        // Nobody listens if serving has failed already.
        let _ = begin_end.send(());
    };
    let overdue = async {
        drop(end_begun.await);
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        ended = axum::serve(Bounded::new(listener, limits), router(cluster)).with_graceful_shutdown(ending) => Ok(ended?),
        () = overdue => Ok(()),
    }
}
