//! The lineage of a decision: its leader, and the checkpoints from which that leader and earlier ones resumed.
//!
//! A slow leader that was deposed may still create a deciding name that its successor has not seen. Such a decision is void,
//! because the successor has resumed from an older checkpoint. Therefore every decision carries the epoch of its leader and
//! the [`Takeover`]s up to it. A decision of an earlier epoch counts only up to the checkpoint from which each later leader
//! resumed.
//!
//! ```
//! use reflow_coordination::manifest::Lineage;
//! use reflow_types::{CheckpointId, LeaderEpoch};
//!
//! let first = Lineage::new(LeaderEpoch(1));
//! let second = first.taken_over(LeaderEpoch(2), CheckpointId(7));
//! assert!(!second.voids(CheckpointId(7), LeaderEpoch(1)));
//! assert!(second.voids(CheckpointId(8), LeaderEpoch(1)), "the second leader has not seen it");
//! assert!(!second.voids(CheckpointId(8), LeaderEpoch(2)));
//! ```

use reflow_types::{CheckpointId, LeaderEpoch};
use serde::{Deserialize, Serialize};

/// The number of takeovers that are kept. Decisions that only older ones would void were deleted long ago,
/// because each complete checkpoint deletes earlier ones.
const MAX_TAKEOVERS: usize = 64;

/// The checkpoint from which a leadership resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The leadership.
    pub epoch: LeaderEpoch,
    /// The checkpoint; 0 if there was none.
    pub base: CheckpointId,
}

/// The leadership that made a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    pub epoch: LeaderEpoch,
    /// The last takeovers of the job, including its own, in ascending order of epochs.
    pub takeovers: Vec<Takeover>,
}

impl Lineage {
    /// The lineage of the leadership that starts a job.
    pub fn new(epoch: LeaderEpoch) -> Self {
        Self { epoch, takeovers: Vec::new() }
    }

    /// The lineage of a leadership that resumes from `base`.
    pub fn taken_over(&self, epoch: LeaderEpoch, base: CheckpointId) -> Self {
        let before = self.takeovers.iter().copied().filter(|takeover| takeover.epoch < epoch);
        let mut takeovers: Vec<Takeover> = before.chain([Takeover { epoch, base }]).collect();
        takeovers.drain(..takeovers.len().saturating_sub(MAX_TAKEOVERS));
        Self { epoch, takeovers }
    }

    /// Whether a decision of `epoch` about `checkpoint` is void, because a later leadership resumed without it.
    pub fn voids(&self, checkpoint: CheckpointId, epoch: LeaderEpoch) -> bool {
        self.takeovers.iter().any(|takeover| takeover.epoch > epoch && takeover.base < checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_takeovers_are_kept() {
        let mut lineage = Lineage::new(LeaderEpoch(1));
        for epoch in 2..200 {
            lineage = lineage.taken_over(LeaderEpoch(epoch), CheckpointId(epoch * 10));
        }
        assert_eq!(lineage.takeovers.len(), MAX_TAKEOVERS);
        let last = Takeover { epoch: LeaderEpoch(199), base: CheckpointId(1_990) };
        assert_eq!((lineage.epoch, lineage.takeovers.last()), (LeaderEpoch(199), Some(&last)));
        assert!(lineage.voids(CheckpointId(1_991), LeaderEpoch(198)));
        assert!(!lineage.voids(CheckpointId(1_990), LeaderEpoch(198)));
    }
}
