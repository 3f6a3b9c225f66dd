//! The end of a JobManager whose job is over: it records the end, cleans up, and waits a moment for those who
//! asked for something and have not seen its outcome.

use crate::error::JobManagerError;
use crate::leader::{End, Leader};
use crate::leadership::EndedRecord;
use crate::storage::Storage;
use reflow_coordination::action::EndState;
use reflow_env::{Location, Output, PutMode, StoreError, StoreOp, StoreResult, Ticket};
use reflow_types::Instant;
use std::time::Duration;

/// How long the process stays after the job's end, at most.
const LINGER: Duration = Duration::from_secs(10);
const MAX_TRIES: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

/// What the record of the end is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Record {
    /// None is wanted: the next JobManager resumes the job.
    Unwanted,
    /// Under way, or to be tried again at that moment.
    Writing {
        retry_at: Option<Instant>,
        tries: u32,
    },
    Written,
    /// Storage does not take it.
    Failed(String),
}

/// The end of a job, on its way into storage and to those who asked.
pub(crate) struct Ending {
    end: End,
    job_name: String,
    marker: StoreOp,
    record: Record,
    requests: Storage<()>,
    deadline: Instant,
}

impl Ending {
    pub(crate) fn new(
        now: Instant,
        end: End,
        job_name: String,
        at: Location,
        mut record: EndedRecord,
        requests: Storage<()>,
    ) -> Self {
        let state = match end.state {
            EndState::Suspended => None,
            EndState::Finished => Some("FINISHED"),
            EndState::Canceled => Some("CANCELED"),
            EndState::Failed => Some("FAILED"),
        };
        record.state = state.unwrap_or_default().to_owned();
        let body = serde_json::to_vec(&record).expect("a record is plain data").into();
        Self {
            end,
            job_name,
            marker: StoreOp::Put { at, body, mode: PutMode::Create },
            record: match state {
                Some(_) => Record::Writing { retry_at: Some(now), tries: 0 },
                None => Record::Unwanted,
            },
            requests,
            deadline: now + LINGER,
        }
    }

    pub(crate) fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Record::Writing { retry_at: retry_at @ Some(_), .. } = &mut self.record
            && retry_at.is_some_and(|at| at <= now)
        {
            *retry_at = None;
            out.push(self.requests.ask((), self.marker.clone()));
        }
    }

    /// An answer from storage. The job's objects go only when its end is recorded: a crash between the two would
    /// let the next JobManager begin the job again.
    pub(crate) fn stored(
        &mut self,
        now: Instant,
        ticket: Ticket,
        result: StoreResult,
        leader: &mut Leader,
        out: &mut Vec<Output>,
    ) {
        if self.requests.take(ticket).is_none() {
            return leader.stored(now, ticket, result, out);
        }
        let Record::Writing { tries, .. } = self.record else { return };
        self.record = match result {
            Ok(_) | Err(StoreError::AlreadyExists(_)) => Record::Written,
            Err(error) if tries + 1 >= MAX_TRIES => Record::Failed(error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "the job's end cannot be recorded, trying again");
                self.deadline = self.deadline.max(now + LINGER);
                Record::Writing { retry_at: Some(now + RETRY), tries: tries + 1 }
            }
        };
        if self.record == Record::Written {
            leader.delete_rest(out);
        }
    }

    /// Whether the process may end.
    pub(crate) fn is_over(&self, now: Instant, leader: &Leader) -> bool {
        let recorded = match self.record {
            Record::Unwanted | Record::Failed(_) => true,
            Record::Written => !leader.deletes() || now >= self.deadline,
            Record::Writing { .. } => false,
        };
        recorded && (!leader.operations.unseen() || now >= self.deadline)
    }

    /// When something is due. Nothing is while the record is under way, however long storage takes.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        match self.record {
            Record::Writing { retry_at, .. } => retry_at,
            Record::Unwanted | Record::Written | Record::Failed(_) => Some(self.deadline),
        }
    }

    /// The exit code, and why it is not 0.
    pub(crate) fn exit(&self) -> (i32, String) {
        let name = self.job_name.clone();
        if let Record::Failed(error) = &self.record {
            let reason = format!(
                "job {name} has ended, but its end cannot be recorded, so the next start would run it again: {error}"
            );
            return (1, reason);
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
