//! How a claim finds the job where the records of leadership are gone: by its checkpoints, and by the marks of those
//! that have ended.

use super::{About, Claim, end_in, get};
use crate::leadership::{EndedRecord, LeadershipError};
use crate::record;
use reflow_env::{ObjectMeta, StoreOp, StoreReply, StoreResult};
use reflow_types::JobId;
use std::collections::BTreeSet;

impl Claim {
    /// Looks for the job without a record of leadership.
    pub(super) fn list_jobs(&mut self) {
        self.question(About::Jobs, StoreOp::List { below: self.by.layout.root().clone() });
    }

    pub(super) fn take_jobs(&mut self, objects: &[ObjectMeta]) -> Result<(), LeadershipError> {
        let found = self.by.layout.jobs(objects);
        let jobs: BTreeSet<JobId> = found.decided.difference(&found.ended).copied().collect();
        let directory = self.by.layout.root().clone();
        match (jobs.len(), jobs.first()) {
            (1, Some(job)) => {
                tracing::warn!(%job, %directory, "the records of leadership are gone: the job is found by its checkpoints");
                self.resume(*job);
            }
            (0, _) if found.decided.is_empty() && !self.earlier.is_empty() => {
                return Err(LeadershipError::DamagedRecords(self.by.layout.epochs()));
            }
            (0, _) => {
                self.marks = found.ended.into_iter().collect();
                self.read_next_mark();
            }
            _ => return Err(LeadershipError::SeveralJobs { directory, jobs }),
        }
        Ok(())
    }

    /// Marks of ended jobs tell which epochs were in use.
    fn read_next_mark(&mut self) {
        match self.marks.pop() {
            Some(job) => self.question(About::Mark(job), get(self.by.layout.ended(job))),
            None => self.create_fresh_epoch(),
        }
    }

    pub(super) fn take_mark(&mut self, job: JobId, answer: StoreResult) -> Result<(), LeadershipError> {
        if let Ok(StoreReply::Bytes(bytes)) = answer {
            if let Ok(EndedRecord { epoch, .. }) = record::decode(&bytes) {
                self.highest_seen = self.highest_seen.max(epoch);
                self.epoch = self.epoch.max(epoch.next());
            }
            let at = self.by.layout.ended(job);
            if end_in(&bytes).map_err(|damage| LeadershipError::DamagedMark { at, damage })?.is_none() {
                self.resume(job);
                return Ok(());
            }
        }
        self.read_next_mark();
        Ok(())
    }
}
