//! The messages of a restart of regions, while the other regions of the attempt run on.
//!
//! ```text
//! JobManager                                     executors with subtasks of these regions
//!   NotifyAborted of the checkpoint under way ──►  (all executors of the attempt)
//!   CancelRegions ──►                              drop the subtasks, keep their state
//!                                ◄── RegionsCanceled
//!   DeployRegions ──►                              (all executors of both graphs)
//!                                                  build the new subtasks, which have new ids
//!                                ◄── Running
//! ```

use crate::deployment::Attempt;
use reflow_graph::RegionIndex;
use reflow_types::GraphVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The regions of an attempt that restart together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRestart {
    pub attempt: Attempt,
    /// The version of the graph with their next subtasks. If more regions fail before these are deployed, all of them
    /// restart with a later version.
    pub version: GraphVersion,
    pub regions: BTreeSet<RegionIndex>,
}
