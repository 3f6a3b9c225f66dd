//! A savepoint or checkpoint at a location.

use crate::error::SavepointError;
use bytes::Bytes;
use reflow_coordination::manifest::{self, Decision, Manifest, VertexState};
use reflow_env::{Location, StoreError, StoreOp, StoreReply, StoreResult};
use reflow_graph::Operator;
use std::ops::Range;

/// Carries out a request to storage and waits for the answer.
pub type Requests<'a> = &'a dyn Fn(StoreOp) -> StoreResult;

/// A savepoint or a checkpoint, of which the manifest was read.
pub struct Savepoint<'a> {
    /// Its directory.
    pub at: String,
    /// The manifest, with absolute names.
    pub manifest: Manifest,
    storage: Requests<'a>,
}

impl<'a> Savepoint<'a> {
    /// Reads the manifest in the directory `at`, or at `at` if that is a manifest itself.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn open(at: &str, storage: Requests<'a>) -> Result<Self, SavepointError> {
        let at = at.trim_end_matches('/');
        let at = at.strip_suffix("/_metadata").unwrap_or(at).to_owned();
        let bytes = match get(storage, &Location(at.clone()).join("_metadata"), None) {
            Err(StoreError::NotFound(_)) => return Err(SavepointError::NotThere { at }),
            bytes => bytes?,
        };
        match manifest::decode(&bytes) {
            Ok(Decision::Complete(mut manifest)) => {
                manifest.rebase(&at);
                Ok(Self { at, manifest: *manifest, storage })
            }
            Ok(Decision::Abandoned(_) | Decision::Ended { .. }) => Err(SavepointError::NeverCompleted { at }),
            Err(error) => Err(SavepointError::Manifest { at, error }),
        }
    }

    /// Carries out a request to storage.
    pub(crate) fn request(&self, op: StoreOp) -> StoreResult {
        (self.storage)(op)
    }

    /// Reads a part of an object.
    pub(crate) fn read(&self, object: &str, range: Range<u64>) -> Result<Bytes, SavepointError> {
        Ok(get(self.storage, &Location(object.to_owned()), Some(range))?)
    }

    /// The vertex and the operator with this uid.
    pub(crate) fn operator(&self, uid: &str) -> Result<(&VertexState, &Operator), SavepointError> {
        let operators = || {
            let vertices = self.manifest.vertices.iter();
            vertices.flat_map(|vertex| vertex.operators.iter().map(move |operator| (vertex, operator)))
        };
        operators().find(|(_, operator)| operator.uid == uid).ok_or_else(|| SavepointError::UnknownOperator {
            uid: uid.to_owned(),
            known: operators().map(|(_, operator)| operator.uid.clone()).collect(),
        })
    }
}

fn get(storage: Requests<'_>, at: &Location, range: Option<Range<u64>>) -> Result<Bytes, StoreError> {
    match storage(StoreOp::Get { at: at.clone(), range })? {
        StoreReply::Bytes(bytes) => Ok(bytes),
        StoreReply::Done | StoreReply::Objects(_) => Err(StoreError::Failed {
            at: at.clone(),
            reason: "the answer to a read is not an object".to_owned(),
        }),
    }
}
