//! A leader's look for a later leadership between its decisions: one that decides nothing, without TaskManagers or
//! checkpoints, would otherwise lead on, and its tasks with it.
//!
//! Nothing depends on these looks: what a leader decides it confirms by a look of its own
//! ([`crate::leadership::authority`]). Only these read the file of the epoch, too: where something deletes files of
//! epochs, another JobManager may have taken the same number.

use super::{Leader, Purpose};
use crate::leadership::authority::Standing;
use reflow_env::{Output, StoreOp, StoreReply, StoreResult};
use reflow_types::Instant;
use std::time::Duration;

/// From the end of a look to the next one.
const INTERVAL: Duration = Duration::from_secs(5);

/// When the next look is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Unscheduled,
    At(Instant),
    UnderWay,
}

impl Look {
    pub(super) fn next_wakeup(self) -> Option<Instant> {
        match self {
            Look::At(at) => Some(at),
            Look::Unscheduled | Look::UnderWay => None,
        }
    }
}

impl Leader {
    /// Looks if it is time to.
    pub(super) fn look_for_successor(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.look {
            Look::Unscheduled => self.look = Look::At(now + INTERVAL),
            Look::At(at) if at <= now => {
                self.look = Look::UnderWay;
                let question = self.authority.question();
                out.push(self.requests.ask(Purpose::Look, question));
            }
            Look::At(_) | Look::UnderWay => {}
        }
    }

    /// A look is over. Storage that does not answer tells nothing: the next look may.
    pub(super) fn looked(&mut self, now: Instant, answer: &StoreResult, out: &mut Vec<Output>) {
        self.look = Look::At(now + INTERVAL);
        // The end has a look of its own, and whoever comes after its mark deposes nobody.
        if self.end.is_some() {
            return;
        }
        if let Ok(StoreReply::Bytes(record)) = answer {
            if self.authority.is_replaced_by(record) {
                self.deposed = Some(self.authority.epoch);
            }
            return;
        }
        match self.authority.standing(answer) {
            Standing::Deposed(successor) => self.deposed = Some(successor),
            Standing::RecordGone(create) => self.write_record(create, out),
            Standing::Leads => {
                self.look = Look::UnderWay;
                out.push(self.requests.ask(Purpose::Look, self.authority.read_record()));
            }
            Standing::Unknown(_) => {}
        }
    }

    /// The file of this leadership's epoch is gone. TaskManagers that register read it: without it none can join.
    pub(super) fn write_record(&mut self, create: StoreOp, out: &mut Vec<Output>) {
        tracing::error!(
            at = %self.authority.directory(),
            "something deletes objects in the directory of checkpoints: the record of this leadership is gone, and is \
             written again; checkpoints may be gone, too. Let no rule delete below it"
        );
        out.push(self.requests.ask(Purpose::Epoch, create));
    }
}
