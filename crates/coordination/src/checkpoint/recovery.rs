//! From which checkpoint a new JobManager resumes.
//!
//! A deposed leader may still create deciding names that its successor has not seen. So the successor takes its epoch first,
//! then lists and reads `chk-*/_metadata`; [`recover`] chooses the checkpoint. Before it deploys anything it creates the next
//! deciding name as abandoned, with [`Recovered::lineage`] extended by its own takeover. From then on every reader ignores
//! what an earlier leader decides above that checkpoint.

use super::fallback::{self, AllowReplay, Fallback};
use super::retention::{Completed, checkpoint_dir};
use crate::action::EndState;
use crate::manifest::{Decision, Lineage, Manifest};
use reflow_types::{CheckpointId, LeaderEpoch, SubtaskId};
use std::collections::BTreeMap;

/// From where a job goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The highest id seen, of whatever came of it. The next is higher.
    pub highest: CheckpointId,
    /// One past the highest subtask id seen.
    pub next_subtask: SubtaskId,
    /// The complete checkpoints that can be read, oldest first.
    pub completed: Vec<Completed>,
    /// Those that cannot, and why.
    pub damaged: Vec<(CheckpointId, String)>,
    /// What follows if newer ones cannot be read than those that can ([`Recovered::decide_fallback`]).
    pub fallback: Option<fallback::Decision>,
    /// Names that stand as abandoned, or are void.
    pub abandoned: Vec<CheckpointId>,
    /// How the job has ended, if that is decided.
    pub ended: Option<EndState>,
    /// That of the last leadership which decided anything.
    pub lineage: Lineage,
    /// Full names of the data objects found in the job's directory: what nothing names is deleted in time.
    pub objects: Vec<String>,
}

/// Sorts what the deciding names of a job say. [`Recovered::damaged`] says what cannot be read. Whether the job goes on
/// without it is for [`Recovered::decide_fallback`].
pub fn recover(
    job_dir: &str,
    decisions: impl IntoIterator<Item = (CheckpointId, Result<Decision, String>)>,
) -> Recovered {
    let decisions: BTreeMap<CheckpointId, Result<Decision, String>> = decisions.into_iter().collect();
    let lineages = decisions.values().flatten().map(Decision::lineage);
    let lineage = lineages.max_by_key(|lineage| lineage.epoch).cloned().unwrap_or_default();
    let mut recovered = Recovered { lineage, ..Recovered::default() };
    for (checkpoint, decision) in decisions {
        recovered.highest = checkpoint;
        let void = |decision: &Decision| recovered.lineage.voids(checkpoint, decision.lineage().epoch);
        match decision {
            Ok(decision) if void(&decision) => recovered.abandoned.push(checkpoint),
            Ok(Decision::Abandoned(_)) => recovered.abandoned.push(checkpoint),
            Ok(Decision::Ended { state, .. }) => recovered.ended = Some(state),
            Ok(Decision::Complete(mut manifest)) => {
                let at = checkpoint_dir(job_dir, checkpoint);
                manifest.rebase(&at);
                recovered.next_subtask = recovered.next_subtask.max(manifest.next_subtask);
                recovered.completed.push(Completed { checkpoint, at, owned: true, manifest: *manifest });
            }
            Err(damage) => recovered.damaged.push((checkpoint, damage)),
        }
    }
    recovered
}

impl Recovered {
    /// A job that begins from a savepoint, or from another job's checkpoint, in `directory`. It is not deleted.
    pub fn from_savepoint(directory: &str, mut manifest: Manifest) -> Self {
        let directory = directory.trim_end_matches('/');
        manifest.rebase(directory);
        // The job that was stopped with it has ended; this is another one.
        manifest.ending = None;
        let (highest, next_subtask) = (manifest.checkpoint, manifest.next_subtask);
        let completed =
            Completed { checkpoint: manifest.checkpoint, at: directory.to_owned(), owned: false, manifest };
        Self { highest, next_subtask, completed: vec![completed], ..Self::default() }
    }

    /// The one to start from.
    pub fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    /// Decides whether the job goes on from [`latest`](Self::latest), if that is not the newest there is.
    /// A name that cannot be read counts as a complete checkpoint, although it may have been an abandoned one.
    pub fn decide_fallback(&mut self, committing: &[impl AsRef<str>], allow_replay: AllowReplay) {
        let Some(latest) = self.completed.last() else { return };
        let newer =
            |(checkpoint, _): &&(CheckpointId, String)| !latest.owned || *checkpoint > latest.checkpoint;
        let damaged: Vec<_> = self.damaged.iter().filter(newer).cloned().collect();
        if !damaged.is_empty() {
            self.fallback = Some(Fallback { damaged, older: latest.into() }.decide(committing, allow_replay));
        }
    }

    /// The question that the user has to answer before the job goes on.
    pub fn question(&self) -> Option<&str> {
        match &self.fallback {
            Some(fallback::Decision::Ask(question)) => Some(question),
            _ => None,
        }
    }

    /// Whether there was a checkpoint, and none can be read: not a job to be begun anew.
    pub fn is_lost(&self) -> bool {
        self.completed.is_empty() && !self.damaged.is_empty()
    }

    /// The lineage of a leadership that goes on from here.
    pub fn taken_over(&self, epoch: LeaderEpoch) -> Lineage {
        let owned = self.completed.iter().rev().find(|completed| completed.owned);
        self.lineage.taken_over(epoch, owned.map_or(CheckpointId(0), |completed| completed.checkpoint))
    }
}
