//! Requests to the outside, whatever they go to, and their answers.

use crate::external::{Call, CallError, CallResult, Client};
use crate::store::{StoreError, StoreOp, StoreResult};
use std::sync::Arc;
use std::time::Duration;

/// A request to the outside.
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::Request;
/// use reflow::store::{Location, StoreOp};
///
/// let delete = StoreOp::Delete { at: Location("s3://shop/old".to_owned()) };
/// let request = Request::from(delete.clone());
/// assert_eq!(request.bytes(), 0);
/// assert_eq!(request.into_store(), Some(delete));
/// ```
///
/// To another system, it is a call of its [`Client`]:
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::{Client, Request};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// fn commit<C: Client<Request = String>>(client: &Arc<C>, transaction: &str) -> Request {
///     Request::call(client, format!("commit {transaction}"), Duration::from_secs(10))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To object storage.
    Store(StoreOp),
    /// To another system.
    External(Call),
}

impl Request {
    /// A request to a system outside the cluster. See [`Call::new`].
    pub fn call<C: Client>(client: &Arc<C>, request: C::Request, time_limit: Duration) -> Self {
        Self::External(Call::new(client, request, time_limit))
    }

    /// How many bytes of data it contains.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Store(StoreOp::Put { body, .. }) => body.len(),
            Self::Store(StoreOp::Upload { part, .. }) => part.len(),
            Self::Store(StoreOp::Concat { tail, .. }) => tail.len(),
            Self::Store(_) => 0,
            Self::External(call) => call.bytes(),
        }
    }

    /// The storage request, if it is one.
    pub fn into_store(self) -> Option<StoreOp> {
        if let Self::Store(op) = self { Some(op) } else { None }
    }
}

impl From<StoreOp> for Request {
    fn from(op: StoreOp) -> Self {
        Self::Store(op)
    }
}

impl From<Call> for Request {
    fn from(call: Call) -> Self {
        Self::External(call)
    }
}

/// The answer to a [`Request`] of the same kind.
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::store::StoreReply;
/// use reflow::{Answer, CallError};
///
/// let stored = Answer::Store(Ok(StoreReply::Done));
/// assert!(stored.outcome().is_ok());
/// let found = Answer::External(Ok(Box::new("host-7".to_owned())));
/// assert!(found.outcome().is_ok());
/// let refused = Answer::External(Err(CallError::failed("directory://shop", std::fmt::Error)));
/// assert!(refused.outcome().is_err());
/// ```
#[derive(Debug)]
pub enum Answer {
    /// From object storage.
    Store(StoreResult),
    /// From another system.
    External(CallResult),
}

impl Answer {
    /// Whether the request was carried out.
    pub fn outcome(self) -> Result<(), RequestError> {
        match self {
            Self::Store(result) => result.map(drop).map_err(RequestError::Store),
            Self::External(result) => result.map(drop).map_err(RequestError::External),
        }
    }
}

impl From<StoreResult> for Answer {
    fn from(result: StoreResult) -> Self {
        Self::Store(result)
    }
}

impl From<CallResult> for Answer {
    fn from(result: CallResult) -> Self {
        Self::External(result)
    }
}

/// The error of a [`Request`].
///
/// ```
/// # extern crate reflow_env as reflow;
/// use reflow::store::StoreError;
/// use reflow::{CallError, RequestError};
///
/// fn may_pass(error: &RequestError) -> bool {
///     match error {
///         RequestError::Store(StoreError::Failed { .. }) => true,
///         RequestError::Store(_) => false,
///         RequestError::External(CallError::TimedOut { .. } | CallError::Failed { .. }) => true,
///     }
/// }
/// ```
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// Of object storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of another system.
    #[error(transparent)]
    External(#[from] CallError),
}
