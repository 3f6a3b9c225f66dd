//! The scale over an API server that is played.

use super::*;
use crate::test_server::TestServer;
use serde_json::json;

const SCALE: &str = "/apis/apps/v1/namespaces/shop/deployments/reflow-taskmanager/scale";

fn client(server: &TestServer) -> ScaleClient {
    let workload = Workload::parse("deployment/reflow-taskmanager").unwrap();
    ScaleClient::new(server.api(), None, workload)
}

#[test]
fn workloads_are_named_as_for_kubectl() {
    for text in ["deployment/reflow-taskmanager", "statefulset/tm"] {
        assert_eq!(Workload::parse(text).unwrap().to_string(), text);
    }
    for text in ["tm", "deployment/", "job/tm", "/tm"] {
        assert_eq!(Workload::parse(text), None, "{text}");
    }
}

#[test]
fn replicas_are_changed_unless_the_workload_has_changed() {
    let server = TestServer::new();
    let client = client(&server);
    let run = |change| server.block_on(change);
    server
        .put(json!({"metadata": {"name": "reflow-taskmanager"}, "spec": {}, "status": {"selector": "a=b"}}));
    let read = || server.block_on(client.read()).unwrap();
    let old = read();
    assert_eq!(old.replicas, 0, "the server leaves out zero");
    assert_eq!(run(client.change(old.clone(), 3)).unwrap(), Change::Done);
    assert_eq!((read().replicas, &server.object()["status"]["selector"]), (3, &json!("a=b")));
    assert_eq!(run(client.change(old, 2)).unwrap(), Change::Outdated);
    assert_eq!(read().replicas, 3);
    assert_eq!(
        server.take_requests()[..2],
        [format!("GET {SCALE}"), format!("PUT {SCALE}")],
        "get and update are the rights that it needs"
    );
}

#[test]
fn errors_name_what_is_missing() {
    let server = TestServer::new();
    let client = client(&server);
    let refused = |code, message: &str| {
        server.refuse(code, message);
        server.block_on(client.read()).unwrap_err().to_string()
    };
    let forbidden = refused(403, "User \"x\" cannot get resource");
    assert!(
        forbidden.contains("no right to get deployments.apps/scale in the namespace shop")
            && forbidden.contains("a Role with the verb \"get\""),
        "{forbidden}"
    );
    let missing = refused(404, "");
    assert!(
        missing.contains("no deployments.apps/scale reflow-taskmanager in the namespace shop"),
        "{missing}"
    );
}
