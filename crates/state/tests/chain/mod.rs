//! The chain of runs that make up a segment: a short form of what the JobManager keeps, so that these tests can
//! restore what they wrote.
//!
//! A segment may contain several key groups, which several subtasks may own, now or earlier. So each run has the
//! groups for which it is still needed; a full run of one subtask replaces earlier runs only for that subtask's
//! groups.

use reflow_state::{Run, RunKind};
use reflow_types::KeyGroupSet;

/// The runs of one segment of one table, oldest first. `O` names the object that holds the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunChain<O> {
    links: Vec<Link<O>>,
}

/// One run of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link<O> {
    /// The object that holds the run.
    pub(crate) object: O,
    /// Its range in the object.
    pub(crate) run: Run,
    /// The groups for which the run is needed. Only these may be loaded from it.
    pub(crate) groups: KeyGroupSet,
}

impl<O> Default for RunChain<O> {
    fn default() -> Self {
        Self { links: Vec::new() }
    }
}

impl<O> RunChain<O> {
    /// Adds a run of a complete checkpoint by a subtask that owned `owned` then. `segment_groups` are the groups
    /// of the run's segment.
    pub(crate) fn push(&mut self, object: O, run: Run, owned: &KeyGroupSet, segment_groups: &KeyGroupSet) {
        let groups = owned.intersection(segment_groups);
        if run.kind == RunKind::Full {
            for link in &mut self.links {
                link.groups = link.groups.iter().filter(|&group| !groups.contains(group)).collect();
            }
            self.links.retain(|link| !link.groups.is_empty());
        }
        if run.len > 0 {
            self.links.push(Link { object, run, groups });
        }
    }

    /// The runs, in the order in which they must be loaded.
    pub(crate) fn links(&self) -> &[Link<O>] {
        &self.links
    }
}
