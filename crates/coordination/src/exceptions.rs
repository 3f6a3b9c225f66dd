//! The exception history: the latest failures of a job, each with the failures that it caused.

use reflow_protocol::failure::{Fault, without_backtrace};
use reflow_types::{ExecutorId, Instant, SubtaskIndex, TaskManagerId, VertexId};
use std::collections::VecDeque;

/// A failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// When it was reported.
    pub at: Instant,
    /// Whose fault it was; `None` for a lost executor.
    pub fault: Option<Fault>,
    /// The operator's name, if one is to blame.
    pub operator: String,
    /// The message.
    pub message: String,
    /// Which subtask failed; `None` for a failure of the whole job.
    pub subtask: Option<(VertexId, SubtaskIndex)>,
    /// The executor and the TaskManager that ran it.
    pub executor: Option<(ExecutorId, TaskManagerId)>,
}

impl Exception {
    /// The operator and the message, without a backtrace: why a job restarts or has ended.
    pub fn summary(&self) -> String {
        let message = without_backtrace(&self.message);
        match self.operator.as_str() {
            "" => message.to_owned(),
            operator => format!("{operator}: {message}"),
        }
    }
}

/// A failure, with those that followed before the job had restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The first failure.
    pub root: Exception,
    /// The failures that followed, in order.
    pub concurrent: Vec<Exception>,
}

/// The history, bounded.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: VecDeque<Entry>,
    capacity: usize,
    truncated: bool,
}

/// The most failures that are kept with one root, because more tell nothing new.
const MAX_CONCURRENT: usize = 16;

impl History {
    /// Keeps `capacity` entries.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Adds a failure that makes the job restart or fail.
    pub fn record(&mut self, root: Exception) {
        self.entries.push_front(Entry { root, concurrent: Vec::new() });
        if self.entries.len() > self.capacity {
            self.entries.truncate(self.capacity);
            self.truncated = true;
        }
    }

    /// Adds a failure while the attempt is already being cancelled. A lost process, or one that has run out of
    /// memory, replaces a root that is only a broken connection, because the other end of the connection noticed
    /// first.
    pub fn record_concurrent(&mut self, mut exception: Exception) {
        if let Some(entry) = self.entries.front_mut()
            && entry.root.fault == Some(Fault::Connection)
            && matches!(exception.fault, None | Some(Fault::Memory))
        {
            std::mem::swap(&mut entry.root, &mut exception);
        }
        match self.entries.front_mut() {
            Some(entry) if entry.concurrent.len() < MAX_CONCURRENT => entry.concurrent.push(exception),
            _ => {}
        }
    }

    /// Sets the message of the last root, whose consequences were not known when it was recorded.
    pub fn explain(&mut self, message: &str) {
        if let Some(entry) = self.entries.front_mut() {
            entry.root.message = message.to_owned();
        }
    }

    /// Newest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether older entries were dropped.
    pub fn truncated(&self) -> bool {
        self.truncated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(message: &str) -> Exception {
        let message = message.to_owned();
        Exception {
            at: Instant(0),
            fault: None,
            operator: String::new(),
            message,
            subtask: None,
            executor: None,
        }
    }

    #[test]
    fn keeps_the_newest_with_what_came_with_them() {
        let mut history = History::new(2);
        for name in ["a", "b", "c"] {
            history.record(exception(name));
            history.record_concurrent(exception("beside"));
        }
        let shown: Vec<_> =
            history.entries().map(|e| (e.root.message.as_str(), e.concurrent.len())).collect();
        assert_eq!(shown, [("c", 1), ("b", 1)]);
        assert!(history.truncated());
    }

    #[test]
    fn a_process_that_is_gone_is_the_root_of_the_connections_that_broke() {
        let mut history = History::new(1);
        history.record(Exception { fault: Some(Fault::Connection), ..exception("connection to e2 gone") });
        history.record_concurrent(Exception { fault: Some(Fault::User), ..exception("panic") });
        history.record_concurrent(exception("e2: killed by signal 9"));
        history.record_concurrent(exception("e3: killed by signal 9"));
        let entry = history.entries().next().unwrap();
        let concurrent: Vec<_> = entry.concurrent.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(entry.root.message, "e2: killed by signal 9");
        assert_eq!(concurrent, ["panic", "connection to e2 gone", "e3: killed by signal 9"]);
    }

    #[test]
    fn concurrent_failures_are_bounded() {
        let mut history = History::new(1);
        history.record_concurrent(exception("without a root: dropped"));
        history.record(exception("root"));
        (0..100).for_each(|_| history.record_concurrent(exception("more")));
        assert_eq!(history.entries().next().unwrap().concurrent.len(), MAX_CONCURRENT);
    }
}
