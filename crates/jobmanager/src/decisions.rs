//! Creates the deciding names of checkpoints, and reads what is stored there if a name is taken.

use crate::leadership::authority::{Author, Authority};
use bytes::Bytes;
use reflow_coordination::event::{Event, StoreOutcome};
use reflow_coordination::manifest::{self, Decision};
use reflow_env::{Location, PutMode, StoreOp, StoreReply, StoreResult};
use reflow_types::{CheckpointId, LeaderEpoch};

/// As what a checkpoint's deciding name is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Complete,
    Abandoned,
}

/// The request that creates a name.
pub(crate) fn create(at: String, body: Bytes) -> StoreOp {
    StoreOp::Put { at: Location(at), body, mode: PutMode::Create }
}

/// What came of it.
pub(crate) fn created(checkpoint: CheckpointId, result: StoreResult) -> StoreOutcome {
    match result {
        Ok(_) => StoreOutcome::Won,
        Err(error) => {
            tracing::warn!(%checkpoint, %error, "the decision about a checkpoint cannot be stored");
            StoreOutcome::Failed(error.to_string())
        }
    }
}

/// Whether what was read under a name is no decision. It may be so in storage, or only in this answer: read again
/// before it counts, as the objects of a checkpoint that is not complete are deleted.
pub(crate) fn is_damaged(result: &StoreResult) -> bool {
    matches!(result, Ok(StoreReply::Bytes(bytes)) if manifest::decode(bytes).is_err())
}

impl Wanted {
    /// The event that tells the scheduler.
    pub(crate) fn stored(self, checkpoint: CheckpointId, outcome: StoreOutcome) -> Event {
        match self {
            Wanted::Complete => Event::ManifestStored { checkpoint, outcome },
            Wanted::Abandoned => Event::AbandonedStored { checkpoint, outcome },
        }
    }

    /// The name was there; what it holds tells the outcome, or which later leadership took it.
    pub(crate) fn found(
        self,
        result: StoreResult,
        authority: &Authority,
    ) -> Result<StoreOutcome, LeaderEpoch> {
        let bytes = match result {
            Ok(StoreReply::Bytes(bytes)) => bytes,
            Ok(_) => {
                return Ok(StoreOutcome::Failed("the store answered a read with something else".to_owned()));
            }
            Err(error) => return Ok(StoreOutcome::Failed(error.to_string())),
        };
        // Read twice and still damaged: it completes nothing, and never will.
        let Ok(decision) = manifest::decode(&bytes) else { return Ok(self.taken()) };
        let complete = matches!(decision, Decision::Complete(_));
        match (authority.author(&decision), self) {
            (Author::Successor(epoch), _) => Err(epoch),
            (Author::Own, Wanted::Complete) if complete => Ok(StoreOutcome::Won),
            (Author::Own, Wanted::Abandoned) if complete => Ok(StoreOutcome::Lost),
            // What a former leader has put there is void.
            _ => Ok(self.taken()),
        }
    }

    /// The name stands, and nothing of this leadership is complete under it.
    fn taken(self) -> StoreOutcome {
        match self {
            Wanted::Complete => StoreOutcome::Lost,
            Wanted::Abandoned => StoreOutcome::Won,
        }
    }
}
