//! The resource requirements that users have declared, stored for the next JobManager.
//!
//! Each declaration is an object of its own, `<job>/requirements/<epoch>-<number>`; the greatest name is the current one. A
//! change takes effect, and its request is answered, once the object is stored and a check finds no later epoch. A new leader
//! stores the declaration that it has found again under its own epoch, so whatever a deposed leader still writes is older.

use crate::handle::Asked;
use crate::leadership::authority::{Authority, Standing};
use crate::record;
use crate::storage::Storage;
use reflow_coordination::event::{Event, ParallelismBounds};
use reflow_coordination::requirements::RequestedBounds;
use reflow_env::{Location, Output, PutMode, StoreOp, StoreResult};
use reflow_types::{LeaderEpoch, VertexId};
use reflow_view::{CommandError, Reply};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Checked bounds of every vertex.
pub(crate) type Bounds = BTreeMap<VertexId, ParallelismBounds>;

/// A vertex's bounds in an object, which is a list of these in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    vertex: VertexId,
    lower: u32,
    upper: u32,
}

/// Encodes a declaration.
pub(crate) fn encode(bounds: &Bounds) -> bytes::Bytes {
    let entry = |(vertex, bounds): (&VertexId, &ParallelismBounds)| Entry {
        vertex: *vertex,
        lower: bounds.lower,
        upper: bounds.upper,
    };
    record::encode(&bounds.iter().map(entry).collect::<Vec<_>>())
}

/// Decodes a declaration, which must be checked like a request because the job may have other vertices now.
pub(crate) fn decode(bytes: &[u8]) -> Result<BTreeMap<VertexId, RequestedBounds>, String> {
    let entries: Vec<Entry> = record::decode(bytes)?;
    let bounds = |entry: Entry| {
        let Entry { vertex, lower, upper } = entry;
        (vertex, RequestedBounds { lower: lower.into(), upper: upper.into() })
    };
    Ok(entries.into_iter().map(bounds).collect())
}

/// The stored declarations, and the one that is being stored.
pub(crate) struct Declarations {
    directory: Location,
    epoch: LeaderEpoch,
    next: u64,
    /// The objects that a later declaration replaces.
    former: Vec<String>,
    storing: Option<Storing>,
    /// Whether the job has ended, so that nothing of it is needed.
    job_ended: bool,
    requests: Storage<()>,
}

struct Storing {
    at: Location,
    bounds: Bounds,
    /// Whether its object is stored and the epochs are being checked.
    stands: bool,
    /// The command that waits for it; `None` for a declaration of an earlier leadership.
    asked: Option<Asked>,
}

/// The outcome of a declaration.
#[derive(Default)]
pub(crate) struct Stored {
    /// The later leadership, if one was found.
    pub(crate) deposed: Option<LeaderEpoch>,
    /// The event for the scheduler.
    pub(crate) event: Option<Event>,
    /// Objects that are not needed any more.
    pub(crate) obsolete: Vec<String>,
}

impl Declarations {
    /// The declarations in `directory`, with those of earlier leaderships.
    pub(crate) fn new(
        directory: Location,
        epoch: LeaderEpoch,
        former: Vec<String>,
        requests: Storage<()>,
    ) -> Self {
        Self { directory, epoch, next: 0, former, storing: None, job_ended: false, requests }
    }

    /// Stores the declaration of an earlier leadership under this one's name.
    pub(crate) fn carry_over(&mut self, bounds: Bounds, out: &mut Vec<Output>) {
        self.store(bounds, None, out);
    }

    /// Stores checked requirements that a user declares.
    pub(crate) fn declare(&mut self, bounds: Bounds, asked: Asked, out: &mut Vec<Output>) {
        if self.storing.is_some() {
            let text = "another change of the requirements is being stored: try again".to_owned();
            return asked.answer(Err(CommandError::Unavailable(text)));
        }
        self.store(bounds, Some(asked), out);
    }

    fn store(&mut self, bounds: Bounds, asked: Option<Asked>, out: &mut Vec<Output>) {
        let at = self.directory.join(&format!("{:020}-{:020}", self.epoch.0, self.next));
        self.next += 1;
        let op = StoreOp::Put { at: at.clone(), body: encode(&bounds), mode: PutMode::Create };
        out.push(self.requests.ask((), op));
        self.storing = Some(Storing { at, bounds, stands: false, asked });
    }

