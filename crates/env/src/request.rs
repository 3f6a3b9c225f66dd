//! Requests to the outside, whatever they go to, and their answers.

use crate::external::{Call, CallError, CallResult, Client};
use crate::store::{StoreError, StoreOp, StoreResult};
use std::sync::Arc;
use std::time::Duration;

/// A request to the outside.
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
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// Of object storage.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Of another system.
    #[error(transparent)]
    External(#[from] CallError),
}
