//! Metrics for the HPA of Kubernetes.

use crate::client::{Response, Server};
use crate::fixture::{self, FakeCluster, JOB};
use reflow_view::{ClusterView, Readiness};
use serde_json::{Value, json};

const GROUP_VERSION: &str = "/apis/external.metrics.k8s.io/v1beta1";
const DESIRED: &str = "flink_jobmanager_job_desiredTaskManagers";
const LAG: &str = "flink_jobmanager_job_lagSeconds";

/// The fixture, with metrics of an autoscaler.
fn cluster() -> ClusterView {
    let mut cluster = fixture::cluster();
    let job = &mut cluster.jobs[0];
    job.name = "orders: eu!".to_owned();
    let metrics = [("desiredTaskManagers", 3.0), ("lagSeconds", 12.5), ("utilization", f64::NAN)];
    job.metrics = metrics.map(|(id, value)| (id.to_owned(), value)).into();
    cluster
}

async fn get(cluster: ClusterView, path: &str) -> Response {
    Server::start_external_metrics(FakeCluster::obedient(cluster), "shop").await.get(path).await
}

async fn metric(metric: &str, query: &str) -> Response {
    get(cluster(), &format!("{GROUP_VERSION}/namespaces/shop/{metric}{query}")).await
}

/// The request is refused by a `Status` with this code and reason, whose message has `text`.
#[track_caller]
fn expect_refusal(response: &Response, code: u16, reason: &str, text: &str) {
    let status = response.json();
    assert_eq!(response.status, code, "{status}");
    assert!(response.head.contains("content-type: application/json"), "{}", response.head);
    let fields = ["kind", "apiVersion", "status", "code", "reason"].map(|field| status[field].clone());
    assert_eq!(fields, [json!("Status"), json!("v1"), json!("Failure"), json!(code), json!(reason)]);
    assert!(status["message"].as_str().unwrap().contains(text), "{status}");
}

#[tokio::test]
async fn an_hpa_gets_the_values_of_the_jobs_that_it_selects() {
    for query in ["", "?labelSelector=", "?labelSelector=job_name%3Dorders__eu", "?labelSelector=job_id,!x"] {
        let mut answer = metric(DESIRED, query).await.json();
        let timestamp = answer["items"][0]["timestamp"].take();
        let expected = json!({
            "kind": "ExternalMetricValueList",
            "apiVersion": "external.metrics.k8s.io/v1beta1",
            "metadata": {},
            "items": [{
                "metricName": DESIRED,
                "metricLabels": {"job_id": JOB.to_string(), "job_name": "orders__eu"},
                "timestamp": null,
                "value": "3",
            }],
        });
        assert_eq!(answer, expected, "{query}");
        let timestamp = timestamp.as_str().unwrap();
        assert!(timestamp.starts_with("2026-") && timestamp.ends_with('Z'), "{timestamp}");
    }
    assert_eq!(metric(LAG, "").await.json()["items"][0]["value"], "12500m");
}

#[tokio::test]
async fn metrics_are_discovered() {
    let group = get(cluster(), "/apis/external.metrics.k8s.io").await.json();
    assert_eq!((&group["kind"], &group["name"]), (&json!("APIGroup"), &json!("external.metrics.k8s.io")));
    let list = get(cluster(), GROUP_VERSION).await.json();
    assert_eq!(list["kind"], "APIResourceList");
    assert_eq!(list["groupVersion"], "external.metrics.k8s.io/v1beta1");
    let resources = list["resources"].as_array().unwrap();
    let is_desired = |resource: &&Value| resource["name"] == DESIRED;
    let expected = json!({
        "name": DESIRED, "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"],
    });
    assert_eq!(resources.iter().find(is_desired), Some(&expected));
}

#[tokio::test]
async fn what_is_not_there_is_a_status_that_says_why() {
    let refused = metric("flink_jobmanager_job_desired", "").await;
    expect_refusal(&refused, 404, "NotFound", "there is no metric flink_jobmanager_job_desired");
    let refused = metric("flink_jobmanager_job_utilization", "").await;
    expect_refusal(&refused, 404, "NotFound", "its value is not known yet");
    let refused = metric(DESIRED, "?labelSelector=job_name%3Dother").await;
    expect_refusal(&refused, 404, "NotFound", "there is one with the labels {\"job_id\":");
    let refused = metric(DESIRED, "?labelSelector=job_name+of+(x)").await;
    expect_refusal(&refused, 400, "BadRequest", "cannot use the labelSelector 'job_name of (x)'");
    let refused = metric(DESIRED, "?labelSelector=a&labelSelector=b").await;
    expect_refusal(&refused, 400, "BadRequest", "duplicate field");
    let refused = get(cluster(), &format!("{GROUP_VERSION}/namespaces/other/{DESIRED}")).await;
    expect_refusal(&refused, 404, "NotFound", "there is no job in the namespace other");
    let standby = ClusterView { readiness: Readiness::StandingBy, ..cluster() };
    let refused = get(standby, &format!("{GROUP_VERSION}/namespaces/shop/{DESIRED}")).await;
    expect_refusal(&refused, 503, "ServiceUnavailable", "only the leader knows");
}

#[tokio::test]
async fn the_port_has_nothing_but_metrics() {
    let server = Server::start_external_metrics(FakeCluster::obedient(cluster()), "shop").await;
    for path in ["/", "/jobs", "/metrics", "/apis", "/livez"] {
        expect_refusal(&server.get(path).await, 404, "NotFound", path);
    }
    let refused = server.request("POST", GROUP_VERSION, "{}").await;
    expect_refusal(&refused, 405, "MethodNotAllowed", "POST is not supported");
    assert_eq!(*server.cluster.commands.lock().unwrap(), []);
}
