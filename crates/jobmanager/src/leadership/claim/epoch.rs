//! The creation of the next epoch, by which a JobManager claims its job.

use super::{Claim, Purpose, Step};
use crate::leadership::{EpochRecord, LeadershipError, LostRace};
use crate::record;
use reflow_env::{PutMode, StoreOp, StoreReply, StoreResult};
use reflow_types::LeaderEpoch;

impl Claim {
    /// The leadership whose epoch this claim has created. It is held from then on, unless the claim begins again.
    pub(crate) fn held(&self) -> Option<LeaderEpoch> {
        self.is_created.then_some(self.epoch)
    }

    pub(super) fn create_fresh_epoch(&mut self) {
        self.job = self.by.new_job;
        self.fresh = true;
        self.history.clear();
        self.create_epoch();
    }

    pub(super) fn create_epoch(&mut self) {
        let (job, fresh, started_at) = (self.job, self.fresh, self.by.started_at);
        self.history = self.by.reason.added_to(std::mem::take(&mut self.history), self.epoch);
        let history = self.history.clone();
        let record = EpochRecord { job, fresh, started_at, leader: self.by.new_job, history };
        self.record = record::encode(&record);
        let (at, body) = (self.by.layout.epoch(self.epoch), self.record.clone());
        self.question(Purpose::Epoch, StoreOp::Put { at, body, mode: PutMode::Create });
    }

    pub(super) fn epoch_created(&mut self) {
        self.is_created = true;
        if self.fresh {
            self.step = Step::Reading;
            self.read_savepoint();
        } else {
            self.list_job_dir();
        }
    }

    /// The epoch that this claim wanted to create exists. It is its own if storage has carried out an earlier request without
    /// answering it.
    pub(super) fn take_own_epoch(&mut self, answer: &StoreResult) -> Result<(), LeadershipError> {
        match answer {
            Ok(StoreReply::Bytes(record)) if *record == self.record => {
                self.epoch_created();
                Ok(())
            }
            _ => self.lose_race(),
        }
    }

    /// Another JobManager has taken this epoch or a later one.
    pub(super) fn lose_race(&mut self) -> Result<(), LeadershipError> {
        match self.by.lost_race {
            LostRace::TakeNext => self.begin_again(),
            LostRace::StandBy => {
                self.questions.clear();
                self.step = Step::Behind;
                Ok(())
            }
        }
    }
}
