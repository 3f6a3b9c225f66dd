//! The client against a real API server. `cargo xtask kubernetes` builds that and runs these tests.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod control_plane;
mod manifests;
mod scale;

use control_plane::ControlPlane;
use reflow_coordination::leader_election::{Candidate, Hold, IfTaken, LeaseAnswer, LeaseRequest};
use reflow_coordination::standby::Tenure;
use reflow_env::Client;
use reflow_kubernetes::{ApiError, LeaseClient};
use reflow_types::LeaderEpoch;
use serde_json::json;
use std::time::Duration;

const RENEW: LeaseRequest = LeaseRequest::Hold(Hold {
    epoch: LeaderEpoch(3),
    tenure: Tenure::Kept,
    program: 7,
    if_taken: IfTaken::Yield,
});
const ACQUIRE: LeaseRequest = LeaseRequest::Acquire { program: 7 };

/// One control plane for all tests, because it takes longer to start than they do to run.
#[test]
fn the_client_and_the_manifests() {
    let Some(plane) = ControlPlane::start() else { return };
    manifests::are_accepted(&plane);
    scale::the_manifests_have_all_rights_that_the_autoscaler_needs(&plane);
    a_lease_needs_rights_and_has_what_operators_look_at(&plane);
}

fn a_lease_needs_rights_and_has_what_operators_look_at(plane: &ControlPlane) {
    let token = plane.create_service_account("shop");
    let client = |identity: &str, token: &str| {
        let candidate = Candidate { identity: identity.to_owned(), duration: Duration::from_secs(3) };
        LeaseClient::new(plane.api(token), Some("shop".to_owned()), "orders-leader", candidate)
    };
    let (a, b) = (client("a", &token), client("b", &token));
    let call = |client: &LeaseClient, request| plane.block_on(client.call(&request));
    // Rights hold a moment after they were granted.
    let call_when_granted = |client: &LeaseClient, request: LeaseRequest, verb: &str| {
        for _ in 0..200 {
            match call(client, request) {
                Err(error @ ApiError::Forbidden { .. }) if error.to_string().contains(verb) => {
                    plane.pause(Duration::from_millis(50));
                }
                answer => return answer,
            }
        }
        panic!("the right to {verb} is not there after ten seconds");
    };

    let error = call(&a, LeaseRequest::Observe).unwrap_err();
    assert!(matches!(error, ApiError::Forbidden { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("no right to get leases.coordination.k8s.io in the namespace shop"), "{text}");
    plane.grant("shop", "orders-leader", &["get", "update"]);
    let nothing = call_when_granted(&a, LeaseRequest::Observe, "get").unwrap();
    assert_eq!(nothing, LeaseAnswer::Observed(None));
    let text = call(&a, ACQUIRE).unwrap_err().to_string();
    assert!(text.contains("no right to create leases.coordination.k8s.io"), "{text}");
    plane.grant_creation("shop");
    assert_eq!(call(&b, LeaseRequest::Observe).unwrap(), LeaseAnswer::Observed(None));
    assert_eq!(call_when_granted(&a, ACQUIRE, "create").unwrap(), LeaseAnswer::Acquired);
    assert_eq!(call(&b, ACQUIRE).unwrap(), LeaseAnswer::Changed);

    assert_eq!(call(&a, RENEW).unwrap(), LeaseAnswer::Held);
    let lease = plane.lease("shop", "orders-leader");
    assert_eq!(lease["spec"]["holderIdentity"], "a");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3);
    assert_eq!(lease["spec"]["leaseTransitions"], 0);
    assert_eq!(lease["metadata"]["annotations"]["reflow/leader-epoch"], "3");

    // A new token of the same account counts as well; a wrong one is named.
    let renewed = client("a", &plane.new_token("shop"));
    assert_eq!(call(&renewed, RENEW).unwrap(), LeaseAnswer::Held);
    let text = call(&client("a", "wrong"), RENEW).unwrap_err().to_string();
    assert!(text.contains("does not accept the credentials"), "{text}");

    let path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/orders-leader";
    let (status, _) = plane.request("PATCH", path, &json!({"spec": {"holderIdentity": "thief"}}));
    assert_eq!(status, 200);
    let answer = call(&a, RENEW).unwrap();
    assert!(matches!(&answer, LeaseAnswer::HeldByAnother(by) if by.holder == "thief"), "{answer:?}");

    let released = LeaseRequest::Hold(Hold {
        epoch: LeaderEpoch(3),
        tenure: Tenure::Released,
        program: 7,
        if_taken: IfTaken::Reclaim,
    });
    assert_eq!(call(&a, released).unwrap(), LeaseAnswer::Held);
    assert_eq!(plane.lease("shop", "orders-leader")["spec"]["holderIdentity"], "");
    call(&b, LeaseRequest::Observe).unwrap();
    assert_eq!(call(&b, ACQUIRE).unwrap(), LeaseAnswer::Acquired);
    assert_eq!(plane.lease("shop", "orders-leader")["spec"]["holderIdentity"], "b");
}
