//! Calls to systems outside the cluster, each a task until it is answered, cancelled or its time is up.
//!
//! They have a thread of their own, because clients and users' asynchronous functions may block it: the I/O threads must
//! not miss to give signs of life.

use super::inbox::Inbox;
use super::slot::panic_text;
use crate::external::{CallError, ClientPanicked};
use crate::{Call, CallResult, Input, Ticket};
use futures::FutureExt;
use std::collections::HashMap;
use std::io;
use std::panic::AssertUnwindSafe;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// Threads for clients' own blocking work.
const BLOCKING_THREADS: usize = 16;

/// The calls of a process. Their number is bounded by the connectors that make them.
#[derive(Default)]
pub(super) struct Calls {
    running: HashMap<Ticket, AbortHandle>,
    /// Started with the first call.
    runtime: Option<Runtime>,
}

impl Calls {
    /// Starts a call, whose result goes to the inbox.
    pub(super) fn start(&mut self, ticket: Ticket, call: Call, inbox: &Inbox) {
        let inbox = inbox.clone();
        let runtime = match self.runtime() {
            Ok(runtime) => runtime,
            Err(error) => {
                let result = Err(CallError::failed(call.system(), error));
                self.running.remove(&ticket);
                return inbox.push_input(Input::Called { ticket, result });
            }
        };
        let task = runtime.spawn(async move {
            let result = carry_out(&call).await;
            inbox.push_input(Input::Called { ticket, result });
        });
        self.running.insert(ticket, task.abort_handle());
    }

    fn runtime(&mut self) -> io::Result<&Runtime> {
        if self.runtime.is_none() {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).max_blocking_threads(BLOCKING_THREADS).thread_name("calls");
            self.runtime = Some(builder.enable_all().build()?);
        }
        Ok(self.runtime.as_ref().expect("it has just been started"))
    }

    /// Ends a call. A result that is already in the inbox is dropped.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        if let Some(task) = self.running.remove(&ticket) {
            task.abort();
        }
    }

    /// A call has a result. Returns false if it was cancelled before.
    pub(super) fn ended(&mut self, ticket: Ticket) -> bool {
        self.running.remove(&ticket).is_some()
    }

    /// Ends all calls, without waiting for one that blocks.
    pub(super) fn cancel_all(&mut self) {
        self.running.drain().for_each(|(_, task)| task.abort());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
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
