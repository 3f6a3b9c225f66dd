//! Storage for sources and sinks.
//!
//! A slot's thread never waits for storage: operators submit a request and take its answer in a later step. The
//! slot passes requests to the executor and returns the answers.

use reflow_env::{StoreOp, StoreResult, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Storage requests of one task, and their answers. Clones share them; used from the slot's thread.
///
/// When the last clone is dropped, answers that were not taken are dropped, including later ones, and uploads whose
/// last part was not submitted are cancelled. So a task that ends at any point leaves nothing behind in its slot
/// and its process, which outlive it.
#[derive(Clone, Default)]
pub struct Io(Arc<Scope>);

/// The requests of one [`Io`] and its clones.
#[derive(Default)]
struct Scope {
    slot: Arc<Mutex<Inner>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// Requests whose answers have been neither taken nor forgotten.
    requests: BTreeSet<Ticket>,
    /// Uploads that have started and whose last part was not submitted.
    uploads: BTreeSet<u64>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    submitted: Vec<(Ticket, StoreOp)>,
    forgotten: BTreeSet<Ticket>,
    answered: BTreeMap<Ticket, StoreResult>,
}

impl Io {
    /// A new [`Io`] in the same slot, with its own requests.
    #[must_use]
    pub fn for_task(&self) -> Self {
        Self(Arc::new(Scope { slot: self.0.slot.clone(), open: Mutex::default() }))
    }

    /// Submits a request. Take its answer, or call [`Io::forget`]; otherwise it stays in memory for as long as the
    /// task.
    pub fn submit(&self, op: StoreOp) -> Ticket {
        let mut open = self.0.open();
        match op {
            StoreOp::Upload { upload, last: false, .. } => drop(open.uploads.insert(upload)),
            StoreOp::Upload { upload, last: true, .. } | StoreOp::CancelUpload { upload } => {
                open.uploads.remove(&upload);
            }
            _ => {}
        }
        let ticket = self.0.slot().submit(op);
        open.requests.insert(ticket);
        ticket
    }

    /// An id for [`StoreOp::Upload`] that is unique in the slot.
    pub fn new_upload(&self) -> u64 {
        let mut slot = self.0.slot();
        slot.next += 1;
        slot.next
    }

    /// Takes the answer to a request, if it has arrived.
    pub fn take(&self, ticket: Ticket) -> Option<StoreResult> {
        let answer = self.0.slot().answered.remove(&ticket)?;
        self.0.open().requests.remove(&ticket);
        Some(answer)
    }

    /// Submits a request and ignores its answer.
    pub fn submit_and_forget(&self, op: StoreOp) {
        let ticket = self.submit(op);
        self.forget(ticket);
    }

    /// Ignores a request's answer.
    pub fn forget(&self, ticket: Ticket) {
        if self.0.open().requests.remove(&ticket) {
            self.0.slot().forget(ticket);
        }
    }

    /// For the slot: takes the requests submitted since the last call.
    pub fn drain_submitted(&self) -> Vec<(Ticket, StoreOp)> {
        std::mem::take(&mut self.0.slot().submitted)
    }

    /// For the slot: delivers an answer.
    pub fn answer(&self, ticket: Ticket, result: StoreResult) {
        let mut slot = self.0.slot();
        if !slot.forgotten.remove(&ticket) {
            slot.answered.insert(ticket, result);
        }
    }
}

impl Inner {
    fn submit(&mut self, op: StoreOp) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.submitted.push((ticket, op));
        ticket
    }

    fn forget(&mut self, ticket: Ticket) {
        if self.answered.remove(&ticket).is_none() {
            self.forgotten.insert(ticket);
        }
    }
}

impl Scope {
    fn slot(&self) -> MutexGuard<'_, Inner> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let open = std::mem::take(&mut *self.open());
        let mut slot = self.slot();
        for upload in open.uploads {
            let ticket = slot.submit(StoreOp::CancelUpload { upload });
            slot.forget(ticket);
        }
        open.requests.into_iter().for_each(|ticket| slot.forget(ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use reflow_env::{Location, StoreReply};

    fn part(upload: u64, last: bool) -> StoreOp {
        StoreOp::Upload { upload, at: Location("object".to_owned()), part: Bytes::from_static(b"x"), last }
    }

    #[test]
    fn a_task_that_is_gone_leaves_no_upload_and_no_answer() {
        let slot = Io::default();
        let task = slot.for_task();
        let (begun, complete, cancelled) = (task.new_upload(), task.new_upload(), task.new_upload());
        let ops = [part(begun, false), part(complete, false), part(complete, true), part(cancelled, false)];
        let tickets: Vec<_> = ops.into_iter().map(|op| task.submit(op)).collect();
        task.submit_and_forget(StoreOp::CancelUpload { upload: cancelled });
        slot.drain_submitted();
        slot.answer(tickets[0], Ok(StoreReply::Done));
        let clone = task.clone();
        drop(task);
        assert_eq!(slot.drain_submitted(), [], "a clone is there");
        drop(clone);
        let left: Vec<_> = slot.drain_submitted().into_iter().map(|(_, op)| op).collect();
        assert_eq!(left, [StoreOp::CancelUpload { upload: begun }]);
        // Later answers are dropped when they arrive.
        tickets[1..].iter().for_each(|ticket| slot.answer(*ticket, Ok(StoreReply::Done)));
        assert_eq!(slot.0.slot().answered, BTreeMap::new());
    }

    #[test]
    fn tasks_of_a_slot_do_not_share_tickets() {
        let slot = Io::default();
        let (gone, stays) = (slot.for_task(), slot.for_task());
        let theirs = stays.submit(part(stays.new_upload(), true));
        assert_ne!(gone.submit(part(gone.new_upload(), true)), theirs);
        drop(gone);
        slot.answer(theirs, Ok(StoreReply::Done));
        assert_eq!(stays.take(theirs), Some(Ok(StoreReply::Done)));
    }
}
