//! The phases of a live rescale.

use super::cut::Cutting;
use crate::rescale::LivePhase;
use reflow_types::{CheckpointId, ExecutorId, Instant};
use std::collections::BTreeSet;

/// How far the rescale is.
pub(super) enum Phase {
    /// There is no checkpoint to read yet; whether one was asked for.
    Planning { requested: bool },
    /// Executors read a checkpoint, until then at most.
    Preparing { reading: Reading },
    /// A fresh checkpoint is taken, as soon as the one under way has ended.
    Freshening { requested: bool },
    /// Executors read the fresh one.
    CatchingUp { reading: Reading },
    /// The cut has been asked for, and begins as soon as ids allow.
    Triggering { give_up_at: Instant },
    /// The barrier flows, and key groups are handed over.
    Cutting { cutting: Cutting, fail_at: Instant },
    /// The new graph is in effect. When a checkpoint is asked for that publishes it, if the cut failed.
    Leaving { publish_at: Option<Instant> },
}

/// A checkpoint that executors read.
pub(super) struct Reading {
    pub(super) checkpoint: CheckpointId,
    pub(super) by: BTreeSet<ExecutorId>,
    pub(super) give_up_at: Instant,
}

impl Phase {
    /// Whether the cut was triggered: there is no way back.
    pub(super) fn has_cut(&self) -> bool {
        matches!(self, Phase::Cutting { .. } | Phase::Leaving { .. })
    }

    /// Whether a checkpoint that a user wants may begin.
    pub(super) fn takes_checkpoints(&self) -> bool {
        matches!(self, Phase::Planning { .. } | Phase::Preparing { .. } | Phase::Leaving { .. })
    }

    /// The phase as the record of the rescale has it.
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

    /// When it is given up, fails, or is tried again.
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
