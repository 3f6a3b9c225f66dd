//! The transfer of state before the cut of a live rescale: what executors read, how far they are, and whether they read again.
//!
//! While executors read a checkpoint, the state changes. What has changed is read with the catch-up checkpoint, during which
//! no other checkpoint begins, and the rest is handed over at the cut, while the key groups that move pause. So that both
//! stay short after a read that took long, executors first read the changes up to the latest periodic checkpoint, and again,
//! as long as each of these rounds takes at most half the time of the one before.

use crate::rescale::Transferred;
use reflow_protocol::snapshot::Restore;
use reflow_types::{CheckpointId, ExecutorId, Instant, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A round that took less is not followed by another one.
const LONG_ROUND: Duration = Duration::from_secs(1);

/// A checkpoint from which executors read.
pub(super) struct Reading {
    pub(super) checkpoint: CheckpointId,
    /// The executors that have not read it.
    pub(super) by: BTreeSet<ExecutorId>,
    pub(super) begun: Instant,
    /// When the rescale is abandoned, unless executors have read more state.
    pub(super) give_up_at: Instant,
}

/// The state that executors read before the cut.
#[derive(Default)]
pub(super) struct Transfer {
    /// The runs that subtasks read, by object and offset.
    runs: BTreeMap<SubtaskId, BTreeSet<(String, u64)>>,
    bytes: u64,
    read: BTreeMap<ExecutorId, u64>,
    /// How long the last round took that was followed by another one.
    last_round: Option<Duration>,
}

impl Transfer {
    /// Subtasks are told to read this, as far as they have not read it before.
    pub(super) fn request(&mut self, restores: &[(SubtaskId, Restore)]) {
        for (subtask, restore) in restores {
            let known = self.runs.entry(*subtask).or_default();
            for run in restore.keyed.iter().flat_map(|part| &part.runs) {
                if known.insert((run.object.clone(), run.offset)) {
                    self.bytes += u64::from(run.len);
                }
            }
        }
    }

    /// An executor has read this much so far. Returns whether that is more than before.
    pub(super) fn on_progress(&mut self, executor: ExecutorId, bytes: u64) -> bool {
        let read = self.read.entry(executor).or_default();
        let more = bytes > *read;
        *read = bytes.max(*read);
        more
    }

    /// What users see of it.
    pub(super) fn transferred(&self) -> Transferred {
        let read = self.read.values().sum();
        // A segment whose owners have changed is read anew.
        Transferred { read, all: self.bytes.max(read) }
    }

    /// Whether executors that have read everything read the changes up to the `latest` checkpoint as well.
    pub(super) fn begin_round(&mut self, now: Instant, reading: &Reading, latest: CheckpointId) -> bool {
        let took = now.since(reading.begun);
        let converges = self.last_round.is_none_or(|last| took <= last / 2);
        let again = took >= LONG_ROUND && converges && latest > reading.checkpoint;
        if again {
            self.last_round = Some(took);
        }
        again
    }
}
