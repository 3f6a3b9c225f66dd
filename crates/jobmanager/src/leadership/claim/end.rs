//! The end of the last job of this name, which its mark shows.

use super::{Claim, Purpose, Step};
use crate::leadership::{EndedRecord, LeadershipError};
use crate::record;
use reflow_coordination::action::EndState;
use reflow_env::{PutMode, StoreOp};
use reflow_types::{JobId, LeaderEpoch};
use std::time::Duration;

/// How much earlier than a start an end must be if their times cannot be compared, because the clocks of two
/// machines differ and a mark is stored some time after it was written.
const DOUBT: Duration = Duration::from_secs(30);

impl Claim {
    /// The end of the job by its mark, if it has ended. A mark that cannot be read is an error, because the job
    /// may have to be resumed.
    pub(super) fn end_marked(&self, mark: &[u8]) -> Result<Option<EndedRecord>, LeadershipError> {
        let at = self.by.layout.ended(self.job);
        end_in(mark).map_err(|damage| LeadershipError::DamagedMark { at, damage })
    }

    /// Whether the last job ended before this start, so that a new job begins, and not since, so that it was the job of this
    /// start. It was this start's job, too, if the JobManager that ended it was lost before it left: then this is what a
    /// supervisor has started in its place.
    ///
    /// The mark may have been written between the start and the listing of marks, so its time counts as well. If that
    /// time is from another clock, or storage was slow, a mark only seconds older than this start may be later than it.
    /// Starting the job again would write its output again; not starting one only costs another start.
    pub(super) fn ended_before_start(&self, job: JobId, end: &EndedRecord) -> bool {
        let earlier_by = u64::try_from(self.by.started_at - end.ended_at).map(Duration::from_millis);
        let is_comparable = end.clock == self.by.clock && !self.late_list;
        let doubt = if is_comparable { Duration::ZERO } else { DOUBT };
        let began_after = self.ended_before.contains(&job) && !self.by.has_stood_by && end.left;
        began_after && earlier_by.is_ok_and(|by| by >= doubt)
    }

    /// The job of this start has ended.
    pub(super) fn take_end(&mut self, job: JobId, end: EndedRecord) {
        self.job = job;
        (self.found.ended, self.step) = (Some(end.state.clone()), Step::Ending);
        if !end.left && !self.by.has_stood_by {
            self.mark_end(end.state, end.epoch);
        }
    }

    /// Marks the end in place of a JobManager that was lost. The time is that of this mark: several may have been started in its
    /// place, and those that were started before see that the job was theirs as well.
    pub(super) fn mark_end(&mut self, state: String, epoch: LeaderEpoch) {
        let (ended_at, clock) = (self.now.as_millis(), self.by.clock.clone());
        let end = EndedRecord { state, epoch, ended_at, clock, left: !self.by.has_stood_by };
        let (at, body) = (self.by.layout.ended(self.job), record::encode(&end));
        self.question(Purpose::End, StoreOp::Put { at, body, mode: PutMode::Overwrite });
    }
}

/// The end of the job by its mark. A failed job has not ended; it is resumed.
pub(super) fn end_in(mark: &[u8]) -> Result<Option<EndedRecord>, String> {
    let record = record::decode::<EndedRecord>(mark)?;
    let ends = [EndState::Finished, EndState::Canceled, EndState::Failed];
    let end = ends.into_iter().find(|end| end.as_str() == record.state);
    let end = end.ok_or_else(|| format!("{:?} is no state in which a job ends", record.state))?;
    Ok(end.is_final().then_some(record))
}
