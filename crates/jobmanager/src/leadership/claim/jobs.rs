//! How a claim finds the job where the records of leadership are gone: by its checkpoints, and by the marks of those
//! that have ended.

use super::{Claim, Purpose, end_in, get};
use crate::leadership::{EndedRecord, LeadershipError};
use crate::record;
use reflow_coordination::manifest;
use reflow_env::{ObjectMeta, StoreOp, StoreReply, StoreResult};
use reflow_types::{CheckpointId, JobId, LeaderEpoch};
use std::collections::BTreeSet;

/// The jobs below the name that have no mark of an end.
#[derive(Default)]
pub(super) struct Unended {
    /// The end of the job of the last record, if it is marked.
    end: Option<EndedRecord>,
    /// Those whose last decision is to be read, with it and the highest epoch in their names.
    unread: Vec<(JobId, CheckpointId, LeaderEpoch)>,
    /// Those that come after that end. The others were replaced, with `--fresh`.
    later: BTreeSet<JobId>,
}

impl Claim {
    /// The job of the last record has ended, or is replaced: looks for a later one whose records are gone, and for the
    /// epochs that are not to be taken again.
    pub(super) fn list_unended(&mut self, end: Option<EndedRecord>) {
        self.unended.end = end;
        self.question(Purpose::Unended, StoreOp::List { below: self.by.layout.root().clone() });
    }

    pub(super) fn take_unended(&mut self, objects: &[ObjectMeta]) -> Result<(), LeadershipError> {
        let jobs = self.by.layout.jobs(objects);
        for job in jobs.decided.difference(&jobs.ended) {
            let found = self.by.layout.found(*job, objects);
            self.unended.unread.extend(found.decided.last().map(|last| (*job, *last, found.epoch)));
        }
        self.read_next_unended()
    }

    fn read_next_unended(&mut self) -> Result<(), LeadershipError> {
        if let Some((job, last, _)) = self.unended.unread.last() {
            // Each leader decides first that it takes over, so the last decision is of the last one.
            self.question(Purpose::LastDecision(*job), get(self.by.layout.decision(*job, *last)));
            return Ok(());
        }
        let Unended { end, later, .. } = std::mem::take(&mut self.unended);
        if self.begin_new {
            self.read_next_mark();
            return Ok(());
        }
        let directory = self.by.layout.root().clone();
        match (later.len(), later.first()) {
            (0, _) => {
                let state = end.map(|end| end.state).unwrap_or_default();
                tracing::info!(last = %self.job, state, %directory, "the last job of this name has ended: this is a new one");
                self.create_fresh_epoch();
            }
            (1, Some(job)) => {
                tracing::warn!(%job, %directory, "its records of leadership are gone: the job is found by its checkpoints");
                self.resume(*job);
            }
            _ => return Err(LeadershipError::SeveralJobs { directory, jobs: later }),
        }
        Ok(())
    }

    pub(super) fn take_last_decision(
        &mut self,
        job: JobId,
        answer: StoreResult,
    ) -> Result<(), LeadershipError> {
        let (_, _, in_names) = self.unended.unread.pop().expect("its decision was asked for");
        let decided = match answer {
            Ok(StoreReply::Bytes(bytes)) => manifest::decode(&bytes).ok().map(|d| d.lineage().epoch),
            _ => None,
        };
        let epoch = decided.unwrap_or_default().max(in_names);
        self.exceed(epoch);
        // Of one whose epoch nothing tells, the claim asks the user if its checkpoints are damaged: it is not begun anew.
        if epoch == LeaderEpoch(0) || self.unended.end.as_ref().is_some_and(|end| end.epoch < epoch) {
            self.unended.later.insert(job);
        }
        self.read_next_unended()
    }

    /// Looks for the job without a record of leadership.
    pub(super) fn list_jobs(&mut self) {
        self.question(Purpose::Jobs, StoreOp::List { below: self.by.layout.root().clone() });
    }

    pub(super) fn take_jobs(&mut self, objects: &[ObjectMeta]) -> Result<(), LeadershipError> {
        let found = self.by.layout.jobs(objects);
        let jobs: BTreeSet<JobId> = found.decided.difference(&found.ended).copied().collect();
        let directory = self.by.layout.root().clone();
        match (jobs.len(), jobs.first()) {
            _ if self.begin_new => {
                self.marks = found.ended.into_iter().collect();
                return self.take_unended(objects);
            }
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
            Some(job) => self.question(Purpose::Mark(job), get(self.by.layout.ended(job))),
            None => self.create_fresh_epoch(),
        }
    }

    pub(super) fn take_mark(&mut self, job: JobId, answer: StoreResult) -> Result<(), LeadershipError> {
        if let Ok(StoreReply::Bytes(bytes)) = answer {
            self.exceed_epoch_of(&bytes);
            let at = self.by.layout.ended(job);
            match end_in(&bytes) {
                Ok(None) if !self.begin_new => {
                    self.resume(job);
                    return Ok(());
                }
                Err(damage) if !self.begin_new => return Err(LeadershipError::DamagedMark { at, damage }),
                _ => {}
            }
        }
        self.read_next_mark();
        Ok(())
    }

    /// The job of this mark has ended in an epoch whose record may be deleted: the number is not used twice, since
    /// another job of this name writes its output to the same places, and names that hold the epoch must differ.
    pub(super) fn exceed_epoch_of(&mut self, mark: &[u8]) {
        if let Ok(EndedRecord { epoch, .. }) = record::decode(mark) {
            self.exceed(epoch);
        }
    }

    fn exceed(&mut self, epoch: LeaderEpoch) {
        self.highest_seen = self.highest_seen.max(epoch);
        self.epoch = self.epoch.max(epoch.next());
    }
}
