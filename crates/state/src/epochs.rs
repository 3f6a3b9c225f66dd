//! The epochs of a table: the one that changes belong to, and the last one that a complete checkpoint has ended.

use crate::mark::{Epoch, Mark};
use reflow_types::CheckpointId;

/// Where a table is between snapshots and checkpoints.
pub(crate) struct Epochs {
    /// `Mark::changed(self.epoch)`: marks from here on need nothing done before a change.
    current: Mark,
    epoch: Epoch,
    /// The epoch that the last complete checkpoint ended.
    base: Epoch,
    /// That checkpoint.
    base_checkpoint: Option<CheckpointId>,
    /// The epoch of the last cut with which groups came, until a checkpoint contains them.
    handed_over_in: Option<Epoch>,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self {
            current: Mark::changed(Epoch::FIRST),
            epoch: Epoch::FIRST,
            base: Epoch::LOADED,
            base_checkpoint: None,
            handed_over_in: None,
        }
    }

    /// The mark of entries that change now.
    #[inline]
    pub(crate) fn current(&self) -> Mark {
        self.current
    }

    #[inline]
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The epoch that the last complete checkpoint ended.
    pub(crate) fn base(&self) -> Epoch {
        self.base
    }

    /// The last complete checkpoint.
    pub(crate) fn base_checkpoint(&self) -> Option<CheckpointId> {
        self.base_checkpoint
    }

    /// Ends the epoch.
    pub(crate) fn advance(&mut self) {
        self.epoch = self.epoch.next();
        self.current = Mark::changed(self.epoch);
    }

    /// The checkpoint that has ended `epoch` is complete. Returns whether it is the first to contain what was handed over.
    pub(crate) fn complete(&mut self, checkpoint: CheckpointId, epoch: Epoch) -> bool {
        self.base = self.base.max(epoch);
        self.base_checkpoint = Some(checkpoint);
        self.handed_over_in.take_if(|epoch| *epoch <= self.base).is_some()
    }

    /// All that the table holds is in this complete checkpoint.
    pub(crate) fn loaded_from(&mut self, checkpoint: CheckpointId) {
        (self.base, self.base_checkpoint) = (self.epoch.before(), Some(checkpoint));
    }

    /// Groups have come with the cut that ended the epoch before.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over_in = Some(self.epoch.before());
    }

    /// Whether groups have come that no complete checkpoint contains.
    pub(crate) fn awaits_handed_over(&self) -> bool {
        self.handed_over_in.is_some()
    }
}
