//! Which runs of which objects make up a segment: a short form of what the
//! JobManager keeps, as these tests need it to restore what they wrote.
//!
//! A segment may hold several key groups, and those may be owned by several subtasks, now or in the past. So each
//! run remembers the groups that it is still needed for; a full run of one subtask takes away only that
//! subtask's groups.

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
    /// Where in the object.
    pub(crate) run: Run,
    /// The groups that the run is needed for: load it with no others.
    pub(crate) groups: KeyGroupSet,
}

impl<O> Default for RunChain<O> {
    fn default() -> Self {
        Self { links: Vec::new() }
    }
}

impl<O> RunChain<O> {
    /// Adds a run of a complete checkpoint, written by a subtask that then owned `owned`. The groups of the
    /// run's segment are `segment_groups`.
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

    /// The runs in the order in which to load them.
    pub(crate) fn links(&self) -> &[Link<O>] {
        &self.links
    }
}
