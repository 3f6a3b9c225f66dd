//! Recovery: the choice of the checkpoint from which a new JobManager resumes.
//!
//! A deposed leader may still create deciding names that its successor has not seen. So the successor takes its epoch first,
//! then lists and reads `chk-*/_metadata`; [`recover`] chooses the checkpoint. Before it deploys anything it creates the next
//! deciding name as abandoned, with [`Recovered::lineage`] extended by its own takeover. From then on every reader ignores
//! what an earlier leader decides above that checkpoint.

use super::fallback::{self, AllowReplay, Fallback};
use super::retention::{Completed, checkpoint_dir, data_dir};
use crate::action::EndState;
use crate::manifest::{Decision, Lineage, Manifest};
use reflow_types::{CheckpointId, LeaderEpoch, SubtaskId, injected_fault};
use std::collections::BTreeMap;

/// The state from which a job resumes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The highest checkpoint id found, whatever its outcome. The next id is higher.
    pub highest: CheckpointId,
    /// One past the highest subtask id seen.
    pub next_subtask: SubtaskId,
    /// The complete checkpoints that can be read, oldest first.
    pub completed: Vec<Completed>,
    /// The checkpoints that cannot be read, with the reasons.
    pub damaged: Vec<(CheckpointId, String)>,
    /// The decision if a newer checkpoint cannot be read ([`Recovered::decide_fallback`]).
    pub fallback: Option<fallback::Decision>,
    /// Checkpoints that are abandoned or void.
    pub abandoned: Vec<CheckpointId>,
    /// How the job has ended, if that is decided.
    pub ended: Option<EndState>,
    /// The lineage of the last leadership that made a decision.
    pub lineage: Lineage,
    /// The full names of the data objects in the job's directory. Those that nothing names are deleted later.
    pub objects: Vec<String>,
    /// What storage has lost of [`latest`](Self::latest), if it has lost anything.
    pub lost: Option<String>,
}

/// Evaluates the deciding names of a job. [`Recovered::damaged`] has those that cannot be read;
/// [`Recovered::decide_fallback`] decides whether the job resumes without them.
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
    /// A checkpoint is known to have been complete, at the time of the leadership `epoch`. If nothing is decided about it
    /// or a later one, its deciding name `at` was deleted: it counts as damaged, unless a later leadership went on
    /// without it.
    pub fn expect_complete(&mut self, checkpoint: CheckpointId, epoch: LeaderEpoch, at: &str) {
        let is_known = injected_fault::is_active("deleted_checkpoint_not_missed")
            || self.latest().is_some_and(|latest| latest.checkpoint >= checkpoint)
            || self.damaged.iter().any(|(damaged, _)| *damaged >= checkpoint);
        if self.ended.is_none() && !is_known && !self.lineage.voids(checkpoint, epoch) {
            let deleted = format!(
                "{at} is not there, although the checkpoint was complete: it was deleted from outside"
            );
            self.damaged.push((checkpoint, deleted));
            self.highest = self.highest.max(checkpoint);
        }
    }

    /// The state of a job that starts from a savepoint, or another job's checkpoint, in `directory`, which is
    /// never deleted.
    pub fn from_savepoint(directory: &str, mut manifest: Manifest) -> Self {
        let directory = directory.trim_end_matches('/');
        manifest.rebase(directory);
        // The job that was stopped with the savepoint has ended; this is another one.
        manifest.ending = None;
        let (highest, next_subtask) = (manifest.checkpoint, manifest.next_subtask);
        let completed =
            Completed { checkpoint: manifest.checkpoint, at: directory.to_owned(), owned: false, manifest };
        Self { highest, next_subtask, completed: vec![completed], ..Self::default() }
    }

    /// Sets the data objects in the job's directory, which are listed with their lengths. Those that
    /// [`latest`](Self::latest) names must be among them, unless they were deleted from outside.
    pub fn take_objects(&mut self, job_dir: &str, found: BTreeMap<String, u64>) {
        let latest = self.latest().filter(|latest| latest.owned);
        let named = latest.map(|latest| latest.manifest.extents(&latest.at)).unwrap_or_default();
        let below = format!("{}/", data_dir(job_dir));
        let is_lost = |(object, needed): &(&String, &u64)| {
            object.starts_with(&below) && found.get(*object).is_none_or(|len| len < *needed)
        };
        let lost: Vec<&String> = named.iter().filter(is_lost).map(|(object, _)| object).collect();
        self.lost = lost.first().zip(latest).map(|(first, latest)| {
            format!(
                "{} of the objects of checkpoint {} are gone from storage or shortened, {first} among them: let nothing \
                 delete or move them. If the job's tasks still run, they write all state anew at once",
                lost.len(),
                latest.checkpoint
            )
        });
        self.objects = found.into_keys().collect();
    }

    /// The checkpoint to start from.
    pub fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    /// Decides whether the job resumes from [`latest`](Self::latest) if a newer checkpoint cannot be read. A name
    /// that cannot be read counts as a complete checkpoint, although it may have been an abandonment.
    pub fn decide_fallback(&mut self, committing: &[impl AsRef<str>], allow_replay: AllowReplay) {
        let Some(latest) = self.completed.last() else { return };
        let newer =
            |(checkpoint, _): &&(CheckpointId, String)| !latest.owned || *checkpoint > latest.checkpoint;
        let damaged: Vec<_> = self.damaged.iter().filter(newer).cloned().collect();
        if !damaged.is_empty() {
            self.fallback = Some(Fallback { damaged, older: latest.into() }.decide(committing, allow_replay));
        }
    }

    /// The question that the user has to answer before the job resumes.
    pub fn question(&self) -> Option<&str> {
        match &self.fallback {
            Some(fallback::Decision::Ask(question)) => Some(question),
            _ => None,
        }
    }

    /// Whether there were checkpoints and none can be read, so that the job must not start without state.
    pub fn is_lost(&self) -> bool {
        self.completed.is_empty() && !self.damaged.is_empty()
    }

    /// The lineage of a leadership that resumes from this state.
    pub fn taken_over(&self, epoch: LeaderEpoch) -> Lineage {
        let owned = self.completed.iter().rev().find(|completed| completed.owned);
        self.lineage.taken_over(epoch, owned.map_or(CheckpointId(0), |completed| completed.checkpoint))
    }
}
