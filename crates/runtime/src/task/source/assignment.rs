//! Whether a reader has splits to come, and whether it may read: the end of a source is agreed on by all of its readers,
//! because a rescale may give one the splits of another.

use reflow_protocol::command::MoreSplits;
use reflow_protocol::snapshot::AfterBarrier;
use reflow_types::CheckpointId;

/// What a reader knows about its splits.
pub(super) struct Assignment {
    /// The enumerator has not assigned them yet: at the start, and after a cut with which splits change their reader.
    is_awaited: bool,
    /// All of them are read, and that is reported.
    is_exhausted: bool,
    /// All readers of the source are exhausted.
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

    /// A part of the assignment has come. Returns whether it is the last one of those that were awaited. Not before: splits
    /// of the other parts may be far behind, and their records would be late.
    pub(super) fn assigned(&mut self, more: MoreSplits) -> bool {
        more != MoreSplits::Follow && std::mem::take(&mut self.is_awaited)
    }

    /// All splits are read. Returns whether that is to be reported.
    pub(super) fn exhaust(&mut self) -> bool {
        let reports = !self.is_awaited && !self.is_exhausted;
        self.is_exhausted |= reports;
        reports
    }

    /// All readers have reported that they are exhausted. Without effect if this one has got splits since.
    pub(super) fn end_source(&mut self) {
        self.ends = self.is_exhausted;
    }

    /// The input ends with the checkpoint that was restored: the rest of the splits is not read.
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
            // Only a savepoint that is complete ends the input; until then it may still have to go on.
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

    /// A checkpoint has failed: the source reads on.
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
