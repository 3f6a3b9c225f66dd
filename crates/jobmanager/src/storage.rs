//! Requests to storage and other systems that are in progress, and the purpose of each.

use reflow_env::{Output, Request, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counter of a process's requests, by which tickets are unique in it.
#[derive(Clone, Default)]
pub(crate) struct Tickets(Arc<AtomicU64>);

/// The requests of one part of a process, with their purposes.
pub(crate) struct Storage<F> {
    tickets: Tickets,
    under_way: BTreeMap<Ticket, F>,
}

impl<F> Storage<F> {
    pub(crate) fn new(tickets: Tickets) -> Self {
        Self { tickets, under_way: BTreeMap::new() }
    }

    /// Creates the output that sends a request.
    pub(crate) fn ask(&mut self, purpose: F, request: impl Into<Request>) -> Output {
        let ticket = Ticket(self.tickets.0.fetch_add(1, Ordering::Relaxed));
        self.under_way.insert(ticket, purpose);
        match request.into() {
            Request::Store(op) => Output::Store { ticket, op },
            Request::External(call) => Output::Call { ticket, call },
        }
    }

    /// The number of requests that are not answered yet.
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Takes the purpose of an answered request, if it is one of this part.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<F> {
        self.under_way.remove(&ticket)
    }
}
