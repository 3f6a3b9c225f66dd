//! The record of the newest complete checkpoint.
//!
//! The deciding names of a job show which of its checkpoints are complete. If the newest of them is deleted, by a
//! rule of the store or by a person, nothing shows that it ever existed, and the next JobManager would resume
//! from the one before, or start the job from nothing. So a leader also records the newest one elsewhere, after
//! the checkpoint is complete. Nothing waits for this: an outdated record protects less, but does no harm.

use crate::leadership::CompletedRecord;
use crate::record;
use reflow_env::{Location, PutMode, StoreOp, StoreResult};
use reflow_types::{CheckpointId, LeaderEpoch};

pub(super) struct Newest {
    at: Location,
    epoch: LeaderEpoch,
    /// The last one that was found, was recorded, or could not be.
    recorded: Option<CheckpointId>,
    writing: bool,
}

impl Newest {
    /// `found` is the checkpoint that the leader resumes from. It is not recorded, because the job may have to
    /// ask its user before it resumes from an older checkpoint.
    pub(super) fn new(at: Location, epoch: LeaderEpoch, found: Option<CheckpointId>) -> Self {
        Self { at, epoch, recorded: found, writing: false }
    }

    pub(super) fn at(&self) -> &Location {
        &self.at
    }

    /// The request that records the newest complete checkpoint, unless that is done or another request is under way.
    pub(super) fn record(&mut self, newest: Option<CheckpointId>) -> Option<StoreOp> {
        let checkpoint = newest.filter(|_| !self.writing && newest != self.recorded)?;
        (self.recorded, self.writing) = (newest, true);
        let body = record::encode(&CompletedRecord { checkpoint, epoch: self.epoch });
        Some(StoreOp::Put { at: self.at.clone(), body, mode: PutMode::Overwrite })
    }

    /// If it failed, the next checkpoint is recorded again.
    pub(super) fn written(&mut self, result: &StoreResult) {
        self.writing = false;
        if let Err(error) = result {
            tracing::warn!(%error, "the newest complete checkpoint cannot be recorded: its deletion would not be noticed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reflow_env::StoreError;

    #[test]
    fn one_request_is_under_way_and_the_newest_is_recorded_in_the_end() {
        let mut newest =
            Newest::new(Location("/c/completed/1".into()), LeaderEpoch(3), Some(CheckpointId(3)));
        let recorded = |newest: &mut Newest, checkpoint: Option<u64>| match newest
            .record(checkpoint.map(CheckpointId))
        {
            Some(StoreOp::Put { body, .. }) => {
                Some(record::decode::<CompletedRecord>(&body).expect("it was just encoded").checkpoint.0)
            }
            _ => None,
        };
        assert_eq!(recorded(&mut newest, None), None);
        assert_eq!(recorded(&mut newest, Some(3)), None);
        assert_eq!(recorded(&mut newest, Some(4)), Some(4));
        assert_eq!(recorded(&mut newest, Some(6)), None, "a request is under way");
        newest.written(&Err(StoreError::Failed { at: newest.at().clone(), reason: "it is away".into() }));
        assert_eq!(recorded(&mut newest, Some(4)), None, "no loop while storage is away");
        assert_eq!(recorded(&mut newest, Some(6)), Some(6));
        newest.written(&Ok(reflow_env::StoreReply::Done));
        assert_eq!(recorded(&mut newest, Some(6)), None);
        assert_eq!(recorded(&mut newest, Some(5)), Some(5), "the job has gone back");
    }
}
