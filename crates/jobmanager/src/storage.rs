//! Storage requests in progress, and the purpose of each.

use reflow_env::{Output, StoreOp, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the requests of a process: tickets are unique in it, whichever part asks.
#[derive(Clone, Default)]
pub(crate) struct Tickets(Arc<AtomicU64>);

/// Requests of one part of a process, by what they are for.
pub(crate) struct Storage<F> {
    tickets: Tickets,
    under_way: BTreeMap<Ticket, F>,
}

impl<F> Storage<F> {
    pub(crate) fn new(tickets: Tickets) -> Self {
        Self { tickets, under_way: BTreeMap::new() }
    }

    /// The output that asks for `op`.
    pub(crate) fn ask(&mut self, purpose: F, op: StoreOp) -> Output {
        let ticket = Ticket(self.tickets.0.fetch_add(1, Ordering::Relaxed));
        self.under_way.insert(ticket, purpose);
        Output::Store { ticket, op }
    }

    /// What an answered request was for, if it was one of this part.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<F> {
        self.under_way.remove(&ticket)
    }
}
