//! Which checkpoints and objects are retained and which are deleted.
//!
//! The configured number of complete checkpoints is retained. Older ones are *subsumed*: first their manifests are deleted,
//! then the data objects that no manifest names any more, so that a reader never finds a manifest whose objects are gone.
//! Savepoints and checkpoints of other jobs are never deleted. An object is known as soon as a subtask acknowledges it or a
//! new JobManager finds it, so objects of failed checkpoints are deleted as well.

use super::fallback::Older;
use crate::manifest::Manifest;
use reflow_types::CheckpointId;
use std::collections::BTreeSet;

/// A complete checkpoint from which the job can start.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    pub checkpoint: CheckpointId,
    /// Its directory: the full name of the manifest is `<at>/_metadata`.
    pub at: String,
    /// Whether it is this job's own, and may be deleted when it is superseded.
    pub owned: bool,
    /// What it holds, with absolute names.
    pub manifest: Manifest,
}

impl From<&Completed> for Older {
    fn from(completed: &Completed) -> Self {
        let Completed { checkpoint, at, owned, .. } = completed;
        Self { checkpoint: *checkpoint, at: at.clone(), owned: *owned }
    }
}

/// The checkpoints that are retained, and the objects that are known.
#[derive(Debug)]
pub(super) struct Retention {
    retained: usize,
    job_dir: String,
    /// In ascending order of ids.
    completed: Vec<Completed>,
    /// Found damaged. Kept until a new one is complete.
    rejected: Vec<Completed>,
    /// Abandoned names, in ascending order of ids.
    abandoned: BTreeSet<CheckpointId>,
    /// Names whose manifests cannot be read. They go before the objects that they may name.
    damaged: BTreeSet<CheckpointId>,
    /// Data objects of the job's own checkpoints that have not been deleted.
    objects: BTreeSet<String>,
    /// Data objects that are being read: they stay, whatever names them.
    pinned: BTreeSet<String>,
}

impl Retention {
    pub(super) fn new(retained: usize, job_dir: String) -> Self {
        let (completed, rejected, abandoned, damaged) = Default::default();
        let (retained, objects, pinned) = (retained.max(1), BTreeSet::new(), BTreeSet::new());
        Self { retained, job_dir, completed, rejected, abandoned, damaged, objects, pinned }
    }

    /// Takes note of a data object of the job's own.
    pub(super) fn know_object(&mut self, object: String) {
        if object.starts_with(&self.job_dir) {
            self.objects.insert(object);
        }
    }

    /// Takes note of an abandoned name.
    pub(super) fn know_abandoned(&mut self, checkpoint: CheckpointId) {
        self.abandoned.insert(checkpoint);
    }

    /// Takes note of a manifest that cannot be read. Kept until a new checkpoint is complete.
    pub(super) fn know_damaged(&mut self, checkpoint: CheckpointId) {
        self.damaged.insert(checkpoint);
    }

    /// Takes in a complete checkpoint, newer than all others.
    pub(super) fn add(&mut self, completed: Completed) {
        if completed.owned {
            completed.manifest.objects().into_iter().for_each(|object| self.know_object(object.to_owned()));
        }
        self.completed.push(completed);
    }

    /// The newest one that is not damaged.
    pub(super) fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    /// The one before the newest.
    pub(super) fn before_latest(&self) -> Option<&Completed> {
        self.completed.iter().rev().nth(1)
    }

    /// The objects of the newest one are being read, and stay until [`unpin`](Self::unpin).
    pub(super) fn pin_latest(&mut self) {
        let objects = self.completed.last().into_iter().flat_map(|latest| latest.manifest.objects());
        self.pinned.extend(objects.map(str::to_owned));
    }

    /// Nothing is being read any more. What is no longer named goes with the next that is collected.
    pub(super) fn unpin(&mut self) {
        self.pinned.clear();
    }

    /// Sets the newest one aside as damaged.
    pub(super) fn reject_latest(&mut self) -> Option<&Completed> {
        self.rejected.extend(self.completed.pop());
        self.rejected.last()
    }

    /// Once a new checkpoint is complete, and none is under way: what is not retained any more. The chains of the
    /// attempt are those of the newest checkpoint, so what retained manifests name is all that is needed.
    pub(super) fn collect(&mut self) -> Collected {
        let mut gone: Vec<Completed> = std::mem::take(&mut self.rejected);
        let owned = self.completed.iter().filter(|c| c.owned).count();
        let mut surplus = owned.saturating_sub(self.retained);
        let newest_is_owned = self.completed.last().is_some_and(|c| c.owned);
        let mut kept = Vec::new();
        for completed in self.completed.drain(..) {
            let superseded = if completed.owned { surplus > 0 } else { newest_is_owned };
            surplus -= usize::from(completed.owned && surplus > 0);
            if superseded { gone.push(completed) } else { kept.push(completed) }
        }
        self.completed = kept;
        let oldest = self.completed.first().map(|completed| completed.checkpoint);
        let kept_marks = oldest.map(|oldest| self.abandoned.split_off(&oldest)).unwrap_or_default();
        let mut old_marks = std::mem::replace(&mut self.abandoned, kept_marks);
        old_marks.append(&mut self.damaged);
        let subsumed: Vec<CheckpointId> = gone.iter().filter(|c| c.owned).map(|c| c.checkpoint).collect();
        let manifests = gone.iter().filter(|c| c.owned).map(|c| format!("{}/_metadata", c.at));
        let marks = old_marks.iter().map(|id| deciding_name(&self.job_dir, *id));
        let manifests = manifests.chain(marks).collect();
        let named: BTreeSet<&str> = self.completed.iter().flat_map(|c| c.manifest.objects()).collect();
        let objects = std::mem::take(&mut self.objects);
        let needed = |object: &String| named.contains(object.as_str()) || self.pinned.contains(object);
        let (kept, objects): (Vec<_>, Vec<_>) = objects.into_iter().partition(needed);
        self.objects = BTreeSet::from_iter(kept);
        Collected { subsumed, manifests, objects }
    }

    /// All of the job's own, when it has ended.
    pub(super) fn clear(&mut self) -> Collected {
        self.retained = 0;
        let mut all: Vec<Completed> = self.completed.drain(..).chain(self.rejected.drain(..)).collect();
        all.retain(|completed| completed.owned);
        let mut marks = std::mem::take(&mut self.abandoned);
        marks.append(&mut self.damaged);
        let marks = marks.iter().map(|id| deciding_name(&self.job_dir, *id));
        Collected {
            subsumed: all.iter().map(|c| c.checkpoint).collect(),
            manifests: all.iter().map(|c| format!("{}/_metadata", c.at)).chain(marks).collect(),
            objects: std::mem::take(&mut self.objects).into_iter().collect(),
        }
    }
}

/// What is to be deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Collected {
    /// Checkpoints that are gone.
    pub(super) subsumed: Vec<CheckpointId>,
    /// Full names of manifests and marks, to be deleted first.
    pub(super) manifests: Vec<String>,
    /// Full names of data objects.
    pub(super) objects: Vec<String>,
}

/// The directory of a checkpoint.
pub fn checkpoint_dir(job_dir: &str, checkpoint: CheckpointId) -> String {
    format!("{job_dir}/chk-{checkpoint}")
}

/// The name whose creation decides a checkpoint.
pub fn deciding_name(job_dir: &str, checkpoint: CheckpointId) -> String {
    format!("{}/_metadata", checkpoint_dir(job_dir, checkpoint))
}

/// Below which directory the data objects of a job's checkpoints are written.
pub fn data_dir(job_dir: &str) -> String {
    format!("{job_dir}/data")
}
