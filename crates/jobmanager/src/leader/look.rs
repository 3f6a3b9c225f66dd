//! The periodic check for a later epoch. Without it, a leader that makes no decisions, because it has no TaskManagers or takes
//! no checkpoints, would never notice that it was deposed, and its tasks would run on.
//!
//! Correctness does not depend on this check, because a leader confirms each decision by a check of its own
//! ([`crate::leadership::authority`]). Only this one also reads the leader's own epoch record: if something deletes epoch
//! records, another JobManager may have taken the same number.

use super::{Leader, Purpose};
use crate::leadership::authority::Standing;
use reflow_env::{Output, StoreOp, StoreReply, StoreResult};
use reflow_types::Instant;
use std::time::Duration;

/// The time from the end of a check to the next one.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// How long storage may not answer the checks before the JobManager counts as not ready: two of them.
const STORAGE_SILENT_AFTER: Duration = Duration::from_secs(15);

/// When the next check is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unscheduled,
    At(Instant),
    UnderWay { since: Instant },
}

impl Look {
    pub(super) fn next_wakeup(self) -> Option<Instant> {
        match self {
            Look::At(at) => Some(at),
            Look::Unscheduled | Look::UnderWay { .. } => None,
        }
    }

    /// Whether the check is due. It is then under way until [`end`](Self::end).
    pub(super) fn begin_if_due(&mut self, now: Instant) -> bool {
        match *self {
            Look::At(at) if at <= now => {
                *self = Look::UnderWay { since: now };
                return true;
            }
            Look::Unscheduled => self.end(now, INTERVAL),
            Look::At(_) | Look::UnderWay { .. } => {}
        }
        false
    }

    /// Ends the check. The next one is due after the interval.
    pub(super) fn end(&mut self, now: Instant, interval: Duration) {
        *self = Look::At(now + interval);
    }

    /// Makes the next check due, unless one is under way.
    pub(super) fn hurry(&mut self, now: Instant) {
        if !matches!(self, Look::UnderWay { .. }) {
            *self = Look::At(now);
        }
    }
}

impl Leader {
    /// Whether storage answers. It is asked at least every few seconds, whether there is a later leadership.
    pub(crate) fn storage_answers(&self, now: Instant) -> bool {
        now < self.storage_answered_at + STORAGE_SILENT_AFTER
    }

    /// Checks for a later epoch if the check is due.
    pub(super) fn look_for_successor(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.look.begin_if_due(now) {
            let question = self.authority.question();
            out.push(self.requests.ask(Purpose::Look, question));
        }
    }

    /// Handles the result of a check. If storage did not answer, the next check may.
    pub(super) fn looked(&mut self, now: Instant, answer: &StoreResult, out: &mut Vec<Output>) {
        let next = Look::At(now + self.look_interval());
        let look = std::mem::replace(&mut self.look, next);
        // The recording of the end has its own check, and a JobManager that starts after the mark does not depose
        // this one.
        if self.end.is_some() {
            return;
        }
        if let Ok(StoreReply::Bytes(record)) = answer {
            if self.authority.is_replaced_by(record) {
                self.deposed = Some(self.authority.epoch);
            } else if let Look::UnderWay { since } = look {
                self.leads_as_of(now, since);
            }
            return;
        }
        match self.authority.standing(answer) {
            Standing::Deposed(successor) => self.deposed = Some(successor),
            Standing::RecordGone(create) => self.write_record(create, out),
            Standing::Leads => {
                self.look = look;
                out.push(self.requests.ask(Purpose::Look, self.authority.read_record()));
            }
            Standing::Unknown(_) => {}
        }
    }

    /// Writes the file of this leadership's epoch again after it was deleted. TaskManagers read it when they
    /// register, so none could join without it.
    pub(super) fn write_record(&mut self, create: StoreOp, out: &mut Vec<Output>) {
        tracing::error!(
            at = %self.authority.directory(),
            "something deletes objects in the directory of checkpoints: the record of this leadership is gone, and is \
             written again; checkpoints may be gone, too. Let no rule delete below it"
        );
        out.push(self.requests.ask(Purpose::Epoch, create));
    }
}
