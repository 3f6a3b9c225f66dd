//! What must be in storage, or in another system, before a sink's checkpoint can be complete.

use reflow_api::Io;
use reflow_api::sink::WriterOutput;
use reflow_env::{Request, RequestError, StoreError, StoreOp, Ticket};
use reflow_types::{CheckpointId, Instant};
use std::time::Duration;

/// The requests of a sink that have not been carried out, oldest first.
#[derive(Default)]
pub(super) struct Unstored {
    requests: Vec<Pending>,
    /// A request waits for all of lower turns.
    turn: u64,
    /// The last error, until the checkpoint that waits for it is declined.
    error: Option<RequestError>,
    /// When failed requests are submitted again.
    again_at: Option<Instant>,
}

struct Pending {
    /// `None` if it cannot be submitted again.
    request: Option<Request>,
    state: State,
    /// The checkpoint that waits for it; `None` for the next one.
    checkpoint: Option<CheckpointId>,
    turn: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requests of lower turns are not carried out yet.
    WaitsForTurn,
    UnderWay(Ticket),
    Failed,
}

/// Something that was written is lost.
pub(super) enum Loss {
    /// It cannot be submitted again.
    NotRepeatable(RequestError),
    /// It has been removed from storage.
    Removed(RequestError),
}

impl Unstored {
    /// Submits the requests of a writer. They belong to the next checkpoint.
    pub(super) fn add(&mut self, output: &mut WriterOutput, io: &Io) {
        let turn = self.turn;
        for request in output.requests.drain(..) {
            let state = State::UnderWay(io.submit(request.clone()));
            self.requests.push(Pending { request: Some(request), state, checkpoint: None, turn });
        }
        for ticket in output.wait_for.drain(..) {
            let state = State::UnderWay(ticket);
            self.requests.push(Pending { request: None, state, checkpoint: None, turn });
        }
        if !output.then.is_empty() {
            self.turn += 2;
            let then = output.then.drain(..).map(|request| Pending {
                request: Some(request),
                state: State::WaitsForTurn,
                checkpoint: None,
                turn: turn + 1,
            });
            self.requests.extend(then);
            self.take_turns(io);
        }
    }

    /// The checkpoint whose barrier has come waits for everything so far.
    pub(super) fn at_barrier(&mut self, checkpoint: CheckpointId) {
        for pending in &mut self.requests {
            pending.checkpoint.get_or_insert(checkpoint);
        }
    }

    /// Takes the answers to requests. Failed requests become due again after a pause.
    pub(super) fn collect(&mut self, io: &Io, now: Instant, pause: Duration) -> Result<(), Loss> {
        let mut loss = None;
        let mut error = None;
        self.requests.retain_mut(|pending| {
            let State::UnderWay(ticket) = pending.state else { return true };
            match (io.take_outcome(ticket), &pending.request) {
                (None, _) => true,
                (Some(Ok(())), _) => false,
                (Some(Err(failed)), None) => {
                    loss = Some(Loss::NotRepeatable(failed));
                    false
                }
                (Some(Err(failed)), Some(request)) => {
                    pending.state = State::Failed;
                    if is_loss(request, &failed) {
                        loss = Some(Loss::Removed(failed));
                    } else {
                        error = Some(failed);
                    }
                    true
                }
            }
        });
        if let Some(loss) = loss {
            return Err(loss);
        }
        if error.is_some() {
            self.error = error;
            self.again_at.get_or_insert(now + pause);
        }
        self.take_turns(io);
        Ok(())
    }

    /// Submits requests whose turn has come.
    fn take_turns(&mut self, io: &Io) {
        let Some(first) = self.requests.first().map(|pending| pending.turn) else { return };
        for pending in &mut self.requests {
            if pending.turn == first && pending.state == State::WaitsForTurn {
                pending.submit(io);
            }
        }
    }

    /// Submits failed requests again, if it is time.
    pub(super) fn submit_due(&mut self, io: &Io, now: Instant) {
        if self.again_at.is_some_and(|at| at <= now) {
            self.submit_failed(io);
        }
    }

    /// Submits failed requests again. Their errors belong to earlier checkpoints.
    pub(super) fn submit_failed(&mut self, io: &Io) {
        self.again_at = None;
        for pending in self.requests.iter_mut().filter(|pending| pending.state == State::Failed) {
            pending.submit(io);
        }
    }

    pub(super) fn again_at(&self) -> Option<Instant> {
        self.again_at
    }

    /// Takes the last error.
    pub(super) fn take_error(&mut self) -> Option<RequestError> {
        self.error.take()
    }

    /// Whether everything has been carried out for which the checkpoint under way waits.
    pub(super) fn is_stored(&self) -> bool {
        self.requests.iter().all(|pending| pending.checkpoint.is_none())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// The bytes of requests that can be submitted again, which stay in memory.
    pub(super) fn bytes(&self) -> usize {
        self.requests.iter().filter_map(|pending| pending.request.as_ref()).map(Request::bytes).sum()
    }
}

impl Pending {
    fn submit(&mut self, io: &Io) {
        if let Some(request) = &self.request {
            self.state = State::UnderWay(io.submit(request.clone()));
        }
    }
}

/// Whether a request has failed because an object that was stored before is gone or has become shorter.
fn is_loss(request: &Request, error: &RequestError) -> bool {
    matches!(request, Request::Store(StoreOp::Concat { .. }))
        && matches!(error, RequestError::Store(StoreError::NotFound(_) | StoreError::OutOfRange { .. }))
}
