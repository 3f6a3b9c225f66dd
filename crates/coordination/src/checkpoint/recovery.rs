//! What a new JobManager finds of a job.
//!
//! A leader that was deposed may still be about to complete a checkpoint that its successor knows nothing of. So
//! before anything is restored, the successor takes the deciding names that the other may use: it lists and reads
//! `chk-*/_metadata`, creates the next [`TAKEOVER_IDS`] names after the highest as abandoned, and reads those that
//! it loses. What all these names then say goes to [`recover`].

use super::retention::{Completed, checkpoint_dir};
use crate::manifest::{Decision, Manifest};
use reflow_types::{CheckpointId, SubtaskId};

/// How far ids may run ahead of the highest id under which a name is known to stand. Savepoints have their names
/// elsewhere, and storage may fail to take an abandonment; before the distance gets larger, a name is created.
pub const TAKEOVER_IDS: u64 = 8;

/// From where a job goes on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The highest id seen, of whatever came of it. The next is higher.
    pub highest: CheckpointId,
    /// The highest id whose deciding name stands in the job's directory.
    pub highest_named: CheckpointId,
    /// One past the highest subtask id seen.
    pub next_subtask: SubtaskId,
    /// The complete checkpoints that can be read, oldest first.
    pub completed: Vec<Completed>,
    /// Those that cannot, and why.
    pub damaged: Vec<(CheckpointId, String)>,
    /// Names that stand as abandoned.
    pub abandoned: Vec<CheckpointId>,
    /// Full names of the data objects found in the job's directory: what nothing names is deleted in time.
    pub objects: Vec<String>,
}

/// Sorts what the deciding names of a job say. A damaged manifest is no reason to stop while an older checkpoint can
/// be read; [`Recovered::damaged`] says what was passed over.
pub fn recover(
    job_dir: &str,
    decisions: impl IntoIterator<Item = (CheckpointId, Result<Decision, String>)>,
) -> Recovered {
    let mut recovered = Recovered::default();
    for (checkpoint, decision) in decisions {
        recovered.highest = recovered.highest.max(checkpoint);
        match decision {
            Ok(Decision::Abandoned) => recovered.abandoned.push(checkpoint),
            Ok(Decision::Complete(mut manifest)) => {
                let at = checkpoint_dir(job_dir, checkpoint);
                manifest.rebase(&at);
                recovered.next_subtask = recovered.next_subtask.max(manifest.next_subtask);
                recovered.completed.push(Completed { checkpoint, at, owned: true, manifest: *manifest });
            }
            Err(damage) => recovered.damaged.push((checkpoint, damage)),
        }
    }
    recovered.highest_named = recovered.highest;
    recovered.completed.sort_by_key(|completed| completed.checkpoint);
    recovered
}

impl Recovered {
    /// A job that begins from a savepoint, or from another job's checkpoint, in `directory`. It is not deleted.
    pub fn from_savepoint(directory: &str, mut manifest: Manifest) -> Self {
        let directory = directory.trim_end_matches('/');
        manifest.rebase(directory);
        let (highest, next_subtask) = (manifest.checkpoint, manifest.next_subtask);
        let completed =
            Completed { checkpoint: manifest.checkpoint, at: directory.to_owned(), owned: false, manifest };
        Self { highest, next_subtask, completed: vec![completed], ..Self::default() }
    }

    /// The one to start from.
    pub fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    /// Whether there was a checkpoint, and none can be read: not a job to be begun anew.
    pub fn is_lost(&self) -> bool {
        self.completed.is_empty() && !self.damaged.is_empty()
    }
}
