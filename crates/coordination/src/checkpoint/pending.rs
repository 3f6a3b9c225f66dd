//! The pending checkpoint: which subtasks have acknowledged it, and whether its deciding name is decided.

use super::chain::Chain;
use super::retention::deciding_name;
use super::{FailureCause, Participant, Purpose};
use crate::event::RequestId;
use crate::manifest::{Ending, Manifest};
use bytes::Bytes;
use reflow_graph::RegionIndex;
use reflow_protocol::deployment::Attempt;
use reflow_protocol::snapshot::{AfterBarrier, StateFormat, SubtaskState};
use reflow_types::{CheckpointId, Instant, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

/// A checkpoint that is neither complete nor failed.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) id: CheckpointId,
    pub(super) attempt: Attempt,
    pub(super) purpose: Purpose,
    pub(super) then: AfterBarrier,
    pub(super) requests: Vec<RequestId>,
    pub(super) format: StateFormat,
    /// Whether it builds on no earlier checkpoint.
    pub(super) full: bool,
    /// The manifest's directory: the checkpoint's full name.
    pub(super) at: String,
    /// The directory of its data objects.
    pub(super) data: String,
    pub(super) triggered_at: Instant,
    /// The subtasks that must acknowledge, as they were at the trigger.
    pub(super) participants: BTreeMap<SubtaskId, Participant>,
    /// The regions that do not take part. Their state is that of the last complete checkpoint.
    pub(super) without: BTreeSet<RegionIndex>,
    pub(super) enumerators: Option<Vec<(String, Bytes)>>,
    pub(super) acknowledged: BTreeMap<SubtaskId, SubtaskState>,
    pub(super) sealed: Option<Sealed>,
    /// Whether the manifest of a savepoint that stops the job exists in the savepoint's directory, so that only
    /// the decision in the job's directory is missing.
    pub(super) savepoint_stands: bool,
    pub(super) abandoning: Option<Abandoning>,
}

/// A checkpoint whose manifest has been sent to storage.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The manifest, with absolute names.
    pub(super) manifest: Manifest,
    /// The chains on which the next checkpoint builds, if this one completes.
    pub(super) chains: BTreeMap<SubtaskId, Chain>,
}

/// A checkpoint whose deciding name is to be taken by an abandonment.
#[derive(Debug)]
pub(super) struct Abandoning {
    /// The cause of the failure.
    pub(super) cause: FailureCause,
    /// The reason for users.
    pub(super) reason: String,
    /// How often storage has not reported the outcome.
    pub(super) failures: u32,
    /// When to try again; `None` while an attempt is under way.
    pub(super) retry_at: Option<Instant>,
}

impl Pending {
    /// Whether acknowledgements are still awaited.
    pub(super) fn is_collecting(&self) -> bool {
        self.sealed.is_none() && self.abandoning.is_none()
    }

    /// The name that is being created, or is created next.
    pub(super) fn name(&self, job_dir: &str) -> String {
        match self.savepoint_stands {
            true => deciding_name(job_dir, self.id),
            false => format!("{}/_metadata", self.at),
        }
    }

    /// How the job ends with it, if it does.
    pub(super) fn ending(&self) -> Option<Ending> {
        let ends = matches!(self.then, AfterBarrier::Finish | AfterBarrier::Drain);
        let state = self.purpose.end_state().filter(|_| ends)?;
        Some(Ending { then: self.then, state })
    }

    /// Whether it is a savepoint that stops the job, which must also be decided where a successor looks.
    pub(super) fn is_stop(&self) -> bool {
        self.purpose.is_stop()
    }
}
