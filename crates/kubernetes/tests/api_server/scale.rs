//! The number of replicas, with the rights that the manifests give.

use crate::control_plane::ControlPlane;
use crate::manifests::{objects, path};
use reflow_kubernetes::scale::Change;
use reflow_kubernetes::{ApiError, ScaleClient, Workload};
use serde_json::{Value, json};
use std::time::Duration;

const NAMESPACE: &str = "scaled";
const NAME: &str = "reflow-taskmanager";

pub(crate) fn the_manifests_have_all_rights_that_the_autoscaler_needs(plane: &ControlPlane) {
    plane.create("/api/v1/namespaces", &json!({"metadata": {"name": NAMESPACE}}));
    let objects = objects(plane, &["autoscaler"], NAMESPACE);
    assert!(objects.iter().all(|object| object["kind"] != "HorizontalPodAutoscaler"), "only one scales");
    for object in &objects {
        plane.create(&path(object, NAMESPACE), object);
    }
    let is_job_manager =
        |object: &&Value| object["kind"] == "Deployment" && object["metadata"]["name"] == "reflow-jobmanager";
    let pod = &objects.iter().find(is_job_manager).unwrap()["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "reflow-jobmanager");
    assert_eq!(pod["automountServiceAccountToken"], true);

    let client = |account: &str, workload: &str| {
        let token = plane.token_of(NAMESPACE, account);
        let workload = Workload::parse(workload).unwrap();
        ScaleClient::new(plane.api(&token), Some(NAMESPACE.to_owned()), workload)
    };
    let workload = format!("deployment/{NAME}");
    let of_job_manager = client("reflow-jobmanager", &workload);
    let read = || plane.block_on(of_job_manager.read()).unwrap();
    // Rights hold a moment after they were granted.
    let granted = || plane.block_on(of_job_manager.read()).is_ok();
    for _ in 0..200 {
        if granted() {
            break;
        }
        plane.pause(Duration::from_millis(50));
    }
    let first = read();
    assert_eq!(first.replicas, 1, "the manifest has no number");
    assert_eq!(plane.block_on(of_job_manager.change(first.clone(), 3)).unwrap(), Change::Done);
    assert_eq!((read().replicas, plane.replicas(NAMESPACE, NAME)), (3, 3));

    // What someone else has changed since it was read is not written over.
    let read_before = read();
    plane.scale(NAMESPACE, NAME, 0);
    for outdated in [first, read_before] {
        assert_eq!(plane.block_on(of_job_manager.change(outdated, 2)).unwrap(), Change::Outdated);
    }
    assert_eq!(read().replicas, 0);

    let refused = |client: &ScaleClient| plane.block_on(client.read()).unwrap_err();
    for client in [client("reflow", &workload), client("reflow-jobmanager", "deployment/reflow-jobmanager")] {
        let error = refused(&client);
        assert!(matches!(error, ApiError::Forbidden { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("no right to get deployments.apps/scale in the namespace scaled"), "{text}");
    }
    let path = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}");
    assert_eq!(plane.request("DELETE", &path, &Value::Null).0, 200);
    assert!(matches!(refused(&of_job_manager), ApiError::NotFound { .. }));
}
