//! The preparation of one task for a live rescale: its place in the next graph and its incoming and outgoing key
//! groups.

use crate::stage::Fate;
use crate::wiring::Wiring;
use reflow_protocol::snapshot::Restore;
use reflow_types::{CheckpointId, GraphVersion, KeyGroupSet, SubtaskId};

/// What a task prepares before the cut.
pub struct Preparation {
    /// The next graph.
    pub version: GraphVersion,
    /// The task's place in it; `None` if the rescale removes the task.
    pub wiring: Option<Wiring>,
    /// The incoming key groups.
    pub incoming: Vec<Incoming>,
    /// The outgoing key groups.
    pub outgoing: Vec<Outgoing>,
    /// The checkpoint from which state is prefetched.
    pub checkpoint: CheckpointId,
    /// The state of the incoming groups in that checkpoint.
    pub restore: Restore,
}

impl Preparation {
    /// What becomes of the task.
    pub(crate) fn fate(&self) -> Fate {
        match self.wiring {
            Some(_) => Fate::Stays,
            None => Fate::IsRemoved,
        }
    }

    /// The incoming groups of all old owners.
    pub fn incoming_groups(&self) -> KeyGroupSet {
        self.incoming.iter().flat_map(|incoming| incoming.groups.iter()).collect()
    }
}

/// Key groups that a task receives from an old owner.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The old owner.
    pub from: SubtaskId,
    pub groups: KeyGroupSet,
}

/// Key groups that a task passes to a new owner.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The new owner.
    pub to: SubtaskId,
    pub groups: KeyGroupSet,
}
