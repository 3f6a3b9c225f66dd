//! `external.metrics.k8s.io/v1beta1`: the metrics of jobs, as the HPA of Kubernetes requests them.
//!
//! The API server of Kubernetes proxies these requests (its aggregation layer). It knows only servers with TLS, and shows them
//! its own certificate instead of a token. So they have a port of their own, which a network policy can open to everyone:
//! it serves a few numbers and no command, and REST keeps its tokens and authorities, and its port stays closed there.
//!
//! Users are not checked here: the API server has decided that the user may read metrics of this namespace. Without the
//! authority of its certificate (`kubernetes.external-metrics.client-ca`), everyone who reaches the port can read them.
//!
//! Names of metrics and labels are those at `/metrics`, so that an HPA works the same with the Prometheus Adapter.

mod selector;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use reflow_schema::metrics::prometheus::gauges_of_job;
use reflow_view::{Cluster, ClusterView, JobView, Readiness};
use selector::Selector;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

const GROUP: &str = "external.metrics.k8s.io";
const GROUP_VERSION: &str = "external.metrics.k8s.io/v1beta1";

/// The longest value of a label.
const MAX_LABEL_LEN: usize = 63;

/// The query of a request. The HPA sends nothing else that matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListOptions {
    #[serde(default)]
    label_selector: String,
}

/// An error, which becomes a `Status` of Kubernetes.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, message } = self;
        let reason = match status {
            StatusCode::BAD_REQUEST => "BadRequest",
            StatusCode::NOT_FOUND => "NotFound",
            StatusCode::METHOD_NOT_ALLOWED => "MethodNotAllowed",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
            _ => "Unknown",
        };
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status.as_u16(),
        });
        answer(status, &body)
    }
}

/// The routes. `namespace` is the only one whose metrics are served; `None`: every namespace has the same ones.
pub(crate) fn routes<C: Cluster>(cluster: Arc<C>, namespace: Option<String>) -> Router {
    let discovered = Arc::clone(&cluster);
    Router::new()
        .route(&format!("/apis/{GROUP}"), get(async || answer(StatusCode::OK, &group())))
        .route(
            &format!("/apis/{GROUP_VERSION}"),
            get(async move || answer(StatusCode::OK, &resources(&discovered.view()))),
        )
        .route(
            &format!("/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}"),
            get(
                async move |Path((of, metric)): Path<(String, String)>,
                            query: Result<Query<ListOptions>, QueryRejection>| {
                    let served = namespace.as_deref().is_none_or(|namespace| namespace == of);
                    match query {
                        Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, error.body_text())),
                        Ok(_) if !served => Err(Refusal::new(
                            StatusCode::NOT_FOUND,
                            format!(
                                "there is no job in the namespace {of}; kubernetes.namespace is another one"
                            ),
                        )),
                        Ok(Query(options)) => values(&cluster.view(), &metric, &options.label_selector),
                    }
                    .map(|list| answer(StatusCode::OK, &list))
                },
            ),
        )
        .fallback(async |uri: Uri| Refusal::new(StatusCode::NOT_FOUND, format!("there is no {}", uri.path())))
        .method_not_allowed_fallback(async |method: Method| {
            Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("metrics are only read: {method} is not supported"),
            )
        })
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An `APIGroup`.
fn group() -> Value {
    let version = json!({"groupVersion": GROUP_VERSION, "version": "v1beta1"});
    json!({
        "kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": [version], "preferredVersion": version,
    })
}

/// An `APIResourceList`. Each metric is a resource.
fn resources(view: &ClusterView) -> Value {
    let names: BTreeSet<String> =
        view.jobs.iter().flat_map(|job| gauges_of_job(job, view.now_ms).into_keys()).collect();
    let resource = |name: String| {
        json!({
            "name": name, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"],
        })
    };
    let resources: Vec<Value> = names.into_iter().map(resource).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": resources})
}

/// An `ExternalMetricValueList` with the values of the jobs that `selector` selects. An HPA adds them.
fn values(view: &ClusterView, metric: &str, selector: &str) -> Result<Value, Refusal> {
    let selector = Selector::parse(selector).map_err(|problem| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("cannot use the labelSelector '{selector}': {problem}"))
    })?;
    if matches!(view.readiness, Readiness::StandingBy | Readiness::StandingByDifferent) {
        let message = "this JobManager stands by, and only the leader knows the metrics of the job";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message));
    }
    let value = |job: &JobView| gauges_of_job(job, view.now_ms).get(metric).copied().and_then(quantity);
    let timestamp = timestamp(view.now_ms);
    let item = |job: &JobView| {
        Some(json!({
            "metricName": metric, "metricLabels": labels(job), "timestamp": timestamp, "value": value(job)?,
        }))
    };
    let (selected, others): (Vec<_>, Vec<_>) =
        view.jobs.iter().partition(|job| selector.selects(&labels(job)));
    let items: Vec<Value> = selected.into_iter().filter_map(item).collect();
    if !items.is_empty() {
        return Ok(json!({
            "kind": "ExternalMetricValueList", "apiVersion": GROUP_VERSION, "metadata": {}, "items": items,
        }));
    }
    let message = match others.into_iter().find(|job| value(job).is_some()) {
        Some(job) => {
            format!("no selected job has the metric {metric}; there is one with the labels {:?}", labels(job))
        }
        None => format!(
            "there is no metric {metric}, or its value is not known yet; those of the autoscaler need job.autoscaler.enabled"
        ),
    };
    Err(Refusal::new(StatusCode::NOT_FOUND, message))
}

/// The labels of a job's metrics, as at `/metrics`; but a selector's value has no colon, and ends with a letter or digit.
fn labels(job: &JobView) -> BTreeMap<&'static str, String> {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = job.name.chars().map(allowed).take(MAX_LABEL_LEN).collect();
    let name = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    [("job_id", job.id.to_string()), ("job_name", name.to_owned())].into()
}

/// A number as a `Quantity` of Kubernetes: whole, or in thousandths. `None` if it is no number.
fn quantity(value: f64) -> Option<String> {
    /// Its thousandths fit into 64 bits, as those of a `Quantity` must.
    const LARGEST: f64 = 9e15;
    if value.is_nan() {
        return None;
    }
    let value = value.clamp(-LARGEST, LARGEST);
    let thousandths = (value * 1000.0).round();
    // Adding zero turns -0 into 0.
    Some(if value.fract() == 0.0 || thousandths % 1000.0 == 0.0 {
        format!("{:.0}", value.round() + 0.0)
    } else {
        format!("{thousandths:.0}m")
    })
}

fn timestamp(at_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: f64, expect: Option<&str>) {
        assert_eq!(quantity(value).as_deref(), expect, "{value}");
    }

    #[test]
    fn quantities_are_whole_or_thousandths() {
        check(3.0, Some("3"));
        check(0.0, Some("0"));
        check(-0.0, Some("0"));
        check(-1.0, Some("-1"));
        check(12.5, Some("12500m"));
        check(0.7251, Some("725m"));
        check(-0.0001, Some("0"));
        check(2.9999, Some("3"));
        check(123_456_789_012_345.0, Some("123456789012345"));
    }

    #[test]
    fn what_is_no_quantity_is_not_known_or_the_largest() {
        check(f64::NAN, None);
        check(f64::INFINITY, Some("9000000000000000"));
        check(-1e300, Some("-9000000000000000"));
    }
}