    /// Handles an answer from storage, if it belongs to this part.
    pub(crate) fn stored(
        &mut self,
        ticket: reflow_env::Ticket,
        result: &StoreResult,
        authority: &mut Authority,
        out: &mut Vec<Output>,
    ) -> Option<Stored> {
        self.requests.take(ticket)?;
        let mut outcome = Stored::default();
        if self.job_ended {
            let Storing { at, asked, .. } = self.storing.take()?;
            outcome.obsolete.push(at.0);
            let text = "the job has ended".to_owned();
            asked.into_iter().for_each(|asked| asked.answer(Err(CommandError::Conflict(text.clone()))));
            return Some(outcome);
        }
        let result = match (self.storing.as_mut().is_some_and(|storing| storing.stands), result) {
            (false, Ok(_)) => {
                out.push(self.requests.ask((), authority.question()));
                self.storing.iter_mut().for_each(|storing| storing.stands = true);
                return Some(outcome);
            }
            (false, Err(error)) => Err(error.to_string()),
            (true, listed) => match authority.standing(listed) {
                Standing::Leads | Standing::RecordGone(_) => Ok(()),
                Standing::Unknown(error) => Err(error),
                Standing::Deposed(epoch) => {
                    outcome.deposed = Some(epoch);
                    return Some(outcome);
                }
            },
        };
        let Storing { at, bounds, asked, .. } = self.storing.take()?;
        match (result, asked) {
            (Ok(_), asked) => {
                outcome.obsolete = std::mem::replace(&mut self.former, vec![at.0]);
                if let Some(asked) = asked {
                    outcome.event = Some(Event::UpdateRequirements { bounds });
                    asked.answer(Ok(Reply::Accepted));
                }
            }
            (Err(error), Some(asked)) => {
                // The object may exist nevertheless, and must not count.
                outcome.obsolete.push(at.0);
                let text = format!("the requirements cannot be stored, so they stay as they are: {error}");
                asked.answer(Err(CommandError::Failed(text)));
            }
            (Err(error), None) => {
                self.former.push(at.0);
                tracing::warn!(%error, "the declared requirements stay under the name of an earlier leadership");
            }
        }
        Some(outcome)
    }

    /// Takes every object, because the job has ended. One that is being stored follows when storage has answered.
    pub(crate) fn all(&mut self) -> Vec<String> {
        self.job_ended = true;
        std::mem::take(&mut self.former)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_that_is_stored_after_the_end_of_the_job_goes() {
        let requests = Storage::new(crate::storage::Tickets::default());
        let directory = Location("/c/requirements".into());
        let mut declarations = Declarations::new(directory, LeaderEpoch(1), vec!["former".into()], requests);
        let mut out = Vec::new();
        declarations.carry_over(Bounds::default(), &mut out);
        let [Output::Store { ticket, .. }] = out[..] else { panic!("one request") };
        assert_eq!(declarations.all(), ["former"]);
        let lineage = reflow_coordination::manifest::Lineage::new(LeaderEpoch(1));
        let record = (Location("/e/1".into()), bytes::Bytes::new());
        let mut authority = Authority::new(lineage, [].into(), Location("/e".into()), record);
        let done = Ok(reflow_env::StoreReply::Done);
        let stored = declarations.stored(ticket, &done, &mut authority, &mut Vec::new()).unwrap();
        assert_eq!(stored.obsolete, [format!("/c/requirements/{:020}-{:020}", 1, 0)]);
        assert!(stored.event.is_none());
    }

    #[test]
    fn what_is_kept_is_what_was_declared() {
        let bounds: Bounds = [(VertexId(7), ParallelismBounds { lower: 1, upper: 3 })].into();
        let expected = [(VertexId(7), RequestedBounds { lower: 1, upper: 3 })].into();
        assert_eq!(decode(&encode(&bounds)), Ok(expected));
        assert!(decode(b"[{").unwrap_err().contains("EOF"));
    }
}
