//! What enumerators want, on its way to storage and to the readers.

use super::{For, Leader};
use crate::enumerators::Assignment;
use reflow_env::{Output, StoreOp};
use reflow_protocol::control::ToExecutor;
use reflow_protocol::deployment::Attempt;
use reflow_types::{Instant, SubtaskId};

impl Leader {
    pub(super) fn advance_enumerators(&mut self, now: Instant, out: &mut Vec<Output>) {
        let work = self.enumerators.advance(now);
        for (listing, below) in work.listings {
            out.push(self.requests.ask(For::Listing(listing), StoreOp::List { below }));
        }
        self.send_assignments(work.assignments, out);
        for (subtask, readers) in work.active {
            let message = |attempt| ToExecutor::ActiveReaders { attempt, subtask, readers };
            self.send_to_subtask(subtask, message, out);
        }
        for subtask in work.ends {
            self.send_to_subtask(subtask, |attempt| ToExecutor::EndSource { attempt, subtask }, out);
        }
    }

    pub(super) fn send_assignments(&self, assignments: Vec<Assignment>, out: &mut Vec<Output>) {
        for Assignment { subtask, splits, states, more } in assignments {
            let message = |attempt| ToExecutor::AssignSplits { attempt, subtask, splits, states, more };
            self.send_to_subtask(subtask, message, out);
        }
    }

    /// Tells the executor of a subtask of the current attempt something.
    fn send_to_subtask(
        &self,
        subtask: SubtaskId,
        message: impl FnOnce(Attempt) -> ToExecutor,
        out: &mut Vec<Output>,
    ) {
        let view = self.scheduler.view();
        let Some(deployed) = view.attempt else { return };
        let Some(record) = deployed.subtasks.get(&subtask) else { return };
        self.members.send(record.slot.executor, &message(deployed.attempt), out);
    }
}
