//! What enumerators want, on its way to storage and to the readers.

use super::{Leader, Purpose};
use crate::enumerators::Assignment;
use reflow_env::{Output, StoreOp};
use reflow_protocol::command::SubtaskCommand;
use reflow_types::Instant;

impl Leader {
    pub(super) fn advance_enumerators(&mut self, now: Instant, out: &mut Vec<Output>) {
        let work = self.enumerators.advance(now);
        for (listing, below) in work.listings {
            out.push(self.requests.ask(Purpose::Listing(listing), StoreOp::List { below }));
        }
        self.send_assignments(work.assignments, out);
        for (subtask, readers) in work.active {
            self.send_to_subtask(subtask, SubtaskCommand::SetActiveReaders(readers), out);
        }
        for subtask in work.ends {
            self.send_to_subtask(subtask, SubtaskCommand::EndSource, out);
        }
    }

    pub(super) fn send_assignments(&self, assignments: Vec<Assignment>, out: &mut Vec<Output>) {
        for (subtask, assignment) in assignments {
            self.send_to_subtask(subtask, SubtaskCommand::AssignSplits(assignment), out);
        }
    }
}
