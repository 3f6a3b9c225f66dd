//! The search for the last job of a name when epoch records are missing, by the checkpoints and end marks of all
//! jobs of the name.

use super::{Claim, Purpose, Step, end_in, get};
use crate::layout::epochs_in;
use crate::leadership::{CompletedRecord, EndedRecord, LeadershipError, LostRace};
use crate::record;
use reflow_coordination::manifest;
use reflow_env::{ObjectMeta, StoreOp, StoreReply, StoreResult};
use reflow_types::{JobId, LeaderEpoch};
use std::collections::{BTreeMap, BTreeSet};

/// The objects of all jobs of the name. The last job is the one with the highest epoch; earlier ones have ended
/// or were replaced with `--fresh`.
#[derive(Default)]
pub(super) struct Search {
    /// The epoch of the last record that can be read. Its job and earlier ones have ended or were replaced.
    pub(super) recorded: Option<LeaderEpoch>,
    /// The highest epoch in the object names of each job.
    in_names: BTreeMap<JobId, LeaderEpoch>,
    /// The jobs that have not ended, including failed ones, with their last epochs; 0 if unknown.
    unended: BTreeMap<JobId, LeaderEpoch>,
    /// The last one of the jobs that have ended, by its epoch.
    last_ended: Option<(JobId, EndedRecord)>,
}

impl Search {
    /// The last job, unless it has ended, and all jobs that may be the last because their epoch is unknown.
    fn last_jobs(&self) -> BTreeSet<JobId> {
        let last_ended = self.last_ended.as_ref().map(|(_, end)| end.epoch);
        let later = self
            .unended
            .iter()
            .filter(|(_, epoch)| Some(**epoch) >= last_ended && Some(**epoch) > self.recorded);
        let last = later.max_by_key(|(_, epoch)| **epoch);
        let unknown = self.unended.iter().filter(|(_, epoch)| **epoch == LeaderEpoch(0));
        last.into_iter().chain(unknown).map(|(job, _)| *job).collect()
    }
}

impl Claim {
    /// Searches the last job, and the epochs that must not be taken again.
    pub(super) fn search(&mut self) {
        self.step = Step::Searching;
        self.search = Search { recorded: self.search.recorded, ..Search::default() };
        self.question(Purpose::Jobs, StoreOp::List { below: self.by.layout.root().clone() });
    }

    pub(super) fn take_jobs(&mut self, objects: &[ObjectMeta]) {
        if self.by.lost_race == LostRace::StandBy && has_later_epoch(objects, self.earlier.last()) {
            self.step = Step::Behind; // another one has claimed the job since the epochs were listed
            return;
        }
        let jobs = self.by.layout.jobs(objects);
        for job in &jobs.ended {
            self.question(Purpose::Mark(*job), get(self.by.layout.ended(*job)));
        }
        for &job in jobs.decided.union(&jobs.completed) {
            let found = self.by.layout.found(job, objects);
            self.search.in_names.insert(job, found.epoch);
            if jobs.ended.contains(&job) {
                continue;
            }
            // The first decision of each leader is its takeover, so the last decision belongs to the last leader, unless
            // something has deleted it.
            if let Some(last) = found.decided.last() {
                self.question(Purpose::LastDecision(job), get(self.by.layout.decision(job, *last)));
            }
            if jobs.completed.contains(&job) {
                self.question(Purpose::LastCompleted(job), get(self.by.layout.completed(job)));
            }
        }
    }

    pub(super) fn take_last_decision(&mut self, job: JobId, answer: StoreResult) {
        let decided = match answer {
            Ok(StoreReply::Bytes(bytes)) => manifest::decode(&bytes).ok().map(|d| d.lineage().epoch),
            _ => None,
        };
        self.take_unended(job, decided.unwrap_or_default());
    }

    pub(super) fn take_last_completed(&mut self, job: JobId, answer: StoreResult) {
        let epoch = match answer {
            Ok(StoreReply::Bytes(bytes)) => {
                record::decode(&bytes).ok().map(|record: CompletedRecord| record.epoch)
            }
            _ => None,
        };
        self.take_unended(job, epoch.unwrap_or_default());
    }

    pub(super) fn take_mark(&mut self, job: JobId, answer: StoreResult) -> Result<(), LeadershipError> {
        let Ok(StoreReply::Bytes(mark)) = answer else { return Ok(()) };
        self.exceed_epoch_of(&mark);
        match end_in(&mark) {
            Ok(Some(end)) => {
                let last = &mut self.search.last_ended;
                if last.as_ref().is_none_or(|(_, last)| last.epoch <= end.epoch) {
                    *last = Some((job, end));
                }
            }
            Ok(None) => {
                let epoch = record::decode::<EndedRecord>(&mark).map(|record| record.epoch);
                self.take_unended(job, epoch.unwrap_or_default());
            }
            Err(_) if self.begin_new => {}
            Err(damage) => {
                return Err(LeadershipError::DamagedMark { at: self.by.layout.ended(job), damage });
            }
        }
        Ok(())
    }

    fn take_unended(&mut self, job: JobId, epoch: LeaderEpoch) {
        let epoch = self.search.in_names.get(&job).copied().unwrap_or_default().max(epoch);
        self.exceed(epoch);
        let known = self.search.unended.entry(job).or_default();
        *known = epoch.max(*known);
    }

    /// Chooses the job, after everything was read.
    pub(super) fn decide_job(&mut self) -> Result<(), LeadershipError> {
        let search = std::mem::take(&mut self.search);
        if self.begin_new {
            self.create_fresh_epoch();
            return Ok(());
        }
        let jobs = search.last_jobs();
        if jobs.is_empty()
            && let Some((job, end)) = search.last_ended
            && !self.ended_before_start(job, &end)
        {
            self.take_end(job, end);
            return Ok(());
        }
        let directory = self.by.layout.root().clone();
        match (jobs.len(), jobs.first()) {
            (0, _) if search.recorded.is_none() && search.in_names.is_empty() && !self.earlier.is_empty() => {
                return Err(LeadershipError::DamagedRecords(self.by.layout.epochs()));
            }
            (0, _) => self.create_fresh_epoch(),
            // If the epoch of a job is unknown, its checkpoints are damaged, and the claim asks the user about
            // them.
            (1, Some(job)) => {
                tracing::warn!(%job, %directory, "its records of leadership are gone: the job is found by its checkpoints");
                self.resume(*job);
            }
            _ => return Err(LeadershipError::SeveralJobs { directory, jobs }),
        }
        Ok(())
    }

    /// Raises the next epoch above that of an ended job, whose record may be deleted. The number must not be used
    /// twice, because another job of this name writes its output to the same places, and names that contain the
    /// epoch must differ.
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

/// Whether a listing of everything has a later epoch than this one.
fn has_later_epoch(objects: &[ObjectMeta], newest: Option<&LeaderEpoch>) -> bool {
    let is_record = |object: &&ObjectMeta| object.at.0.contains("/epochs/");
    let records: Vec<ObjectMeta> = objects.iter().filter(is_record).cloned().collect();
    epochs_in(&records).last() > newest
}
