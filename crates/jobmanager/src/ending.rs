//! The end of a JobManager whose job is over: it records the end, cleans up, and waits a moment for clients that have not
//! seen the outcome of their requests.
//!
//! The end is a decision under the next deciding name, like that about a checkpoint, so a deposed leader cannot end a job.
//! It is confirmed as a checkpoint is, then marked outside the job's directory, and then the job's objects are deleted. A job
//! that failed or is suspended has no such record, so the next JobManager resumes it.
//!
//! The last request adds to the mark that this JobManager leaves. Without that, it was lost, and whatever starts in its
//! place must not begin the job anew.

use crate::error::JobManagerError;
use crate::leader::{End, Leader};
use crate::leadership::EndedRecord;
use crate::leadership::authority::{Author, Authority, Standing};
use crate::record;
use crate::storage::{Storage, Tickets};
use reflow_coordination::action::EndState;
use reflow_coordination::checkpoint::retention::deciding_name;
use reflow_coordination::manifest::{self, Decision};
use reflow_env::{Location, Output, PutMode, StoreError, StoreOp, StoreReply, StoreResult, Ticket};
use reflow_types::{CheckpointId, Instant, LeaderEpoch};
use std::time::Duration;

/// The longest time that the process runs after the job's end.
const LINGER: Duration = Duration::from_secs(10);
const MAX_TRIES: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

/// A step of recording the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Create the deciding name.
    Decide,
    /// Read the content of the existing name.
    Read,
    /// Look for a later leadership.
    Confirm,
    /// Mark the job as ended.
    Mark,
    /// Add to the mark that this JobManager leaves.
    Leave,
}

/// The state of the record of the end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    /// There is none, because the next JobManager resumes the job.
    Unwanted,
    /// It is being written, or is tried again at the given time.
    Writing {
        step: Step,
        retry_at: Option<Instant>,
        tries: u32,
    },
    Written,
    /// It is written, and says that this JobManager leaves.
    Left,
    /// Another JobManager leads, so the job has not ended.
    Deposed(LeaderEpoch),
    /// Storage does not accept it.
    Failed(String),
}

/// The end of a job, which is being recorded and reported to clients.
pub(crate) struct Ending {
    end: End,
    job_name: String,
    authority: Authority,
    /// The id under which the end is decided, and the job's directory.
    id: CheckpointId,
    job_dir: Location,
    /// The object of the mark.
    at: Location,
    clock: String,
    record: Record,
    requests: Storage<Step>,
    deadline: Instant,
}

/// The contents of the records of an end.
pub(crate) struct Records {
    pub(crate) job_name: String,
    pub(crate) authority: Authority,
    pub(crate) next_decision: CheckpointId,
    pub(crate) job_dir: Location,
    pub(crate) mark: Location,
    pub(crate) clock: String,
}

