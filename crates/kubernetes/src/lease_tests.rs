//! The lease over an API server that is played: it keeps one object with its version.

use super::*;
use crate::access::Access;
use reflow_coordination::leader_election::IfTaken;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// What the server has, and what has been asked for.
#[derive(Default)]
struct Played {
    lease: Option<Value>,
    version: u64,
    requests: Vec<String>,
    /// The answer to each request, if it is not the usual one.
    refusal: Option<(u16, Value)>,
}

impl Played {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        self.requests.push(format!("{method} {path}"));
        if let Some(refusal) = &self.refusal {
            return refusal.clone();
        }
        let mut written: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method, &self.lease) {
            ("GET", Some(lease)) => return (200, lease.clone()),
            ("GET" | "PUT", None) => return (404, Value::Null),
            ("POST", Some(_)) => return (409, Value::Null),
            ("PUT", Some(lease))
                if lease["metadata"]["resourceVersion"] != written["metadata"]["resourceVersion"] =>
            {
                return (409, Value::Null);
            }
            _ => {}
        }
        self.version += 1;
        written["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.lease = Some(written.clone());
        (200, written)
    }
}

/// Serves a connection until the client closes it.
fn serve(stream: &TcpStream, played: &Mutex<Played>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        let mut length = 0;
        let mut line = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        while reader.read_line(&mut line).is_ok() && line.trim() != "" {
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, answer) = played.lock().unwrap().answer(method, path, &body);
        let answer = answer.to_string();
        let length = answer.len();
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
    }
}

struct World {
    played: Arc<Mutex<Played>>,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let played = Arc::new(Mutex::new(Played::default()));
        let served = Arc::clone(&played);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, served) = (stream.unwrap(), Arc::clone(&served));
                std::thread::spawn(move || serve(&stream, &served));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { played, address, runtime }
    }

    fn client(&self, identity: &str) -> LeaseClient {
        let config = tempfile::NamedTempFile::new().unwrap();
        let text = format!(
            "{{current-context: c, clusters: [{{name: s, cluster: {{server: 'http://{}'}}}}], \
             contexts: [{{name: c, context: {{cluster: s, user: u, namespace: shop}}}}], users: [{{name: u, user: {{token: t}}}}]}}",
            self.address
        );
        std::fs::write(config.path(), text).unwrap();
        let access = Access::find(Some(config.path()), None).unwrap();
        let candidate = Candidate { identity: identity.to_owned(), duration: Duration::from_secs(3) };
        LeaseClient::new(Api::new(access), None, "orders-leader", candidate)
    }

    fn call(&self, client: &LeaseClient, request: LeaseRequest) -> Result<LeaseAnswer, ApiError> {
        self.runtime.block_on(client.call(&request))
    }

    fn lease(&self) -> Value {
        self.played.lock().unwrap().lease.clone().unwrap()
    }

    fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.played.lock().unwrap().requests)
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
    assert_eq!(world.take_requests(), [format!("GET {path}/orders-leader"), format!("POST {path}")]);
    let acquired = world.lease();
    assert_eq!(acquired["kind"], "Lease");
    assert_eq!(acquired["metadata"]["name"], "orders-leader");
    assert_eq!(acquired["spec"]["holderIdentity"], "a");
    assert_eq!(acquired["spec"]["leaseDurationSeconds"], 3);
    assert_eq!(acquired["spec"]["leaseTransitions"], 0);
    let time = acquired["spec"]["renewTime"].as_str().unwrap();
    assert!(time.len() == "2026-11-30T18:00:00.000000Z".len() && time.ends_with('Z'), "{time}");

    assert_eq!(world.call(&a, RENEW()).unwrap(), LeaseAnswer::Held);
    assert_eq!(world.take_requests(), [format!("PUT {path}/orders-leader")], "one request a renewal");
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
        let mut played = world.played.lock().unwrap();
        played.version += 1;
        let version = played.version;
        let lease = played.lease.as_mut().unwrap();
        lease["metadata"]["resourceVersion"] = version.to_string().into();
        change(lease);
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

    world.played.lock().unwrap().lease = None;
    assert_eq!(world.call(&a, RENEW()).unwrap(), LeaseAnswer::Held, "it is created again");
    assert_eq!(world.lease()["spec"]["holderIdentity"], "a");
}

#[test]
fn errors_say_what_is_missing() {
    let world = World::new();
    let a = world.client("a");
    let refused = |code: u16, message: &str| {
        world.played.lock().unwrap().refusal = Some((code, serde_json::json!({"message": message})));
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
