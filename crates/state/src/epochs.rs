//! The epochs of a table: the current one, which changes belong to, and the last one that a complete checkpoint
//! contains.

use crate::mark::{Epoch, Mark};
use reflow_types::CheckpointId;

/// The current epoch of a table and its last complete one.
pub(crate) struct Epochs {
    /// `Mark::changed(self.epoch)`. An entry with this mark or a higher one has already changed in this epoch.
    current: Mark,
    epoch: Epoch,
    /// The epoch that the last complete checkpoint ended.
    base: Epoch,
    /// The last complete checkpoint.
    base_checkpoint: Option<CheckpointId>,
    /// The epoch of the last cut that brought key groups, until a complete checkpoint contains them.
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

    /// The mark that a change gives an entry now.
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

    /// Ends the epoch and begins the next one.
    pub(crate) fn advance(&mut self) {
        self.epoch = self.epoch.next();
        self.current = Mark::changed(self.epoch);
    }

    /// The checkpoint whose snapshot ended `epoch` is complete. Returns whether it is the first one that contains
    /// the key groups of the last cut.
    pub(crate) fn complete(&mut self, checkpoint: CheckpointId, epoch: Epoch) -> bool {
        self.base = self.base.max(epoch);
        self.base_checkpoint = Some(checkpoint);
        self.handed_over_in.take_if(|epoch| *epoch <= self.base).is_some()
    }

    /// Everything in the table was loaded from this complete checkpoint.
    pub(crate) fn loaded_from(&mut self, checkpoint: CheckpointId) {
        (self.base, self.base_checkpoint) = (self.epoch.before(), Some(checkpoint));
    }

    /// Key groups came with the cut that ended the previous epoch.
    pub(crate) fn hand_over(&mut self) {
        self.handed_over_in = Some(self.epoch.before());
    }

    /// Whether the table has key groups from a cut that no complete checkpoint contains.
    pub(crate) fn awaits_handed_over(&self) -> bool {
        self.handed_over_in.is_some()
    }
}
