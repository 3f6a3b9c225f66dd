//! Two JobManagers with a lease in Kubernetes, driven by hand over an API server that is played.

use super::*;
use crate::lease::kubernetes::LeaseCalls;
use reflow_coordination::leader_election::{Candidate, LeaseAnswer, LeaseRecord, LeaseRequest};
use reflow_env::{Call, CallError, CallResult, Client};
use std::io;
use std::sync::Mutex;

const OPTIONS: &[(&str, &str)] = &[
    REACTIVE,
    ("execution.checkpointing.dir", "/c"),
    ("high-availability.type", "kubernetes"),
    ("kubernetes.cluster-id", "job"),
];

/// An API server with one lease.
#[derive(Default)]
struct Server {
    lease: Option<LeaseRecord>,
    version: u64,
    is_away: bool,
    /// The answer to the next acquisition is lost.
    loses_acquisition: bool,
}

/// A process's client.
pub(in super::super::super) struct PlayedClient {
    server: Arc<Mutex<Server>>,
    candidate: Candidate,
    seen: u64,
}

impl PlayedClient {
    pub(in super::super::super) fn answer(&mut self, now: Instant, call: &Call) -> CallResult {
        let request = call.request().downcast_ref().expect("it only calls about the lease");
        let mut server = self.server.lock().unwrap();
        if server.is_away {
            return Err(CallError::failed(call.system(), io::Error::other("no route to host")));
        }
        let (now, found) = (now.as_millis(), server.lease.clone());
        let write = |server: &mut Server, lease| {
            server.version += 1;
            server.lease = Some(lease);
        };
        let answer = match *request {
            LeaseRequest::Observe => LeaseAnswer::Observed(found),
            LeaseRequest::Acquire { .. } if self.seen != server.version => LeaseAnswer::Changed,
            LeaseRequest::Acquire { program } => {
                let lease = self.candidate.acquire(now, found.as_ref(), program);
                write(&mut server, lease);
                LeaseAnswer::Acquired
            }
            LeaseRequest::Hold(hold) => match self.candidate.hold(now, found.as_ref(), hold) {
                Some(lease) => {
                    write(&mut server, lease);
                    LeaseAnswer::Held
                }
                None => LeaseAnswer::HeldByAnother(found.expect("someone holds it")),
            },
        };
        self.seen = server.version;
        if answer == LeaseAnswer::Acquired && std::mem::take(&mut server.loses_acquisition) {
            return Err(CallError::failed(call.system(), io::Error::other("no answer in time")));
        }
        Ok(Box::new(answer))
    }
}

/// The process makes calls by it, and nobody carries them out.
struct Unused;

impl Client for Unused {
    type Request = LeaseRequest;
    type Answer = LeaseAnswer;
    type Error = io::Error;

    fn system(&self) -> &str {
        "lease shop/job-leader"
    }

    fn call(&self, _: &LeaseRequest) -> impl Future<Output = io::Result<LeaseAnswer>> + Send {
        std::future::ready(Err(io::Error::other("the test answers")))
    }
}

fn started_with(server: &Arc<Mutex<Server>>, store: MemoryStore, identity: &str) -> World {
    let mut world = configured(store, StartMode::default(), OPTIONS);
    let candidate = Candidate { identity: identity.to_owned(), duration: DURATION };
    world.process.keep_lease_in_kubernetes(LeaseCalls::new(&Arc::new(Unused), identity.to_owned()));
    world.client = Some(PlayedClient { server: Arc::clone(server), candidate, seen: 0 });
    world.feed(Input::Start);
    world
}

/// A leader `a` and a standby `b` that has waited for it; the standby has the store.
fn two() -> (Arc<Mutex<Server>>, World, World) {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut a = started_with(&server, MemoryStore::default(), "a");
    a.pass(DURATION);
    assert!(leads(&a));
    let mut b = started_with(&server, a.store.clone(), "b");
    go_on(&mut a, &mut b, DURATION * 3);
    assert!(leads(&a) && !leads(&b));
    assert_eq!(b.handle.view().readiness, Readiness::StandingBy);
    (server, a, b)
}

fn holder(server: &Mutex<Server>) -> String {
    server.lock().unwrap().lease.as_ref().unwrap().holder.clone()
}

#[test]
fn a_standby_acquires_the_lease_and_leads_when_the_leader_is_gone() {
    let (server, a, mut b) = two();
    assert_eq!(server.lock().unwrap().lease.as_ref().unwrap().epoch, Some(LeaderEpoch(1)));
    drop(a);
    b.pass(DURATION * 6 / 10);
    assert!(!leads(&b) && holder(&server) == "a");
    b.pass(DURATION);
    assert!(leads(&b) && holder(&server) == "b");
    b.pass(DURATION);
    let lease = server.lock().unwrap().lease.clone().unwrap();
    assert_eq!((lease.transitions, lease.epoch), (1, Some(LeaderEpoch(2))));
}

