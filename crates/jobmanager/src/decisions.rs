//! The creation of checkpoints' deciding names, and the reading of the decision if a name is taken.

use crate::leadership::authority::{Author, Authority};
use bytes::Bytes;
use reflow_coordination::event::{Event, StoreOutcome};
use reflow_coordination::manifest::{self, Decision};
use reflow_env::{Location, PutMode, StoreOp, StoreReply, StoreResult};
use reflow_types::{CheckpointId, LeaderEpoch};

/// What a checkpoint's deciding name is created as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Complete,
    Abandoned,
}

/// The request that creates a name.
pub(crate) fn create(at: String, body: Bytes) -> StoreOp {
    StoreOp::Put { at: Location(at), body, mode: PutMode::Create }
}

/// The outcome of that request.
pub(crate) fn created(checkpoint: CheckpointId, result: StoreResult) -> StoreOutcome {
    match result {
        Ok(_) => StoreOutcome::Won,
        Err(error) => {
            tracing::warn!(%checkpoint, %error, "the decision about a checkpoint cannot be stored");
            StoreOutcome::Failed(error.to_string())
        }
    }
}

/// Whether the answer is not a decision. It may be damaged in storage or only in this answer, so it is read again
/// before it counts, because the objects of an incomplete checkpoint are deleted.
pub(crate) fn is_damaged(result: &StoreResult) -> bool {
    matches!(result, Ok(StoreReply::Bytes(bytes)) if manifest::decode(bytes).is_err())
}

impl Wanted {
    /// The event for the scheduler.
    pub(crate) fn stored(self, checkpoint: CheckpointId, outcome: StoreOutcome) -> Event {
        match self {
            Wanted::Complete => Event::ManifestStored { checkpoint, outcome },
            Wanted::Abandoned => Event::AbandonedStored { checkpoint, outcome },
        }
    }

    /// Evaluates an existing name: its content determines the outcome, or shows that a later leadership has taken
    /// it.
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
        // Damaged in each read, so it never completes a checkpoint.
        let Ok(decision) = manifest::decode(&bytes) else { return Ok(self.taken()) };
        let complete = matches!(decision, Decision::Complete(_));
        match (authority.author(&decision), self) {
            (Author::Successor(epoch), _) => Err(epoch),
            (Author::Own, Wanted::Complete) if complete => Ok(StoreOutcome::Won),
            (Author::Own, Wanted::Abandoned) if complete => Ok(StoreOutcome::Lost),
            // A decision of a former leader is void.
            _ => Ok(self.taken()),
        }
    }

    /// The name exists, and no checkpoint of this leadership is complete under it.
    fn taken(self) -> StoreOutcome {
        match self {
            Wanted::Complete => StoreOutcome::Lost,
            Wanted::Abandoned => StoreOutcome::Won,
        }
    }
}
