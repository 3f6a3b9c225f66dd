//! Metrics of a JobManager through the aggregation layer of a real API server, as the controller of HPAs requests them.

use crate::control_plane::ControlPlane;
use crate::distribution::{Distribution, JOB, free_port, until};
use base64ct::{Base64, Encoding};
use reflow_kubernetes::{Access, Api, ApiError};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const NAMESPACE: &str = "shop";
const SERVICE: &str = "reflow-external-metrics";
const METRICS: &str = "/apis/external.metrics.k8s.io/v1beta1";
const DESIRED: &str = "flink_jobmanager_job_desiredTaskManagers";
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

#[test]
fn the_controller_of_hpas_reads_metrics_from_the_job_manager() {
    let Some(plane) = ControlPlane::start() else { return };
    plane.create_service_account(NAMESPACE);
    let files = tempfile::tempdir().unwrap();
    plane.write_certificate(files.path(), "tls", &[&format!("{SERVICE}.{NAMESPACE}.svc"), "localhost"]);
    let (port, directory) = (free_port(), files.path().display());
    let d = Distribution::lay_out(&format!(
        "scheduler-mode: reactive\njob.autoscaler.enabled: true\nkubernetes.namespace: {NAMESPACE}\n\
         kubernetes.external-metrics.enabled: true\nkubernetes.external-metrics.port: {port}\n\
         kubernetes.external-metrics.certificate: {directory}/tls.crt\nkubernetes.external-metrics.key: {directory}/tls.key\n\
         kubernetes.external-metrics.client-ca: {directory}/ca.crt\n"
    ));
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --rate 400 --output out"));
    d.run("./bin/taskmanager.sh start");
    register(&plane, files.path(), port);
    let shown =
        || plane.request("GET", &format!("{API_SERVICE}/v1beta1.external.metrics.k8s.io"), &Value::Null).1;
    until("the API service to be available", || {
        let conditions = shown()["status"]["conditions"].clone();
        let is_available = |it: &Value| it["type"] == "Available" && it["status"] == "True";
        conditions.as_array()?.iter().any(is_available).then_some(())
    });

    // It has its rights from a role that every cluster has.
    plane.create(
        "/api/v1/namespaces/kube-system/serviceaccounts",
        &json!({"metadata": {"name": "horizontal-pod-autoscaler"}}),
    );
    let controller = plane.token_of("kube-system", "horizontal-pod-autoscaler");
    let path =
        format!("{METRICS}/namespaces/{NAMESPACE}/{DESIRED}?labelSelector=job_id%2Cjob_name%21%3Dother");
    let list = until("the metric", || {
        let (status, answer) = plane.get_as(&controller, &path);
        (status == 200).then_some(answer)
    });
    assert_eq!(list["kind"], "ExternalMetricValueList");
    assert_eq!(list["items"][0]["metricName"], DESIRED);
    let value: u32 = list["items"][0]["value"].as_str().unwrap().parse().unwrap();
    assert!(value >= 1, "{list}");
    let (status, resources) = plane.get_as(&controller, METRICS);
    assert_eq!((status, &resources["kind"]), (200, &json!("APIResourceList")));

    let absent = format!("{METRICS}/namespaces/{NAMESPACE}/absent");
    let (status, answer) = plane.get_as(&controller, &absent);
    assert_eq!((status, &answer["reason"]), (404, &json!("NotFound")), "{answer}");
    let stranger = plane.new_token(NAMESPACE);
    assert_eq!(plane.get_as(&stranger, &path).0, 403, "the API server asks for the right");

    request_directly(&plane, files.path(), port, &controller)
        .expect_err("only the API server has a certificate");
    d.wait_for_log("standalonejob", "refused a REST connection");
    d.expect_no_failure();
}

/// Creates the component's APIService, with a Service that leads to this machine instead of pods.
fn register(plane: &ControlPlane, certificates: &Path, port: u16) {
    let service = json!({
        "metadata": {"name": SERVICE}, "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    plane.create(&format!("/api/v1/namespaces/{NAMESPACE}/services"), &service);
    let manifest = "../../dist/kubernetes/external-metrics/apiservice.yaml";
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest)).unwrap();
    let mut registration: Value = serde_saphyr::from_str(&manifest).unwrap();
    let spec = registration["spec"].as_object_mut().unwrap();
    spec["service"]["namespace"] = json!(NAMESPACE);
    spec["service"]["port"] = json!(port);
    assert_eq!(spec.remove("insecureSkipTLSVerify"), Some(json!(true)));
    let authority = fs::read(certificates.join("ca.crt")).unwrap();
    spec.insert("caBundle".to_owned(), json!(Base64::encode_string(&authority)));
    plane.create(API_SERVICE, &registration);
}

/// Sends the JobManager a request of someone with a token, but without a certificate.
fn request_directly(
    plane: &ControlPlane,
    certificates: &Path,
    port: u16,
    token: &str,
) -> Result<(), ApiError> {
    let (config, token_file) = (certificates.join("kubeconfig"), certificates.join("token"));
    fs::write(&token_file, token).unwrap();
    let text = json!({
        "current-context": "direct",
        "clusters": [{"name": "direct", "cluster": {
            "server": format!("https://localhost:{port}"),
            "certificate-authority": certificates.join("ca.crt"),
        }}],
        "contexts": [{"name": "direct", "context": {"cluster": "direct", "user": "direct"}}],
        "users": [{"name": "direct", "user": {"tokenFile": token_file}}],
    });
    fs::write(&config, text.to_string()).unwrap();
    let api = Api::new(Access::find(Some(&config), None).unwrap());
    plane.block_on(api.exchange(hyper::Method::GET, METRICS, None)).map(drop)
}