#[test]
fn a_leader_hands_over_and_a_standby_notices_at_once() {
    let (server, mut a, mut b) = two();
    share(&mut b, &mut a);
    a.feed(Input::Terminate);
    assert_eq!(holder(&server), "");
    share(&mut a, &mut b);
    go_on(&mut a, &mut b, DURATION / 3);
    assert!(leads(&b) && holder(&server) == "b");
    assert_eq!(a.exit.map(|(code, _)| code), Some(HANDS_OVER));
    let changes = b.handle.view().leadership.changes.clone();
    assert_eq!(changes.last().unwrap().cause, LeaderChangeCause::HandedOver);
}

#[test]
fn a_leader_leads_on_while_the_api_server_is_away() {
    let (server, mut a, mut b) = two();
    server.lock().unwrap().is_away = true;
    go_on(&mut a, &mut b, DURATION * 200);
    assert!(leads(&a) && !leads(&b));
    server.lock().unwrap().is_away = false;
    go_on(&mut a, &mut b, DURATION * 3);
    assert!(leads(&a) && !leads(&b) && holder(&server) == "a");
}

#[test]
fn a_leader_takes_a_stolen_or_deleted_lease_back() {
    let (server, mut a, mut b) = two();
    server.lock().unwrap().lease.as_mut().unwrap().holder = "thief".to_owned();
    server.lock().unwrap().version += 1;
    go_on(&mut a, &mut b, DURATION);
    assert!(leads(&a) && !leads(&b) && holder(&server) == "a");
    server.lock().unwrap().lease = None;
    server.lock().unwrap().version += 1;
    go_on(&mut a, &mut b, DURATION * 2);
    assert!(leads(&a) && !leads(&b) && holder(&server) == "a");
    // It is not there, and nobody creates it.
    server.lock().unwrap().lease = None;
    b.pass(DURATION * 9 / 10);
    assert!(!leads(&b));
    b.pass(DURATION * 6 / 10);
    assert!(leads(&b) && holder(&server) == "b");
}

/// A leader that was paused finds that its lease was taken, and by whom.
#[test]
fn a_leader_whose_lease_has_run_out_stands_by() {
    let (server, mut a, mut b) = two();
    b.pass(DURATION * 3 / 2);
    assert!(leads(&b));
    go_on(&mut a, &mut b, DURATION);
    assert_eq!(a.exit.map(|(code, _)| code), Some(STANDS_BY));
    assert!(leads(&b) && holder(&server) == "b");
}

#[test]
fn a_standby_ends_with_a_job_that_is_shut_down() {
    let (_, mut a, mut b) = two();
    share(&mut b, &mut a);
    assert_eq!(a.ask(Command::ShutDown), Ok(Reply::Accepted));
    a.pass(DURATION * 2);
    assert_eq!(a.exit, Some((0, String::new())));
    share(&mut a, &mut b);
    b.pass(DURATION);
    assert_eq!(b.exit, Some((0, String::new())));
}

/// It would take its own claim for a leader otherwise, and forget what its start asks for.
#[test]
fn a_lease_that_was_acquired_without_an_answer_is_held() {
    let server = Arc::new(Mutex::new(Server::default()));
    let mut a = started_with(&server, MemoryStore::default(), "a");
    a.pass(DURATION);
    let mut b = started_with(&server, a.store.clone(), "b");
    drop(a);
    server.lock().unwrap().loses_acquisition = true;
    b.pass(DURATION * 2);
    assert!(!server.lock().unwrap().loses_acquisition);
    assert!(leads(&b) && holder(&server) == "b");
    assert!(!b.process.has_stood_by, "nobody else has led since it was started");
}

/// It completes no checkpoint, and does not learn that it was deposed. A standby without storage could do no more.
#[test]
fn a_leader_without_storage_does_not_renew_a_lease_elsewhere() {
    let (server, mut a, mut b) = two();
    let renewals = || server.lock().unwrap().lease.as_ref().unwrap().renewals;
    a.store.broken = Some("away");
    a.pass(Duration::from_secs(20));
    let last = renewals();
    a.pass(DURATION * 3);
    assert_eq!(renewals(), last);
    b.store.broken = Some("away");
    b.pass(DURATION * 3);
    assert!(!leads(&b) && holder(&server) == "a");
    b.store.broken = None;
    b.pass(DURATION * 2);
    assert!(leads(&b) && holder(&server) == "b");
}
