//! The scenarios: kinds of trouble that only some runs have, because each needs a cluster of a certain shape or
//! ends the job.
//!
//! A seed draws its scenarios by their weights. `--scenario` forces them, also those with weight 0.

use crate::rng::Rng;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A kind of trouble that a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    /// A second JobManager starts while the first one is cut off from TaskManagers, frozen, slow or healthy.
    Successors,
    /// The JobManager is lost at a step of its start, of a stop, of a savepoint or of the job's end.
    Steps,
    /// Something outside deletes the files of epochs and old manifests.
    OutsideDeletions,
    /// Users take savepoints.
    Savepoints,
    /// Users stop the job with a savepoint and start it again from there with a changed graph.
    Stops,
    /// Users cancel the job.
    Cancel,
    /// The restart strategy fails the job after a few failures. Then the same command starts the job again.
    FewRestarts,
    /// The job requests a parallelism instead of using all slots.
    FixedParallelism,
    /// The last record of each split is held back until a live rescale is in a given phase, so that the inputs
    /// end in that phase.
    EndsInPhase,
    /// User code sometimes panics or returns an error.
    UserFailures,
    /// The number of TaskManagers follows a plan, and each change comes in a given phase of the previous rescale.
    DirectedRescales,
    /// The job has so much state that it exceeds the bounds of production.
    LargeState,
    /// The JobManager is killed and replaced more often, and tasks process on without one.
    Adoption,
    /// Executors are cut off, and another attempt completes checkpoints meanwhile. The next JobManager finds only the former
    /// ones.
    Overtaken,
    /// Two JobManagers run, of which one leads and one stands by.
    Standby,
    /// One checkpoint an hour, so that there are only those of rescales, savepoints and the end.
    RareCheckpoints,
}

impl Scenario {
    /// All scenarios, with the probability of each.
    ///
    /// Weight 0 keeps a scenario out of CI whose faults are known and not fixed yet.
    pub const ALL: [(Self, f64); 16] = [
        (Self::Successors, 0.15),
        (Self::Steps, 0.1),
        (Self::OutsideDeletions, 0.1),
        (Self::Savepoints, 0.15),
        (Self::Stops, 0.05),
        (Self::Cancel, 0.05),
        (Self::FewRestarts, 0.1),
        (Self::FixedParallelism, 0.1),
        (Self::EndsInPhase, 0.25),
        (Self::UserFailures, 0.12),
        (Self::DirectedRescales, 0.12),
        (Self::LargeState, 0.01),
        (Self::RareCheckpoints, 0.04),
        (Self::Adoption, 0.2),
        (Self::Overtaken, 0.03),
        (Self::Standby, 0.05),
    ];

    /// Draws the scenarios of a run, in addition to the forced ones.
    pub fn draw(rng: &mut Rng, forced: &[Self]) -> BTreeSet<Self> {
        let drawn: Vec<Self> = Self::ALL
            .into_iter()
            .filter(|(_, weight)| *weight > 0.0 && rng.chance(*weight))
            .map(|(drawn, _)| drawn)
            .collect();
        drawn.into_iter().chain(forced.iter().copied()).collect()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().map(|(scenario, _)| scenario).find(|s| s.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(scenario, _)| scenario.to_string()).collect();
            format!("there is no such scenario; there are {}", names.join(", "))
        })
    }
}
