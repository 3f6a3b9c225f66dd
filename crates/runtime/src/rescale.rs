//! What a task is told of a graph to come.

use crate::wiring::Wiring;
use reflow_protocol::snapshot::Restore;
use reflow_types::{CheckpointId, GraphVersion, KeyGroupSet, SubtaskId};

/// Another graph, as one task gets it.
pub struct Preparation {
    /// Names the graph.
    pub version: GraphVersion,
    /// The task's place in it; `None` if it leaves.
    pub wiring: Option<Wiring>,
    /// The key groups that come.
    pub gains: Vec<Gain>,
    /// The key groups that go.
    pub gives: Vec<Give>,
    /// The checkpoint whose state is read.
    pub checkpoint: CheckpointId,
    /// What it holds of the groups that come.
    pub restore: Restore,
}

impl Preparation {
    /// All groups that come.
    pub fn gained(&self) -> KeyGroupSet {
        self.gains.iter().flat_map(|gain| gain.groups.iter()).collect()
    }
}

/// Key groups that come from another subtask.
#[derive(Clone, Debug)]
pub struct Gain {
    /// The old owner.
    pub from: SubtaskId,
    /// Which.
    pub groups: KeyGroupSet,
}

/// Key groups that go to another subtask.
#[derive(Clone, Debug)]
pub struct Give {
    /// The new owner.
    pub to: SubtaskId,
    /// Which.
    pub groups: KeyGroupSet,
}
