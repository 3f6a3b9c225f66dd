//! Inquiries about logs and threads that wait for the answers of TaskManagers.

use crate::handle::Asked;
use reflow_types::TaskManagerId;
use reflow_types::inspection::Inspection;
use reflow_view::{CommandError, Reply};
use std::collections::BTreeMap;

/// The most inquiries that wait. Each answer has at most a quarter of a megabyte.
const MAX_WAITING: usize = 64;

/// The inquiries that wait, by number. Each is answered, because its TaskManager limits the time or is lost. If an inquiry is
/// dropped, its user is told that the JobManager has ended.
#[derive(Default)]
pub(super) struct Inquiries {
    next: u64,
    waiting: BTreeMap<u64, (TaskManagerId, Asked)>,
}

impl Inquiries {
    /// Adds an inquiry to a TaskManager and returns its number, or refuses it.
    pub(super) fn add(&mut self, id: TaskManagerId, asked: Asked) -> Option<u64> {
        if self.waiting.len() >= MAX_WAITING {
            let text = format!("{MAX_WAITING} requests for logs or threads wait for TaskManagers: try again");
            asked.answer(Err(CommandError::Unavailable(text)));
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, (id, asked));
        Some(number)
    }

    /// A TaskManager has answered.
    pub(super) fn answer(&mut self, id: TaskManagerId, number: u64, inspection: Inspection) {
        if self.waiting.get(&number).is_some_and(|(of, _)| *of == id)
            && let Some((_, asked)) = self.waiting.remove(&number)
        {
            asked.answer(Ok(Reply::Inspected(inspection)));
        }
    }

    /// A TaskManager is gone.
    pub(super) fn fail(&mut self, id: TaskManagerId, reason: &str) {
        for (_, (_, asked)) in self.waiting.extract_if(.., |_, (of, _)| *of == id) {
            asked.answer(Err(CommandError::Failed(format!("TaskManager {id} is gone: {reason}"))));
        }
    }
}
