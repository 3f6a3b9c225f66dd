//! Serving: one HTTP/1.1 server on a listener that the caller has bound.

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::Cluster;
use crate::routes::router;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener broke.
    #[error("the REST server failed: {0}")]
    Io(#[from] io::Error),
}

/// Serves the REST API and the status page of `cluster` on `listener` until `shutdown` is ready; answers under
/// way are finished first.
pub async fn serve<C: Cluster>(
    listener: TcpListener,
    cluster: Arc<C>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    if let Ok(address) = listener.local_addr() {
        tracing::info!("REST API and status page on http://{address}");
    }
    axum::serve(listener, router(cluster)).with_graceful_shutdown(shutdown).await?;
    Ok(())
}
