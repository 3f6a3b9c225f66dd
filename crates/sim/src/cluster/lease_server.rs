//! The API server of Kubernetes, as far as JobManagers with `high-availability.type: kubernetes` ask it.
//!
//! It has one `Lease`. As the real one, it refuses a write if the object has changed since the client has seen it. The real client
//! (`crates/kubernetes/src/lease.rs`) sends several messages for a request; here a request is one, which arrives late, or not at
//! all, or twice ([`calls`](crate::world)). What a client has seen is kept here, so, other than with the real one, an observation
//! whose answer is lost counts as seen.

use crate::chaos::Meddling;
use crate::world::{Storage, System, Time, World};
use bytes::Bytes;
use reflow_coordination::leader_election::{Candidate, LeaseAnswer, LeaseRecord, LeaseRequest};
use reflow_coordination::standby::Sighting;
use reflow_env::{Call, CallResult, Client};
use reflow_jobmanager::LeaseCalls;
use std::any::Any;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the lease of each leadership is shown on the disk, as leases in storage are, so that the same checks apply.
const SHOWN: &str = "/kubernetes/leases";

/// The object, with its version.
#[derive(Debug, Default)]
pub(super) struct LeaseServer {
    lease: Option<LeaseRecord>,
    version: u64,
}

/// The server as one client sees it.
struct Connection {
    server: Rc<RefCell<LeaseServer>>,
    candidate: Candidate,
    /// The version that the client has read or written last.
    seen: u64,
    /// The number of the last request that has written the lease.
    written: u64,
}

/// A request, numbered in the order in which its client has made them. One that comes late, or for the second time, must not undo
/// a later one: the real client's is refused then, because it names an older version.
#[derive(Debug)]
struct Numbered {
    number: u64,
    request: LeaseRequest,
}

/// The client's own function is not run.
struct UnusedClient {
    system: String,
}

impl Client for UnusedClient {
    type Request = Numbered;
    type Answer = LeaseAnswer;
    type Error = io::Error;

    fn system(&self) -> &str {
        &self.system
    }

    fn call(&self, _: &Numbered) -> impl Future<Output = io::Result<LeaseAnswer>> + Send {
        std::future::ready(Err(io::Error::other("the simulator answers")))
    }
}

/// The client of a JobManager, which holds the lease by the name `identity` for this time.
pub(super) fn connect(
    world: &mut World,
    server: &Rc<RefCell<LeaseServer>>,
    identity: &str,
    duration: Duration,
) -> LeaseCalls {
    let client = Arc::new(UnusedClient { system: format!("lease of {identity}") });
    let candidate = Candidate { identity: identity.to_owned(), duration };
    let connection = Connection { server: Rc::clone(server), candidate, seen: 0, written: 0 };
    world.add_system(&client.system, Box::new(connection));
    let made = AtomicU64::new(0);
    let make = move |request, time_limit| {
        let number = made.fetch_add(1, Ordering::Relaxed) + 1;
        Call::new(&client, Numbered { number, request }, time_limit)
    };
    LeaseCalls::made_by(make, identity.to_owned())
}

impl LeaseServer {
    /// Someone else changes the lease. Returns whether there is one.
    pub(super) fn meddle(&mut self, how: Meddling) -> bool {
        let Some(lease) = &mut self.lease else { return false };
        match how {
            Meddling::Delete => self.lease = None,
            Meddling::Take => lease.holder = "someone".to_owned(),
            Meddling::Release => lease.holder.clear(),
        }
        self.version += 1;
        true
    }
}

impl Connection {
    fn write(&mut self, lease: LeaseRecord, disk: &mut Storage) {
        let mut server = self.server.borrow_mut();
        let Sighting { epoch, lease: shown } = lease.sighting();
        if let Some(shown) = shown {
            let (renewals, duration_ms) = (shown.renewals, shown.duration.as_millis() as u64);
            let record = serde_json::json!({ "renewals": renewals, "duration_ms": duration_ms, "tenure": shown.tenure });
            disk.put(
                &format!("{SHOWN}/{:020}", epoch.0),
                Bytes::from(serde_json::json!({ "record": record }).to_string()),
            );
        }
        server.lease = Some(lease);
        server.version += 1;
        self.seen = server.version;
    }
}

impl System for Connection {
    fn answer(
        &mut self,
        now: Time,
        request: &(dyn Any + Send + Sync),
        disk: &mut Storage,
    ) -> Option<CallResult> {
        let Numbered { number, request } = request.downcast_ref().expect("the request of a lease's client");
        let (found, version) = {
            let server = self.server.borrow();
            (server.lease.clone(), server.version)
        };
        let now = (now / 1_000).cast_signed();
        let answer = match *request {
            LeaseRequest::Observe => {
                self.seen = version;
                LeaseAnswer::Observed(found)
            }
            LeaseRequest::Acquire { .. } if self.seen != version || *number <= self.written => {
                LeaseAnswer::Changed
            }
            LeaseRequest::Acquire { program } => {
                self.written = *number;
                self.write(self.candidate.acquire(now, found.as_ref(), program), disk);
                LeaseAnswer::Acquired
            }
            LeaseRequest::Hold(_) if *number <= self.written => LeaseAnswer::Superseded,
            LeaseRequest::Hold(hold) => {
                self.written = *number;
                match self.candidate.hold(now, found.as_ref(), hold) {
                    Some(lease) => {
                        self.write(lease, disk);
                        LeaseAnswer::Held
                    }
                    None => LeaseAnswer::HeldByAnother(found.expect("someone holds it")),
                }
            }
        };
        Some(Ok(Box::new(answer)))
    }
}
