//! `/livez` and `/readyz`, for an orchestrator such as Kubernetes.
//!
//! They need no token, because probes have none, and tell nothing that names a job or a machine.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reflow_view::{Cluster, Readiness};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The longest time between two views of a JobManager that works. It publishes one each second.
const STUCK_AFTER: Duration = Duration::from_secs(30);

pub(crate) fn routes<C: Cluster>(cluster: &Arc<C>) -> Router {
    let (live, ready) = (Arc::clone(cluster), Arc::clone(cluster));
    let watch = Arc::new(Watch::default());
    Router::new()
        .route("/livez", get(async move || answer(watch.is_alive(live.view().now_ms), "stuck")))
        .route("/readyz", get(async move || readiness(ready.view().readiness)))
}

fn readiness(readiness: Readiness) -> Response {
    let problem = match readiness {
        Readiness::Leading => "",
        Readiness::Starting => "not the leader yet",
        Readiness::StandingBy => "another JobManager leads",
        Readiness::StandingByDifferent => {
            "another JobManager leads, with another executable or other arguments than this one has"
        }
        Readiness::StorageSilent => "the checkpoint storage does not answer",
    };
    answer(readiness == Readiness::Leading, problem)
}

fn answer(holds: bool, problem: &'static str) -> Response {
    match holds {
        true => "ok\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

/// Notices a JobManager that publishes no views: which one it has published last, and when that was first seen.
#[derive(Default)]
struct Watch(Mutex<Option<(i64, Instant)>>);

impl Watch {
    fn is_alive(&self, published_ms: i64) -> bool {
        let now = Instant::now();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, since) = seen.get_or_insert((published_ms, now));
        if *at != published_ms {
            (*at, *since) = (published_ms, now);
        }
        now.duration_since(*since) < STUCK_AFTER
    }
}
