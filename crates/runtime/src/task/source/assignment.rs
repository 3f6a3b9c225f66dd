//! The assignment of splits to a reader: whether it awaits splits, and whether its input has ended. All readers
//! of a source end together, because a rescale may move splits from one to another.

use reflow_protocol::command::MoreSplits;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::CheckpointId;

/// The state of a reader's assignment.
pub(super) struct Assignment {
    /// Whether the enumerator has not assigned the splits yet: at the start, and after a cut that moves splits to
    /// other readers.
    is_awaited: bool,
    /// Whether all splits are finished and that is reported.
    is_exhausted: bool,
    /// Whether all readers of the source are exhausted.
    ends: bool,
}

impl Assignment {
    pub(super) fn new() -> Self {
        Self { is_awaited: true, is_exhausted: false, ends: false }
    }

    /// The reader has got a split.
    pub(super) fn added(&mut self) {
        (self.is_exhausted, self.ends) = (false, false);
    }

    /// A cut has changed the source's readers.
    pub(super) fn reopen(&mut self) {
        *self = Self::new();
    }

    /// A part of the assignment has arrived. Returns whether it is the last awaited part. The watermark must wait
    /// for that one, because splits of other parts may be far behind, and their records would be late.
    pub(super) fn assigned(&mut self, more: MoreSplits) -> bool {
        more != MoreSplits::Follow && std::mem::take(&mut self.is_awaited)
    }

    /// All splits are finished. Returns whether to report that.
    pub(super) fn exhaust(&mut self) -> bool {
        let reports = !self.is_awaited && !self.is_exhausted;
        self.is_exhausted |= reports;
        reports
    }

    /// All readers have reported that they are exhausted. No effect if this one got splits since.
    pub(super) fn end_source(&mut self) {
        self.ends = self.is_exhausted;
    }

    /// The input has ended with the restored checkpoint, so the rest of the splits is not read.
    pub(super) fn end_restored(&mut self) {
        self.ends = true;
    }

    /// Whether the input ends now.
    pub(super) fn take_end(&mut self) -> bool {
        std::mem::take(&mut self.ends)
    }
}

/// A checkpoint after whose barrier a source reads nothing, until it is complete or aborted.
#[derive(Default)]
pub(super) struct Pause {
    checkpoint: Option<CheckpointId>,
    /// Once it is complete, the input counts as ended.
    drains: bool,
}

impl Pause {
    /// The barrier of a checkpoint has passed.
    pub(super) fn begin(&mut self, checkpoint: CheckpointId, then: AfterBarrier) {
        match then {
            AfterBarrier::Continue => {}
            AfterBarrier::Pause | AfterBarrier::Finish => self.checkpoint = Some(checkpoint),
            // The input ends only when the savepoint is complete. If it fails, the source continues to read.
            AfterBarrier::Drain => (self.checkpoint, self.drains) = (Some(checkpoint), true),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.checkpoint.is_some()
    }

    /// A checkpoint is complete. Returns whether the input ends with it.
    pub(super) fn completed(&mut self, checkpoint: CheckpointId) -> bool {
        let ends = self.drains && self.checkpoint == Some(checkpoint);
        if ends {
            *self = Self::default();
        }
        ends
    }

    /// A checkpoint has failed, so the source continues to read.
    pub(super) fn aborted(&mut self, checkpoint: CheckpointId) {
        if self.checkpoint == Some(checkpoint) {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_got_splits_since_does_not_end_with_its_source() {
        for gets_a_split in [false, true] {
            let mut assignment = Assignment::new();
            assert!(!assignment.exhaust(), "its splits are not assigned yet");
            assert!(!assignment.assigned(MoreSplits::Follow));
            assert!(assignment.assigned(MoreSplits::Possible));
            assert!(assignment.exhaust());
            assert!(!assignment.exhaust(), "that is reported once");
            if gets_a_split {
                assignment.added();
            }
            assignment.end_source();
            assert_eq!(assignment.take_end(), !gets_a_split);
        }
    }

    #[test]
    fn only_a_complete_savepoint_drains_a_source() {
        let [first, second] = [1, 2].map(CheckpointId);
        let mut pause = Pause::default();
        pause.begin(first, AfterBarrier::Drain);
        assert!(pause.is_active());
        pause.aborted(first);
        assert!(!pause.is_active() && !pause.completed(first));
        pause.begin(second, AfterBarrier::Drain);
        pause.aborted(first);
        assert!(!pause.completed(first) && pause.completed(second));
        assert!(!pause.is_active());
    }
}
