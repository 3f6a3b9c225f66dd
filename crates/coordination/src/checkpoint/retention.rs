//! The retention of checkpoints and objects: which are kept and which are deleted.
//!
//! The configured number of complete checkpoints is retained. Older ones are *subsumed*: first their manifests are deleted,
//! then the data objects that no manifest names any more, so that a reader never finds a manifest whose objects are gone.
//! Savepoints and checkpoints of other jobs are never deleted. An object is known as soon as a subtask acknowledges it or a
//! new JobManager finds it, so objects of failed checkpoints are deleted as well.

use super::fallback::Older;
use crate::manifest::Manifest;
use reflow_types::{CheckpointId, JobId, VertexId};
use std::collections::BTreeSet;

/// A complete checkpoint from which the job can start.
#[derive(Clone, Debug, PartialEq)]
pub struct Completed {
    pub checkpoint: CheckpointId,
    /// Its directory: the full name of the manifest is `<at>/_metadata`.
    pub at: String,
    /// Whether it belongs to this job, so that it is deleted when it is subsumed.
    pub owned: bool,
    /// Its manifest, with absolute names.
    pub manifest: Manifest,
}

impl From<&Completed> for Older {
    fn from(completed: &Completed) -> Self {
        let Completed { checkpoint, at, owned, .. } = completed;
        Self { checkpoint: *checkpoint, at: at.clone(), owned: *owned }
    }
}

/// The retained checkpoints and the known objects.
#[derive(Debug)]
pub(super) struct Retention {
    retained: usize,
    job_dir: String,
    /// The complete checkpoints, in ascending order of ids.
    completed: Vec<Completed>,
    /// Checkpoints that were found damaged. They are kept until a new one is complete.
    rejected: Vec<Completed>,
    /// Abandoned names, in ascending order of ids.
    abandoned: BTreeSet<CheckpointId>,
    /// Checkpoints whose manifests cannot be read. These are deleted before the objects that they may name.
    damaged: BTreeSet<CheckpointId>,
    /// Data objects of the job's own checkpoints that have not been deleted.
    objects: BTreeSet<String>,
    /// Data objects that are being read. They are kept even if nothing names them.
    pinned: BTreeSet<String>,
}

impl Retention {
    pub(super) fn new(retained: usize, job_dir: String) -> Self {
        let (completed, rejected, abandoned, damaged) = Default::default();
        let (retained, objects, pinned) = (retained.max(1), BTreeSet::new(), BTreeSet::new());
        Self { retained, job_dir, completed, rejected, abandoned, damaged, objects, pinned }
    }

    /// Adds a data object of the job.
    pub(super) fn know_object(&mut self, object: String) {
        if object.starts_with(&self.job_dir) {
            self.objects.insert(object);
        }
    }

    /// Adds an abandoned checkpoint.
    pub(super) fn know_abandoned(&mut self, checkpoint: CheckpointId) {
        self.abandoned.insert(checkpoint);
    }

    /// Adds a checkpoint whose manifest cannot be read. It is kept until a new checkpoint is complete.
    pub(super) fn know_damaged(&mut self, checkpoint: CheckpointId) {
        self.damaged.insert(checkpoint);
    }

    /// Adds a complete checkpoint, which is newer than all others.
    pub(super) fn add(&mut self, completed: Completed) {
        if completed.owned {
            completed.manifest.objects().into_iter().for_each(|object| self.know_object(object.to_owned()));
        }
        self.completed.push(completed);
    }

    /// The newest checkpoint that is not damaged.
    pub(super) fn latest(&self) -> Option<&Completed> {
        self.completed.last()
    }

    /// The newest checkpoint, and those before it that have the very same state of this vertex, newest first.
    pub(super) fn with_latest_state_of(&self, vertex: VertexId) -> impl Iterator<Item = &Completed> {
        let taken_in = move |completed: &Completed| {
            let of_vertex = completed.manifest.vertices.iter().find(|state| state.vertex == vertex);
            of_vertex.map(|state| state.taken_in)
        };
        let part = self.latest().and_then(taken_in);
        let same = move |completed: &&Completed| part.is_some() && taken_in(completed) == part;
        let (latest, older) = match &self.completed[..] {
            [older @ .., latest] => (Some(latest), older),
            [] => (None, &[][..]),
        };
        latest.into_iter().chain(older.iter().rev().take_while(same))
    }

    /// The newest checkpoint that is not one of these.
    pub(super) fn latest_but(&self, damaged: &[CheckpointId]) -> Option<&Completed> {
        self.completed.iter().rev().find(|completed| !damaged.contains(&completed.checkpoint))
    }

    /// The checkpoint before the newest.
    pub(super) fn before_latest(&self) -> Option<&Completed> {
        self.completed.iter().rev().nth(1)
    }

    /// Keeps the objects of the newest checkpoint until [`unpin`](Self::unpin), because they are being read.
    pub(super) fn pin_latest(&mut self) {
        let objects = self.completed.last().into_iter().flat_map(|latest| latest.manifest.objects());
        self.pinned.extend(objects.map(str::to_owned));
    }

    /// Ends [`pin_latest`](Self::pin_latest). Objects that nothing names are then collected with the next ones.
    pub(super) fn unpin(&mut self) {
        self.pinned.clear();
    }

    /// Whether this savepoint of a job is retained, or a retained checkpoint, or a task that reads one, needs a directory of this
    /// name. The location does not count, because it can be written in several ways, also as that of a link.
    pub(super) fn needs_savepoint(&self, savepoint: (JobId, CheckpointId), name: &str) -> bool {
        let is_in = |object: &str| object.rsplit('/').nth(1) == Some(name);
        let needs = |Completed { at, manifest, .. }: &Completed| {
            (manifest.job, manifest.checkpoint) == savepoint
                || at.rsplit('/').next() == Some(name)
                || manifest.objects().into_iter().any(is_in)
        };
        self.completed.iter().chain(&self.rejected).any(needs)
            || self.pinned.iter().any(|object| is_in(object))
    }

    /// Sets the newest one aside as damaged.
    pub(super) fn reject_latest(&mut self) -> Option<&Completed> {
        self.rejected.extend(self.completed.pop());
        self.rejected.last()
    }

    /// Collects what is not retained any more. Called when a new checkpoint is complete and none is pending: the
    /// chains of the attempt are then those of the newest checkpoint, so only what retained manifests name is
    /// needed.
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

    /// Collects everything of the job, when it has ended.
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

/// Checkpoints and objects to delete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Collected {
    /// The subsumed checkpoints.
    pub(super) subsumed: Vec<CheckpointId>,
    /// The full names of manifests and abandonments, which are deleted first.
    pub(super) manifests: Vec<String>,
    /// The full names of data objects.
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

/// The directory of the data objects of a job's checkpoints.
pub fn data_dir(job_dir: &str) -> String {
    format!("{job_dir}/data")
}
