//! The storage requests of a claim.

use super::super::{CompletedRecord, EpochRecord};
use super::end_in;
use crate::{record, requirements};
use reflow_coordination::manifest;
use reflow_env::{StoreOp, StoreReply, StoreResult};
use reflow_types::{CheckpointId, Instant, JobId, LeaderEpoch};

/// The id of a storage request in a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question(pub(super) u32);

/// The purpose of a storage request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The marks of jobs that had ended before this start.
    EndedJobs,
    Epochs,
    /// The lease of the newest leadership.
    Lease(LeaderEpoch),
    Record(LeaderEpoch),
    /// Everything below the job's name.
    Jobs,
    Ended,
    /// The mark of one of the jobs that have ended.
    Mark(JobId),
    /// The last decision of a job that has no mark of an end.
    LastDecision(JobId),
    /// The record of the newest complete checkpoint of such a job.
    LastCompleted(JobId),
    Epoch,
    /// The record of this epoch, which exists already.
    OwnEpoch,
    JobDir,
    EndedMeanwhile,
    Decision(CheckpointId),
    /// The record of the newest complete checkpoint.
    Completed,
    /// A declaration of requirements, by its index in `Claim::declarations`.
    Requirements(usize),
    Savepoint,
    Takeover,
    Successors,
    /// The mark of an end that the predecessor had decided.
    End,
}

impl Purpose {
    /// Whether an answer is damaged, in storage or only in this answer.
    pub(super) fn is_damaged(self, answer: &StoreResult) -> bool {
        let Ok(StoreReply::Bytes(bytes)) = answer else { return false };
        match self {
            Purpose::Decision(_) | Purpose::LastDecision(_) | Purpose::Savepoint => {
                manifest::decode(bytes).is_err()
            }
            Purpose::Record(_) | Purpose::OwnEpoch => record::decode::<EpochRecord>(bytes).is_err(),
            Purpose::Ended | Purpose::Mark(_) | Purpose::EndedMeanwhile => end_in(bytes).is_err(),
            Purpose::Completed | Purpose::LastCompleted(_) => {
                record::decode::<CompletedRecord>(bytes).is_err()
            }
            Purpose::Requirements(_) => requirements::decode(bytes).is_err(),
            _ => false,
        }
    }
}

pub(super) struct Asked {
    pub(super) purpose: Purpose,
    pub(super) op: StoreOp,
    pub(super) tries: u32,
    /// The number of damaged answers.
    pub(super) bad_reads: u32,
    /// Set while the request waits to be repeated.
    pub(super) again_at: Option<Instant>,
}
