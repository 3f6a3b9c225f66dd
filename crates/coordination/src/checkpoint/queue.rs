//! Requests that wait for the pending checkpoint to end, in order of urgency.

use super::Purpose;
use crate::event::RequestId;
use reflow_protocol::rescale::Cut;
use reflow_protocol::snapshot::AfterBarrier;

/// The most waiting requests. Only savepoints into different directories could accumulate.
const CAPACITY: usize = 32;

/// A request, or several that one checkpoint answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Queued {
    pub(super) purpose: Purpose,
    pub(super) then: AfterBarrier,
    pub(super) requests: Vec<RequestId>,
    pub(super) directory: Option<String>,
    pub(super) cut: Option<Cut>,
}

/// The requests that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Vec<Queued>,
}

impl Queue {
    /// Adds a request. Returns it if there are too many.
    pub(super) fn push(&mut self, wanted: Queued) -> Result<(), Queued> {
        let same = |q: &&mut Queued| {
            let whole = (q.purpose, q.then, &q.directory, &q.cut);
            whole == (wanted.purpose, wanted.then, &wanted.directory, &wanted.cut)
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

    /// Takes the most urgent request for which `may` is true; of equally urgent ones the oldest.
    pub(super) fn pop(&mut self, may: impl Fn(Purpose) -> bool) -> Option<Queued> {
        let at = self.waiting.iter().position(|queued| may(queued.purpose))?;
        Some(self.waiting.remove(at))
    }

    /// Whether a request waits for which `may` is true.
    pub(super) fn has(&self, may: impl Fn(Purpose) -> bool) -> bool {
        self.waiting.iter().any(|queued| may(queued.purpose))
    }

    /// Removes requests with this purpose that have no answer.
    pub(super) fn withdraw(&mut self, purpose: Purpose) {
        self.waiting.retain(|queued| queued.purpose != purpose || !queued.requests.is_empty());
    }

    /// Takes all requests.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Queued> {
        self.waiting.drain(..)
    }
}
