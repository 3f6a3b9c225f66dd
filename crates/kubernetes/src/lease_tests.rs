//! The lease over an API server that is played.

use super::*;
use crate::test_server::TestServer;
use reflow_coordination::leader_election::IfTaken;

struct World {
    server: TestServer,
}

impl World {
    fn new() -> Self {
        Self { server: TestServer::new() }
    }

    fn client(&self, identity: &str) -> LeaseClient {
        let candidate = Candidate { identity: identity.to_owned(), duration: Duration::from_secs(3) };
        LeaseClient::new(self.server.api(), None, "orders-leader", candidate)
    }

    fn call(&self, client: &LeaseClient, request: LeaseRequest) -> Result<LeaseAnswer, ApiError> {
        self.server.block_on(client.call(&request))
    }

    fn lease(&self) -> Value {
        self.server.object()
    }
}

fn hold(tenure: Tenure, if_taken: IfTaken) -> LeaseRequest {
    LeaseRequest::Hold(Hold { epoch: LeaderEpoch(4), tenure, program: 7, if_taken })
}

const ACQUIRE: LeaseRequest = LeaseRequest::Acquire { program: 7 };
const RENEW: fn() -> LeaseRequest = || hold(Tenure::Kept, IfTaken::Yield);

#[test]
fn the_lease_is_created_renewed_and_given_up() {
    let world = World::new();
    let a = world.client("a");
    assert_eq!(world.call(&a, LeaseRequest::Observe).unwrap(), LeaseAnswer::Observed(None));
    assert_eq!(world.call(&a, ACQUIRE).unwrap(), LeaseAnswer::Acquired);
    let path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";
    assert_eq!(world.server.take_requests(), [format!("GET {path}/orders-leader"), format!("POST {path}")]);
    let acquired = world.lease();
    assert_eq!(acquired["kind"], "Lease");
    assert_eq!(acquired["metadata"]["name"], "orders-leader");
    assert_eq!(acquired["spec"]["holderIdentity"], "a");
    assert_eq!(acquired["spec"]["leaseDurationSeconds"], 3);
    assert_eq!(acquired["spec"]["leaseTransitions"], 0);
    let time = acquired["spec"]["renewTime"].as_str().unwrap();
    assert!(time.len() == "2026-11-30T18:00:00.000000Z".len() && time.ends_with('Z'), "{time}");

    assert_eq!(world.call(&a, RENEW()).unwrap(), LeaseAnswer::Held);
    assert_eq!(world.server.take_requests(), [format!("PUT {path}/orders-leader")], "one request a renewal");
    assert_eq!(world.lease()["metadata"]["annotations"]["reflow/leader-epoch"], "4");

    assert_eq!(world.call(&a, hold(Tenure::Released, IfTaken::Yield)).unwrap(), LeaseAnswer::Held);
    assert_eq!(world.lease()["spec"]["holderIdentity"], "");
    assert_eq!(world.lease()["spec"]["leaseDurationSeconds"], 1);
    let b = world.client("b");
    assert_eq!(world.call(&b, ACQUIRE).unwrap(), LeaseAnswer::Changed, "b has not read it");
    let LeaseAnswer::Observed(Some(seen)) = world.call(&b, LeaseRequest::Observe).unwrap() else { panic!() };
    assert_eq!(seen.sighting().lease.unwrap().tenure, Tenure::Released);
    assert_eq!(seen.sighting().epoch, LeaderEpoch(4));
    assert_eq!(world.call(&b, ACQUIRE).unwrap(), LeaseAnswer::Acquired);
    assert_eq!(world.lease()["spec"]["leaseTransitions"], 1);
}

#[test]
fn one_of_two_acquires_it() {
    let world = World::new();
    let (a, b) = (world.client("a"), world.client("b"));
    for client in [&a, &b] {
        assert_eq!(world.call(client, LeaseRequest::Observe).unwrap(), LeaseAnswer::Observed(None));
    }
    assert_eq!(world.call(&a, ACQUIRE).unwrap(), LeaseAnswer::Acquired);
    assert_eq!(world.call(&b, ACQUIRE).unwrap(), LeaseAnswer::Changed);
}

#[test]
fn what_others_have_added_stays_and_a_stolen_lease_is_taken_back() {
    let world = World::new();
    let a = world.client("a");
    world.call(&a, LeaseRequest::Observe).unwrap();
    world.call(&a, ACQUIRE).unwrap();
    let change = |change: fn(&mut Value)| {
        let mut lease = world.lease();
        change(&mut lease);
        world.server.put(lease);
    };
    change(|lease| {
        lease["metadata"]["labels"] = serde_json::json!({"team": "orders"});
        lease["spec"]["strategy"] = "OldestEmulationVersion".into();
    });
    assert_eq!(world.call(&a, RENEW()).unwrap(), LeaseAnswer::Held);
    assert_eq!(world.lease()["metadata"]["labels"]["team"], "orders");
    assert_eq!(world.lease()["spec"]["strategy"], "OldestEmulationVersion");

    change(|lease| lease["spec"]["holderIdentity"] = "thief".into());
    for _ in 0..2 {
        let answer = world.call(&a, RENEW()).unwrap();
        assert!(matches!(&answer, LeaseAnswer::HeldByAnother(by) if by.holder == "thief"), "{answer:?}");
    }
    assert_eq!(world.call(&a, hold(Tenure::Kept, IfTaken::Reclaim)).unwrap(), LeaseAnswer::Held);
    assert_eq!(world.lease()["spec"]["holderIdentity"], "a");
    assert_eq!(world.lease()["spec"]["leaseTransitions"], 1);

    world.server.delete();
    assert_eq!(world.call(&a, RENEW()).unwrap(), LeaseAnswer::Held, "it is created again");
    assert_eq!(world.lease()["spec"]["holderIdentity"], "a");
}

#[test]
fn errors_say_what_is_missing() {
    let world = World::new();
    let a = world.client("a");
    let refused = |code: u16, message: &str| {
        world.server.refuse(code, message);
        world.call(&a, LeaseRequest::Observe).unwrap_err().to_string()
    };
    let forbidden = refused(403, "User \"x\" cannot get resource");
    assert!(
        forbidden.contains("no right to get leases.coordination.k8s.io in the namespace shop")
            && forbidden.contains("User \"x\" cannot get"),
        "{forbidden}"
    );
    assert!(refused(401, "Unauthorized").contains("does not accept the credentials"));
    let busy = refused(500, "etcd is away");
    assert!(busy.contains("500 Internal Server Error to get leases.coordination.k8s.io"), "{busy}");
}
