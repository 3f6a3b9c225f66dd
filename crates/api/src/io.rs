//! Storage for sources and sinks.
//!
//! A slot's thread never waits for storage: operators submit a request and look for its answer in a later
//! step. The slot carries requests out of the process and brings the answers.

use reflow_env::{StoreOp, StoreResult, Ticket};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A slot's storage requests and their answers. Clones share them; used from the slot's thread.
#[derive(Clone, Default)]
pub struct Io(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    next: u64,
    submitted: Vec<(Ticket, StoreOp)>,
    forgotten: BTreeSet<Ticket>,
    answered: BTreeMap<Ticket, StoreResult>,
}

impl Io {
    /// Submits a request. Its answer must be taken, or nobody forgets it.
    pub fn submit(&self, op: StoreOp) -> Ticket {
        let mut inner = self.lock();
        inner.next += 1;
        let ticket = Ticket(inner.next);
        inner.submitted.push((ticket, op));
        ticket
    }

    /// An id for [`StoreOp::Upload`] that is unique in the slot.
    pub fn new_upload(&self) -> u64 {
        let mut inner = self.lock();
        inner.next += 1;
        inner.next
    }

    /// Takes the answer to a request, if it is there.
    pub fn take(&self, ticket: Ticket) -> Option<StoreResult> {
        self.lock().answered.remove(&ticket)
    }

    /// Submits a request whose answer nobody needs.
    pub fn submit_and_forget(&self, op: StoreOp) {
        let ticket = self.submit(op);
        self.forget(ticket);
    }

    /// Gives up a request's answer.
    pub fn forget(&self, ticket: Ticket) {
        let mut inner = self.lock();
        if inner.answered.remove(&ticket).is_none() {
            inner.forgotten.insert(ticket);
        }
    }

    /// For the slot: takes what was submitted since the last call.
    pub fn drain_submitted(&self) -> Vec<(Ticket, StoreOp)> {
        std::mem::take(&mut self.lock().submitted)
    }

    /// For the slot: brings an answer.
    pub fn answer(&self, ticket: Ticket, result: StoreResult) {
        let mut inner = self.lock();
        if !inner.forgotten.remove(&ticket) {
            inner.answered.insert(ticket, result);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
