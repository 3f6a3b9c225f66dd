//! The built-in autoscaler with a Deployment. Nobody starts its pods: the test starts TaskManagers in their place.

use crate::control_plane::ControlPlane;
use crate::distribution::{Distribution, JOB, until};
use reflow_schema::{Autoscaler, Timeline};
use std::fs;

const NAMESPACE: &str = "shop";
const DEPLOYMENT: &str = "tm";
const FOREIGN: &str =
    "3 replicas of deployment/tm instead of 2, which the autoscaler has not asked for: left alone for 60 s";

#[test]
fn the_autoscaler_scales_a_deployment_and_yields_to_others() {
    let Some(mut plane) = ControlPlane::start() else { return };
    let account = tempfile::tempdir().unwrap();
    let (config, token) = (account.path().join("kubeconfig"), account.path().join("token"));
    fs::write(&token, plane.create_service_account(NAMESPACE)).unwrap();
    plane.write_kubeconfig(&config, &token, NAMESPACE);
    plane.create_deployment(NAMESPACE, DEPLOYMENT);
    let d = Distribution::lay_out(&format!(
        "scheduler-mode: reactive\nkubernetes.config.file: {}\njob.autoscaler.enabled: true\n\
         job.autoscaler.task-managers.provider: kubernetes\njob.autoscaler.task-managers.min: 2\n\
         job.autoscaler.task-managers.scale-target: deployment/{DEPLOYMENT}\n",
        config.display(),
    ));
    let wait_for_replicas = |plane: &ControlPlane, replicas| {
        let reached = || (plane.replicas(NAMESPACE, DEPLOYMENT) == replicas).then_some(());
        until(&format!("{replicas} replicas"), reached);
    };
    let logged = |text: &str| d.wait_for_log("standalonejob", text);
    let status = || -> String {
        let of_job = format!("/jobs/{}/autoscaler", d.job().unwrap().jid);
        d.get::<Autoscaler>(&of_job).unwrap().status
    };

    // Without the right, the job runs on with what there is.
    d.run(&format!("./bin/standalone-job.sh start -j {JOB} --rate 400 --output out"));
    d.run("./bin/taskmanager.sh start");
    logged("no right to get deployments.apps/scale in the namespace shop: give its service account a Role");
    logged("the component `autoscaler` of the manifests has this Role");
    d.wait_for_parallelism(1);
    plane.grant_scaling(NAMESPACE, DEPLOYMENT);
    logged("the number of replicas of deployment/tm can be read again");
    wait_for_replicas(&plane, 2);
    d.run("./bin/taskmanager.sh start");

    // Someone else scales it, as an HPA would.
    plane.scale(NAMESPACE, DEPLOYMENT, 3);
    logged(FOREIGN);
    until("it to be told by REST", || status().ends_with(FOREIGN).then_some(()));
    let timeline: Timeline = d.get(&format!("/jobs/{}/timeline", d.job().unwrap().jid)).unwrap();
    assert!(timeline.events.iter().any(|event| event.text == FOREIGN), "{:#?}", timeline.events);

    plane.stop_api_server();
    logged("the number of replicas of deployment/tm cannot be read: the API server");
    d.wait_for_checkpoints(2);
    plane.start_api_server();
    assert_eq!(plane.replicas(NAMESPACE, DEPLOYMENT), 3, "it is left alone");
    wait_for_replicas(&plane, 2);
    until("nothing to be in the way", || (!status().contains("replicas")).then_some(()));
    let times = |text: &str| d.log("standalonejob").matches(text).count();
    assert_eq!((times(FOREIGN), times("cannot be read: the API server")), (1, 1), "each is told once");
    d.expect_no_failure();
}
