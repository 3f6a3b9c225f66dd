//! The phases of a live rescale.

use super::cut::Cutting;
use super::transfer::Reading;
use crate::rescale::LivePhase;
use reflow_types::Instant;

/// The phase of the rescale.
pub(super) enum Phase {
    /// There is no checkpoint to prefetch from yet. `requested` is whether one was requested.
    Planning { requested: bool },
    /// Executors prefetch from a checkpoint, and then from later ones if that takes long.
    Preparing { reading: Reading },
    /// The catch-up checkpoint is taken when the pending one has ended.
    Freshening { requested: bool },
    /// Executors prefetch the increments of the catch-up checkpoint.
    CatchingUp { reading: Reading },
    /// The cut was requested and begins when the pending checkpoint has ended.
    Triggering { give_up_at: Instant },
    /// The barrier of the cut flows, and key groups are handed over.
    Cutting { cutting: Cutting, fail_at: Instant },
    /// The next graph is in effect. If the cut failed, a checkpoint that publishes the graph is requested at
    /// `publish_at`.
    Leaving { publish_at: Option<Instant> },
}

impl Phase {
    /// Whether the cut was triggered, so that the rescale cannot be abandoned.
    pub(super) fn has_cut(&self) -> bool {
        matches!(self, Phase::Cutting { .. } | Phase::Leaving { .. })
    }

    /// Whether a checkpoint that a user requests may begin.
    pub(super) fn takes_checkpoints(&self) -> bool {
        matches!(self, Phase::Planning { .. } | Phase::Preparing { .. } | Phase::Leaving { .. })
    }

    /// The phase in the record of the rescale.
    pub(super) fn shown(&self) -> LivePhase {
        match self {
            Phase::Planning { .. } => LivePhase::Plan,
            Phase::Preparing { .. } => LivePhase::Prepare,
            Phase::Freshening { .. } | Phase::CatchingUp { .. } | Phase::Triggering { .. } => {
                LivePhase::CatchUp
            }
            Phase::Cutting { .. } => LivePhase::Cut,
            Phase::Leaving { .. } => LivePhase::Commit,
        }
    }

    /// When the rescale is abandoned, fails, or is tried again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Planning { .. } | Phase::Freshening { .. } => None,
            Phase::Preparing { reading } | Phase::CatchingUp { reading } => Some(reading.give_up_at),
            Phase::Triggering { give_up_at } => Some(*give_up_at),
            Phase::Cutting { fail_at, .. } => Some(*fail_at),
            Phase::Leaving { publish_at } => *publish_at,
        }
    }
}
