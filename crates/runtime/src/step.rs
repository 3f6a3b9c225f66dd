//! The current step of a slot, which another thread can observe.
//!
//! A step in user code that does not return cannot report that itself. The slot's thread stores the begin and end
//! of each step in a few atomic words, without a lock, and the executor reads them from time to time.

use reflow_graph::VertexIndex;
use reflow_types::{Instant, SubtaskId};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

const NONE: u64 = u64::MAX;

/// The step that a slot's thread is running.
pub struct CurrentStep {
    since: AtomicU64,
    vertex: AtomicU16,
    subtask: AtomicU64,
}

/// A step that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The vertex of the task.
    pub vertex: VertexIndex,
    pub subtask: SubtaskId,
    /// When the step began.
    pub since: Instant,
}

impl Default for CurrentStep {
    fn default() -> Self {
        Self { since: AtomicU64::new(NONE), vertex: AtomicU16::new(0), subtask: AtomicU64::new(0) }
    }
}

impl CurrentStep {
    pub(crate) fn begin(&self, step: Step) {
        self.vertex.store(step.vertex.0, Ordering::Relaxed);
        self.subtask.store(step.subtask.0, Ordering::Relaxed);
        self.since.store(step.since.0, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.since.store(NONE, Ordering::Release);
    }

    /// The step that the thread is running. If a step begins during the call, the result may mix it with the
    /// previous one, so a caller should rely only on a step that has lasted for some time.
    pub fn get(&self) -> Option<Step> {
        let since = self.since.load(Ordering::Acquire);
        let step = Step {
            vertex: VertexIndex(self.vertex.load(Ordering::Acquire)),
            subtask: SubtaskId(self.subtask.load(Ordering::Acquire)),
            since: Instant(since),
        };
        let lasts = since != NONE && self.since.load(Ordering::Relaxed) == since;
        lasts.then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_seen_while_it_lasts() {
        let current = CurrentStep::default();
        assert_eq!(current.get(), None);
        let step = Step { vertex: VertexIndex(3), subtask: SubtaskId(7), since: Instant(0) };
        current.begin(step);
        assert_eq!(current.get(), Some(step));
        current.end();
        assert_eq!(current.get(), None);
    }
}
