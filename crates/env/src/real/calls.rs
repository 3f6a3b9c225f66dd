//! Calls to systems outside the cluster, each a task of the runtime until it is answered, cancelled or its time is up.

use super::inbox::Inbox;
use super::slot::panic_text;
use crate::external::{CallError, ClientPanicked};
use crate::{Call, CallResult, Input, Ticket};
use futures::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// The calls of a process. Their number is bounded by the connectors that make them.
#[derive(Default)]
pub(super) struct Calls(HashMap<Ticket, AbortHandle>);

impl Calls {
    /// Starts a call, whose result goes to the inbox.
    pub(super) fn start(&mut self, ticket: Ticket, call: Call, inbox: &Inbox, runtime: &Handle) {
        let inbox = inbox.clone();
        let task = runtime.spawn(async move {
            let result = carry_out(&call).await;
            inbox.push_input(Input::Called { ticket, result });
        });
        self.0.insert(ticket, task.abort_handle());
    }

    /// Ends a call. A result that is already in the inbox is dropped.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if let Some(task) = self.0.remove(&ticket) {
            task.abort();
        }
    }

    /// A call has a result. Returns false if it was cancelled before.
    pub(super) fn ended(&mut self, ticket: Ticket) -> bool {
        self.0.remove(&ticket).is_some()
    }

    /// Ends all calls.
    pub(super) fn cancel_all(&mut self) {
        self.0.drain().for_each(|(_, task)| task.abort());
    }
}

/// Carries a call out within its time. A client that panics fails only its call.
async fn carry_out(call: &Call) -> CallResult {
    let answer = AssertUnwindSafe(call.start()).catch_unwind();
    match tokio::time::timeout(call.time_limit(), answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            Err(CallError::failed(call.system(), ClientPanicked(panic_text(&*panic).to_owned())))
        }
        Err(_) => Err(call.timed_out()),
    }
}