impl Ending {
    pub(crate) fn new(now: Instant, end: End, records: Records, tickets: Tickets) -> Self {
        let Records { job_name, authority, next_decision, job_dir, mark, clock } = records;
        Self {
            record: match end.state.is_final() {
                true => Record::Writing { step: Step::Decide, retry_at: Some(now), tries: 0 },
                false => Record::Unwanted,
            },
            end,
            job_name,
            authority,
            id: next_decision,
            job_dir,
            at: mark,
            clock,
            requests: Storage::new(tickets),
            deadline: now + LINGER,
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Record::Writing { step, retry_at: retry_at @ Some(_), .. } = &mut self.record
            && retry_at.is_some_and(|at| at <= now)
        {
            *retry_at = None;
            let step = *step;
            let op = self.request(now, step);
            out.push(self.requests.ask(step, op));
        }
    }

    fn request(&self, now: Instant, step: Step) -> StoreOp {
        let decision = Location(deciding_name(&self.job_dir.0, self.id));
        match step {
            Step::Decide => {
                let lineage = self.authority.lineage.clone();
                let body = manifest::encode(&Decision::Ended { state: self.end.state, lineage });
                StoreOp::Put { at: decision, body, mode: PutMode::Create }
            }
            Step::Read => StoreOp::Get { at: decision, range: None },
            Step::Confirm => self.authority.question(),
            Step::Mark | Step::Leave => {
                let state = self.end.state.as_str().to_owned();
                // The time of this request, not of the decision, because storage may have been slow and the job
                // has ended when its mark exists.
                let (epoch, ended_at) = (self.authority.epoch, now.as_millis());
                let (clock, left) = (self.clock.clone(), step == Step::Leave);
                let record = EndedRecord { state, epoch, ended_at, clock, left };
                let body = record::encode(&record);
                StoreOp::Put { at: self.at.clone(), body, mode: PutMode::Overwrite }
            }
        }
    }

    /// Handles an answer from storage. The job's objects are deleted only when its end is recorded, because after
    /// a crash in between the next JobManager would start the job again.
    pub(crate) fn stored(
        &mut self,
        now: Instant,
        ticket: Ticket,
        result: StoreResult,
        leader: &mut Leader,
        out: &mut Vec<Output>,
    ) {
        let Some(step) = self.requests.take(ticket) else {
            return leader.answered(now, ticket, result.into(), out);
        };
        let Record::Writing { tries, .. } = self.record else { return };
        let go_on = |step| Record::Writing { step, retry_at: Some(now), tries };
        self.record = match (step, result) {
            (Step::Decide, Ok(_)) => go_on(Step::Confirm),
            (Step::Decide, Err(StoreError::AlreadyExists(_))) => go_on(Step::Read),
            (Step::Read, Ok(StoreReply::Bytes(bytes))) => match manifest::decode(&bytes) {
                Ok(decision) => match (self.authority.author(&decision), decision) {
                    (Author::Successor(epoch), _) => Record::Deposed(epoch),
                    (Author::Own, Decision::Ended { .. }) => go_on(Step::Confirm),
                    _ => {
                        self.id = self.id.next();
                        go_on(Step::Decide)
                    }
                },
                Err(_) => {
                    self.id = self.id.next();
                    go_on(Step::Decide)
                }
            },
            (Step::Confirm, result) => match self.authority.standing(&result) {
                Standing::Leads | Standing::RecordGone(_) => go_on(Step::Mark),
                Standing::Deposed(epoch) => Record::Deposed(epoch),
                Standing::Unknown(error) => self.failed(now, step, tries, error),
            },
            (Step::Mark, Ok(_)) => Record::Written,
            (Step::Leave, Ok(_)) => Record::Left,
            (_, Err(error)) => self.failed(now, step, tries, error.to_string()),
            (_, Ok(_)) => self.failed(now, step, tries, "the store answered with something else".to_owned()),
        };
        match self.record {
            Record::Written => leader.delete_rest(Some(deciding_name(&self.job_dir.0, self.id)), out),
            _ => self.on_time(now, out),
        }
    }

    fn failed(&mut self, now: Instant, step: Step, tries: u32, error: String) -> Record {
        if tries + 1 >= MAX_TRIES {
            return match step {
                Step::Leave => {
                    tracing::warn!(error, "the next start will only say that the job has ended");
                    Record::Left
                }
                _ => Record::Failed(error),
            };
        }
        tracing::warn!(error, "the job's end cannot be recorded, trying again");
        self.deadline = self.deadline.max(now + LINGER);
        Record::Writing { step, retry_at: Some(now + RETRY), tries: tries + 1 }
    }

    /// Whether there is nothing left to do but to leave.
    pub(crate) fn is_settled(&self, now: Instant, leader: &Leader) -> bool {
        let recorded = match self.record {
            // A process that ends drops its requests, and standbys would resume the job.
            Record::Unwanted => leader.has_ended_lease() || now >= self.deadline,
            Record::Failed(_) | Record::Deposed(_) | Record::Left => true,
            Record::Written => !leader.deletes() || now >= self.deadline,
            Record::Writing { .. } => false,
        };
        recorded && (!leader.operations.unseen() || now >= self.deadline)
    }

    /// Leaves. Returns whether the process may end.
    pub(crate) fn leave(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        if self.record == Record::Written {
            self.record = Record::Writing { step: Step::Leave, retry_at: Some(now), tries: 0 };
            self.deadline = now + LINGER;
            self.on_time(now, out);
        }
        match self.record {
            Record::Writing { step: Step::Leave, .. } => now >= self.deadline,
            _ => true,
        }
    }

    /// Whether it is leaving.
    pub(crate) fn leaves(&self) -> bool {
        matches!(self.record, Record::Writing { step: Step::Leave, .. } | Record::Left)
    }

    /// Whether there is an end to show: not if the next JobManager resumes the job, or another one leads.
    pub(crate) fn shows_job(&self) -> bool {
        self.end.state != EndState::Suspended && !self.is_deposed()
    }

    /// Whether another JobManager has taken the job over before its end was recorded.
    pub(crate) fn is_deposed(&self) -> bool {
        matches!(self.record, Record::Deposed(_))
    }

    /// When something is due. Nothing is due while the end is being recorded, however long storage takes.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        match self.record {
            Record::Writing { step: Step::Leave, retry_at, .. } => retry_at.or(Some(self.deadline)),
            Record::Writing { retry_at, .. } => retry_at,
            _ => Some(self.deadline),
        }
    }

    /// The exit code, with the reason if it is not 0.
    pub(crate) fn exit(&self) -> (i32, String) {
        let name = self.job_name.clone();
        if let Record::Failed(error) = &self.record {
            let reason = format!(
                "job {name} has ended, but its end cannot be recorded, so the next start would run it again: {error}"
            );
            return (1, reason);
        }
        if let Record::Deposed(epoch) = self.record {
            return (1, JobManagerError::Deposed { name, epoch }.to_string());
        }
        match self.end.state {
            EndState::Failed => {
                let reason = self.end.reason.clone().unwrap_or_else(|| "no reason was given".to_owned());
                (1, JobManagerError::JobFailed { name, reason }.to_string())
            }
            EndState::Suspended => {
                tracing::info!(name, "the job is suspended: the next start of the JobManager resumes it");
                (0, String::new())
            }
            EndState::Finished | EndState::Canceled => {
                tracing::info!(name, state = ?self.end.state, "the job has ended");
                (0, String::new())
            }
        }
    }
}
