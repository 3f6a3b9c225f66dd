//! A lease in a `Lease` object of Kubernetes.
//!
//! There is one object for the job, not one for each leadership, and a JobManager acquires it before it claims the job: the API
//! server lets one of several do so. What is written is decided in [`reflow_coordination::leader_election`].

use super::Written;
use reflow_coordination::leader_election::{Hold, IfTaken, LeaseAnswer, LeaseRequest};
use reflow_coordination::standby::{Lease, Tenure};
use reflow_env::{Call, CallError, CallResult, Client, Request};
use reflow_types::LeaderEpoch;
use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Calls about the lease, by a client that this crate does not know.
#[derive(Clone)]
pub struct LeaseCalls {
    make: Arc<MakeCall>,
    identity: String,
}

type MakeCall = dyn Fn(LeaseRequest, Duration) -> Call + Send + Sync;

impl LeaseCalls {
    /// Calls by this client, which knows the object. `identity` is the name by which this process holds it.
    pub fn new<C>(client: &Arc<C>, identity: String) -> Self
    where
        C: Client<Request = LeaseRequest, Answer = LeaseAnswer>,
    {
        let client = Arc::clone(client);
        Self::made_by(move |request, time_limit| Call::new(&client, request, time_limit), identity)
    }

    /// Calls that this function makes from a request and its time limit, in the order in which they are sent. They are answered
    /// with a [`LeaseAnswer`].
    pub fn made_by(
        make: impl Fn(LeaseRequest, Duration) -> Call + Send + Sync + 'static,
        identity: String,
    ) -> Self {
        Self { make: Arc::new(make), identity }
    }

    /// The name of this process.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// A request that is given up after this time.
    pub(crate) fn request(&self, request: LeaseRequest, time_limit: Duration) -> Request {
        (self.make)(request, time_limit).into()
    }
}

impl fmt::Debug for LeaseCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseCalls")
    }
}

/// What a client has answered.
pub(crate) fn lease_answer(result: CallResult) -> Result<LeaseAnswer, CallError> {
    let answer: Box<dyn Any> = result?;
    Ok(*answer.downcast().expect("a client of a lease answers so"))
}

/// The lease of one leadership.
#[derive(Debug)]
pub(crate) struct HeldLease {
    calls: LeaseCalls,
    pub(super) epoch: LeaderEpoch,
    /// Someone else may take the lease by mistake. The leader looks for a later epoch first, and takes the lease back if there is
    /// none.
    pub(super) if_taken: IfTaken,
}

impl HeldLease {
    pub(super) fn new(calls: LeaseCalls, epoch: LeaderEpoch) -> Self {
        Self { calls, epoch, if_taken: IfTaken::Yield }
    }

    pub(super) fn write(&self, Lease { duration, tenure, program, .. }: Lease) -> Request {
        let if_taken = match tenure {
            Tenure::Claiming | Tenure::Kept | Tenure::Offered => self.if_taken,
            Tenure::Released | Tenure::Ended => IfTaken::Yield,
        };
        let hold = Hold { epoch: self.epoch, tenure, program, if_taken };
        self.calls.request(LeaseRequest::Hold(hold), duration)
    }

    pub(super) fn written(&mut self, result: CallResult) -> Written {
        match lease_answer(result) {
            Ok(LeaseAnswer::HeldByAnother(by)) => Written::Taken(by.holder),
            Ok(LeaseAnswer::Superseded) => Written::Superseded,
            Ok(_) => {
                self.if_taken = IfTaken::Yield;
                Written::Renewed
            }
            Err(error) => Written::Failed(error.to_string()),
        }
    }
}
