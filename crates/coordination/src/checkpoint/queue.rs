//! Requests that wait for the checkpoint under way, most pressing first.

use super::Purpose;
use crate::event::RequestId;
use reflow_protocol::control::AfterBarrier;

/// No more requests wait than this; savepoints into different directories are what could pile up.
const CAPACITY: usize = 32;

/// A request, or several that one checkpoint answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Queued {
    pub(super) purpose: Purpose,
    pub(super) then: AfterBarrier,
    pub(super) requests: Vec<RequestId>,
    pub(super) directory: Option<String>,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Queued>,
}

impl Queue {
    /// Adds a request, or gives it back if there are too many.
    pub(super) fn push(&mut self, wanted: Queued) -> Result<(), Queued> {
        let same = |q: &&mut Queued| {
            (q.purpose, q.then, &q.directory) == (wanted.purpose, wanted.then, &wanted.directory)
        };
        if let Some(queued) = self.waiting.iter_mut().find(same) {
            queued.requests.extend(wanted.requests);
            return Ok(());
        }
        if self.waiting.len() >= CAPACITY && wanted.purpose.is_savepoint() {
            return Err(wanted);
        }
        let place = self.waiting.partition_point(|queued| queued.purpose >= wanted.purpose);
        self.waiting.insert(place, wanted);
        Ok(())
    }

    /// Takes the most pressing one; of equal ones the first that came.
    pub(super) fn pop(&mut self) -> Option<Queued> {
        if self.waiting.is_empty() { None } else { Some(self.waiting.remove(0)) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes all.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.waiting.drain(..)
    }
}
