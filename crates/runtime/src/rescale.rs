//! The next graph of a live rescale, as one task gets it.

use crate::wiring::Wiring;
use reflow_protocol::snapshot::Restore;
use reflow_types::{CheckpointId, GraphVersion, KeyGroupSet, SubtaskId};

/// What a task prepares for the cut.
pub struct Preparation {
    /// The next graph.
    pub version: GraphVersion,
    /// The task's place in it; `None` if the rescale removes the task.
    pub wiring: Option<Wiring>,
    /// Key groups that the task receives.
    pub incoming: Vec<Incoming>,
    /// Key groups that the task passes on.
    pub outgoing: Vec<Outgoing>,
    /// The checkpoint from which state is prefetched.
    pub checkpoint: CheckpointId,
    /// What that checkpoint holds of the incoming groups.
    pub restore: Restore,
}

impl Preparation {
    /// The incoming groups of all old owners.
    pub fn incoming_groups(&self) -> KeyGroupSet {
        self.incoming.iter().flat_map(|incoming| incoming.groups.iter()).collect()
    }
}

/// Key groups that come from another subtask.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// The old owner.
    pub from: SubtaskId,
    /// The groups.
    pub groups: KeyGroupSet,
}

/// Key groups that go to another subtask.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The new owner.
    pub to: SubtaskId,
    /// The groups.
    pub groups: KeyGroupSet,
}
